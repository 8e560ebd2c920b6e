"""Takes of a server what can be taken: memory, processor time, connections, by nobody with an account, and by one user.

What is promised: nobody without an account gets more than 64 MiB of memory, more than a second of processor time for each
megabyte that is sent, or the process; nobody with an account more than `--memory` says; and who is connected is served on. A
debug build is given ten times the time, for it is ten times as slow.

The loops that a request drives, and what keeps them linear (seconds for each megabyte that a debug build takes at the limit of the
body or head; in parentheses what it was where it was not linear, in a release build, for 80 KB unless it says otherwise):

    names: NFKC, lower case         at most 2 KiB, 30 marks on a letter, before anything is done     (133 s for 3 MB)  < 1.5
    texts: compared, hashed, NFC    at most 30 marks on a letter, in bodies, paths and queries       (1.4 s each)      < 1.5
    emails: the last @              at most 2 KiB                                                    (3.1 s)           < 1.5
    hosts: parsing, Punycode        at most 1 KiB                                                                      < 1.5
    values of fields                longer than 512 bytes only as ASCII, else left out               (1.4 s each)      < 1.5
    paths: parts, routes            compared by bytes, each route once                                                 < 1.5
    percent signs, queries          one pass; names of at most 64 bytes                                                < 1.5
    X-Forwarded-For, tokens         at most 100 and 256 bytes, of the last address and the second word                 < 1.5
    JSON                            one pass; numbers of at most 4,300 digits; depth 100                               5.9
    MessagePack                     one pass; counts reserve nothing; depth 100                                        < 1.5
    fields of a map                 a pass over the map for each field that is known                                   < 1.5
    faults that echo a value        at most 100 faults, values of at most 4 KiB                      (21, debug)       < 1.5
    stokens, tickets, challenges    their length is looked at first                                                    < 1.5
    bodies in pieces                what one read brings goes on as one piece                                          (8, debug)
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import time
from pathlib import Path
from typing import Iterator

import support
from support import MSGPACK, Client, Server, Wire, equal, expected, offered, pack, person, request_bytes, test, true, uid

MIB = 1 << 20
STRANGERS_BYTES = 64 * MIB
SHORT_BODY = 64 << 10  # the longest body without a token
CHALLENGE, SIGN_UP, LOG_IN = (f"/api/v1/authentication/{name}/" for name in ("login_challenge", "signup", "login"))


# --- what a server has used -------------------------------------------------------------------------


def status_bytes(server: Server, name: str) -> int:
    line = next(line for line in open(f"/proc/{server.process.pid}/status") if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def processor_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def taking_at_most(server: Server, limit_bytes: int, what: str) -> Iterator[None]:
    """Fails where the server had at any moment so much more memory than before."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak is counted from here on
    before = status_bytes(server, "VmRSS")
    yield
    true(server.is_alive(), f"the server must outlive {what}")
    grown = status_bytes(server, "VmHWM") - before
    true(grown <= limit_bytes, f"{what} took {grown / MIB:.0f} MiB, where {limit_bytes / MIB:.0f} are the limit")


def answered(wire: Wire) -> bool:
    """Whether something comes back: an answer, or the end of the connection."""
    try:
        wire.receive()
        return True
    except (http.client.HTTPException, ConnectionError):
        return True
    except TimeoutError:
        return False


def sent(wire: Wire, data: bytes) -> int:
    """Sends until the server takes no more for a while; how much it was."""
    wire.socket.settimeout(0.5)
    view = memoryview(data)
    with contextlib.suppress(OSError):
        while len(view):
            view = view[wire.socket.send(view[: 256 << 10]) :]
    wire.socket.settimeout(15)
    return len(data) - len(view)


def posted(path: str, body: bytes, kind: str = MSGPACK, *more: tuple[str, str]) -> bytes:
    return request_bytes("POST", path, [("Content-Type", kind), *more], body)


# --- texts and bodies that cost more than their length ------------------------------------------------


