"""Listens to collections over WebSockets: everything comes once and in order, whoever writes, however slow one reads, and
nothing comes to those who may not listen any more."""

from __future__ import annotations

import random
import socket as sockets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common
from common import (
    PATIENCE_SECONDS, Client, Listener, Server, equal, expected, listed, new_collection, opened, put, refusal, retry, share,
    somebody, test, ticket, true, uid)
from support import Wire, offered, request_bytes
from websockets.exceptions import ConnectionClosed


def after_close(socket) -> tuple[list[bytes], int | None]:
    """What comes until the server closes, and the code with which it does."""
    frames = []
    try:
        while True:
            frames.append(socket.recv(timeout=PATIENCE_SECONDS))
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else None


def operate(server: Server, *command: str) -> None:
    """Runs a command of the operator's beside the server."""
    database = ["--database-url", common.option(server, "--database-url")] if "--database-url" in server.flags else []
    done = server.apus(*command, *database, environment=server.environment)
    equal(done.returncode, 0, f"exit code of {command} ({done.stderr[-300:]})")


def upgrade(target: str, version: str = "13") -> bytes:
    return request_bytes("GET", f"/api/v1/ws/{target}", [
        ("Host", "127.0.0.1"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", version)])


def handshaken(server: Server, a_ticket: str, stoken: str) -> Wire:
    """A bare connection on which the handshake is done, from which nobody reads."""
    wire = server.wire(PATIENCE_SECONDS)
    wire.send(upgrade(f"{a_ticket}/?stoken={stoken}"))
    equal(wire.file.readline().split()[1], b"101", "status")
    while wire.file.readline() != b"\r\n":
        pass
    return wire


# --- delivery -------------------------------------------------------------------------------------


@test("a frame is byte for byte what the list of items says after the stoken before it, contents of chunks and all")
def like_the_list(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    put(alice, notes, "one", size=1000)
    stoken = alice.stoken(notes)
    with Listener(alice, notes, stoken) as listener:
        for revision, items in enumerate((["two"], ["one", "three"], [notes])):
            before = listener.stoken
            put(alice, notes, *items, revision=revision + 1, size=2000)
            count = len(listener.frames)
            listener.wait("a frame", lambda: len(listener.frames) > revision)
            equal(count in (revision, revision + 1), True, "one frame for each batch")
            answer = alice.get(f"/api/v1/collection/{notes}/item/", stoken=before, withCollection="true")
            equal(listener.frames[revision], expected(answer, 200).body, f"frame {revision}")


def contents(frames: list[bytes]) -> dict[str, list[tuple[str, bool]]]:
    """For each item that came its chunks, and whether the content was there; later ones over earlier ones."""
    return {item["uid"]: [(chunk, content is not None) for chunk, content in item["content"]["chunks"]]
            for frame in frames for item in common.unpack(frame)["data"]}


@test("a chunk that the item had when the listener last had everything comes without its content, every other one with it")
def known_chunks(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    one, two, alone = (uid(notes, name, "chunk") for name in ("one", "two", "alone"))

    def revise(item: str, number: int, *chunks: tuple[str, bytes | None]) -> None:
        expected(alice.commit(notes, [offered(item, uid(notes, item, number), b"meta", list(chunks))]), 200)

    revise("a", 1, (one, b"1"))
    stoken = alice.stoken(notes)
    # Uploaded by itself, which no revision of the item had.
    expected(alice.call("PUT", f"/api/v1/collection/{notes}/item/a/chunk/{alone}/", b"0"), 201)
    with Listener(alice, notes, stoken) as listener, Listener(alice, notes) as newcomer:
        newcomer.wait("the backlog", lambda: newcomer.has("a"))
        for item, number, chunks, wanted in (
                ("a", 2, [(one, None), (two, b"2"), (alone, None)], [(one, False), (two, True), (alone, True)]),
                ("a", 3, [(two, None)], [(two, False)]),
                # A chunk that went and comes again, and one that another item has.
                ("a", 4, [(one, None), (two, None)], [(one, True), (two, False)]),
                ("b", 1, [(one, None)], [(one, True)])):
            revise(item, number, *chunks)
            for which in (listener, newcomer):
                which.wait("the revision", lambda: (item, uid(notes, item, number)) in which.items)
                equal(contents(which.frames)[item], wanted, f"contents of {item} at revision {number}")
        with Listener(alice, notes, stoken) as again, Listener(alice, notes) as first:
            for which in (again, first):
                which.wait("everything", lambda: which.has("b"))
            equal(contents(again.frames), {"a": [(one, False), (two, True)], "b": [(one, True)]}, "contents from a stoken")
            true(all(has for chunks in contents(first.frames).values() for _, has in chunks), "a first backlog has all contents")


@test("further pages of a backlog leave out no content of revisions that came in none of them")
def known_chunks_in_pages(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    chunk, later = uid(notes, "chunk"), uid(notes, "later chunk")
    expected(alice.commit(notes, [offered("moved", uid(notes, "moved", 1), b"meta", [(chunk, b"1")])]), 200)
    stoken = alice.stoken(notes)
    expected(alice.commit(notes, [offered("moved", uid(notes, "moved", 2), b"meta", [(chunk, None), (later, b"2")])]), 200)
    put(alice, notes, *[f"item{number}" for number in range(60)])
    expected(alice.commit(notes, [offered("moved", uid(notes, "moved", 3), b"meta", [(chunk, None), (later, None)])]), 200)
    with Listener(alice, notes) as first, Listener(alice, notes, stoken) as second:
        for listener, has in ((first, True), (second, False)):
            listener.wait("the item that moved", lambda: listener.has("moved"))
            true(len(listener.frames) > 1, "there must be several pages")
            equal(contents(listener.frames)["moved"], [(chunk, has), (later, True)], "contents")


@test("a long backlog comes in pages that carry the stoken on, and what is written meanwhile follows without a gap")
def backlog(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    for start in range(0, 180, 60):
        put(alice, notes, *[f"old{number}" for number in range(start, start + 60)])
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [put(alice.another(), notes, f"new{number}") for number in range(40)])
        with Listener(alice, notes) as listener:
            writing.result()
            listener.wait("everything", lambda: listener.has("new39"))
            equal(listener.items, listed(alice, notes), "what came")
            true(len({common.unpack(frame)["stoken"] for frame in listener.frames}) == len(listener.frames), "a stoken was repeated")


@test("what the operator brings back is told like any other change")
def brought_back(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    put(alice, notes, "one")
    deletion = offered("one", uid(notes, "deletion"), b"meta")
    deletion["content"]["deleted"] = True
    expected(alice.commit(notes, [deletion]), 200)
    with Listener(alice, notes, alice.stoken(notes)) as listener:
        operate(server, "undelete", "--collection", notes)
        listener.wait("the item", lambda: listener.has("one"))
        equal(listener.items, [("one", uid(notes, "one", 0))], "what came")
        answer = alice.get(f"/api/v1/collection/{notes}/item/one/")
        equal(expected(answer, 200).value["content"]["uid"], uid(notes, "one", 0), "the item's etag")


@test("from an old stoken comes what is newer, from the last nothing, from one of elsewhere what is newer than that")
def from_stokens(server: Server) -> None:
    alice = somebody(server)
    notes, other = new_collection(alice), new_collection(alice)
    put(alice, notes, "one")
    old = alice.stoken(notes)
    put(alice, notes, "two")
    put(alice, other, "elsewhere")
    foreign = alice.stoken(other)
    with Listener(alice, notes, old) as listener, Listener(alice, notes, alice.stoken(notes)) as last, \
            Listener(alice, notes, foreign) as stranger:
        listener.wait("the newer item", lambda: listener.has("two"))
        put(alice, notes, "three")
        for one in (listener, last, stranger):
            one.wait("the newest item", lambda: one.has("three"))
        equal([item for item, _ in listener.items], ["two", "three"], "from an old stoken")
        equal([item for item, _ in last.items], ["three"], "from the last stoken")
        equal([item for item, _ in stranger.items], ["three"], "from a stoken of another collection")


@test("with several writers each subscriber has each change once and in order, those too that come back with stokens")
def many(server: Server) -> str:
    alice = somebody(server)
    notes = new_collection(alice)
    writers, each = 4, 30
    listeners = [Listener(alice, notes) for _ in range(6)]
    broken = 0

    def write(writer: int) -> None:
        client = alice.another()
        for number in range(each):
            put(client, notes, *[f"w{writer}n{number}i{item}" for item in range(number % 3 + 1)])

    with ThreadPoolExecutor(writers) as pool:
        writing = [pool.submit(write, writer) for writer in range(writers)]
        choice = random.Random(5)
        while not all(one.done() for one in writing):
            listener = choice.choice(listeners[:3])
            # The network goes away without a word.
            listener.socket.socket.shutdown(sockets.SHUT_RDWR)
            listener.thread.join(PATIENCE_SECONDS)
            listener.open()
            broken += 1
        for one in writing:
            one.result()
    wanted = listed(alice, notes)
    for listener in listeners:
        listener.wait("everything", lambda: len(listener.items) >= len(wanted))
        equal(listener.items, wanted, "what came")
        listener.close()
    return f"{len(wanted)} items, {broken} sockets broken"


@test("an empty batch and a repeated revision are not told")
def only_what_happened(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    put(alice, notes, "one")
    with Listener(alice, notes, alice.stoken(notes)) as listener:
        expected(alice.commit(notes, []), 200)
        put(alice, notes, "one")
        put(alice, notes, "two")
        listener.wait("the next change", lambda: listener.has("two"))
        equal([item for item, _ in listener.items], ["two"], "what came")


@test("one that does not read costs the server no memory and others no time, and gets everything when it does")
def slow(server: Server) -> str:
    alice = somebody(server)
    notes = new_collection(alice)
    stoken = alice.stoken(notes)

    def resident() -> int:
        text = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) // 1024

    with handshaken(server, ticket(alice, notes), stoken) as wire, Listener(alice, notes, stoken) as listener:
        put(alice, notes, "first", size=300_000)
        listener.wait("the first item", lambda: listener.has("first"))
        before = resident()
        for number in range(120):
            put(alice, notes, f"item{number}", size=500_000)
        listener.wait("everything", lambda: listener.has("item119"))
        grown = resident() - before
        true(grown < 40, f"the server grew by {grown} MiB while 60 MB were written")
        wanted = listed(alice, notes)[1:]
        # Only now the slow one reads.
        items: list[tuple[str, str]] = []
        while len(items) < len(wanted):
            items += [(item["uid"], item["content"]["uid"]) for item in common.unpack(message(wire))["data"]]
        equal(items, wanted, "what came to the slow one")
        equal(listener.items, wanted, "what came to the other")
    return f"{grown} MiB"


def message(wire: Wire) -> bytes:
    """The next binary message on a bare connection."""
    while True:
        kind, length = wire.file.read(2)
        if length == 126:
            length = int.from_bytes(wire.file.read(2), "big")
        elif length == 127:
            length = int.from_bytes(wire.file.read(8), "big")
        data = wire.file.read(length)
        if kind == 0x82:
            return data


# --- tickets and handshakes -----------------------------------------------------------------------


@test("of many that redeem a ticket at the same time one gets the socket")
def once(server: Server) -> None:
    alice = somebody(server)
    a_ticket = ticket(alice, new_collection(alice))
    barrier = threading.Barrier(12)

    def redeem() -> int:
        barrier.wait()
        try:
            opened(server, a_ticket).close()
            return 101
        except common.InvalidStatus as refused:
            return refused.response.status_code

    with ThreadPoolExecutor(12) as pool:
        found = sorted(future.result() for future in [pool.submit(redeem) for _ in range(12)])
    equal(found, [101] + [403] * 11, "statuses")


@test("a ticket is void once the member was removed or has left, or the user was disabled")
def void_tickets(server: Server) -> None:
    for name, revoke in REVOCATIONS.items():
        if name in ("logout", "a changed password"):
            continue
        owner, guest = somebody(server), somebody(server)
        notes = new_collection(owner)
        share(owner, guest, notes)
        a_ticket = ticket(guest, notes)
        revoke(server, owner, guest, notes)
        with opened(server, a_ticket) as socket:
            equal(after_close(socket), ([], 1008), "what comes")


@test("after a logout a ticket is good for what was there when it was issued, in pages, and then the socket is closed with 1008")
def after_logout(server: Server) -> None:
    owner, guest = somebody(server), somebody(server)
    notes = new_collection(owner)
    share(owner, guest, notes)
    put(owner, notes, *[f"old{number}" for number in range(120)])
    old = listed(owner, notes)
    a_ticket, from_its_end = ticket(guest, notes), ticket(guest, notes)
    end = owner.stoken(notes)
    log_out(server, owner, guest, notes)
    put(owner, notes, "new", "old7", revision=1)
    owner.stoken(notes)  # the tables have it: before that, old7 is as it was when the ticket was issued
    with opened(server, a_ticket) as socket:
        frames, code = after_close(socket)
        pages = [common.unpack(frame) for frame in frames]
        equal([(item["uid"], item["content"]["uid"]) for page in pages for item in page["data"]],
              [one for one in old if one[0] != "old7"], "what came")
        equal([page["done"] for page in pages], [False] * (len(pages) - 1) + [True], "which page is the last")
        equal(code, 1008, "code")
    with opened(server, from_its_end, end) as socket:
        equal(after_close(socket), ([], 1008), "what comes to one that had everything")


@test("after a logout and a revocation a ticket is good for nothing")
def after_both(server: Server) -> None:
    for name in ("removal", "disabling"):
        owner, guest = somebody(server), somebody(server)
        notes = new_collection(owner)
        share(owner, guest, notes)
        a_ticket = ticket(guest, notes)
        log_out(server, owner, guest, notes)
        REVOCATIONS[name](server, owner, guest, notes)
        with opened(server, a_ticket) as socket:
            equal(after_close(socket), ([], 1008), f"what comes after a logout and {name}")


@test("with a stoken that nobody can know the socket is open and silent, and is closed with 1008 after three seconds")
def unknown_stokens(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    began = time.monotonic()
    silent = {unknown: opened(server, ticket(alice, notes), unknown) for unknown in
              ("bad", "%00", "A" * 31, "A" * 33, "A" * 31 + "%2B")}
    put(alice, notes, "one")
    for unknown, socket in silent.items():
        equal(after_close(socket), ([], 1008), f"what comes with the stoken {unknown}")
        true(time.monotonic() - began > 2.5, "it must not be closed earlier")


@test("handshakes that are none are refused: no upgrade, a wrong version, no key, bad tickets, bad stokens")
def bad_handshakes(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    for bad in ("x", "no-such-ticket", "A" * 43 + "=", "%00", "é"):
        equal(refusal(server, bad), 403, f"status for the ticket {bad}")
    for bad in ("A" * 32, "-_" * 16):
        answer_status = refusal(server, ticket(alice, notes), bad)
        equal(answer_status, 400, f"status for the stoken {bad}")
    a_ticket = ticket(alice, notes)
    equal(server.get(f"/api/v1/ws/{a_ticket}/").status, 404, "without an upgrade")
    equal(server.send("POST", f"/api/v1/ws/{a_ticket}/").status, 405, "with POST")
    equal(server.get(f"/api/v1/wss/{a_ticket}/").status, 404, "another path")
    with server.wire() as wire:
        wire.send(upgrade(a_ticket + "/", version="8"))
        answer = wire.receive()
        equal((answer.status, answer.header("sec-websocket-version")), (400, "13"), "a wrong version")
        true(wire.is_closed(), "nothing can follow on this connection")
    with opened(server, a_ticket) as socket:
        true(socket.recv(timeout=PATIENCE_SECONDS), "the ticket must still be good")


@test("whatever a client sends but control frames closes with 1008, and what is no frame with 1002")
def clients_are_silent(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    stoken = alice.stoken(notes)
    for message in ("text", b"binary", b"", "x" * 100_000):
        with opened(server, ticket(alice, notes), stoken) as socket:
            socket.send(message)
            equal(after_close(socket), ([], 1008), f"after {message[:10]!r}")
    masked = b"\x82\x81\0\0\0\0x"
    for data, code in ((masked, 1008), (b"\x81\x01x", 1002), (b"\x89\x00", 1002), (b"\x83\x80\0\0\0\0", 1002), (b"\xf2\x80\0\0\0\0", 1002)):
        with handshaken(server, ticket(alice, notes), stoken) as wire:
            wire.send(data)
            equal(wire.file.read(4), b"\x88\x02" + code.to_bytes(2, "big"), f"answer to {data!r}")


@test("pings are answered, and a close is answered with a close")
def control_frames(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    with opened(server, ticket(alice, notes), alice.stoken(notes)) as socket:
        true(socket.ping().wait(PATIENCE_SECONDS), "a pong")
        socket.close(1001)
        equal(socket.protocol.close_rcvd.code, 1000, "the close that answers")


# --- revocation -----------------------------------------------------------------------------------


def remove(server: Server, owner: Client, guest: Client, notes: str) -> None:
    expected(owner.call("DELETE", f"/api/v1/collection/{notes}/member/{guest.name}/"), 204)


def leave(server: Server, owner: Client, guest: Client, notes: str) -> None:
    expected(guest.post(f"/api/v1/collection/{notes}/member/leave/", None), 204)


def log_out(server: Server, owner: Client, guest: Client, notes: str) -> None:
    expected(guest.post("/api/v1/authentication/logout/", None), 204)


def disable(server: Server, owner: Client, guest: Client, notes: str) -> None:
    operate(server, "user", "disable", guest.name)


def change_password(server: Server, owner: Client, guest: Client, notes: str) -> None:
    """In another session of the guest's."""
    other = guest.another()
    expected(other.log_in(), 200)
    response = common.support.pack({
        "username": guest.name, "challenge": expected(other.challenge(), 200).value["challenge"], "host": server.authority,
        "action": "changePassword", "loginPubkey": bytes(guest.key.verify_key), "encryptedContent": b"new content"})
    expected(other.post("/api/v1/authentication/change_password/", {
        "response": response, "signature": guest.key.sign(response).signature}), 204)


REVOCATIONS = {"removal": remove, "leaving": leave, "logout": log_out, "disabling": disable, "a changed password": change_password}


@test("after a revocation nothing more comes: the socket is closed with 1008 before the next change is told")
def revoked(server: Server) -> None:
    for name, revoke in REVOCATIONS.items():
        for _ in range(1 if name == "disabling" else 5):
            owner, guest = somebody(server), somebody(server)
            notes = new_collection(owner)
            share(owner, guest, notes)
            stoken = owner.stoken(notes)
            with Listener(guest, notes, stoken) as listener, Listener(owner, notes, stoken) as witness:
                put(owner, notes, "before")
                listener.wait("a change", lambda: listener.has("before"))
                revoke(server, owner, guest, notes)
                put(owner, notes, "after")
                listener.wait("a close", lambda: listener.code is not None)
                equal(listener.code, 1008, f"the code after {name}")
                equal([item for item, _ in listener.items], ["before"], f"what came, before and after {name}")
                witness.wait("the change", lambda: witness.has("after"))


@test("a revocation closes sockets at which nothing happens, one that was made by another process too")
def revoked_in_silence(server: Server) -> None:
    for name, revoke in REVOCATIONS.items():
        owner, guest = somebody(server), somebody(server)
        notes = new_collection(owner)
        share(owner, guest, notes)
        with Listener(guest, notes) as listener:
            listener.wait("the backlog", lambda: listener.items)
            revoke(server, owner, guest, notes)
            listener.wait("a close", lambda: listener.code is not None)
            equal(listener.code, 1008, f"the code after {name}")


@test("a logout ends the sockets of its own session only")
def own_session(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    phone = Client(server, alice.name)
    expected(phone.log_in(), 200)
    stoken = alice.stoken(notes)
    with Listener(alice, notes, stoken) as first, Listener(phone, notes, stoken) as second:
        log_out(server, alice, phone, notes)
        second.wait("a close", lambda: second.code is not None)
        put(alice, notes, "one")
        first.wait("the change", lambda: first.has("one"))
        equal((first.code, second.code, second.items), (None, 1008, []), "what became of both")


# --- operation ------------------------------------------------------------------------------------


@test("SIGTERM closes all sockets with 1012, over some time, and the server ends with exit code 0, with a peer that answers nothing too",
      "--drain", "2s")
def drain(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    listeners = [Listener(alice, notes) for _ in range(30)]
    for listener in listeners:
        listener.wait("the backlog", lambda: listener.items)
    ends: list[float] = []
    began = time.monotonic()
    waiting = [threading.Thread(target=lambda one=one: (one.thread.join(), ends.append(time.monotonic() - began))) for one in listeners]
    for thread in waiting:
        thread.start()
    with handshaken(server, ticket(alice, notes), alice.stoken(notes)) as mute:
        equal(server.stop(), 0, "exit code")
        equal(mute.file.read()[-4:], b"\x88\x02" + (1012).to_bytes(2, "big"), "what the one got last that answers nothing")
    for thread in waiting:
        thread.join()
    equal([listener.code for listener in listeners], [1012] * 30, "codes")
    true(max(ends) - min(ends) > 0.5, f"the closes must be spread, not all come after {ends[0]:.1f} s")
    server.start()


@test("a peer that gives no sign of life is closed, one that answers pings is not", "--ping-interval", "1s")
def pings(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    stoken = alice.stoken(notes)
    with Listener(alice, notes, stoken, ping_interval=None) as listener, \
            handshaken(server, ticket(alice, notes), stoken) as wire:
        received = wire.file.read()
        true(b"\x89\x00" in received, "there must be a ping")
        put(alice, notes, "one")
        listener.wait("the change", lambda: listener.has("one"))


@test("a user has a limited number of sockets; one that is closed makes room", "--sockets-per-user", "3")
def limited(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    notes = new_collection(alice)
    listeners = [Listener(alice, notes) for _ in range(3)]
    equal(refusal(server, ticket(alice, notes)), 429, "status of one too many")
    Listener(bob, new_collection(bob)).close()
    listeners.pop().close()

    def has_room() -> bool:
        try:
            listeners.append(Listener(alice, notes))
            return True
        except common.InvalidStatus:
            return False

    retry("there must be room again", has_room)
    for listener in listeners:
        listener.close()


@test("of sockets that a user opens at the same time no more get in than the limit says", "--sockets-per-user", "3")
def limited_together(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    tickets = [ticket(alice, notes) for _ in range(24)]
    start, found = threading.Barrier(len(tickets)), []

    def open_one(a_ticket: str) -> None:
        start.wait()
        try:
            found.append(common.opened(server, a_ticket))
        except common.InvalidStatus as refused:
            equal(refused.response.status_code, 429, "status of one too many")

    threads = [threading.Thread(target=open_one, args=(a_ticket,)) for a_ticket in tickets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(len(found), 3, "sockets that are open")
    for socket in found:
        socket.close()


@test("sockets are opened at a limited rate; the ticket of one that is told to come later stays good", "--socket-rate", "2")
def limited_rate(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    tickets = [ticket(alice, notes) for _ in range(6)]
    statuses = []
    for a_ticket in tickets:
        try:
            opened(server, a_ticket).close()
            statuses.append(101)
        except common.InvalidStatus as refused:
            statuses.append(refused.response.status_code)
    true(503 in statuses and 101 in statuses and set(statuses) == {101, 503}, f"{statuses}")
    late = tickets[statuses.index(503)]

    def is_opened() -> bool:
        try:
            opened(server, late).close()
            return True
        except common.InvalidStatus as refused:
            equal(refused.response.status_code, 503, "status of a ticket that comes again")
            return False

    retry("the ticket must stay good", is_opened, 9)


@test("a front end of its own has no tickets to give, and opens no sockets", "--roles", "api,projector")
def front_end(server: Server) -> None:
    alice = somebody(server)
    notes = new_collection(alice)
    answer = alice.post(f"/api/v1/collection/{notes}/item/subscription-ticket/", {})
    expected(answer, 501, "not_implemented")
    equal(refusal(server, "x"), 404, "status of a handshake")


@test("what another process has written is told, without any hint", postgres_only=True)
def without_hints(server: Server) -> None:
    with Server(server.binary, *server.flags, environment=server.environment) as other:
        alice = somebody(server)
        notes = new_collection(alice)
        elsewhere = Client(other, alice.name, alice.token)
        with Listener(alice, notes) as here, Listener(elsewhere, notes) as there:
            for number in range(5):
                put(alice, notes, f"here{number}")
                put(elsewhere, notes, f"there{number}")
            wanted = listed(alice, notes)
            for listener in (here, there):
                listener.wait("everything", lambda: len(listener.items) >= len(wanted))
                equal(listener.items, wanted, "what came")


if __name__ == "__main__":
    common.main(__doc__)
