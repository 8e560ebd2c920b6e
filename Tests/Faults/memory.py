"""Measures what a user can make a server hold: answers that are long and not read, backlogs, content that repeats itself.

What is measured is the resident memory of the process, against what it was before; the budget of bodies and answers is 256 MiB
unless said otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Gateway"))

import support
from support import Client, Server, Wire, equal, expected, meddle, offered, pack, person, request_bytes, test, true, uid, unpack
from common import Listener, opened, ticket

MIB = 1 << 20
NOTES = "/api/v1/collection/notes"
LOOKS_SECONDS = 4.0  # how long the memory is looked at while clients do not read


@contextlib.contextmanager
def notes(options: argparse.Namespace, *arguments: str) -> Iterator[tuple[Server, Client]]:
    with Server(options.apus, "--signup", "open", *arguments) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        yield server, client
        client.close()
        true(server.is_alive(), "the server must live")


def resident(server: Server) -> int:
    """MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1024


@contextlib.contextmanager
def growing_at_most(server: Server, mib: int, what: str) -> Iterator[None]:
    """Looks at the memory while something is done."""
    before, top, ended = resident(server), 0, threading.Event()

    def look() -> None:
        nonlocal top
        while not ended.wait(0.02):
            top = max(top, resident(server))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    print(f"    {what}: {top - before} MiB above {before} MiB")
    true(top - before <= mib, f"{what} takes {top - before} MiB, more than {mib}")


def upload(client: Client, chunk: str, content: bytes) -> None:
    expected(client.call("PUT", f"{NOTES}/item/x/chunk/{chunk}/", body=content), 201)


def asking(server: Server, client: Client, path: str) -> Wire:
    """A request whose answer is not read: the window of the connection is small."""
    wire = Wire.__new__(Wire)
    wire.socket = socket.socket()
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(60)
    wire.socket.connect(("127.0.0.1", server.port))
    wire.file = wire.socket.makefile("rb")
    wire.send(request_bytes("GET", path, [("Host", server.authority), ("Authorization", f"Token {client.token}")]))
    return wire


@test("pages of items of 20 MiB, which nobody reads, take little; who reads gets every byte")
def unread(options: argparse.Namespace) -> None:
    with notes(options) as (server, client):
        contents = {}
        for number in range(4):
            name = uid("chunk", number)
            contents[name] = os.urandom(20 * MIB)
            upload(client, name, contents[name])
            expected(client.commit("notes", [offered(uid("item", number), uid("revision", number), b"m", [(name, None)])]), 200)
        with growing_at_most(server, 200, "24 clients that do not read"):
            wires = [asking(server, client, f"{NOTES}/item/?limit=50") for _ in range(24)]
            time.sleep(LOOKS_SECONDS)
            equal(server.get("/health").status, 200, "status of others")
        with growing_at_most(server, 200, "and four that read"):
            found = []

            def read(wire: Wire) -> None:
                found.append(unpack(expected(wire.receive(), 200).body))

            readers = [threading.Thread(target=read, args=(wire,)) for wire in wires[:4]]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        for page in found:
            equal([item["uid"] for item in page["data"]], [uid("item", 0)], "a page ends with the first")
            equal(page["done"], False, "done")
        for wire in wires:
            wire.close()
        items, _ = client.changes("notes", None, 50)
        equal({name: content for item in items for name, content in item["content"]["chunks"]}, contents, "contents")
        name = uid("chunk", 3)
        answer = client.get(f"{NOTES}/item/x/chunk/{name}/download/")
        true(answer.body == contents[name], "the download of a chunk")


@test("1,000 mentions of one chunk are answered within the bound of a page, in one item as in many")
def mentions(options: argparse.Namespace) -> None:
    with notes(options) as (server, client):
        name, content = uid("chunk"), os.urandom(MIB)
        upload(client, name, content)
        one = client.commit("notes", [offered("one", uid("one"), b"m", [(name, None)] * 1000)])
        true(one.status in (200, 400), f"{one}")
        many = [offered(uid("item", n), uid("revision", n), b"m", [(name, None)]) for n in range(1000)]
        expected(client.commit("notes", many), 200)
        with growing_at_most(server, 150, "1,000 mentions"):
            stoken, seen, largest = None, [], 0
            while True:
                answer = expected(client.get(f"{NOTES}/item/", limit=1000, **({"stoken": stoken} if stoken else {})), 200)
                page = answer.value
                largest = max(largest, len(answer.body))
                seen += [item["uid"] for item in page["data"]]
                stoken = page["stoken"]
                if page["done"] or len(seen) > 100:
                    break
            asked = pack([{"uid": uid("item", n), "etag": "x"} for n in range(200)])
            answer = expected(client.call("POST", f"{NOTES}/item/fetch_updates/", body=asked), 200)
            largest = max(largest, len(answer.body))
            equal(answer.value["done"], False, "done of what was cut")
        true(largest < 12 * MIB, f"an answer of {largest} bytes")
        equal(len(seen), len(set(seen)), "items, each once")