def texts(length: int) -> dict[str, str]:
    """Texts of so many bytes in UTF-8 that are dear to compare, to normalize, or to take apart."""
    marks = ["\u0301", "\u0327", "\u0323", "\u0334"]
    return {
        "letters": "a" * length,
        "marks": "a" + "".join(marks[number % 4] for number in range(length // 2)),
        "marks in the wrong order": "a" + "".join(marks[number * 4 // (length // 2)] for number in range(length // 2)),
        "flags": "\U0001f1e6" * (length // 4),
        "flags and an @": "\U0001f1e6" * (length // 4 - 1) + "@a.b",
        "letters that become many": "\ufdfa" * (length // 3),
        "capital sigmas": "Σ'" * (length // 3),
        "blanks": " " * length,
        "dots": "a@" + "." * (length - 2),
        "an email of labels": "a@" + "b." * (length // 2 - 1),
    }


def bodies() -> Iterator[tuple[str, bytes]]:
    """Requests with bodies of nearly the length that strangers' may have."""
    room = SHORT_BODY - 1000
    for name, text in texts(room).items():
        yield f"a challenge for {name}", posted(CHALLENGE, pack({"username": text}))
        yield f"a sign-up of {name}", posted(SIGN_UP, pack({
            "user": {"username": text[: len(text) // 2], "email": text[: len(text) // 2]}, "salt": b"s" * 32, "loginPubkey": b"l" * 32,
            "pubkey": b"p" * 32, "encryptedContent": b"c"}))
        response = pack({"username": text, "challenge": b"c", "host": text[:100], "action": "login"})
        yield f"a login of {name}", posted(LOG_IN, pack({"response": response, "signature": bytes(64)}))
        yield f"a login for a host of {name}", posted(
            LOG_IN, pack({"response": pack({"username": "a", "challenge": b"c", "host": text, "action": "login"}), "signature": bytes(64)}))
        yield f"a truth value of {name} in JSON", posted(CHALLENGE, json.dumps({"username": text}).encode()[:SHORT_BODY], "application/json")
    for name, text in {
        "a long number": "1" * room, "a long fraction": "1." + "3" * room, "a long exponent": "1e" + "9" * room,
        "numbers": "[" + "1," * (room // 2) + "1]", "fractions": "[" + "1.5e3," * (room // 6) + "1]",
        "escapes": '"' + "\\u00e9" * (room // 6) + '"', "an open string": '"' + "a" * room, "an open escape": '"' + "\\\\" * (room // 2),
        "arrays in arrays": "[" * room, "blanks": " " * room, "doubled keys": "{" + '"a":1,' * (room // 6) + '"a":1}',
        "keys": "{" + ",".join(f'"{number}":1' for number in range(room // 10)) + "}", "halves of surrogates": '"' + "\\ud800" * (room // 6) + '"',
    }.items():
        yield f"JSON of {name}", posted(CHALLENGE, text.encode(), "application/json")
    for name, body in {
        "nothing": b"\xdc\xff\x00" + b"\xc0" * 0xff00, "arrays in arrays": b"\x91" * room, "empty strings": b"\xdc\xf0\x00" + b"\xa0" * 0xf000,
        "doubled keys": b"\xde\x78\x00" + b"\xa0\xc0" * 0x7800, "claimed elements": b"\xdd\xff\xff\xff\xff", "a claimed string": b"\xdb\xff\xff\xff\xff",
        "a map for every field": pack({"user": {str(number): number for number in range(9000)}}), "timestamps": b"\xdc\x20\x00" + b"\xd6\xff1234" * 0x2000,
    }.items():
        yield f"MessagePack of {name}", posted(SIGN_UP, body)


def heads() -> Iterator[tuple[str, bytes]]:
    """Requests with heads of nearly the length that a head may have."""
    room = 70_000
    for name, text in texts(room).items():
        quoted = "".join(f"%{byte:02X}" for byte in text.encode()[: room // 3])
        yield f"a path of {name}", request_bytes("GET", f"/api/v1/{quoted}/item/")
        yield f"a collection of {name}", request_bytes("GET", f"/api/v1/collection/{quoted}/item/")
        yield f"a query of {name}", request_bytes("GET", f"/api/v1/authentication/is_etebase/?{quoted}={quoted[: room // 6]}")
        yield f"a limit of {name}", request_bytes("GET", f"/api/v1/collection/?limit={quoted}&prefetch={quoted[:300]}", [("Authorization", "Token x")])
        for field in ("Accept", "Content-Type", "Authorization", "Origin", "Host", "Connection", "X-Forwarded-For", "Upgrade", "Expect", "Cookie",
                      "X-Forwarded-Proto", "User-Agent", "Access-Control-Request-Method"):
            yield f"{field} of {name}", request_bytes("POST", CHALLENGE, [(field, text.strip() or "a")], pack({"username": "nobody"}))
    yield "many parameters", request_bytes("GET", "/api/v1/collection/?" + "&".join(f"a{number}=1" for number in range(room // 9)))
    yield "many slashes", request_bytes("GET", "/" * room)
    yield "many parts", request_bytes("GET", "/a" * (room // 2))
    yield "many fields", request_bytes("GET", "/health", [(f"X-{number}", "a" * 50) for number in range(900)])
    yield "one field many times", request_bytes("GET", "/health", [("Accept", "a" * 50)] * 900)


@test("no request of a stranger costs more than a second for each megabyte that was sent")
def costs(options: argparse.Namespace) -> str:
    allowed = 10.0 if "/debug/" in options.apus else 1.0
    costs: list[tuple[float, str]] = []
    with Server(options.apus, "--signup", "open") as server, taking_at_most(server, STRANGERS_BYTES, "dear requests"):
        for name, request in [*bodies(), *heads()]:
            before, times = processor_seconds(server), 4
            for _ in range(times):
                with server.wire(60) as wire:
                    sent(wire, request)
                    true(answered(wire), f"no answer to {name}")
            # What each request costs, however short it is, is not what is looked for.
            cost = (processor_seconds(server) - before) / (times * max(len(request), 16 << 10) / MIB)
            costs.append((cost, name))
            true(cost <= allowed, f"{name}: {cost:.1f} seconds for each megabyte")
        expected(server.get("/health"), 200)
    return "the dearest: " + ", ".join(f"{name} {cost:.2f} s/MB" for cost, name in sorted(costs, reverse=True)[:5])


# --- memory -----------------------------------------------------------------------------------------


@test("strangers who send large bodies without a token, or with a wrong one, are refused before they are read")
def large_bodies(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server, contextlib.ExitStack() as stack:
        with taking_at_most(server, STRANGERS_BYTES, "40 bodies of 75 MB"):
            body = bytes(75_000_000 - 1)
            for number in range(40):
                path = ["/health", CHALLENGE, "/api/v1/collection/", "/nowhere"][number % 4]
                more = [("Authorization", f"Token {'x' * 40}")] if number % 3 else []
                wire = stack.enter_context(server.wire())
                if number % 2:
                    head = request_bytes("POST", path, [*more, ("Content-Type", MSGPACK), ("Content-Length", "75000000")])
                else:
                    head = request_bytes("POST", path, [*more, ("Content-Type", MSGPACK), ("Transfer-Encoding", "chunked")]) + b"%x\r\n" % 75_000_000
                wire.send(head)
                if not number % 2:  # as far as one must look to see that it is long
                    sent(wire, body[: 2 * SHORT_BODY])
                answer = wire.receive()
                true(answer.status in (401, 403, 404, 405, 413), f"{answer} to a body for {path}")
                equal((answer.header("connection") or "").lower(), "close", "what is announced")
                sent(wire, body[: 4 * MIB])
            expected(server.get("/health"), 200)


@test("what strangers keep the server waiting for takes little memory: heads, bodies, answers, requests sent ahead")
def held(options: argparse.Namespace) -> None:
    body = bytes(SHORT_BODY)
    head = request_bytes("GET", "/health", [("X-Long", "a" * 70_000)])
    kinds = {
        "idle connections": b"", "heads without their ends": head[:-2], "bodies without their ends": posted(CHALLENGE, body)[:-1],
        "requests sent ahead": b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" * 90, "requests sent ahead in mass": b"GET / HTTP/1.1\r\n\r\n" * 1000,
        "bodies in small pieces": request_bytes("POST", CHALLENGE, [("Transfer-Encoding", "chunked")]) + b"1\r\na\r\n" * 1000,
    }
    with Server(options.apus) as server:
        for name, data in kinds.items():
            # What is sent ahead is worked on; that takes time, which is counted elsewhere.
            times = 100 if "ahead" in name else 800
            with contextlib.ExitStack() as stack, taking_at_most(server, STRANGERS_BYTES, f"{times} times {name}"):
                before = processor_seconds(server)
                for _ in range(times):
                    try:
                        wire = stack.enter_context(server.wire(5))
                    except OSError:
                        continue
                    sent(wire, data)
                with server.wire(120) as wire:
                    wire.send(request_bytes("GET", "/health"))
                    expected(wire.receive(), 200)
                # Whoever comes next waits for all that came before.
                true(processor_seconds(server) - before < 15, f"others wait too long behind {name}")


@test("who sends many requests at once keeps nobody else waiting for all of them")
def ahead(options: argparse.Namespace) -> None:
    connections, requests = 100, 90
    ahead = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" * requests
    with Server(options.apus) as server, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.wire(60)) for _ in range(connections)]
        for wire in wires:
            wire.send(ahead)
        with server.wire(60) as wire:
            wire.send(request_bytes("GET", "/health"))
            expected(wire.receive(), 200)
        # All are answered, each connection's in order; when the other was, few of them were.
        answered = sum(waiting(wire).count(b"HTTP/1.1 404") for wire in wires)
        true(answered < connections * requests / 3, f"{answered} requests were answered before one that came alone")
        for wire in wires[:10]:
            for _ in range(requests):
                expected(wire.receive(), 404)


def waiting(wire: Wire) -> bytes:
    """What has come and was not read, as far as it fits the system's buffer."""
    wire.socket.setblocking(False)
    try:
        return wire.socket.recv(1 << 20, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    finally:
        wire.socket.settimeout(60)


@test("bodies of one user take no more memory than is allowed, others are told to come again, and it is given back")
def budget(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--memory", "64MiB") as server:
        client = person(server, "alice")
        expected(client.create_collection(uid("notes")), 201)
        fields = [("Authorization", f"Token {client.token}"), ("Content-Type", MSGPACK)]
        path = f"/api/v1/collection/{uid('notes')}/item/batch/"
        body = pack({"items": [offered(uid(number), uid("r", number), b"", [(uid("c", number), bytes(MIB))]) for number in range(12)], "deps": None})
        with contextlib.ExitStack() as stack, taking_at_most(server, 64 * MIB, "ten bodies of 12 MiB"):
            refused = 0
            for _ in range(10):
                wire = stack.enter_context(server.wire(0.5))
                if sent(wire, request_bytes("POST", path, fields, body)[:-1]) < len(body) - 1:
                    pass
                with contextlib.suppress(OSError, http.client.HTTPException):
                    wire.socket.settimeout(1)
                    expected(wire.receive(), 503)
                    refused += 1
            true(refused >= 5, f"{refused} of 10 were refused")
            expected(client.commit(uid("notes"), [offered(uid("small"), uid("small", 1), b"meta")]), 200)
        for _ in range(50):
            answer = client.another().call("POST", path, body=body)
            if answer.status == 200:
                break
            time.sleep(0.2)
        expected(answer, 200)
        client.close()


# --- time ---------------------------------------------------------------------------------------------


@test("heads and bodies that do not come are not waited for, nor those that come by the byte")
def slow(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server, contextlib.ExitStack() as stack:
        request = posted(CHALLENGE, pack({"username": "a" * 1000}))
        head = request.index(b"\r\n\r\n") + 4
        wires = {name: [stack.enter_context(server.wire(60)) for _ in range(20)] for name in ("nothing", "a head", "a body", "a body by the byte")}
        for wire in wires["a head"]:
            wire.send(request[: head - 3])
        for wire in wires["a body"] + wires["a body by the byte"]:
            wire.send(request[: head + 1])
        began, ended = time.monotonic(), {}
        while len(ended) < len(wires) and time.monotonic() < began + 50:
            for name, some in wires.items():
                if name in ended:
                    continue
                if name.endswith("byte"):
                    for wire in some:
                        with contextlib.suppress(OSError):
                            wire.send(b"a")
                if all(is_over(wire) for wire in some):
                    ended[name] = time.monotonic() - began
            time.sleep(0.5)
        equal(sorted(ended), sorted(wires), "what has an end")
        true(max(ended["nothing"], ended["a head"]) < 20, f"heads must come within ten seconds: {ended}")


def is_over(wire: Wire) -> bool:
    wire.socket.setblocking(False)
    try:
        return wire.socket.recv(65536, socket.MSG_PEEK) is not None
    except BlockingIOError:
        return False
    except OSError:
        return True


@test("work whose client has gone is dropped")
def gone(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "alice")
        expected(client.create_collection(uid("notes")), 201)
        items = [offered(uid(number), uid("r", number), b"m" * 1000) for number in range(2000)]
        expected(client.commit(uid("notes"), items), 200)
        ask = request_bytes("GET", f"/api/v1/collection/{uid('notes')}/item/?limit=1000", [("Authorization", f"Token {client.token}")])
        for _ in range(200):
            with server.wire() as wire:
                wire.send(ask)
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        expected(server.get("/health"), 200)
        true("error" not in server.log, "nobody is to be told of clients that went away")
        client.close()


# --- connections --------------------------------------------------------------------------------------


def limited(options: argparse.Namespace, files: int, soft: int | None = None) -> str:
    """A program that starts Apus with a limit of open files."""
    path = Path(support.tempfile.mkdtemp(prefix="apus-limited.")) / "apus"
    path.write_text(f'#!/bin/sh\nulimit -n {files}\nulimit -Sn {soft or files}\nexec "{options.apus}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@test("idle connections beyond the limit of open files keep nobody out, who is connected is served on, and the server rests")
def descriptors(options: argparse.Namespace) -> None:
    for files in (256, 1024):
        with Server(limited(options, files), "--signup", "open") as server, contextlib.ExitStack() as stack:
            client = person(server, "alice")
            expected(client.create_collection(uid("notes")), 201)
            for _ in range(files + 100):
                with contextlib.suppress(OSError):
                    stack.enter_context(server.wire(2))
            for number in range(40):
                expected(client.commit(uid("notes"), [offered(uid(number), uid("r", number), b"meta")]), 200)
                expected(client.another().get(f"/api/v1/collection/{uid('notes')}/item/"), 200)
            opened = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            true(opened < files - 20, f"{opened} of {files} descriptors are used: some must be kept free")
            before = processor_seconds(server)
            time.sleep(2)
            used = processor_seconds(server) - before
            true(used < 1, f"{used:.1f} s of processor time in two seconds in which nobody asks for anything")
            client.close()


@test("the soft limit of open files is raised")
def soft_limit(options: argparse.Namespace) -> None:
    with Server(limited(options, 1024, 200), "--signup", "open") as server, contextlib.ExitStack() as stack:
        for number in range(300):
            wire = stack.enter_context(server.wire(5))
            wire.send(request_bytes("GET", "/health"))
            expected(wire.receive(), 200)


@test("connections that do not fit below the limit of open files are a mistake of the operator's")
def too_many(options: argparse.Namespace) -> None:
    done = support.apus(limited(options, 256), "serve", "--connections", "300", "--data", support.tempfile.mkdtemp())
    true(done.returncode != 0 and "300" in done.stderr and "256" in done.stderr, f"{done.returncode}: {done.stderr}")


@test("one address cannot take all connections of strangers")
def addresses(options: argparse.Namespace) -> None:
    with Server(options.apus, "--connections", "40") as server, contextlib.ExitStack() as stack:
        for _ in range(60):
            wire = stack.enter_context(server.wire(5))
            wire.send(posted(CHALLENGE, bytes(1000))[:-1])
        other = socket.create_connection(("127.0.0.1", server.port), timeout=5, source_address=("127.0.0.2", 0))
        stack.enter_context(contextlib.closing(other))
        other.sendall(request_bytes("GET", "/health"))
        true(other.recv(100).startswith(b"HTTP/1.1 200"), "another address must be served")


@test("newcomers beyond the room for strangers are all answered, whether they come through a proxy or from everywhere, and none is cut off")
def storm(options: argparse.Namespace) -> None:
    newcomers = 900
    for flags in (["--trust-proxy"], []):
        with Server(options.apus, "--signup", "open", "--connections", "1000", *flags) as server, contextlib.ExitStack() as stack:
            client = person(server, "alice")
            sockets = []
            for number in range(newcomers):  # 750 of them have room
                source = f"127.0.1.{number % 200 + 1}"
                one = socket.create_connection(("127.0.0.1", server.port), timeout=120, source_address=(source, 0))
                sockets.append(stack.enter_context(contextlib.closing(one)))
                user = {"username": f"user{number}", "email": f"{number}@a.example"}
                body = pack({"user": user, "salt": b"s" * 32, "loginPubkey": bytes([number % 256]) * 32, "pubkey": b"p" * 32, "encryptedContent": b"c"})
                one.sendall(posted(SIGN_UP, body, MSGPACK, ("X-Forwarded-For", source)))
            failed = {}
            for number, one in enumerate(sockets):
                try:
                    answer = one.recv(100)
                except ConnectionError as error:
                    answer = repr(error).encode()
                if not answer.startswith(b"HTTP/1.1 200"):
                    failed[number] = answer
            equal(failed, {}, f"who of {newcomers} newcomers was not served ({flags})")
            expected(client.another().get("/api/v1/collection/"), 200)
            client.close()


@test("who is silent, and goes on coming, keeps no client out")
def flood(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--connections", "100") as server, contextlib.ExitStack() as stack:
        client = person(server, "alice")
        silent: list[socket.socket] = []
        for number in range(600):
            one = socket.socket()
            one.setblocking(False)
            one.bind((f"127.0.1.{number % 200 + 1}", 0))
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", server.port))
            silent.append(stack.enter_context(contextlib.closing(one)))
            if number % 50 == 49:
                time.sleep(0.2)  # so that the first of them are let in, who stay with the operating system for a second
                expected(client.another().get("/api/v1/collection/"), 200)
                expected(client.get("/api/v1/collection/"), 200)
        client.close()


# --- hosts --------------------------------------------------------------------------------------------


@test("a request with two hosts is refused")
def two_hosts(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        for hosts in (["a.example", "b.example"], ["a.example", "a.example"], ["a.example, b.example"], ["a/b"], ["a@b"], ["a b"]):
            with server.wire(5) as wire:
                wire.send("".join(["GET /health HTTP/1.1\r\n", *(f"Host: {host}\r\n" for host in hosts), "\r\n"]).encode())
                expected(wire.receive(), 400)


@test("a socket in the file system serves, is not taken from who listens on it, and is taken from who has ended")
def unix_socket(options: argparse.Namespace) -> None:
    folder = Path(support.tempfile.mkdtemp(prefix="apus-socket."))
    command = [options.apus, "serve", "--listen", f"unix:{folder}/apus.sock", "--data"]
    for round_ in range(2):
        server = support.subprocess.Popen(
            [*command, str(folder / "data")], stdout=support.subprocess.DEVNULL, stderr=support.subprocess.DEVNULL,
            env=support.clean_environment({}))
        try:
            status = b""
            for _ in range(300):
                with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                    client.connect(f"{folder}/apus.sock")
                    client.sendall(request_bytes("GET", "/live"))
                    status = client.recv(100)
                    break
                time.sleep(0.1)
            true(status.startswith(b"HTTP/1.1 200"), f"{status!r} in round {round_}")
            second = support.apus(*command, str(folder / "other"))
            true(second.returncode != 0 and "listens" in second.stderr, f"{second.returncode}: {second.stderr}")
        finally:
            server.kill() if round_ == 0 else server.terminate()
            server.wait(40)


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
