"""Lets the operator erase a user: `apus user erase`, beside a running server and without one."""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import subprocess
import threading
from typing import Iterator

from common import ADMIN, READ_WRITE, Client, Server, done, equal, expected, invite, lines, refused, share, true, uid
import support
from support import meddle, offered, person, query, test

OWN, TEAM, GUEST = "own-notes", "team-notes", "bobs-notes"


def secret(what: str) -> bytes:
    """32 bytes of alice's that are found wherever they are left."""
    return b"hers: " + what.encode().ljust(26, b".")


SECRETS = [secret(what) for what in (
    "salt", "pubkey", "account", "new account", "type", "collection key", "meta", "content", "uploaded", "invited")]
NAMES = [b"alice", b"Alice", b"wonderland.example"]


def alice_of(server: Server, name: str = "Alice") -> Client:
    alice = Client(server, name)
    alice.token = expected(alice.post("/api/v1/authentication/signup/", {
        "user": {"username": name, "email": "alice@wonderland.example"}, "salt": secret("salt"),
        "loginPubkey": bytes(alice.key.verify_key), "pubkey": secret("pubkey"), "encryptedContent": secret("account")}), 200).value["token"]
    return alice


def create(alice: Client, collection: str, meta: bytes) -> None:
    expected(alice.post("/api/v1/collection/", {
        "collectionType": secret("type"), "collectionKey": secret("collection key"),
        "item": offered(collection, uid(collection, "first"), meta)}), 201)


def put(client: Client, collection: str, item: str, revision: int = 0, meta: bytes = secret("meta")) -> None:
    expected(client.commit(collection, [
        offered(item, uid(collection, item, revision), meta, [(uid(collection, item, revision, "chunk"), secret("content"))])]), 200)


@contextlib.contextmanager
def given(options: argparse.Namespace, *flags: str) -> Iterator[tuple[Server, Client, Client]]:
    """A server with a life of alice's: notes of her own, in which bob was once; notes that she shares with bob; bob's, in which
    she is; and open invitations in all directions."""
    with Server(options.apus, "--signup", "open", *flags, environment={"APUS_RECORD_ADDRESSES": "1"}) as server:
        alice, bob, carol = alice_of(server), person(server, "bob"), person(server, "carol")
        create(alice, OWN, secret("meta"))
        create(alice, TEAM, b"what the team is called")
        expected(bob.create_collection(GUEST), 201)
        for revision in range(3):
            put(alice, OWN, "one", revision)
        put(alice, OWN, "two")
        expected(alice.call("PUT", f"/api/v1/collection/{OWN}/item/one/chunk/{uid('loose')}/", body=secret("uploaded")), 201)
        share(alice, OWN, bob, READ_WRITE)
        put(bob, OWN, "three")
        expected(alice.call("DELETE", f"/api/v1/collection/{OWN}/member/bob/"), 204)
        share(alice, TEAM, bob, ADMIN)
        put(alice, TEAM, "hers", meta=b"what she wrote for the team")
        put(bob, TEAM, "his", meta=b"what he wrote for the team")
        expected(bob.post("/api/v1/invitation/outgoing/", {
            "uid": uid(GUEST, "invitation"), "version": 1, "accessLevel": READ_WRITE, "username": "alice", "collection": GUEST,
            "signedEncryptionKey": secret("invited")}), 201)
        expected(alice.post(f"/api/v1/invitation/incoming/{uid(GUEST, 'invitation')}/accept/", {
            "collectionType": secret("type"), "encryptionKey": secret("collection key")}), 201)
        put(alice, GUEST, "by-a-guest", meta=b"what she wrote for bob")
        expected(carol.create_collection("carols"), 201)
        expected(carol.post("/api/v1/invitation/outgoing/", {
            "uid": uid("carols", "invitation"), "version": 1, "accessLevel": READ_WRITE, "username": "alice", "collection": "carols",
            "signedEncryptionKey": secret("invited")}), 201)
        for collection in (OWN, TEAM):
            expected(invite(alice, collection, "carol", READ_WRITE), 201)
        yield server, alice, bob


def remains(server: Server, sought: list[bytes]) -> list[bytes]:
    """What of the bytes is still there: in any file of the folder, or in a dump of the database."""
    texts = [path.read_bytes() for path in server.folder.rglob("*") if path.is_file()]
    if server.postgres_database:
        dump = subprocess.run(
            ["pg_dump", "--inserts", server.postgres_database.url], capture_output=True, check=True, timeout=120).stdout
        return [word for word in sought if word in dump or word.hex().encode() in dump or any(word in text for text in texts)]
    return [word for word in sought if any(word in text for text in texts)]


