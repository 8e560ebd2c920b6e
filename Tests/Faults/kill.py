"""Kills a server at random moments while clients write, and looks at what is left: guarantees G1 and G6.

Several threads write batches and transactions to two collections, others follow the collections by stokens. After each
kill the server starts again on the same folder. Then every acknowledged commit must be there as it was sent, every other one
as a whole or not at all, and every stoken that a client holds must lead to exactly what that client has not seen.
(SIGKILL leaves the operating system's caches alone: what a loss of power leaves is shown by power.py.)
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import random
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import support
from support import Client, Server, equal, expected, offered, pack, person, request_bytes, succeeds, test, true, uid, verified

SEED = 20_240_607
ROUNDS = 5
WRITERS = 6
COLLECTIONS = [uid("collection", number) for number in range(2)]
NO_ANSWER = (OSError, http.client.HTTPException)


# --- clients --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Commit:
    """A batch or transaction that was sent."""

    collection: str
    items: list[dict]
    acknowledged: bool = False


class Writer:
    """Writes to items of its own, so that nothing but the kill can come in the way of a commit."""

    def __init__(self, client: Client, number: int, seed: int) -> None:
        self.client, self.number, self.random = client, number, random.Random(f"{seed} {number}")
        self.commits: list[Commit] = []
        self.etags: dict[tuple[str, str], str] = {}  # of items that are there: (collection, item) -> revision
        self.failure: str | None = None
        self.count = 0

    def run(self) -> None:
        """Commits until no answer comes any more."""
        try:
            while True:
                commit = self.next()
                self.commits.append(commit)
                answer = self.client.commit(commit.collection, commit.items, transaction=self.random.random() < 0.5)
                if answer.status == 503:  # it is going down
                    return
                expected(answer, 200)
                commit.acknowledged = True
                self.learn(commit)
        except NO_ANSWER:
            pass
        except Exception as error:
            self.failure = f"writer {self.number}: {error}"

    def next(self) -> Commit:
        """One to twelve items, new ones and known ones, each with none to two chunks."""
        self.count += 1
        collection = self.random.choice(COLLECTIONS)
        known = [item for place, item in self.etags if place == collection]
        names = {uid("item", self.number, self.count, index) for index in range(self.random.randint(0, 6))}
        names |= set(self.random.sample(known, min(len(known), self.random.randint(1, 6))))
        names = names or {uid("item", self.number, self.count)}
        return Commit(collection, [self.item(collection, name) for name in sorted(names)])

    def item(self, collection: str, name: str) -> dict:
        revision = uid("revision", self.number, self.count, name)
        chunks = [
            (uid("chunk", revision, index), self.random.randbytes(self.random.choice([0, 10, 1000, 20_000])))
            for index in range(self.random.choice([0, 0, 1, 2]))]
        return offered(name, revision, f"{self.number}/{self.count}".encode(), chunks, self.etags.get((collection, name)))

    def learn(self, commit: Commit) -> None:
        for item in commit.items:
            self.etags[commit.collection, item["uid"]] = item["content"]["uid"]


class Follower:
    """Follows a collection by stokens and keeps what it is told, as an app does."""

    def __init__(self, client: Client, collection: str) -> None:
        self.client, self.collection = client, collection
        self.stoken: str | None = None
        self.view: dict[str, dict] = {}
        self.told: list[str] = []  # every revision that it was told of, in order
        self.failure: str | None = None

    def run(self) -> None:
        try:
            while True:
                self.step()
                time.sleep(0.02)
        except NO_ANSWER:
            pass
        except Exception as error:
            self.failure = f"a follower: {error}"

    def step(self) -> None:
        """Takes one page, and moves on to its stoken."""
        query: dict[str, Any] = {"limit": 40, "prefetch": "auto", "withCollection": "true"}
        if self.stoken:
            query["stoken"] = self.stoken
        page = expected(self.client.get(f"/api/v1/collection/{self.collection}/item/", **query), 200).value
        for item in page["data"]:
            self.view[item["uid"]] = item
            self.told.append(item["content"]["uid"])
        self.stoken = page["stoken"]

    def finish(self) -> None:
        """Takes all that is left."""
        last: object = object()
        while last != self.stoken:
            last = self.stoken
            self.step()


# --- what must be there ---------------------------------------------------------------------------


class Audit:
    """Looks, through the protocol, whether what a server has is what the writers may expect."""

    def __init__(self, client: Client, collection: str) -> None:
        self.client, self.collection = client, collection
        listed, _ = client.changes(collection, None, limit=7)
        self.listed = {item["uid"]: item for item in listed}
        equal(len(listed), len(self.listed), "items in the list, of which each must be there once")
        self.history: dict[str, dict[str, dict]] = {}

    def revision(self, item: str, revision: str) -> dict | None:
        if item not in self.listed:
            return None
        if self.listed[item]["content"]["uid"] == revision:
            return self.listed[item]["content"]
        if item not in self.history:
            self.history[item] = {old["uid"]: old for old in self.client.revisions(self.collection, item)}
        return self.history[item].get(revision)

    def is_there(self, commit: Commit) -> bool:
        """Whether a commit took effect. Fails when a part of it did, or something else than was sent is there."""
        found = [self.revision(item["uid"], item["content"]["uid"]) for item in commit.items]
        there = sum(revision is not None for revision in found)
        true(there in (0, len(found)), f"a commit of {len(found)} items is there with {there} of them")
        true(there or not commit.acknowledged, f"an acknowledged commit of {len(found)} items is lost")
        for item, revision in zip(commit.items, found):
            if revision is not None:
                equal(revision, item["content"], f"revision {revision['uid']}")
        return there > 0


def audited(client: Client, writers: list[Writer]) -> str:
    """Checks all commits of all writers; those that were not acknowledged are known afterwards."""
    unsure = found = 0
    for collection in COLLECTIONS:
        audit = Audit(client, collection)
        for writer in writers:
            for commit in writer.commits:
                if commit.collection != collection:
                    continue
                is_there = audit.is_there(commit)
                if not commit.acknowledged:
                    unsure, found = unsure + 1, found + is_there
                    if is_there:
                        commit.acknowledged = True
                        writer.learn(commit)
        for writer in writers:
            for (place, item), revision in writer.etags.items():
                if place == collection:
                    equal(audit.listed[item]["content"]["uid"], revision, f"the revision at which item {item} stands")
        known = {item for writer in writers for place, item in writer.etags if place == collection}
        equal(set(audit.listed) - known, set(), "items that nobody wrote")
    for writer in writers:
        writer.commits = [commit for commit in writer.commits if commit.acknowledged]
    return f"{sum(len(writer.commits) for writer in writers)} commits, {unsure} without an answer, of which {found} are there"


def caught_up(followers: list[Follower]) -> None:
    """Lets the followers go on from the stokens that they hold, and compares them with a list from the beginning."""
    for follower in followers:
        follower.finish()
        fresh = Follower(follower.client, follower.collection)
        fresh.finish()
        equal(follower.view, fresh.view, "what a client has that followed the stokens")
        equal(len(follower.told), len(set(follower.told)), "revisions told, of which each must be told once")


def intact(server: Server) -> None:
    """Looks into the file of a server that was killed: SQLite finds no fault, and the log has no gap.

    It looks into a copy, since opening the file would mend what the server has to mend at its start.
    """
    copy = server.scratch / "copy"
    shutil.copytree(server.folder, copy)
    connection = sqlite3.connect(copy / "apus.sqlite")
    try:
        equal(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "SQLite's check")
        count, last = connection.execute("SELECT COUNT(*), MAX(position) FROM apus_event").fetchone()
        (head,) = connection.execute("SELECT position FROM apus_log").fetchone()
        (projected,) = connection.execute("SELECT position FROM apus_projection").fetchone()
        equal((last, head, projected), (count, count, count), "the log's last position, its head, and what is projected")
    finally:
        connection.close()
        shutil.rmtree(copy)


# --- the tests ------------------------------------------------------------------------------------


class Play:
    """A server with a user, two collections, writers and followers."""

    def __init__(self, options: argparse.Namespace, name: str, *flags: str) -> None:
        self.server = Server(options.apus, "--signup", "open", *flags)
        self.random = random.Random(f"{options.seed} {name}")
        self.name, self.seed = name, options.seed

    def begin(self) -> None:
        self.client = person(self.server, self.name)
        for collection in COLLECTIONS:
            expected(self.client.create_collection(collection), 201)
        self.writers = [Writer(self.client.another(), number, self.seed) for number in range(WRITERS)]
        for collection in COLLECTIONS:  # an item each, so that the first commits have something to change
            for writer in self.writers:
                commit = Commit(collection, [writer.item(collection, uid("seed", writer.number, collection))], True)
                expected(self.client.commit(collection, commit.items), 200)
                writer.commits.append(commit)
                writer.learn(commit)
        self.followers = [Follower(self.client.another(), collection) for collection in COLLECTIONS]

    def write_until(self, end: Any) -> None:
        """Lets all clients run, and calls `end` after a random time, which must make them stop."""
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in [*self.writers, *self.followers]]
        before = sum(len(writer.commits) for writer in self.writers)
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0.4, 2.5))
        end()
        for thread in threads:
            thread.join(30)
            true(not thread.is_alive(), "a client waits for an answer from a server that has ended")
        failures = [worker.failure for worker in [*self.writers, *self.followers] if worker.failure]
        true(not failures, "; ".join(failures))
        true(sum(len(writer.commits) for writer in self.writers) - before > WRITERS, "there was next to nothing written")
        for worker in [*self.writers, *self.followers]:
            worker.client.close()
        self.client.close()


@test("whatever was acknowledged survives SIGKILL, and nothing is there by halves")
def sigkill(options: argparse.Namespace) -> str:
    play = Play(options, "killed")
    summary = ""
    with play.server as server:
        play.begin()
        for number in range(options.rounds):
            play.write_until(server.kill)
            intact(server)
            server.start()
            caught_up(play.followers)
            summary = audited(play.client, play.writers)
            print(f"        round {number + 1}: {summary}", flush=True)
        loss_is_noticed(options, play)
    return summary.split(",")[0]


def loss_is_noticed(options: argparse.Namespace, play: Play) -> None:
    """Takes a little away from what is there and expects the checks above to find it: they would otherwise show nothing."""
    play.server.stop()
    kept = play.server.scratch / "kept"
    shutil.copytree(play.server.folder, kept)
    commit = next(commit for commit in reversed(play.writers[0].commits) if len(commit.items) > 2)
    revision = commit.items[1]["content"]["uid"]
    losses = {
        "a revision": ["DELETE FROM django_etebase_revisionchunkrelation WHERE revision_id IN (SELECT id FROM"
                       " django_etebase_collectionitemrevision WHERE uid = ?1)",
                       "UPDATE django_etebase_collectionitemrevision SET uid = 'lost' WHERE uid = ?1"],
        "a byte": ["UPDATE django_etebase_collectionitemrevision SET meta = x'00' WHERE uid = ?1"],
        "an event": ["DELETE FROM apus_event WHERE position IN (SELECT stoken_id - 1 FROM"
                     " django_etebase_collectionitemrevision WHERE uid = ?1)"],
    }
    for what, statements in losses.items():
        shutil.rmtree(play.server.folder)
        shutil.copytree(kept, play.server.folder)
        with sqlite3.connect(play.server.folder / "apus.sqlite") as connection:
            for statement in statements:
                connection.execute(statement, (revision,))
        connection.close()
        play.client.close()
        try:
            intact(play.server)
            play.server.start()
            audited(play.client, play.writers)
        except AssertionError:
            pass
        else:
            raise AssertionError(f"the loss of {what} was not noticed")
        finally:
            if play.server.is_alive():
                play.server.stop()


@test("a chunk that was acknowledged survives SIGKILL in its file, and verify finds a file that was changed or removed")
def sigkill_files(options: argparse.Namespace) -> str:
    play = Play(options, "files", "--chunks", "files")
    summary = ""
    with play.server as server:
        play.begin()
        for _ in range(2):
            play.write_until(server.kill)
            intact(server)
            server.start()
            caught_up(play.followers)
            summary = audited(play.client, play.writers)
        server.stop()
        play.client.close()
        equal(count(server, "apus_chunk"), 0, "contents in the table")
        files = sorted(path for path in (server.folder / "chunks").rglob("*") if path.is_file() and path.stat().st_size)
        true(len(files) > 10, f"there are only {len(files)} files")
        named = next(path for path in files if is_named(server, path))  # the kill may have left some that nothing names
        content = named.read_bytes()
        for what, damage in (("was changed", content[:-1] + bytes([content[-1] ^ 1])), ("was changed", b""), ("is missing", None)):
            named.unlink()
            if damage is not None:
                named.write_bytes(damage)
            done = server.apus("verify")
            true(done.returncode == 1 and what in done.stdout, f"{what}: {done.stdout}{done.stderr}")
        named.write_bytes(content)
        done = server.apus("verify")
        equal(done.returncode, 0, f"exit code of verify, which says {done.stdout}{done.stderr}")
    return summary.split(",")[0]


def count(server: Server, rows: str, *values: str) -> int:
    """How many rows there are in the file of a server that has ended."""
    with contextlib.closing(sqlite3.connect(server.folder / "apus.sqlite")) as connection:
        return connection.execute(f"SELECT COUNT(*) FROM {rows}", values).fetchone()[0]


def is_named(server: Server, path: Path) -> bool:
    """Whether a row names the file."""
    name = str(path.relative_to(server.folder / "chunks"))
    return count(server, 'django_etebase_collectionitemchunk WHERE "chunkFile" = ?', name) == 1


class Stranger:
    """Another program with the server's file: it reads and writes, and moves the log of changes into the file and cuts it off."""

    TURNS = 10

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.failure: str | None = None
        self.cuts = 0

    def run(self) -> None:
        try:
            with contextlib.closing(sqlite3.connect(self.server.folder / "apus.sqlite", timeout=30, isolation_level=None)) as database:
                database.execute("CREATE TABLE IF NOT EXISTS stranger (name TEXT, content BLOB)")
                for turn in range(self.TURNS):
                    for _ in range(5):
                        database.execute("INSERT INTO stranger VALUES (?, ZEROBLOB(20000))", (self.name,))
                    ((count, last, head),) = database.execute(
                        "SELECT (SELECT COUNT(*) FROM apus_event), (SELECT MAX(position) FROM apus_event), (SELECT position FROM apus_log)")
                    equal((count, last), (head, head), "the log, as another program finds it")
                    is_busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    self.cuts += not is_busy
                    if turn == 5:
                        succeeds(self.server.apus("user", "create", f"{self.name}{turn}"), "user create")
                verified(self.server)
        except Exception as error:
            self.failure = f"another program: {error!r}"


