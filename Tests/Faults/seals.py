"""Meddles with a log and looks whether its seals tell: bits, events that are gone, doubled, moved or new, and seals themselves.

Without --postgres on SQLite.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nacl.signing

import support
from support import (
    Server, equal, expected, head, meddle, offered, person, query, refused, shown, succeeds, test, true, uid, verified)

COLUMNS = ("epoch", "stream", "previous", "type", "version", "actor", "session", "origin", "occurred_at", "payload")
NUMBERS = ("epoch", "previous", "version", "actor", "occurred_at")
REST = ", ".join(COLUMNS)
FAR = 1_000_000  # rows are moved out of the way before they are moved to where they go


def grown(server: Server) -> None:
    """A log of 25 events, of which 20 are sealed."""
    ada = person(server, "ada")
    for name in ("one", "two"):
        expected(ada.create_collection(name), 201)
    number = 0
    while head(server) < 25:
        number += 1
        items = [offered(f"item-{number}", uid(number), b"meta of %d" % number)]
        expected(ada.commit("one" if number % 2 else "two", items), 200)
        if head(server) == 20:
            succeeds(server.apus("log", "seal"), "log seal")
    ada.close()
    server.kill()  # one that ends in order seals the rest
    equal(head(server), 25, "events")


class Copy:
    """The server's database, which is put back when `with` is left."""

    def __init__(self, server: Server) -> None:
        self.server, self.file = server, server.folder / "apus.sqlite"

    def __enter__(self) -> Server:
        if self.server.postgres_database:
            meddle(self.server, "".join(
                f"CREATE TABLE kept_{table} AS TABLE {table};" for table in ("apus_event", "apus_seal", "apus_log")))
        else:
            shutil.copy(self.file, str(self.file) + ".kept")
        return self.server

    def __exit__(self, *_: object) -> None:
        if self.server.postgres_database:
            meddle(self.server, "BEGIN;" + "".join(
                f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}; DROP TABLE kept_{table};"
                for table in ("apus_event", "apus_seal", "apus_log")) + "COMMIT")
        else:
            for end in ("-wal", "-shm"):
                Path(str(self.file) + end).unlink(missing_ok=True)
            shutil.move(str(self.file) + ".kept", self.file)


def verify(server: Server, *more: str) -> subprocess.CompletedProcess:
    return server.apus("log", "verify", *more)


def bytes_of(server: Server, hexadecimal: str) -> str:
    """A literal."""
    return f"'\\x{hexadecimal}'::bytea" if server.postgres_database else f"X'{hexadecimal}'"


def flipped(server: Server, table: str, column: str, key: str, position: int) -> str:
    """What changes one bit of a column."""
    if column == "previous":
        new = "previous - 1"
    elif column in NUMBERS:
        new = f"CASE WHEN {column} IS NULL THEN 1 WHEN {column} % 2 = 0 THEN {column} + 1 ELSE {column} - 1 END"
    elif column in ("stream", "type", "session"):
        new = f"COALESCE({column}, '') || 'x'"
    else:
        found = "encode({0}, 'hex')" if server.postgres_database else "hex({0})"
        value = query(server, f"SELECT {found.format(column)} FROM {table} WHERE {key} = {position}")[0][0]
        value = value or "00"
        new = bytes_of(server, f"{int(value[:2], 16) ^ 1:02x}" + value[2:])
    return f"UPDATE {table} SET {column} = {new} WHERE {key} = {position}"


def shifted(start: int, by: int) -> str:
    return (f"UPDATE apus_event SET position = position + {FAR} WHERE position >= {start};"
            f"UPDATE apus_event SET position = position - {FAR - by} WHERE position >= {FAR};"
            f"UPDATE apus_log SET position = position + {by}")


def swapped(one: int, other: int) -> str:
    return (f"UPDATE apus_event SET position = {FAR} WHERE position = {one};"
            f"UPDATE apus_event SET position = {one}, previous = 0 WHERE position = {other};"
            f"UPDATE apus_event SET position = {other} WHERE position = {FAR}")


