"""Damages the read model behind the server's back, in every way, and lets `apus rebuild` bring it back while a server runs
and clients read and write: on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from typing import Any, Callable, Iterator

import cluster
import support
from cluster import Cluster, Member, member
from support import Server, equal, expected, offered, test, true, uid

TABLES = [
    "myauth_user", "django_etebase_userinfo", "django_etebase_stoken", "django_etebase_collection", "django_etebase_collectionitem",
    "django_etebase_collectionitemrevision", "django_etebase_collectionitemchunk", "django_etebase_revisionchunkrelation",
    "django_etebase_collectiontype", "django_etebase_collectionmember", "django_etebase_collectionmemberremoved",
    "django_etebase_collectioninvitation", "apus_collection", "apus_item",
    "apus_usage", "apus_chunk_size"]

# By what `apus rebuild` must name: statements that both engines understand, run without a look at foreign keys.
DAMAGES = {
    "collectionitemrevision differs": "UPDATE django_etebase_collectionitemrevision SET uid = 'other' || id",
    "myauth_user differs": "UPDATE myauth_user SET username = 'other' || id",
    "2 rows are missing": "DELETE FROM apus_item WHERE id IN (SELECT id FROM apus_item ORDER BY id LIMIT 2)",
    "1 row is unexpected": "INSERT INTO django_etebase_stoken (id, uid) VALUES (1000000000, 'made up')",
    "stoken differs": "UPDATE django_etebase_stoken SET id = id + 1000000",
    "userinfo differs": "DELETE FROM myauth_user; DELETE FROM django_etebase_userinfo",
    "collectionmember differs": "DELETE FROM django_etebase_collectionmember",
    "collection differs": "DELETE FROM django_etebase_collection; DELETE FROM apus_collection",
    "checkpoint": "UPDATE apus_projection SET position = position + 1000",
    "there is no checkpoint": "DELETE FROM apus_projection",
    "all of it": "; ".join(f"DELETE FROM {table}" for table in TABLES),
    "all of it, from the beginning": "; ".join(f"DELETE FROM {table}" for table in TABLES)
        + "; UPDATE apus_projection SET position = 0, last_chunk_id = 0, last_relation_id = 0",
    "the checkpoint is far back": "UPDATE apus_projection SET position = 2, last_chunk_id = 0, last_relation_id = 0",
}
UNNAMED = {"all of it", "all of it, from the beginning", "the checkpoint is far back"}


class Stage:
    """A server, and what damages its tables and runs the program's other commands on them."""

    def __init__(self, server: Server, damage: Callable[[str], None], command: Callable[..., Any], start: tuple[list[str], dict[str, str]],
                 other: Server | None = None, mends_itself: frozenset = frozenset()) -> None:
        self.server, self.damage, self.command, self.start, self.other = server, damage, command, start, other or server
        self.mends_itself = mends_itself


@contextlib.contextmanager
def sqlite(options: argparse.Namespace) -> Iterator[Stage]:
    with Server(options.apus, "--signup", "open", "--log-level", "warning") as server:

        def damage(script: str) -> None:
            with contextlib.closing(sqlite3.connect(server.folder / "apus.sqlite", timeout=30)) as connection:
                connection.executescript("BEGIN IMMEDIATE; " + script + "; COMMIT")

        yield Stage(server, damage, server.apus, ([], {"APUS_DATA": str(server.folder)}))


@contextlib.contextmanager
def postgres(options: argparse.Namespace) -> Iterator[Stage]:
    with Cluster(options.apus, options.postgres) as stage:
        yield Stage(
            stage.nodes[0],
            # All at once, and without the projector in between.
            lambda script: stage.database.run(
                f"BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '30s';"
                f" LOCK TABLE apus_projection IN SHARE ROW EXCLUSIVE MODE; {script}; COMMIT"),
            lambda *arguments: cluster.command(options.apus, stage.database, *arguments),
            (["--database-url", stage.database.url], {"APUS_SECRET": cluster.SECRET, "APUS_DATA": str(stage.nodes[0].folder)}), stage.nodes[1],
            frozenset({"all of it, from the beginning"}))  # which is what a projector begins with


ENGINES = {"SQLite": sqlite, "PostgreSQL": postgres}