@test("other programs may read, write and cut off the log of changes of a server that works, and that is killed then")
def strangers(options: argparse.Namespace) -> str:
    play = Play(options, "shared")
    with play.server as server:
        play.begin()
        others = [Stranger(server, f"stranger{number}") for number in range(2)]

        def end() -> None:
            threads = [threading.Thread(target=stranger.run) for stranger in others]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            server.kill()

        play.write_until(end)
        failures = [stranger.failure for stranger in others if stranger.failure]
        true(not failures, "; ".join(failures))
        cuts = sum(stranger.cuts for stranger in others)
        true(cuts > 5, f"the log was cut off {cuts} times only")
        intact(server)
        server.start()
        caught_up(play.followers)
        summary = audited(play.client, play.writers)
        verified(server)
        users = server.apus("user", "list").stdout
        true(all(f"{stranger.name}5" in users for stranger in others), f"accounts that commands made: {users}")
        equal(support.query(server, "SELECT COUNT(*) FROM stranger"), [[len(others) * Stranger.TURNS * 5]], "what others wrote")
    return f"{summary.split(',')[0]}, the log cut off {cuts} times"


@test("SIGTERM ends the server with exit code 0, and what it acknowledged before is there")
def sigterm(options: argparse.Namespace) -> str:
    play = Play(options, "ended")
    with play.server as server:
        play.begin()
        codes = []

        def end() -> None:
            codes.append(server.stop())

        play.write_until(end)
        equal(codes, [0], "exit code")
        intact(server)
        server.start()
        caught_up(play.followers)
        return audited(play.client, play.writers)


