"""Lets history fork: a standby that lost the end is promoted, a dump is loaded into another database, many write meanwhile.

What was lost must be told to those who had seen it (`bad_stoken`, never silence), and those who had not must go on without
loss, in a log whose positions stay dense.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import threading
import time
from typing import Callable, Iterator

import cluster
import support
from cluster import BIN, Cluster, Database, Member, Postgres, Standby, member, wait
from support import equal, expected, offered, test, true, uid

NO_ANSWER = (OSError, http.client.HTTPException)


class Past:
    """A user with a collection, what was told before the fork, and what only the lost end had."""

    def __init__(self, stage: Cluster) -> None:
        self.stage = stage
        self.user = member(stage.nodes[0], "somebody")
        self.collection = uid("collection")
        expected(self.user.create_collection(self.collection), 201)
        self.etags: dict[str, str] = {}
        self.kept: dict[str, str] = {}
        self.lost: dict[str, str] = {}
        self.lost_etags: dict[str, str] = {}
        self.head = 0

    def write(self, count: int, mark: str) -> None:
        """Commits new items and a new revision of one that all of them share."""
        for number in range(count):
            self.commit(uid(mark, number), uid("revision", mark, number), None)
            self.commit("shared", uid("shared", mark, number), self.etags.get("shared"))

    def commit(self, item: str, revision: str, etag: str | None) -> None:
        done = insisting(lambda: self.user.commit(
            self.collection, [offered(item, revision, b"meta", etag=etag)], transaction=True))
        expected(done, 200)
        self.etags[item] = revision

    def stokens(self) -> dict[str, str]:
        """By the address of each list the stoken to go on from."""
        paths = ["/api/v1/collection/", f"/api/v1/collection/{self.collection}/item/"]
        return {path: expected(self.user.get(path), 200).value["stoken"] for path in paths}

    def remember(self) -> None:
        """Everything until now will be kept."""
        self.head = self.stage.log_position()
        self.kept, self.kept_etags = self.stokens(), dict(self.etags)

    def forget(self) -> None:
        """Everything since then will be lost."""
        self.lost_head, self.lost, self.lost_etags = self.stage.log_position(), self.stokens(), self.etags
        true(self.lost_head > self.head, "something must be lost")
        self.etags = dict(self.kept_etags)

    def expect_lost(self, stage: Cluster, moment: str) -> None:
        for node in stage.nodes:
            client = self.user.over(node)
            for path, stoken in self.lost.items():
                answer = insisting(lambda: client.get(path, stoken=stoken))
                equal((answer.status, answer.code), (400, "bad_stoken"), f"{moment}: answer of {path} to a stoken of what is lost")
            for path, stoken in self.kept.items():
                expected(insisting(lambda: client.get(path, stoken=stoken)), 200)

    def go_on(self, stage: Cluster) -> str:
        """Expects all of a history that goes on after the fork."""
        self.expect_lost(stage, "before the first write")
        stale = offered("shared", uid("stale"), b"meta", etag=self.lost_etags["shared"])
        refused = insisting(lambda: self.user.commit(self.collection, [stale], transaction=True))
        equal(refused.status, 409, "status of a commit to a revision that is lost")
        self.write(1, "new")
        self.expect_lost(stage, "after the first write")
        while stage.log_position() <= self.lost_head + 2:
            self.user = self.user.over(stage.nodes[stage.log_position() % 2])
            self.write(2, f"new {stage.log_position()}")
        self.expect_lost(stage, "above the lost end")
        stage.caught_up()
        new = {item: revision for item, revision in self.etags.items() if self.kept_etags.get(item) != revision}
        for node in stage.nodes:
            items, _ = self.user.over(node).changes(self.collection, self.kept[f"/api/v1/collection/{self.collection}/item/"], 3)
            equal({item["uid"]: item["content"]["uid"] for item in items}, new, "what is told from a stoken below the fork")
            equal(len(items), len(new), "how often")
        expect_epochs(stage.database, [self.head + 1])
        cluster.equals_a_replay(stage)
        cluster.verified(stage.binary, stage.database)
        return f"{self.lost_head - self.head} events are lost after {self.head}"


def insisting(ask: Callable[[], support.Answer]) -> support.Answer:
    """Asks again while there is no answer or a 503, as there is on connections that have broken meanwhile."""
    for _ in range(100):
        with contextlib.suppress(*NO_ANSWER):
            answer = ask()
            if answer.status != 503:
                return answer
        time.sleep(0.1)
    raise AssertionError("there is no answer")


def expect_epochs(database: Database, forks: list[int]) -> None:
    """Expects an epoch for each fork, and events that are of the epoch in which they lie."""
    epochs = database.rows("SELECT epoch, first_position, place = apus_place() FROM apus_epoch ORDER BY epoch")
    equal([first for _, first, _ in epochs], [1, *forks], "where epochs begin")
    equal(epochs[-1][2], True, "whether the last one is of this place")
    equal(database.value("SELECT epoch FROM apus_log"), epochs[-1][0], "the log's epoch")
    equal(database.rows(
        "SELECT position, epoch FROM apus_event event WHERE epoch <> (SELECT max(epoch) FROM apus_epoch"
        " WHERE first_position <= event.position)"), [], "events of another epoch than they lie in")


@contextlib.contextmanager
def forking(options: argparse.Namespace) -> Iterator[tuple[Cluster, Past, Callable[[], None]]]:
    """A cluster, its past, and what replaces its PostgreSQL by a standby that has lost the end."""
    with Postgres() as primary, Standby(primary) as standby, Cluster(options.apus, primary.url) as stage:
        past = Past(stage)
        past.write(4, "kept")
        stage.caught_up()
        past.remember()
        standby.caught_up()
        standby.cut()
        past.write(6, "lost")
        stage.caught_up()
        past.forget()

        def fork() -> None:
            primary.end_at_once()
            standby.take_over()

        yield stage, past, fork


@test("processes that run on go on with a promoted standby that lost the end, in a new epoch")
def promoted(options: argparse.Namespace) -> str:
    with forking(options) as (stage, past, fork):
        fork()
        summary = past.go_on(stage)
        true(any("history has forked" in node.log for node in stage.nodes), "a front end must say that history has forked")
        return summary


@test("a server that is started on a promoted standby is in its new epoch before anybody writes")
def started(options: argparse.Namespace) -> str:
    with forking(options) as (stage, past, fork):
        for process in [*stage.nodes, *stage.projectors]:
            equal(process.stop(), 0, "exit code")
        fork()
        for process in [*stage.nodes, *stage.projectors]:
            process.start()
        expect_epochs(stage.database, [past.head + 1])
        equal(stage.log_position(), past.head, "the log's end")
        return past.go_on(stage)


@test("a dump that is loaded into a new database goes on as another history")
def dumped(options: argparse.Namespace) -> str:
    with Cluster(options.apus, options.postgres) as stage, Database(options.postgres) as copy:
        past = Past(stage)
        past.write(4, "kept")
        stage.caught_up()
        past.remember()
        dump = subprocess.run(
            [f"{BIN}/pg_dump", "--no-owner", stage.database.url], capture_output=True, text=True, check=True, timeout=120)
        copy.run(dump.stdout)
        past.write(6, "lost")
        stage.caught_up()
        past.forget()
        expect_epochs(stage.database, [])
        with Cluster(options.apus, options.postgres, database=copy) as other:
            past.user, past.stage = past.user.over(other.nodes[0]), other
            return past.go_on(other)


@test("forks of one backup do not know each other's stokens")
def twins(options: argparse.Namespace) -> None:
    with Cluster(options.apus, options.postgres) as stage, contextlib.ExitStack() as stack:
        past = Past(stage)
        past.write(1, "kept")
        stage.caught_up()
        dump = subprocess.run(
            [f"{BIN}/pg_dump", "--no-owner", stage.database.url], capture_output=True, text=True, check=True, timeout=120)
        lost: dict[str, str] = {}
        for mark in ("one", "two"):
            copy = stack.enter_context(Database(options.postgres))
            copy.run(dump.stdout)
            past.stage = stack.enter_context(Cluster(options.apus, options.postgres, database=copy))
            past.user = past.user.over(past.stage.nodes[0])
            etags = dict(past.etags)
            past.write(2, mark)
            past.etags = etags
            for path, stoken in lost.items():
                equal(insisting(lambda: past.user.get(path, stoken=stoken)).code, "bad_stoken", f"answer of {path}")
            lost = past.stokens()
            time.sleep(1.1)  # epochs are told apart by the second in which they begin


@test("a fork under many writers begins one epoch, and every commit is in the old or the new one")
def under_load(options: argparse.Namespace) -> str:
    with Cluster(options.apus, options.postgres) as stage:
        past = Past(stage)
        done: list[str] = []
        complaints: list[str] = []
        over = threading.Event()

        def write(client: Member, writer: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                revision = uid("revision", writer, number)
                answer = client.commit(past.collection, [offered(uid("item", writer, number), revision, b"meta")])
                if answer.status != 200:
                    complaints.append(str(answer))
                    return
                done.append(revision)

        threads = [threading.Thread(target=write, args=(past.user.over(stage.nodes[number % 2]), number), daemon=True)
                   for number in range(8)]
        for thread in threads:
            thread.start()
        forks = 5
        for number in range(forks):
            wait("commits are made", lambda before=len(done): len(done) > before + 40 or complaints, 60)
            # As if all of it were somewhere else now.
            stage.database.run(
                f"UPDATE apus_epoch SET place = 'place {number}' WHERE epoch = (SELECT epoch FROM apus_log)")
            wait("a new epoch begins", lambda: stage.database.value("SELECT count(*) FROM apus_epoch") == number + 2
                 or complaints, 60)
        wait("commits are made", lambda before=len(done): len(done) > before + 40 or complaints, 60)
        over.set()
        for thread in threads:
            thread.join(60)
        equal(complaints, [], "answers to commits")
        stage.caught_up()
        firsts = [row[0] for row in stage.database.rows("SELECT first_position FROM apus_epoch ORDER BY epoch")]
        equal(len(firsts), forks + 1, "epochs")
        expect_epochs(stage.database, firsts[1:])
        there = {row[0] for row in stage.database.rows("SELECT uid FROM django_etebase_collectionitemrevision")}
        equal(set(done) - there, set(), "acknowledged commits that are lost")
        cluster.equals_a_replay(stage)
        return f"{len(done)} commits, {forks} forks"


if __name__ == "__main__":
    support.main(__doc__, cluster.postgres_option)
