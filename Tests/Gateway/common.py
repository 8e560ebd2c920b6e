"""What the programs in this folder share: clients that listen, and tests that run on each engine.

The server, the answers and the minimal client are those of Tests/Faults, the databases those of Tests/Cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

for folder in ("Faults", "Cluster"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))

import support  # noqa: E402
from support import Client, Server, equal, expected, offered, person, true, uid, unpack  # noqa: E402, F401
from cluster import SECRET, Database  # noqa: E402
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

PATIENCE_SECONDS = 30.0  # for what must come; a busy machine needs its time
READ_ONLY, ADMIN, READ_WRITE = 0, 1, 2

Test = Callable[[Server], str | None]
_tests: list[tuple[str, Test, tuple[str, ...], bool]] = []
_numbers = itertools.count(1)


# --- clients --------------------------------------------------------------------------------------


def ticket(client: Client, collection: str) -> str:
    return expected(client.post(f"/api/v1/collection/{collection}/item/subscription-ticket/", {}), 200).value["ticket"]


def opened(server: Server, a_ticket: str, stoken: str | None = None, **options: Any) -> ClientConnection:
    """A socket. Raises `InvalidStatus` when the handshake is refused."""
    query = f"?stoken={stoken}" if stoken is not None else ""
    return connect(f"ws://{server.authority}/api/v1/ws/{a_ticket}/{query}", max_size=None, open_timeout=PATIENCE_SECONDS,
                   compression=None, **options)


def refusal(server: Server, a_ticket: str, stoken: str | None = None) -> int:
    """The status with which a handshake is refused."""
    try:
        opened(server, a_ticket, stoken).close()
    except InvalidStatus as refused:
        return refused.response.status_code
    raise AssertionError("the handshake was not refused")


class Listener:
    """A user who listens to a collection and keeps what comes: `items` as (uid, etag), in the order of their coming."""

    def __init__(self, client: Client, collection: str, stoken: str | None = None, **options: Any) -> None:
        self.client, self.collection, self.options = client.another(), collection, options
        self.stoken = stoken
        self.items: list[tuple[str, str]] = []
        self.frames: list[bytes] = []
        self.code: int | None = None
        self.changed = threading.Condition()
        self.open()

    def open(self) -> None:
        """Opens a socket that goes on from the last stoken."""
        self.code = None
        self.socket = opened(self.client.server, ticket(self.client, self.collection), self.stoken, **self.options)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        code = None
        try:
            for message in self.socket:
                page = unpack(message)
                with self.changed:
                    self.frames.append(message)
                    self.items += [(item["uid"], item["content"]["uid"]) for item in page["data"]]
                    self.stoken = page["stoken"]
                    self.changed.notify_all()
        except ConnectionClosed:
            pass
        # What is left after a close that had been received is an end of the iteration or the error above.
        if self.socket.protocol.close_rcvd:
            code = self.socket.protocol.close_rcvd.code
        with self.changed:
            self.code = code if code is not None else -1
            self.changed.notify_all()

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
        with self.changed:
            true(self.changed.wait_for(condition, seconds), f"{what}; came: {len(self.items)} items, close {self.code}")

    def has(self, item: str) -> bool:
        return any(known == item for known, _ in self.items)

    def close(self) -> None:
        self.socket.close()
        self.thread.join(PATIENCE_SECONDS)
        self.client.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def put(client: Client, collection: str, *items: str, size: int = 10, revision: Any = 0) -> None:
    """Writes items in one batch, each with a chunk of its own."""
    expected(client.commit(collection, [
        offered(item, uid(collection, item, revision), b"meta", [(uid(item, revision, "chunk"), bytes(size))])
        for item in items]), 200)


def listed(client: Client, collection: str) -> list[tuple[str, str]]:
    """All items of a collection as a client that pages by stokens sees them, the collection's own among them."""
    found, stoken = [], None
    while True:
        query = {"withCollection": "true", "prefetch": "medium", **({"stoken": stoken} if stoken else {})}
        page = expected(client.get(f"/api/v1/collection/{collection}/item/", **query), 200).value
        found += [(item["uid"], item["content"]["uid"]) for item in page["data"]]
        stoken = page["stoken"]
        if page["done"]:
            return found


def share(owner: Client, guest: Client, collection: str, level: int = READ_WRITE) -> None:
    """Makes somebody a member of a collection."""
    invitation = uid("invitation", collection, guest.name, next(_numbers))
    expected(owner.post("/api/v1/invitation/outgoing/", {
        "uid": invitation, "version": 1, "username": guest.name, "collection": collection, "accessLevel": level,
        "signedEncryptionKey": b"signed key"}), 201)
    expected(guest.post(f"/api/v1/invitation/incoming/{invitation}/accept/", {
        "collectionType": b"type of " + guest.name.encode(), "encryptionKey": b"a key"}), 201)


def new_collection(client: Client) -> str:
    collection = uid("collection", client.name, next(_numbers))
    expected(client.create_collection(collection), 201)
    return collection


def somebody(server: Server) -> Client:
    return person(server, f"user{next(_numbers)}")


# --- tests ----------------------------------------------------------------------------------------


def test(sentence: str, *flags: str, postgres_only: bool = False) -> Callable[[Test], Test]:
    """Adds a function to the tests. With `flags` it gets a server of its own that is started with them."""

    def add(function: Test) -> Test:
        _tests.append((sentence, function, flags, postgres_only))
        return function

    return add


def main(about: str) -> None:
    """Runs the tests on SQLite, and on PostgreSQL where `--postgres` says one."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--postgres", help="postgres://…, whose role may make databases")

    with contextlib.ExitStack() as stack:

        def tests(arguments: Any) -> Iterator[tuple[str, Callable]]:
            for engine in ["SQLite"] + (["PostgreSQL"] if arguments.postgres else []):
                url = arguments.postgres if engine == "PostgreSQL" else None
                shared: list[Server] = []

                def common_server() -> Server:
                    if not shared:
                        shared.append(stack.enter_context(running(arguments.apus, url)))
                    return shared[0]

                for sentence, function, flags, postgres_only in _tests:
                    if postgres_only and not url:
                        continue
                    if flags:
                        yield f"{sentence} ({engine})", _on_own(arguments.apus, url, function, flags)
                    else:
                        yield f"{sentence} ({engine})", lambda _, function=function: function(common_server())

        support.main(about, options=options, more=tests)


@contextlib.contextmanager
def running(binary: str, postgres: str | None, *flags: str) -> Iterator[Server]:
    """A server with a database of its own."""
    with contextlib.ExitStack() as stack:
        options = ["--signup", "open", *flags]
        if postgres:
            options += ["--database-url", stack.enter_context(Database(postgres)).url]
        yield stack.enter_context(Server(binary, *options, environment={"APUS_SECRET": SECRET}))


def _on_own(binary: str, postgres: str | None, function: Test, flags: tuple[str, ...]) -> Callable:
    def run(_: Any) -> str | None:
        with running(binary, postgres, *flags) as server:
            return function(server)

    return run


def option(server: Server, name: str) -> str:
    """The value of one of the server's flags."""
    return server.flags[server.flags.index(name) + 1]


def retry(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        true(time.monotonic() < end, what)
        time.sleep(0.02)
