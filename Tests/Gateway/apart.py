"""Lets front ends, a projector and gateways run as processes of their own, with Redis between them, and takes away each of
them in turn: every subscriber has each change once and in order all the same."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import common
import support
from common import (
    PATIENCE_SECONDS, SECRET, Client, Database, Listener, Server, equal, expected, listed, new_collection, opened, put, retry,
    share, somebody, ticket, true)
from support import free_port, test


class Redis:
    """A Redis of its own, which can be ended and started again. It keeps nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> Redis:
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL)
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Redis:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Cluster:
    """A front end, a projector and two gateways."""

    def __init__(self, arguments: argparse.Namespace, stack: contextlib.ExitStack) -> None:
        self.redis = stack.enter_context(Redis())
        self.database = stack.enter_context(Database(arguments.postgres))

        def process(roles: str) -> Server:
            return stack.enter_context(Server(
                arguments.apus, "--signup", "open", "--roles", roles, "--database-url", self.database.url,
                "--redis-url", self.redis.url, environment={"APUS_SECRET": SECRET}))

        self.front = process("api")
        # A projector listens to nobody; it is not asked whether it is ready.
        self.projector = Projector(arguments.apus, self)
        stack.callback(self.projector.kill)
        self.gateways = [process("gateway"), process("gateway")]


class Projector:
    def __init__(self, binary: str, cluster: Cluster) -> None:
        self.command = [binary, "serve", "--roles", "projector", "--database-url", cluster.database.url, "--redis-url",
                        cluster.redis.url, "--data", str(cluster.front.scratch / "projector")]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=support.clean_environment({"APUS_SECRET": SECRET}))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Follower(Listener):
    """Listens on a gateway of its own, and comes back whenever it is cut off."""

    def __init__(self, gateway: Server, client: Client, collection: str) -> None:
        self.gateway, self.is_over, self.breaks = gateway, False, 0
        super().__init__(client, collection)
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        self.keeper.start()

    def open(self) -> None:
        self.code = None
        self.socket = opened(self.gateway, ticket(self.client, self.collection), self.stoken)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _keep(self) -> None:
        while not self.is_over:
            self.thread.join()
            self.breaks += 1
            while not self.is_over:
                try:
                    self.open()
                    break
                except Exception:  # no ticket without Redis, no socket without the gateway: later, then
                    self.client.close()
                    time.sleep(0.1)

    def end(self) -> None:
        self.is_over = True
        self.close()
        self.keeper.join(PATIENCE_SECONDS)


@test("with each process and Redis killed in turn, and hints lost, each subscriber has each change once and in order")
def taken_away(arguments: argparse.Namespace) -> str:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(arguments, stack)
        alice, bob = somebody(cluster.front), somebody(cluster.front)
        notes = new_collection(alice)
        share(alice, bob, notes)
        followers = [Follower(gateway, client, notes) for gateway in cluster.gateways for client in (alice, bob)]
        is_over = threading.Event()
        written: list[str] = []

        def write(writer: int) -> None:
            client, number = (alice, bob)[writer % 2].another(), 0
            while not is_over.is_set():
                items = [f"w{writer}n{number}i{item}" for item in range(number % 3 + 1)]
                put(client, notes, *items)
                written.extend(items)
                number += 1
                time.sleep(0.01)

        with ThreadPoolExecutor(3) as pool:
            writing = [pool.submit(write, writer) for writer in range(3)]
            try:
                time.sleep(1)
                cluster.redis.kill()  # hints are lost from here on
                count = len(written)
                for follower in followers:
                    follower.wait("delivery without Redis", lambda: len(follower.items) > count + 5)
                expected(alice.another().post(f"/api/v1/collection/{notes}/item/subscription-ticket/", {}), 503)
                cluster.redis.start()
                cluster.gateways[0].kill()
                time.sleep(0.5)
                cluster.gateways[0].start()
                cluster.projector.kill()
                time.sleep(0.5)
                cluster.projector.start()
                retry("tickets must come again", lambda: alice.another().post(
                    f"/api/v1/collection/{notes}/item/subscription-ticket/", {}).status == 200)
                time.sleep(1)
            finally:
                is_over.set()
            for one in writing:
                one.result()
        wanted = listed(alice, notes)
        equal(len(wanted), len(written) + 1, "items that are there")
        for follower in followers:
            follower.wait("everything", lambda: len(follower.items) >= len(wanted))
            equal(follower.items, wanted, "what came")
            follower.end()
        true(all(follower.breaks for follower in followers[:2]), "those on the killed gateway must have come back")
        return f"{len(wanted)} items, {[follower.breaks for follower in followers]} breaks"


@test("a ticket is redeemed by one gateway, and a logout at a front end closes sockets on all")
def across(arguments: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(arguments, stack)
        alice = somebody(cluster.front)
        notes = new_collection(alice)
        phone = Client(cluster.front, alice.name)
        expected(phone.log_in(), 200)
        barrier = threading.Barrier(8)

        def redeem(gateway: Server, a_ticket: str) -> int:
            barrier.wait()
            try:
                opened(gateway, a_ticket).close()
                return 101
            except common.InvalidStatus as refused:
                return refused.response.status_code

        a_ticket = ticket(alice, notes)
        with ThreadPoolExecutor(8) as pool:
            found = sorted(one.result() for one in [
                pool.submit(redeem, cluster.gateways[number % 2], a_ticket) for number in range(8)])
        equal(found, [101] + [403] * 7, "statuses")
        stoken = alice.stoken(notes)
        closing = [opened(gateway, ticket(phone, notes), stoken) for gateway in cluster.gateways]
        expected(phone.post("/api/v1/authentication/logout/", None), 204)
        put(alice, notes, "after")
        for socket in closing:
            try:
                raise AssertionError(f"a frame came: {socket.recv(timeout=PATIENCE_SECONDS)!r}")
            except common.ConnectionClosed as closed:
                equal(closed.rcvd.code, 1008, "code")
        equal(cluster.gateways[0].get("/api/v1/collection/").status, 404, "the API on a gateway")


@test("what the operator ends by a command is closed on every gateway at once, not when gateways look next")
def by_command(arguments: argparse.Namespace) -> str:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(arguments, stack)
        took = []
        for command in (["sessions", "--all"], ["disable"], ["reset", "--yes"], ["erase", "--yes"]) * 2:
            alice = somebody(cluster.front)
            notes = new_collection(alice)
            stoken = alice.stoken(notes)
            sockets = [opened(gateway, ticket(alice, notes), stoken) for gateway in cluster.gateways]
            ended = cluster.front.apus("user", command[0], alice.name, *command[1:], environment={
                "APUS_SECRET": SECRET, "APUS_DATABASE_URL": cluster.database.url, "APUS_REDIS_URL": cluster.redis.url})
            equal((ended.returncode, ended.stderr), (0, ""), f"apus user {command[0]}")
            began = time.monotonic()
            for socket in sockets:
                try:
                    raise AssertionError(f"a frame came: {socket.recv(timeout=PATIENCE_SECONDS)!r}")
                except common.ConnectionClosed as closed:
                    equal(closed.rcvd.code, 1008, f"the code after {command[0]}")
            took.append(time.monotonic() - began)
        # Gateways look every half a minute, so that one of all of them would hardly be closed by then without being told.
        true(max(took) < 5, f"the sockets were closed after {took} seconds")
        return f"after {max(took):.2f} s at the latest"


if __name__ == "__main__":
    support.main(__doc__, lambda parser: parser.add_argument("--postgres", required=True, help="postgres://…"))