class Household:
    """Two users with a collection that both write to, and what they have written."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.owner, self.guest = member(stage.server, "owner"), member(stage.server, "guest")
        expected(self.owner.create_collection("notes"), 201)
        self.owner.let_in(self.guest, "notes")
        expected(self.owner.create_collection("own"), 201)
        self.count = 0
        self.is_damaged = False  # then clients may be told anything
        self.acknowledged: dict[str, str] = {}
        for _ in range(6):
            true(self.write(self.owner) and self.write(self.guest), "the first commits must be done")
        self.stoken = self.owner.stoken("notes")

    def write(self, client: Member) -> bool:
        """Commits a new item and a new revision; whether that was done."""
        self.count += 1
        number, mark = self.count, client.name
        item, revision = uid(mark, number % 7), uid("revision", mark, number)
        chunks = [(uid("chunk", revision), b"content of a chunk")] if number % 3 == 0 else []
        answer = client.commit("notes", [
            offered(item, revision, b"meta", chunks, self.acknowledged.get(item)), offered(uid("new", revision), uid("first", revision), b"meta")])
        if answer.status != 200:
            if self.is_damaged:
                return False
            equal((answer.status, support.fault_in_form(answer)), (503, None), f"an answer to a commit ({answer})")
            self.acknowledged.pop(item, None)  # what became of it is unknown
            return False
        self.acknowledged |= {item: revision, uid("new", revision): uid("first", revision)}
        return True

    def expect_whole(self) -> None:
        for client in (self.owner, self.guest, self.owner.over(self.stage.other)):
            items, _ = client.changes("notes", None, 20)
            found = {item["uid"]: item["content"]["uid"] for item in items}
            for item, revision in self.acknowledged.items():
                equal(found.get(item), revision, f"revision of {item} for {client.name}")
            expected(client.get("/api/v1/collection/", stoken=self.stoken), 200)
        for client in (self.owner, self.guest):
            expected(Member(self.stage.server, client.name).log_in(), 200)


def rebuilt(stage: Stage, named: str | None) -> str:
    """Rebuilds, and expects that it says what was wrong and that all is well now."""
    done = stage.command("rebuild", "--discard-unknown")
    equal(done.returncode, 0, f"exit code of apus rebuild ({done.stdout[-600:]} {done.stderr[-300:]})")
    if named:
        true(named in done.stdout, f"{named!r} is not in what apus rebuild said: {done.stdout}")
    true("All is well" in done.stdout, done.stdout)
    checked = stage.command("verify")
    equal(checked.returncode, 0, f"exit code of apus verify after {done.stdout}, which said {checked.stdout}{checked.stderr}")
    return done.stdout


def whatever_was_damaged(engine: str) -> Callable[[argparse.Namespace], str]:
    def run(options: argparse.Namespace) -> str:
        with ENGINES[engine](options) as stage:
            home = Household(stage)
            equal(stage.command("rebuild", "--check").returncode, 0, "exit code of a check of what is well")
            true("rows were" not in rebuilt(stage, None), "what is well must not be changed")
            for what, damage in DAMAGES.items():
                stage.damage(damage)
                if what not in stage.mends_itself:
                    codes = [stage.command("rebuild", "--check").returncode for _ in range(2)]
                    equal(codes, [1, 1], f"{what}: exit codes of checks, which change nothing")
                rebuilt(stage, None if what in UNNAMED else what)
                home.expect_whole()
                wait_for_write(home)
            return f"{len(DAMAGES)} damages"

    return run


def wait_for_write(home: Household) -> None:
    """A projector that has met the damage tries again every half second."""
    cluster.wait("writes and reads go on", lambda: home.write(home.owner) and home.write(home.guest), 30)


def while_clients_go_on(engine: str) -> Callable[[argparse.Namespace], str]:
    def run(options: argparse.Namespace) -> str:
        with ENGINES[engine](options) as stage:
            home = Household(stage)
            over = threading.Event()
            complaints: list[str] = []
            done = {"writes": 0, "reads": 0}

            def write() -> None:
                while not over.is_set():
                    try:
                        done["writes"] += home.write(home.owner)
                    except Exception as error:
                        complaints.append(f"writer: {error}")
                        return

            def read() -> None:
                client = home.guest.over(stage.other)
                while not over.is_set():
                    was_damaged = home.is_damaged
                    answer = client.get("/api/v1/collection/notes/item/", limit=10_000)
                    if answer.status != 503:
                        found = {item["uid"] for item in answer.value["data"]} if answer.status == 200 else set()
                        # All of the damage or nothing of it.
                        if not (kept <= found) and not (was_damaged or home.is_damaged):
                            complaints.append(f"reader: {answer.status}, {len(kept - found)} of {len(kept)} items are missing")
                            return
                        if kept & found and not kept <= found:
                            complaints.append(f"reader: {len(kept & found)} of {len(kept)} items are there")
                            return
                    done["reads"] += 1

            kept = set(home.acknowledged)
            threads = [threading.Thread(target=write, daemon=True), threading.Thread(target=read, daemon=True)]
            for thread in threads:
                thread.start()
            try:
                # None of which lets the server decide what the log does not allow.
                for damage in ("DELETE FROM apus_item", "DELETE FROM apus_item; DELETE FROM apus_collection",
                               "DELETE FROM apus_item; UPDATE django_etebase_collectionmember SET \"accessLevel\" = 0"):
                    time.sleep(0.3)
                    home.is_damaged = True
                    stage.damage(damage)
                    rebuilt(stage, None)
                    home.is_damaged = False
            finally:
                over.set()
                for thread in threads:
                    thread.join(60)
            equal(complaints, [], "complaints")
            home.expect_whole()
            true(min(done.values()) > 10, f"{done}")
            rebuilt(stage, None)
            return f"{done['writes']} commits, {done['reads']} reads"

    return run


def when_killed(engine: str) -> Callable[[argparse.Namespace], str]:
    def run(options: argparse.Namespace) -> str:
        with ENGINES[engine](options) as stage, tempfile.TemporaryDirectory(prefix="apus-rebuild.") as folder:
            home = Household(stage)
            arguments, environment = stage.start
            began, killed, moments = time.monotonic(), 0, 20
            stage.command("rebuild")
            whole = time.monotonic() - began
            for moment in range(moments):
                stage.damage(DAMAGES["all of it"])
                process = subprocess.Popen(
                    [options.apus, "rebuild", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=support.clean_environment({**environment, "TMPDIR": folder}))
                time.sleep(whole * moment / moments)
                process.kill()
                killed += process.wait() == -signal.SIGKILL
                equal(os.listdir(folder), [], "what is left of the replay")
                rebuilt(stage, None)
            home.expect_whole()
            true(killed > moments / 4, f"only {killed} of {moments} were killed before their end")
            return f"{killed} killed before their end"

    return run


for name in ENGINES:
    test(f"a rebuild on {name} that is killed at any moment leaves nothing behind, and the next one finds its way")(when_killed(name))
    test(f"whatever was damaged on {name} is there again after a rebuild beside the server, and tokens and stokens are good")(
        whatever_was_damaged(name))
    test(f"a rebuild on {name} goes on beside writers and readers, of whom none sees half of it")(while_clients_go_on(name))


if __name__ == "__main__":
    support.main(__doc__, cluster.postgres_option)
