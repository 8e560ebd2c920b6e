"""Sends a server with small limits more than it takes, and requests in the odd ways that HTTP allows or forbids."""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import struct
import time
from typing import Callable, Iterator

import support
from support import (
    MSGPACK, Answer, Client, Server, Wire, equal, expected, fault_in_form, offered, pack, person, request_bytes, shown, test,
    true, uid)

BODY_LIMIT, CHUNK_LIMIT, BATCH_LIMIT = 100_000, 20_000, 10
LIMITS = ["--body-limit", str(BODY_LIMIT), "--chunk-limit", str(CHUNK_LIMIT), "--batch-limit", str(BATCH_LIMIT)]
NOTES = "/api/v1/collection/notes"


@contextlib.contextmanager
def limited(options: argparse.Namespace) -> Iterator[tuple[Server, Client]]:
    """A server with small limits, and a user of it with the collection `notes`."""
    with Server(options.apus, "--signup", "open", *LIMITS) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        yield server, client
        client.close()
        true(server.is_alive(), "the server must live")


def with_server(function: Callable[[Server, Client], None]) -> Callable[[argparse.Namespace], None]:
    @functools.wraps(function)
    def run(options: argparse.Namespace) -> None:
        with limited(options) as (server, client):
            function(server, client)

    return run


def authorized(client: Client) -> list[tuple[str, str]]:
    return [("Authorization", f"Token {client.token}"), ("Content-Type", MSGPACK), ("Accept", MSGPACK)]


def delivered(server: Server, data: bytes) -> Answer:
    """The answer to bytes, also when the server answers before it has read them all."""
    with server.wire() as wire:
        try:
            wire.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return wire.receive()


def too_large(answer: Answer, code: str = "too_large") -> None:
    expected(answer, 413, code)
    equal(fault_in_form(answer), None, "fault in the form of the answer")