@test("a request that is under way when SIGTERM comes is answered, and its connection closed")
def under_way(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "slowly")
        expected(client.create_collection("notes"), 201)
        body = pack({"items": [offered(uid(1), uid(2), b"meta", [(uid(3), bytes(200_000))])], "deps": None})
        wires = [half_sent(server, client, body) for _ in range(3)]
        idle = server.wire()
        server.signal(signal.SIGTERM)
        time.sleep(0.5)
        true(server.is_alive(), "the server must wait for requests that are under way")
        for wire in wires:
            wire.send(body[len(body) // 2 :])
            expected(wire.receive(), 200)
            true(wire.is_closed(), "the connection must be closed after the answer")
            wire.close()
        equal(server.wait(), 0, "exit code")
        idle.close()
        server.start()
        client.close()
        equal(expected(client.get(f"/api/v1/collection/notes/item/{uid(1)}/"), 200).value["content"]["uid"], uid(2),
            "the revision")


def half_sent(server: Server, client: Client, body: bytes) -> support.Wire:
    """A connection on which the first half of a batch was sent."""
    headers = [("Authorization", f"Token {client.token}"), ("Content-Type", support.MSGPACK),
        ("Content-Length", str(len(body)))]
    wire = server.wire()
    wire.send(request_bytes("POST", "/api/v1/collection/notes/item/batch/", headers) + body[: len(body) // 2])
    time.sleep(0.2)
    return wire


@test("an answer that a client takes slowly is sent to its end after SIGTERM")
def slow_answer(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "reader")
        expected(client.create_collection("notes"), 201)
        chunk = random.Random(options.seed).randbytes(12_000_000)  # more than sockets take up
        expected(client.call("PUT", "/api/v1/collection/notes/item/any/chunk/large/", body=chunk), 201)
        with server.wire(30) as wire:
            path = "/api/v1/collection/notes/item/any/chunk/large/download/"
            wire.send(request_bytes("GET", path, [("Authorization", f"Token {client.token}")]))
            true(wire.file.peek(1), "the answer must begin")
            server.signal(signal.SIGTERM)
            time.sleep(0.5)
            try:
                true(expected(wire.receive(), 200).body == chunk, "the content is another")
            except http.client.IncompleteRead as cut:
                raise AssertionError(f"the answer was cut after {len(cut.partial)} of {len(chunk)} bytes") from None
        equal(server.wait(), 0, "exit code")


def more_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=SEED, help="what the moments and contents follow from")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often the server is killed")


if __name__ == "__main__":
    support.main(__doc__, more_options)