@test("a backlog of 30 items of 8 MiB takes a frame for each socket, and each gets all of it")
def backlog(options: argparse.Namespace) -> None:
    with notes(options) as (server, client):
        start = client.stoken("notes")
        for number in range(30):
            name = uid("chunk", number)
            upload(client, name, os.urandom(8 * MIB))
            expected(client.commit("notes", [offered(uid("item", number), uid("revision", number), b"m", [(name, None)])]), 200)
        with growing_at_most(server, 250, "a backlog of 240 MiB"):
            silent = [opened(server, ticket(client, "notes"), start, max_queue=1, ping_interval=None, close_timeout=0.1) for _ in range(8)]
            listener = Listener(client, "notes", start, max_queue=1, ping_interval=None)
            for count in range(1, 31):
                listener.wait("the backlog", lambda: len(listener.items) >= count)
        equal([item for item, _ in listener.items], [uid("item", number) for number in range(30)], "items")
        true(max(map(len, listener.frames)) < 9 * MIB, "a frame holds one such item")
        listener.close()
        for socket_ in silent:
            socket_.close()


@test("sockets that are not read, and hold all memory that messages may have, keep nothing from one that is")
def starving(options: argparse.Namespace) -> None:
    with notes(options, "--memory", "64MB") as (server, client):
        starts = []
        for number in range(6):
            starts.append(client.stoken("notes"))
            name = uid("chunk", number)
            upload(client, name, os.urandom(8 * MIB))
            expected(client.commit("notes", [offered(uid("item", number), uid("revision", number), b"m", [(name, None)])]), 200)
        # Each begins elsewhere, so that no message is for two; four have all the room there is.
        silent = [opened(server, ticket(client, "notes"), start, max_queue=1, ping_interval=None, close_timeout=0.1) for start in starts[1:]]
        listener = Listener(client, "notes", starts[0], ping_interval=None)
        for count in range(1, 7):
            listener.wait("what the others do not take", lambda: len(listener.items) >= count)
        listener.close()
        for socket_ in silent:
            socket_.close()


@test("a list of 40 invitations with keys of 20 MiB is cut, and goes on where it ended")
def invitations(options: argparse.Namespace) -> None:
    with notes(options) as (server, client):
        bob = person(server, "bob")
        for number in range(40):
            collection = uid("collection", number)
            expected(client.create_collection(collection), 201)
            expected(client.post("/api/v1/invitation/outgoing/", {
                "uid": uid("invitation", number), "version": 1, "accessLevel": 0, "username": "bob", "collection": collection,
                "signedEncryptionKey": b"k" * 32}), 201)
        # As it may be in a database of before there were limits.
        keys = "zeroblob(20971520)" if not server.postgres_database else "decode(repeat('00', 20971520), 'hex')"
        meddle(server, f"UPDATE django_etebase_userinfo SET pubkey = {keys} WHERE owner_id = 1")
        with growing_at_most(server, 150, "40 invitations with keys of 20 MiB"):
            found, iterator = [], None
            while True:
                answer = expected(bob.get("/api/v1/invitation/incoming/", limit=50, **({"iterator": iterator} if iterator else {})), 200)
                true(len(answer.body) < 21 * MIB, f"an answer of {len(answer.body)} bytes")
                found += [invitation["uid"] for invitation in answer.value["data"]]
                iterator = answer.value["iterator"]
                if answer.value["done"]:
                    break
        equal(found, [uid("invitation", number) for number in range(40)], "invitations")


@test("24 items with 40 MB of meta are written, projected and read, or refused")
def meta(options: argparse.Namespace) -> None:
    with notes(options) as (server, client):
        items = [offered(uid("item", n), uid("revision", n), os.urandom(40_000_000 // 24)) for n in range(24)]
        with growing_at_most(server, 600, "24 items with 40 MB of meta"):
            answer = client.commit("notes", items)
            true(answer.status in (200, 400, 413), f"{answer}")
            if answer.status == 200:
                found, _ = client.changes("notes", None, 50)
                equal([item["content"]["meta"] for item in found], [item["content"]["meta"] for item in items], "meta")
        equal(server.get("/ready").status, 200, "status of /ready")


@test("a server that has worked and is asked for nothing gives its memory back, and answers as before")
def resting(options: argparse.Namespace) -> str:
    def share() -> float:
        """MiB that the process has for itself, and of what it shares with others its part."""
        rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024

    with notes(options) as (server, client):
        for number in range(20):
            expected(client.commit("notes", [offered(uid("item", number, n), uid("revision", number, n), b"meta") for n in range(50)]), 200)
        client.changes("notes", None, 50)
        busy = share()
        end = time.monotonic() + 30
        while (rested := share()) >= 30 and time.monotonic() < end:
            time.sleep(0.2)
        true(rested < 30, f"it takes {rested:.0f} MiB where nobody asks")
        equal(len(client.changes("notes", None, 50)[0]), 1000, "items")
        return f"{busy:.0f} MiB, then {rested:.0f}"


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