def chunked(body: bytes, size: int = 8192) -> bytes:
    """A body in the chunked transfer coding."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def batch(*items: dict) -> bytes:
    return pack({"items": list(items), "deps": None})


# --- lengths --------------------------------------------------------------------------------------


@test("a body that is longer than the limit is refused with 413 and changes nothing")
@with_server
def long_bodies(server: Server, client: Client) -> None:
    before = client.stoken("notes")
    for length in (BODY_LIMIT + 1, 5_000_000):
        body = batch(offered(uid(1), uid(2), b"m" * length))
        for path in (f"{NOTES}/item/batch/", f"{NOTES}/item/transaction/", "/api/v1/collection/",
            f"{NOTES}/item/{uid(1)}/chunk/{uid(3)}/"):
            method = "PUT" if "/chunk/" in path else "POST"
            too_large(delivered(server, request_bytes(method, path, authorized(client), body)))
    equal(client.stoken("notes"), before, "the collection's stoken")


@test("so is one in chunked transfer, whose length nobody knows before")
@with_server
def long_chunked_bodies(server: Server, client: Client) -> None:
    before = client.stoken("notes")
    for length in (BODY_LIMIT + 1, 5_000_000):
        body = chunked(batch(offered(uid(1), uid(2), b"m" * length)))
        head = request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), ("Transfer-Encoding", "chunked")])
        too_large(delivered(server, head + body))
    equal(client.stoken("notes"), before, "the collection's stoken")


@test("a length over the limit is refused before the body comes")
@with_server
def announced(server: Server, client: Client) -> None:
    for length in ("100001", "99999999999999", "9223372036854775807"):
        headers = [*authorized(client), ("Content-Length", length)]
        too_large(delivered(server, request_bytes("POST", f"{NOTES}/item/batch/", headers)))
    headers = [*authorized(client), ("Content-Length", "18446744073709551616")]
    true(delivered(server, request_bytes("POST", f"{NOTES}/item/batch/", headers)).status in (400, 413), "refused")


@test("a request that takes no body may bring none that is over the limit either")
@with_server
def get_with_body(server: Server, client: Client) -> None:
    too_large(delivered(server, request_bytes("GET", f"{NOTES}/", authorized(client), bytes(BODY_LIMIT + 1))))
    expected(delivered(server, request_bytes("GET", f"{NOTES}/", authorized(client), bytes(1000))), 200)


@test("a body and a chunk that are exactly as long as the limits are taken")
@with_server
def exact(server: Server, client: Client) -> None:
    empty = batch(offered(uid(1), uid(2), b""))
    body = batch(offered(uid(1), uid(2), b"m" * (BODY_LIMIT - len(empty) - 3)))  # bin 32 has a head of 3 bytes more
    equal(len(body), BODY_LIMIT, "the body's length")
    expected(client.call("POST", f"{NOTES}/item/batch/", body=body), 200)
    head = request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), ("Transfer-Encoding", "chunked")])
    expected(delivered(server, head + chunked(body)), 200)
    chunk = bytes(CHUNK_LIMIT)
    expected(client.call("PUT", f"{NOTES}/item/{uid(1)}/chunk/{uid(3)}/", body=chunk), 201)
    equal(client.get(f"{NOTES}/item/{uid(1)}/chunk/{uid(3)}/download/").body, chunk, "the chunk")


@test("a chunk that is longer than the limit is refused however it comes, and is not stored")
@with_server
def long_chunks(server: Server, client: Client) -> None:
    before = client.stoken("notes")
    chunk = bytes(CHUNK_LIMIT + 1)
    path = f"{NOTES}/item/{uid(1)}/chunk/{uid(3)}/"
    too_large(client.call("PUT", path, body=chunk))
    items = [offered(uid(0), uid(9), b"good"), offered(uid(1), uid(2), b"meta", [(uid(3), chunk)])]
    for transaction in (False, True):
        too_large(client.commit("notes", items, transaction=transaction))
    too_large(client.post("/api/v1/collection/", {
        "collectionType": b"type of alice", "collectionKey": b"key", "item": offered(uid(5), uid(6), b"", [(uid(3), chunk)])}))
    expected(client.get(path + "download/"), 404)
    expected(client.collection(uid(5)), 404)
    equal(client.stoken("notes"), before, "the collection's stoken")


@test("a batch of more items than the limit is refused as a whole, one of as many is taken")
@with_server
def large_batches(server: Server, client: Client) -> None:
    before = client.stoken("notes")
    items = [offered(uid("item", number), uid("revision", number), b"meta") for number in range(BATCH_LIMIT + 1)]
    for transaction in (False, True):
        answer = expected(client.commit("notes", items, transaction=transaction), 400, "too_many_items")
        equal(fault_in_form(answer), None, "fault in the form of the answer")
        equal(client.stoken("notes"), before, "the collection's stoken")
        expected(client.commit("notes", items[:BATCH_LIMIT], transaction=transaction), 200)
        before = client.stoken("notes")
    equal(len(client.changes("notes", None, 5)[0]), BATCH_LIMIT, "items")


@test("a body in which everything is wrong costs little, also with a token, and is answered briefly")
@with_server
def many_faults(server: Server, client: Client) -> None:
    server.stop()
    server.flags = ["--signup", "open"]
    server.start()
    client.close()
    count = 1_000_000
    body = b"\x81" + pack("collectionTypes") + b"\xdd" + struct.pack(">I", count) + b"\xc0" * count
    before = peak_bytes(server)
    path, headers = "/api/v1/collection/list_multi/", [("Content-Type", MSGPACK)]
    expected(delivered(server, request_bytes("POST", path, headers, body)), 403)
    grown = peak_bytes(server) - before
    true(grown < 100 * len(body), f"{len(body)} bytes without a token took {grown} bytes of memory")
    small = b"\x81" + pack("collectionTypes") + b"\xdd" + struct.pack(">I", 50_000) + b"\xc0" * 50_000
    answer = expected(delivered(server, request_bytes("POST", path, authorized(client), small)), 422)
    true(len(answer.body) < 500_000, f"{len(small)} bytes were answered with {len(answer.body)}")


def peak_bytes(server: Server) -> int:
    """The most memory that the server has used so far."""
    line = next(line for line in open(f"/proc/{server.process.pid}/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


# --- clients that are slow, many, or away ---------------------------------------------------------


@test("requests that are never finished do not keep the server from others")
@with_server
def unfinished(server: Server, client: Client) -> None:
    body = batch(offered(uid(1), uid(2), b"meta"))
    good = request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), body)
    head = len(good) - len(body)
    before = client.stoken("notes")
    with contextlib.ExitStack() as stack:
        for cut in [0, 1, 10, head - 2, head, head + 1, len(good) - 1] * 10:
            wire = stack.enter_context(server.wire())
            wire.send(good[:cut])
        began = time.monotonic()
        for number in range(50):
            expected(client.commit("notes", [offered(uid("other"), uid("other", number), b"meta")]), 200)
        true(time.monotonic() - began < 10, "fifty requests must not take long")
    expected(client.get(f"{NOTES}/item/{uid(1)}/"), 404)
    true(client.stoken("notes") != before, "the others' writes are there")


@test("a request that breaks off changes nothing")
@with_server
def broken_off(server: Server, client: Client) -> None:
    before = client.stoken("notes")
    body = batch(offered(uid(1), uid(2), b"meta"))
    for cut in (len(body) - 1, len(body) // 2, 1):
        with server.wire() as wire:
            wire.send(request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), body)[:-cut])
        head = request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), ("Transfer-Encoding", "chunked")])
        with server.wire() as wire:  # all that it needs is there, but not the end
            wire.send(head + chunked(body)[: -5 if cut == 1 else -cut])
    time.sleep(0.3)
    equal(client.stoken("notes"), before, "the collection's stoken")


@test("a client that sends one byte after the other gets its answer")
@with_server
def slow_sender(server: Server, client: Client) -> None:
    with server.wire() as wire:
        for byte in request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), batch(offered(uid(1), uid(2), b"meta"))):
            wire.send(bytes([byte]))
            time.sleep(0.001)
        expected(wire.receive(), 200)


@test("clients that do not read their answers do not keep the server from others")
@with_server
def slow_readers(server: Server, client: Client) -> None:
    items = [offered(uid(number), uid("r", number), b"", [(uid("c", number), bytes(CHUNK_LIMIT))]) for number in range(4)]
    expected(client.commit("notes", items), 200)
    ask = request_bytes("GET", f"{NOTES}/item/?prefetch=auto", authorized(client))
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            wire = stack.enter_context(server.wire())
            wire.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                wire.socket.send(ask * 200)
        began = time.monotonic()
        for number in range(20):
            expected(client.commit("notes", [offered(uid("other"), uid("other", number), b"meta")]), 200)
        true(time.monotonic() - began < 20, "twenty requests must not take long")


@test("five hundred connections at once are all answered, in any order")
@with_server
def many_connections(server: Server, client: Client) -> None:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.wire(30)) for _ in range(500)]
        for number, wire in enumerate(wires):
            body = batch(offered(uid("item", number), uid("revision", number), b"meta"))
            wire.send(request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), body))
        for wire in reversed(wires):
            expected(wire.receive(), 200)
    equal(len(client.changes("notes", None, 100)[0]), 500, "items")


# --- HTTP -----------------------------------------------------------------------------------------


def closes(server: Server, client: Client, value: str) -> None:
    """Fails unless a request with this Connection header is answered with `close`, and then the connection closed."""
    for target, status in (("/health", 200), ("/nowhere", 404), (f"{NOTES}/", 200)):
        with server.wire(2) as wire:
            wire.send(request_bytes("GET", target, [*authorized(client), ("Connection", value)]))
            answer = expected(wire.receive(), status)
            equal((answer.header("connection") or "").lower(), "close", f"the header after {value!r} to {target}")
            true(wire.is_closed(), f"the connection must be closed after {value!r} to {target}")


@test("Connection: close is answered with that header, and the connection is closed")
@with_server
def connection_close(server: Server, client: Client) -> None:
    closes(server, client, "close")


@test("so is it when the word is written otherwise, or among others")
@with_server
def connection_close_otherwise(server: Server, client: Client) -> None:
    for value in ("Close", "foo, close"):
        closes(server, client, value)


@test("a connection is kept open otherwise")
@with_server
def kept_open(server: Server, client: Client) -> None:
    with server.wire() as wire:
        for target in ("/health", f"{NOTES}/", "/nowhere", f"{NOTES}/item/batch/", "/health"):
            wire.send(request_bytes("GET", target, authorized(client)))
            equal(wire.receive().header("connection"), None, f"the header after {target}")


@test("HTTP/1.0 is answered")
@with_server
def http_1_0(server: Server, client: Client) -> None:
    expected(delivered(server, b"GET /health HTTP/1.0\r\n\r\n"), 200)
    body = batch(offered(uid(1), uid(2), b""))
    expected(delivered(server, request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), body, "1.0")), 200)
    with server.wire(2) as wire:
        for _ in range(2):
            wire.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = expected(wire.receive(), 200)
            if (answer.header("connection") or "").lower() != "keep-alive":  # it may refuse to
                break


@test("an HTTP/1.0 connection is closed after the answer, since its client reads to the end")
@with_server
def http_1_0_closes(server: Server, client: Client) -> None:
    with server.wire(2) as wire:
        wire.send(b"GET /health HTTP/1.0\r\n\r\n")
        expected(wire.receive(), 200)
        true(wire.is_closed(), "the connection must be closed")


@test("requests that are sent without waiting are answered in their order")
@with_server
def pipelined(server: Server, client: Client) -> None:
    requests, count = b"", 20
    for number in range(count):
        body = batch(offered(uid("item"), uid("revision", number), b"meta"))
        requests += request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), body)
        requests += request_bytes("GET", f"{NOTES}/item/{uid('item')}/", authorized(client))
    with server.wire() as wire:
        wire.send(requests)
        for number in range(count):
            expected(wire.receive(), 200)
            equal(expected(wire.receive(), 200).value["content"]["uid"], uid("revision", number), "the revision")


@test("a refused request does not spoil the next one on its connection")
@with_server
def refused_then_good(server: Server, client: Client) -> None:
    refused = [
        request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), b"\xc1" * 1000),
        request_bytes("POST", f"{NOTES}/item/batch/", [("Content-Type", MSGPACK)], batch(offered(uid(1), uid(2), b""))),
        request_bytes("POST", "/nowhere", authorized(client), bytes(5000)),
        request_bytes("DELETE", f"{NOTES}/", authorized(client), bytes(50_000)),
        request_bytes("GET", "/health", authorized(client), b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        request_bytes("OPTIONS", "/", [("Origin", "https://a"), ("Access-Control-Request-Method", "PUT")], bytes(5000)),
        request_bytes("POST", f"{NOTES}/item/batch/", authorized(client), bytes(BODY_LIMIT + 1)),
    ]
    for request in refused:
        with server.wire() as wire:
            wire.send(request + request_bytes("GET", "/live"))
            first = wire.receive()
            if (first.header("connection") or "").lower() == "close":
                true(wire.is_closed(), "what is announced to be closed must be")
                continue
            equal(expected(wire.receive(), 200).body, b"ok\n", f"the next answer after {first}")


@test("HEAD is answered without a body")
@with_server
def head(server: Server, client: Client) -> None:
    for target in ("/", "/health", "/nowhere", f"{NOTES}/", f"{NOTES}/item/batch/"):
        with server.wire(5) as wire:
            wire.send(request_bytes("HEAD", target, authorized(client)) + request_bytes("GET", "/live"))
            wire.receive("HEAD")
            line = wire.file.readline()
            true(line.startswith(b"HTTP/1.1 200 "),
                f"{shown(line)} comes after the head for {target}, and is taken for the next answer")


@test("Expect: 100-continue gets the go-ahead before the body is sent")
@with_server
def go_ahead(server: Server, client: Client) -> None:
    body = batch(offered(uid(1), uid(2), b"meta"))
    with server.wire(2) as wire:
        request = request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), ("Expect", "100-continue")], body)
        wire.send(request[: -len(body)])
        try:
            equal(wire.file.readline(), b"HTTP/1.1 100 Continue\r\n", "the go-ahead")
        except TimeoutError:
            raise AssertionError("no go-ahead comes; clients then wait a second or more with each body") from None
        equal(wire.file.readline(), b"\r\n", "its end")
        wire.send(body)
        expected(wire.receive(), 200)


@test("a client that expects the go-ahead for a body over the limit gets the refusal instead")
@with_server
def no_go_ahead(server: Server, client: Client) -> None:
    headers = [*authorized(client), ("Expect", "100-continue"), ("Content-Length", str(BODY_LIMIT + 1))]
    with server.wire(5) as wire:
        wire.send(request_bytes("POST", f"{NOTES}/item/batch/", headers))
        true(not wire.file.peek(1).startswith(b"HTTP/1.1 100"), "a body that is too long must not be asked for")
        too_large(wire.receive())


@test("a request whose length is told twice, or in ways that contradict each other, is refused")
@with_server
def contradicting_lengths(server: Server, client: Client) -> None:
    body = batch(offered(uid(1), uid(2), b"meta"))
    length, longer = str(len(body)), str(len(body) + 1)
    for lengths in (
        [("Content-Length", length), ("Content-Length", longer)],
        [("Content-Length", longer), ("Content-Length", length)],
        [("Content-Length", f"{length}, {longer}")],
        [("Content-Length", "-1")],
        [("Content-Length", f"+{length}")],
        [("Content-Length", f"0x{len(body):x}")],
        [("Content-Length", length), ("Transfer-Encoding", "chunked")],
    ):
        cut_off(server, client, lengths, body)


@test("a transfer coding that is unknown, or not what it says, is refused with 400")
@with_server
def bad_codings(server: Server, client: Client) -> None:
    body = batch(offered(uid(1), uid(2), b"meta"))
    for coding in ("gzip", "gzip, identity", "chunked, gzip", "chunked, chunked"):
        cut_off(server, client, [("Transfer-Encoding", coding)], body)
    for wrong in (b"zz\r\n", b"-1\r\n\r\n", b"fffffffffffffffff\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n"):
        cut_off(server, client, [("Transfer-Encoding", "chunked")], wrong)


def cut_off(server: Server, client: Client, lengths: list[tuple[str, str]], body: bytes) -> None:
    """Fails unless the request is refused, or not answered at all, and changes nothing; nobody knows where a next one would
    begin, so the connection must be closed."""
    before = client.stoken("notes")
    what = f"after {lengths} and {body[:20]!r}"
    with server.wire(3) as wire:
        wire.send(request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), *lengths], body))
        try:
            answer = wire.receive()
            true(400 <= answer.status < 500, f"{answer} {what}")
        except (http.client.HTTPException, ConnectionError):
            pass
        true(is_done(wire), f"the connection must be closed {what}")
    equal(client.stoken("notes"), before, f"the collection's stoken {what}")


def is_done(wire: Wire) -> bool:
    """Whether the server has closed the connection, after whatever else it had to say."""
    try:
        while wire.file.read1(65536):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


@test("chunked transfer is taken in pieces of any size")
@with_server
def any_pieces(server: Server, client: Client) -> None:
    head = request_bytes("POST", f"{NOTES}/item/batch/", [*authorized(client), ("Transfer-Encoding", "chunked")])
    for size in (1, 7, 100_000):
        body = batch(offered(uid("item", size), uid("revision", size), b"meta" * 500))
        expected(delivered(server, head + chunked(body, size)), 200)


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