def well(server: Server) -> None:
    """The log is what its seals say, and the tables are what it gives, also when it is replayed."""
    for command in (["log", "seal"], ["log", "verify"], ["verify"], ["rebuild", "--check"]):
        ended = server.apus(*command)
        equal(ended.returncode, 0, f"{command}: {ended.stdout}{ended.stderr}")


# --- what goes, and what stays --------------------------------------------------------------------


@test("nothing that was hers alone is left, in no table, no file and no page of the database")
def nothing_is_left(options: argparse.Namespace) -> str:
    with given(options) as (server, *_):
        # What was sealed with the keys of her streams cannot be read without them, wherever a copy of it is.
        key = "encode(key, 'hex')" if server.postgres_database else "hex(key)"
        keys = [bytes.fromhex(row[0]) for row in query(
            server, f"SELECT {key} FROM apus_stream WHERE name IN ('user/1', 'collection/{OWN}')")]
        sought = NAMES + SECRETS + keys
        there = remains(server, sought)
        # Payloads and addresses are encrypted in the log; what is in tables of the original is as clients sent it.
        true({b"alice", b"wonderland.example", secret("meta"), secret("content"), secret("uploaded"), secret("invited"), *keys} <= set(there),
             f"before: {there}")
        done(server, "user", "erase", "alice", "--yes")
        # What she wrote for others is theirs: its chunks have the same content.
        meddle(server, "DELETE FROM apus_chunk WHERE collection <> '%s'" % OWN)
        if not server.postgres_database:
            meddle(server, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        equal(remains(server, sought), [], "what is left")
        return f"{len(there)} of {len(sought)} were there"


@test("her session ends, her collections are gone, and all that others share is as it was")
def others(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        carol = Client(server, "carol")
        expected(carol.log_in(), 200)
        before = {name: bob.changes(name, None, 50)[0] for name in (TEAM, GUEST)}
        stokens = {name: bob.stoken(name) for name in (TEAM, GUEST)}
        equal(len(expected(carol.get("/api/v1/invitation/incoming/"), 200).value["data"]), 2, "carol's invitations")
        said = done(server, "user", "erase", "Alice", "--yes")
        true("1 collections go" in said and "2 have other members" in said and "events were rewritten" in said, said)
        expected(alice.collection(OWN), 401)
        expected(alice.get("/api/v1/collection/"), 401)
        expected(Client(server, "alice").challenge(), 401, "user_not_found")
        for name in (TEAM, GUEST):
            equal(bob.changes(name, None, 50)[0], before[name], f"the items of {name}")
            equal(bob.changes(name, stokens[name], 50)[0], [], f"what bob has to fetch of {name}")
            members = expected(bob.get(f"/api/v1/collection/{name}/member/"), 200).value["data"]
            equal([member["username"] for member in members], ["bob"], f"the members of {name}")
        put(bob, TEAM, "news", meta=b"meta")
        expected(bob.collection(OWN), 404)
        equal(expected(carol.get("/api/v1/invitation/incoming/"), 200).value["data"], [], "carol's invitations")
        equal(expected(carol.get("/api/v1/invitation/outgoing/"), 200).value["data"], [], "those that carol sent")
        expected(bob.create_collection(OWN), 409)
        well(server)


@test("the history goes on without a name: the same seals, the same positions, who is a number")
def history(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        proof = done(server, "log", "seal", "--print").strip()
        told = lines(server, "audit", "--collection", TEAM)
        done(server, "user", "erase", "alice", "--yes")
        said = done(server, "log", "verify", "--seal", proof)
        true("rewritten" in said, f"what log verify says: {said}")
        well(server)
        again = lines(server, "audit", "--collection", TEAM)
        kept = ("position", "time", "action", "item", "revision")
        equal([[entry.get(name) for name in kept] for entry in again[:len(told)]],
              [[entry.get(name) for name in kept] for entry in told], "what had happened")
        equal({entry["user"] for entry in again if entry.get("user")}, {"erased:1", "bob"}, "who did it")
        equal([(entry["action"], entry["member"]) for entry in again[len(told):]],
              [("member_removed", "erased:1")], "what the erasure did there")
        equal({entry["action"] for entry in lines(server, "audit", "--collection", OWN)} >= {"item_changed", "user_erased"}, True, "hers")
        refused(server, "no collection", "undelete", "--collection", OWN)
        equal([line.split("\t")[0::2] for line in done(server, "user", "list").splitlines()][0], ["erased:1", "erased"], "the list")


@test("her name can be taken again, by somebody who has nothing of hers")
def name_again(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        done(server, "user", "erase", "alice", "--yes")
        other = person(server, "alice")
        equal(expected(other.get("/api/v1/collection/"), 200).value["data"], [], "collections")
        expected(invite(bob, TEAM, "alice", READ_WRITE), 201)
        expected(other.create_collection("others"), 201)
        well(server)
        done(server, "user", "erase", "alice", "--yes")
        well(server)


@test("it is the same without a server, with contents in files, and for an account that no client has initialized")
def without_a_server(options: argparse.Namespace) -> None:
    with given(options, "--chunks", "files") as (server, alice, bob):
        done(server, "user", "create", "empty")
        put(alice, OWN, "in-a-file", meta=b"meta")
        server.stop()
        files = [path for path in server.folder.joinpath("chunks").rglob("*") if path.is_file() and OWN in str(path)]
        true(files, "files of contents")
        done(server, "user", "erase", "alice", "--yes")
        true(not any(path.exists() for path in files), "files of contents")
        done(server, "user", "erase", "empty", "--yes")
        well(server)
        server.start()
        equal(len(Client(server, "bob", bob.token).changes(TEAM, None, 50)[0]), 2, "items of the team")


@test("an erasure that was interrupted before its files were removed is finished by the next, which says so")
def interrupted(options: argparse.Namespace) -> None:
    with given(options, "--chunks", "files") as (server, alice, bob):
        server.stop()
        folder = server.folder.joinpath("chunks")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        done(server, "user", "erase", "alice", "--yes")
        after = {path for path in folder.rglob("*") if path.is_file()}
        gone = set(before) - after
        true(gone and after, f"{len(gone)} files went, {len(after)} stayed")
        # As if the process had ended when the erasure was in the log.
        for path in gone:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(before[path])
        answer = done(server, "user", "erase", "alice", "--yes")
        true("interrupted" in answer, answer)
        equal({path for path in folder.rglob("*") if path.is_file()}, after, "files")
        ended = server.apus("user", "erase", "alice", "--yes")
        true(ended.returncode != 0 and "no account alice" in ended.stderr, ended)
        well(server)


# --- what is refused ------------------------------------------------------------------------------


@test("whoever is not there is not erased, and whoever is erased does not come back")
def refusals(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, _):
        refused(server, "no account nobody.*user list", "user", "erase", "nobody", "--yes")
        rows = "SELECT position FROM apus_log"
        before = query(server, rows)
        said = done(server, "user", "erase", "alice", "--dry-run")
        true("1 collections go" in said and "Nothing was changed" in said, said)
        equal(query(server, rows), before, "the log after a dry run")
        expected(alice.collection(OWN), 200)
        done(server, "user", "erase", "alice", "--yes")
        refused(server, "no account alice", "user", "erase", "alice", "--yes")
        refused(server, "no account erased:1", "user", "erase", "erased:1", "--yes")
        refused(server, "not found|does not exist|No ", "user", "enable", "erased:1")
        stranger = Client(server, "erased:1")
        true(stranger.sign_up().status in (400, 401, 403, 409), "a sign-up under the number")
        true(stranger.challenge().status == 401, "a login under the number")
        bob = Client(server, "bob")
        expected(bob.log_in(), 200)
        for name in ("erased:1", "Erased:1", "alice"):
            expected(bob.get("/api/v1/invitation/outgoing/fetch_user_profile/", username=name), 404)
            expected(invite(bob, GUEST, name, READ_WRITE), 404)
        well(server)


@test("an erasure asks first, and names what goes; where nobody can be asked it wants to be told")
def asked(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        before = done(server, "log", "tail", "--json")
        refused(server, "no terminal to ask on.*--yes", "user", "erase", "alice")
        for answer, is_erased in (("n", False), ("", False), ("alice", False), ("yes", True)):
            keyboard, terminal = pty.openpty()
            os.write(keyboard, answer.encode() + b"\n")
            environment = {"APUS_DATA": str(server.folder), **server.engine}
            asked = subprocess.run([options.apus, "user", "erase", "alice"], stdin=terminal, capture_output=True, text=True,
                                   env=support.clean_environment(environment), timeout=60)
            os.close(keyboard)
            os.close(terminal)
            equal(asked.returncode, 0, f"exit code after {answer!r}: {asked.stderr}")
            for words in ("The account alice (alice@wonderland.example) goes", f"  {OWN}: ", "Erase alice for good? [y/N]"):
                true(words in asked.stdout, f"not told: {words}, but {asked.stdout}")
            equal("is erased" in asked.stdout, is_erased, f"what came of {answer!r}: {asked.stdout}")
            equal(done(server, "log", "tail", "--json") == before, not is_erased, f"that the log is what it was after {answer!r}")


@test("while others write to what she shares, nothing of theirs is lost")
def beside_writers(options: argparse.Namespace) -> str:
    with given(options) as (server, alice, bob):
        over, written = threading.Event(), []

        def write() -> None:
            writer = bob.another()
            while not over.is_set():
                put(writer, TEAM, f"item-{len(written)}", meta=b"meta")
                written.append(f"item-{len(written)}")

        thread = threading.Thread(target=write)
        thread.start()
        try:
            done(server, "user", "erase", "alice", "--yes")
        finally:
            over.set()
            thread.join()
        found = {item["uid"] for item in bob.changes(TEAM, None, 50)[0]}
        equal(set(written) - found, set(), "items that were written")
        well(server)
        return f"{len(written)} items"


# --- what is found --------------------------------------------------------------------------------


@test("what the erasure rewrote cannot be changed unnoticed, nor what says that it did")
def meddling(options: argparse.Namespace) -> str:
    with given(options) as (server, *_):
        done(server, "log", "seal")
        done(server, "user", "erase", "alice", "--yes")
        done(server, "log", "seal")
        server.kill()
        done(server, "log", "verify")
        kept = "apus_event", "apus_redaction"
        copy = "; ".join(f"CREATE TABLE kept_{name} AS SELECT * FROM {name}" for name in kept)
        back = "; ".join(f"DELETE FROM {name}; INSERT INTO {name} SELECT * FROM kept_{name}" for name in kept)
        meddle(server, copy)
        first, last = query(server, "SELECT min(position), max(position) FROM apus_redaction")[0]
        cases = (
            ("a rewritten event", f"UPDATE apus_event SET occurred_at = occurred_at + 1 WHERE position = {last}", f"position {last} was"),
            ("another payload", f"UPDATE apus_event SET payload = (SELECT payload FROM kept_apus_event WHERE position = {first})"
                                f" WHERE position = {last}", f"position {last} was changed"),
            ("a hash of it", f"UPDATE apus_redaction SET hash = (SELECT hash FROM apus_redaction WHERE position = {first})"
                             f" WHERE position = {last}", f"position {first} was changed"),
            ("one row less", f"DELETE FROM apus_redaction WHERE position = {last}", f"position {first} was changed"),
            ("no rows", "DELETE FROM apus_redaction", f"position {first} was changed"),
            ("another's event", "UPDATE apus_event SET session = 'x' WHERE position = (SELECT min(position) FROM apus_event WHERE "
                                "position NOT IN (SELECT position FROM apus_redaction))", "was changed"),
        )
        for name, script, words in cases:
            meddle(server, script)
            support.refused(server.apus("log", "verify"), name, words)
            meddle(server, back)
        meddle(server, "; ".join(f"DROP TABLE kept_{name}" for name in kept))
        done(server, "log", "verify")
        # Whoever has the database, but not the secret, can do what an erasure does.
        forged = ["user", "erase", "bob", "--yes"]
        support.refused(server.apus(*forged, environment={"APUS_SECRET": "another"}), "an erasure without the secret", "secret")
        mark = query(server, "SELECT {} FROM apus_secret".format("encode(mark, 'hex')" if server.postgres_database else "hex(mark)"))[0][0]
        literal = "'\\x{}'" if server.postgres_database else "X'{}'"
        meddle(server, f"UPDATE apus_secret SET mark = {literal.format(support.secret_mark('another'))}")
        done_so = server.apus(*forged, environment={"APUS_SECRET": "another"})
        equal(done_so.returncode, 0, f"an erasure without the secret: {done_so.stderr}")
        meddle(server, f"UPDATE apus_secret SET mark = {literal.format(mark)}")
        support.refused(server.apus("log", "verify"), "an erasure without the secret", "was changed")
        return f"{len(cases)} ways"


@test("a backup that is made afterwards is whole, and restores to the same")
def backup(options: argparse.Namespace) -> None:
    with given(options) as (server, *_):
        done(server, "user", "erase", "alice", "--yes")
        file = server.scratch / "backup"
        done(server, "backup", str(file))
        equal([word for word in NAMES + SECRETS[:7] if word in file.read_bytes()], [], "what is in it")
        ended = support.apus(options.apus, "restore", str(file), environment={"APUS_DATA": str(server.scratch / "restored")})
        equal(ended.returncode, 0, ended.stderr)
        for command in (["log", "verify"], ["verify"]):
            ended = support.apus(options.apus, *command, environment={"APUS_DATA": str(server.scratch / "restored")})
            equal(ended.returncode, 0, f"{command}: {ended.stdout}{ended.stderr}")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
