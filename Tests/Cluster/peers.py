"""Peers that live and have lost their role: a PostgreSQL that is frozen, or has become a standby behind its address, a Redis
that has become a replica or takes no writes. They are left and looked for again, and `/ready` tells what is wrong meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import cluster
import support
from cluster import SECRET, Cluster, Database, Node, Postgres, Projector, Redis, Standby, member, ready, wait
from support import Server, equal, expected, offered, test, true, uid

BACK_SECONDS = 20.0  # with what a busy machine adds; alone it takes less than half of that


class Everything(Server):
    """One process in all roles."""

    def __init__(self, binary: str, url: str, *flags: str) -> None:
        super().__init__(binary, "--database-url", url, "--signup", "open", *flags, environment={"APUS_SECRET": SECRET})


class Address:
    """An address behind which one server is, and later another: connections that are open stay where they are."""

    def __init__(self, target: int) -> None:
        self.target, self.listener = target, socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
                    server.settimeout(None)
                except OSError:
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Address:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()


class Writer:
    """A user who writes into a collection."""

    def __init__(self, server: Server, name: str = "writer") -> None:
        self.user, self.count = member(server, name), 0
        self.collection = uid("collection", name)
        expected(self.user.create_collection(self.collection), 201)

    def status(self) -> int:
        self.count += 1
        return self.user.commit(self.collection, [offered("item", uid(self.collection, self.count), b"meta")]).status

    def comes_back(self) -> float:
        return wait("writes are acknowledged again", lambda: self.status() == 200, BACK_SECONDS)


def becomes(server: Server, status: int, words: str, seconds: float = 20.0) -> None:
    """Waits until `/ready` has the status and the words."""
    said: list[tuple[int, str]] = [(0, "")]

    def is_so() -> bool:
        said[0] = ready(server)
        return said[0][0] == status and words in said[0][1]

    try:
        wait(f"/ready is {status} with {words!r}", is_so, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; it said {said[0]}") from None


# --- PostgreSQL -----------------------------------------------------------------------------------


@test("a primary that is frozen is left for the one that is promoted, long before it thaws")
def freeze(options: argparse.Namespace) -> str:
    with Postgres() as primary, Standby(primary) as standby:
        url = f"postgres://apus@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        with Everything(options.apus, url) as server:
            writer = Writer(server)
            equal(writer.status(), 200)
            standby.caught_up()
            with primary.frozen():
                began = time.monotonic()
                equal(writer.status(), 503, "a write that the frozen one was sent")
                refused = time.monotonic() - began
                true(refused < BACK_SECONDS, f"the refusal took {refused:.1f} s")
                becomes(server, 503, "the log's database does not answer")
                equal(standby.value("SELECT pg_promote()"), "t", "promotion")
                took = writer.comes_back()
                becomes(server, 200, "ready")
            equal(writer.status(), 200, "a write after the old one has thawed")
            return f"refused after {refused:.1f} s, back {took:.1f} s after the promotion"


@test("a single server that is frozen is back as soon as it thaws, and nothing that was acknowledged is lost")
def thaw(options: argparse.Namespace) -> str:
    with Postgres() as postgres, Everything(options.apus, postgres.url) as server:
        writer = Writer(server)
        with postgres.frozen():
            equal(writer.status(), 503, "a write while it is frozen")
        took = writer.comes_back()
        found = expected(writer.user.get(f"/api/v1/collection/{writer.collection}/item/item/"), 200).value
        equal(found["content"]["uid"], uid(writer.collection, writer.count), "revision")
        return f"back after {took:.1f} s"


@test("after a switchover behind one address the old primary, now a standby, is not kept: neither for writes nor for reads")
def demotion(options: argparse.Namespace) -> str:
    with Postgres() as primary, Standby(primary) as standby, Address(primary.port) as address:
        with Everything(options.apus, f"postgres://apus@127.0.0.1:{address.port}/postgres") as server:
            writer = Writer(server)
            standby.caught_up()
            primary.process.send_signal(signal.SIGINT)
            primary.process.wait(timeout=30)
            equal(standby.value("SELECT pg_promote()"), "t", "promotion")
            mark = primary.folder / "data/standby.signal"
            mark.touch()
            if os.geteuid() == 0:
                shutil.chown(mark, "postgres")
            primary.start()
            equal(writer.status(), 503, "a write while the address leads to the old one")
            equal(writer.user.get(f"/api/v1/collection/{writer.collection}/").status, 503, "a read, which might miss what is new")
            becomes(server, 503, "the log's database does not answer")
            address.target = standby.port
            took = writer.comes_back()
            becomes(server, 200, "ready")
            return f"back after {took:.1f} s"


@test("a database that can only be read for a while answers reads, and /ready says so")
def read_only(options: argparse.Namespace) -> None:
    with Postgres() as postgres, Everything(options.apus, postgres.url) as server:
        writer = Writer(server)
        postgres.value("ALTER SYSTEM SET default_transaction_read_only = on")
        postgres.value("SELECT pg_reload_conf()")
        becomes(server, 503, "the log's database can only be read")
        for _ in range(3):
            equal(writer.status(), 503, "a write")
            expected(writer.user.get(f"/api/v1/collection/{writer.collection}/"), 200)
        subprocess.run(
            ["psql", "-XAtq", postgres.url, "-c", "SET default_transaction_read_only = off",
             "-c", "ALTER SYSTEM RESET default_transaction_read_only", "-c", "SELECT pg_reload_conf()"], check=True, capture_output=True)
        writer.comes_back()
        becomes(server, 200, "ready", seconds=30)


@test("an operation that takes longer than any request goes on while its server lives")
def long_operation(options: argparse.Namespace) -> None:
    with Postgres() as postgres, Everything(options.apus, postgres.url) as server:
        writer = Writer(server)
        with cluster.Session(postgres.url) as session:
            session.run("BEGIN")
            session.run("LOCK TABLE apus_event IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            status = writer.status()
            took = time.monotonic() - began
            session.run("COMMIT")
        # The server's own time limit for locks comes first: it lives, so its answer is waited for.
        equal(status, 503, "a write that waits for a lock")
        true(took > 3.5, f"the session was given up after {took:.1f} s, though its server lives")
        true("stands still" not in server.log, "the session was given up, though its server lives")
        writer.comes_back()


# --- a read database ------------------------------------------------------------------------------


def reads_while_others_write(stage: Cluster, seconds: float) -> str:
    """Fails unless each read is answered, and rightly, while eight others write."""
    writers = [Writer(stage.nodes[number % 2], f"writer{number}") for number in range(8)]
    stop, faults, acknowledged = threading.Event(), [], [0] * len(writers)

    def write(number: int) -> None:
        while not stop.is_set():
            if writers[number].status() == 200:
                acknowledged[number] = writers[number].count

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    reads, end = 0, time.monotonic() + seconds
    readers = [writer.user.over(stage.nodes[number // 2 % 2]) for number, writer in enumerate(writers)]
    while time.monotonic() < end:
        number = reads % len(writers)
        reads, least = reads + 1, acknowledged[number]
        answer = readers[number].get(f"/api/v1/collection/{writers[number].collection}/item/")
        if answer.status != 200:
            faults.append(f"{answer}")
        elif least:
            known = {uid(writers[number].collection, count) for count in range(least, writers[number].count + 2)}
            if answer.value["data"][0]["content"]["uid"] not in known:
                faults.append(f"a read misses revision {least}")
    stop.set()
    for thread in threads:
        thread.join()
    said = {line.split(" fault=")[-1] for node in stage.nodes for line in node.faults}
    equal(faults, [], f"what {reads} reads were refused or missed ({said})")
    true(sum(acknowledged) > len(writers), "they must have written")
    return f"{reads} reads beside {sum(acknowledged)} writes"


@test("a second read model answers every read while eight write")
def second_model(options: argparse.Namespace) -> str:
    with Database(options.postgres) as replica, Cluster(options.apus, options.postgres, read_url=replica.url) as stage:
        return reads_while_others_write(stage, options.seconds)


@test("a standby answers every read while eight write; /ready tells when its replay is paused and when it is gone")
def standby_reads(options: argparse.Namespace) -> str:
    with Postgres() as primary, Standby(primary) as copy, Cluster(options.apus, primary.url, projectors=1) as first:
        name = first.database.name
        wait("the standby has the database", lambda: copy.value(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == "1", 60)
        copy.caught_up()
        read_url = copy.url.replace("/postgres", f"/{name}")
        with Cluster(options.apus, primary.url, projectors=0, database=first.database, read_url=read_url) as stage:
            note = reads_while_others_write(stage, options.seconds)
            node = stage.nodes[0]

            def is_well() -> bool:
                return ready(node) == (200, "ready\n")

            wait("all is well", is_well, 20)
            copy.value("SELECT pg_wal_replay_pause()")
            becomes(node, 200, "the replay of the read database is paused")
            copy.value("SELECT pg_wal_replay_resume()")
            wait("all is well again", is_well, 20)
            copy.end_at_once()
            becomes(node, 200, "the read database does not answer")
            copy.start()
            wait("all is well once more", is_well, 60)
            return note


# --- readiness, by role ---------------------------------------------------------------------------


@test("without a projector nobody is ready, though nothing is behind; a process that only projects says how it is too")
def no_projector(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database, Node(options.apus, database) as node:
        equal(ready(node)[0], 503, "readiness before there is a projector")
        with Server(
            options.apus, "--database-url", database.url, "--roles", "projector", environment={"APUS_SECRET": SECRET}) as projector:
            becomes(node, 200, "ready")
            becomes(projector, 200, "ready")
            for path in ("/live", "/health"):
                equal(projector.get(path).status, 200, path)
            equal(projector.get("/api/v1/collection/").status, 404, "what it does not serve")
            projector.kill()
            becomes(node, 503, "no projector is at work")


@test("told to end, a process says so first and goes on serving; a second signal hurries it, and SIGHUP changes nothing")
def lame_duck(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database:
        with Everything(options.apus, database.url, "--lame-duck", "3s") as server:
            writer = Writer(server)
            server.signal(signal.SIGHUP)
            wait("it says what it does with SIGHUP", lambda: "SIGHUP" in server.log, 20)
            equal(ready(server)[0], 200, "readiness")
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            becomes(server, 503, "the server is shutting down")
            equal(writer.status(), 200, "a write meanwhile")
            equal(server.get("/live").status, 200, "a new connection meanwhile")
            equal(server.wait(), 0, "exit code")
            true(time.monotonic() - began > 2.5, "it must serve for its time")
        with Everything(options.apus, database.url, "--lame-duck", "300s") as server:
            server.signal(signal.SIGTERM)
            becomes(server, 503, "the server is shutting down")
            server.signal(signal.SIGTERM)
            equal(server.wait(), 0, "exit code")


# --- Redis ----------------------------------------------------------------------------------------


def asked_for_ticket(writer: Writer) -> int:
    return writer.user.post(f"/api/v1/collection/{writer.collection}/item/subscription-ticket/", {}).status


@test("a Redis that has become a replica is left until one that can be written answers; out of memory it is kept, and says so")
def redis_roles(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database, Redis() as one, Redis() as other, Address(one.port) as address:
        with Everything(options.apus, database.url, "--redis-url", f"redis://127.0.0.1:{address.port}") as server:
            writer = Writer(server)
            becomes(server, 200, "ready")
            equal(asked_for_ticket(writer), 200, "a ticket")
            one.ask("REPLICAOF", "127.0.0.1", str(other.port))
            wait("no tickets are given", lambda: asked_for_ticket(writer) == 503, BACK_SECONDS)
            becomes(server, 503, "Redis is away")
            wait("the log says why", lambda: "READONLY" in server.log or "slave" in server.log, BACK_SECONDS)
            equal(writer.status(), 200, "a write without Redis")
            address.target = other.port
            becomes(server, 200, "ready")
            wait("tickets are given", lambda: asked_for_ticket(writer) == 200, BACK_SECONDS)
            other.ask("CONFIG", "SET", "maxmemory", "1")
            wait("no tickets are given", lambda: asked_for_ticket(writer) == 503, BACK_SECONDS)
            becomes(server, 503, "OOM")
            wait("the log names the reason", lambda: "OOM" in server.log, BACK_SECONDS)
            other.ask("CONFIG", "SET", "maxmemory", "0")
            becomes(server, 200, "ready")


@test("without Redis a gateway is not ready; a front end is, and says what it cannot do")
def redis_gone(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database, Redis() as redis, Node(options.apus, database, redis) as front:
        with Projector(options.apus, database, redis), Server(
            options.apus, "--database-url", database.url, "--redis-url", redis.url, "--roles", "gateway",
            environment={"APUS_SECRET": SECRET}) as gateway:
            becomes(front, 200, "ready")
            becomes(gateway, 200, "ready")
            redis.kill()
            becomes(gateway, 503, "Redis is away")
            becomes(front, 200, "Redis is away")
            redis.start()
            becomes(gateway, 200, "ready")


def more_options(parser: argparse.ArgumentParser) -> None:
    cluster.postgres_option(parser)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long others write while reads are counted")


if __name__ == "__main__":
    support.main(__doc__, more_options)