def doubled(source: int, to: int) -> str:
    return f"INSERT INTO apus_event (position, {REST}) SELECT {to}, {REST} FROM apus_event WHERE position = {source}"


@test("a sound log is found sound, and is told how far it is sealed")
def sound(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        refused(server.apus("log", "seal"), "sealing an empty log", "empty")
        true("position 0" in succeeds(verify(server), "log verify"), "an empty log")
        grown(server)
        said = succeeds(verify(server), "log verify")
        true("ends at position 25" in said and "sealed up to 20" in said, f"how far: {shown(said)}")
        for _ in range(2):
            true("position 25" in succeeds(server.apus("log", "seal"), "log seal"), "the end is sealed")
            true("all of them sealed" in succeeds(verify(server), "log verify"), "how far")
        equal(query(server, "SELECT first_position, position FROM apus_seal ORDER BY position"), [[1, 20], [21, 25]], "stretches")
        verified(server)


@test("one bit in any column of a sealed event is found, at its position")
def bits(options: argparse.Namespace) -> str:
    with Server(options.apus, "--signup", "open") as server:
        grown(server)
        for position in (1, 7, 20):
            for column in COLUMNS:
                with Copy(server):
                    meddle(server, flipped(server, "apus_event", column, "position", position))
                    refused(verify(server), f"{column} of {position}", f"position {position} was changed")
        succeeds(verify(server), "log verify")
        return f"{len(COLUMNS)} columns at 3 positions"


@test("events that are gone, doubled, new or moved are found, at the first position that is not what it was")
def moved(options: argparse.Namespace) -> str:
    with Server(options.apus, "--signup", "open") as server:
        grown(server)
        cases = (
            ("dropped", "DELETE FROM apus_event WHERE position = 9", "position 9 is missing"),
            ("the first dropped", "DELETE FROM apus_event WHERE position = 1", "position 1 is missing"),
            ("dropped and closed up", f"DELETE FROM apus_event WHERE position = 9;{shifted(10, -1)}", "position 9 was changed"),
            ("doubled over the next", f"DELETE FROM apus_event WHERE position = 9;{doubled(8, 9)}", "position 9 was changed"),
            ("doubled between", f"{shifted(9, 1)};{doubled(8, 9)}", "position 9 was changed"),
            ("reordered", swapped(8, 9), "position 8 was changed"),
            ("far apart", swapped(3, 18), "position 3 was changed"),
            ("renumbered", f"UPDATE apus_event SET position = {FAR} WHERE position = 9", "position 9 is missing"),
            ("before the first", doubled(8, 0).replace("previous,", "previous,", 1).replace(
                f"SELECT 0, {REST}", f"SELECT 0, {REST.replace('previous', '-1')}"), "position 0 lies before"),
            ("cut off among the sealed", "DELETE FROM apus_event WHERE position > 15; UPDATE apus_log SET position = 15",
             "position 16 is missing"),
            ("beyond the end", f"{doubled(25, 26)}", "position 26 lies beyond"),
            ("cut off behind the seals", "DELETE FROM apus_event WHERE position > 23", "position 24 is missing"),
            ("dropped behind the seals", "DELETE FROM apus_event WHERE position = 23", "position 23 is missing"),
            ("reordered behind the seals", swapped(22, 23), "position 22"),
            ("doubled behind the seals", f"DELETE FROM apus_event WHERE position = 23;{doubled(22, 23)}", "position 23"),
            ("unreadable behind the seals", flipped(server, "apus_event", "payload", "position", 24), "position 24 cannot be read"),
            ("of another stream", "UPDATE apus_event SET stream = 'user/1' WHERE position = 24", "position 24"),
            ("of another epoch", "UPDATE apus_event SET epoch = 2 WHERE position = 24", "position 24 is of another epoch"),
        )
        for name, script, words in cases:
            with Copy(server):
                meddle(server, script)
                done = verify(server)
                refused(done, name, words)
                equal(len(done.stdout.splitlines()), 1, f"lines about {name}")
        succeeds(verify(server), "log verify")
        return f"{len(cases)} ways"


@test("seals that were changed, dropped or made with another key are found")
def meddled_seals(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        grown(server)
        succeeds(server.apus("log", "seal"), "log seal")
        for column, words in (("events", "was changed"), ("hash", "was changed"), ("signature", "not signed")):
            for position, stretch in ((20, "1 to 20"), (25, "21 to 25")):
                with Copy(server):
                    meddle(server, flipped(server, "apus_seal", column, "position", position))
                    refused(verify(server), f"{column} of the seal at {position}", f"positions {stretch} {words}".replace("not", "is not"))
        with Copy(server):
            meddle(server, "DELETE FROM apus_seal WHERE position = 20")
            refused(verify(server), "without the first seal", "position 1 has lost its seal")
        done = support.apus(options.apus, "log", "verify", environment={
            "APUS_DATA": str(server.folder), **server.engine, "APUS_SECRET": "another"})
        refused(done, "with another secret", "the one that this database was made with")
        # Who has the database can say that it is of another one, but not make its seals.
        with Copy(server):
            meddle(server, "DELETE FROM apus_secret")
            meddle(server, f"INSERT INTO apus_secret (id, mark) VALUES (1, {bytes_of(server, support.secret_mark('another'))})")
            done = support.apus(options.apus, "log", "verify", environment={
                "APUS_DATA": str(server.folder), **server.engine, "APUS_SECRET": "another"})
            refused(done, "with another secret", "1 to 20 is not signed")


@test("a seal that was kept elsewhere proves the past, also against whoever can make all seals anew")
def kept(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        grown(server)
        line = succeeds(server.apus("log", "seal", "--print"), "log seal --print")
        equal([line.split()[0], line.split()[1], len(line.splitlines())], ["apus-seal-1", "25", 1], "the form")
        # What the operator can do: the seals are made anew over what was changed, with the same ends or with others.
        anew = "UPDATE apus_event SET occurred_at = occurred_at + 1 WHERE position = 4; DELETE FROM apus_seal"
        with Copy(server):
            meddle(server, anew)
            succeeds(server.apus("log", "seal"), "log seal")
            succeeds(verify(server), "log verify without the proof")
            refused(verify(server, "--seal", line), "log verify --seal", "up to position 25 is not the one")
        file = server.scratch / "seal"
        file.write_text(line)
        server.start()
        ada = person(server, "eve")
        expected(ada.create_collection("three"), 201)
        succeeds(server.apus("log", "seal"), "log seal")
        server.stop()
        for proof in (line, str(file)):
            succeeds(verify(server, "--seal", proof), "log verify --seal")
        with Copy(server):
            meddle(server, anew)
            succeeds(server.apus("log", "seal"), "log seal")
            succeeds(verify(server), "log verify without the proof")
            refused(verify(server, "--seal", line), "log verify --seal", "no seal ends at position 25")
        with Copy(server):
            meddle(server, "DELETE FROM apus_seal WHERE position > 20; DELETE FROM apus_event WHERE position > 20;"
                           "UPDATE apus_log SET position = 20")
            refused(verify(server, "--seal", line), "a log that was cut off", "up to position 20 only")
        fields = line.split()
        for name, proof, words in (
            ("another hash", " ".join([*fields[:2], "00" * 32, *fields[3:]]), "not sound"),
            ("another position", " ".join([fields[0], "20", *fields[2:]]), "not sound"),
            ("no seal", "apus-seal-1 25", "neither a seal"),
            ("an empty text", "", "neither a seal"),
        ):
            refused(verify(server, "--seal", proof), name, words)
        with Server(options.apus, "--signup", "open") as other:
            person(other, "ada").close()
            foreign = succeeds(other.apus("log", "seal", "--print"), "log seal --print")
        refused(verify(server, "--seal", foreign), "the seal of another server", "another server's key")


def framed(value: object) -> bytes:
    """A column behind the count of its bytes."""
    if value is None:
        return (-1).to_bytes(8, "big", signed=True)
    plain = value.to_bytes(8, "big", signed=True) if isinstance(value, int) else value
    return len(plain).to_bytes(8, "big") + plain


def blake2b(message: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(message, digest_size=32, person=purpose).digest()


@test("a seal is what it is said to be, so that seals of today can be checked for ever, by whoever has the log")
def form(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--record-addresses") as server:
        grown(server)
        line = succeeds(server.apus("log", "seal", "--print"), "log seal --print").split()
        hexadecimal = "encode({0}, 'hex')" if server.postgres_database else "hex({0})"
        columns = ", ".join(hexadecimal.format(name) if name in ("origin", "payload") else name for name in COLUMNS)
        hashes = []
        for position, epoch, stream, previous, kind, version, actor, session, origin, time, payload in query(
                server, f"SELECT position, {columns} FROM apus_event ORDER BY position"):
            fields = [stream.encode(), previous, kind.encode(), version, actor, session.encode() if session else None,
                      bytes.fromhex(origin) if origin else None, time, bytes.fromhex(payload)]
            head = position.to_bytes(8, "big") + epoch.to_bytes(8, "big")
            hashes.append(blake2b(head + b"".join(map(framed, fields)), b"apus-event"))
        seal = b""
        for first, last in ((1, 20), (21, 25)):
            seal = blake2b(
                seal + first.to_bytes(8, "big") + last.to_bytes(8, "big") + b"".join(hashes[first - 1:last]), b"apus-seal")
        equal(line[:3], ["apus-seal-1", "25", seal.hex()], "the seal")
        message = b"apus-seal-1" + seal + (25).to_bytes(8, "big")
        nacl.signing.VerifyKey(bytes.fromhex(line[4])).verify(message, bytes.fromhex(line[3]))


@test("how often a server seals is the operator's to say, and whether it does at all")
def intervals(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--seal-interval", "1s") as server:
        person(server, "ada").close()
        while not query(server, "SELECT position FROM apus_seal"):
            time.sleep(0.05)
        server.stop()
        server.flags[-1] = "0"
        server.start()
        person(server, "ben").close()
        server.stop()
        true("sealed up to 1;" in succeeds(verify(server), "log verify"), "a server that is not to seal does not, even when it ends")
        refused(server.apus("serve", "--seal-interval", "often"), "an interval that is none", "no span of time")


@test("a server that ends has sealed its log, and several that seal at once make one chain")
def at_once(options: argparse.Namespace) -> str:
    with Server(options.apus, "--signup", "open") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        for number in range(60):
            expected(ada.commit("notes", [offered(f"item-{number}", uid(number), b"meta")]), 200)
            if number % 15 == 0:
                with ThreadPoolExecutor(3) as pool:
                    for done in [pool.submit(server.apus, "log", "seal") for _ in range(3)]:
                        succeeds(done.result(), "log seal")
        equal(server.stop(), 0, "exit code")
        true("all of them sealed" in succeeds(verify(server), "log verify"), "how far")
        return f"{query(server, 'SELECT count(*) FROM apus_seal')[0][0]} seals"


@test("the newest events are printed, for people and as JSON")
def tail(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        grown(server)
        equal([line.split("\t")[0] for line in succeeds(server.apus("log", "tail"), "log tail").splitlines()],
              [str(position) for position in range(6, 26)], "positions")
        lines = [json.loads(line) for line in succeeds(server.apus("log", "tail", "--json", "--after", "0"), "log tail").splitlines()]
        equal([line["position"] for line in lines], list(range(1, 26)), "positions")
        equal((lines[0]["type"], lines[1]["type"], lines[1]["stream"], lines[1]["user"]),
              ("UserCreated", "CollectionCreated", "collection/one", 1), "the first events")
        equal(len(succeeds(server.apus("log", "tail", "-l", "3"), "log tail").splitlines()), 3, "lines")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
