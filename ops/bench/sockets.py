#!/usr/bin/env python3
"""Real time: how soon changes arrive, what idle sockets cost, and how long it takes until all have come back.

    sockets.py HARNESS FRONT_END GATEWAY fanout [--subscribers N] [--kill PID]
    sockets.py HARNESS FRONT_END GATEWAY idle PID [--sockets N] [--storm N]

HARNESS is the folder of the load harness, whose client is used. FRONT_END and GATEWAY are addresses, which may be the same.
`fanout` is the harness' own, against processes without a proxy before them; with --kill it ends a process (Redis) once all
have subscribed. `idle` opens sockets on which nothing happens, ten to a collection, and reads the memory of the gateway
PID; then a number of them are cut off and come back at the same time.
"""

import argparse
import asyncio
import base64
import os
import random
import secrets
import signal
import sys
import time

import msgpack


def fanout(options: argparse.Namespace) -> None:
    import fanout as harness
    import websockets
    from etebench import fixture

    connect, opened = websockets.connect, 0

    async def connect_to_gateway(url: str, **arguments):
        nonlocal opened
        socket = await connect(url.replace(options.front.split("//")[1], options.gateway.split("//")[1]), **arguments)
        opened += 1
        if opened == options.subscribers and options.kill:
            os.kill(options.kill, signal.SIGKILL)
        return socket

    websockets.connect = connect_to_gateway
    user = fixture.load(fixture.default_path(options.front))["users"][0]
    collection = next(c for c in user["collections"] if c["role"] == "write")
    print(harness.row(asyncio.run(harness.probe(options.front, user["token"], collection["uid"], options.subscribers))))


# --- idle sockets -----------------------------------------------------------------------------------


def address(url: str) -> tuple[str, int]:
    host, port = url.split("//")[1].rstrip("/").split(":")
    return host, int(port)


class Idle:
    """A socket that answers pings and does nothing else."""

    def __init__(self, options: argparse.Namespace, token: str, collection: str, stoken: str) -> None:
        self.options, self.token, self.collection, self.stoken = options, token, collection, stoken
        self.writer: asyncio.StreamWriter | None = None
        self.refused = self.cut_off = 0
        # Clients have addresses of their own, of which a server may take a few hundred strangers each.
        self.place = (f"127.{secrets.randbelow(250) + 1}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 1}", 0)

    async def ticket(self) -> str:
        while (ticket := await self.ask_for_ticket()) is None:
            self.refused += 1
            await asyncio.sleep(random.random())
        return ticket

    async def ask_for_ticket(self) -> str | None:
        reader, writer = await asyncio.open_connection(*address(self.options.front), local_addr=self.place)
        writer.write(
            f"POST /api/v1/collection/{self.collection}/item/subscription-ticket/ HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Token {self.token}\r\nAccept: application/msgpack\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        writer.close()
        if not answer:
            self.cut_off += 1
        if not answer or answer.startswith(b"HTTP/1.1 503"):
            return None
        head, body = answer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        return msgpack.unpackb(body)["ticket"]

    async def open(self) -> None:
        """Comes again after up to a second wherever it is told to come later."""
        ticket, issued = await self.ticket(), time.monotonic()
        while True:
            reader, writer = await asyncio.open_connection(*address(self.options.gateway), limit=1 << 12, local_addr=self.place)
            writer.write(
                f"GET /api/v1/ws/{ticket}/?stoken={self.stoken} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
            try:
                status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            except (asyncio.IncompleteReadError, ConnectionError):
                self.cut_off += 1
                status = b"503"
            if status == b"101":
                self.writer, self.task = writer, asyncio.create_task(self.answer(reader, writer))
                return
            writer.close()
            if status not in (b"503", b"403"):
                raise RuntimeError(f"a socket was refused with {status!r}")
            self.refused += 1
            await asyncio.sleep(random.random())
            # The ticket may have been used up by an answer that came to nothing.
            if status == b"403" or time.monotonic() - issued > 8:
                ticket, issued = await self.ticket(), time.monotonic()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, length = await reader.readexactly(2)
                if kind != 0x89 or length:
                    raise RuntimeError(f"a frame came: {kind:x}")
                writer.write(b"\x8a\x80\0\0\0\0")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def cut(self) -> None:
        self.writer.transport.abort()


def resident(pid: int) -> int:
    """In KiB."""
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().split("VmRSS:")[1].split()[0])


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


async def open_all(sockets: list[Idle], at_once: int) -> float:
    began, gate = time.monotonic(), asyncio.Semaphore(at_once)

    async def one(socket: Idle) -> None:
        async with gate:
            await socket.open()

    await asyncio.gather(*map(one, sockets))
    return time.monotonic() - began


async def idle(options: argparse.Namespace) -> None:
    from etebench import client

    rng, places = random.Random(1), []
    while len(places) * 10 < options.sockets:
        user, session = client.User("idle" + secrets.token_hex(6)), client.Session(options.front)
        session.token = user.signup(session)
        kind = secrets.token_bytes(40)
        for _ in range(10):
            uid, stoken = client.create_collection(session, rng, kind), None
            # The list without the collection's own item is empty and has no stoken; the collection has one.
            stoken = session.call("GET", f"/collection/{uid}/")["stoken"]
            places.append((session.token, uid, stoken))
        session.close()
    sockets = [Idle(options, *places[number % len(places)]) for number in range(options.sockets)]
    # So that what is measured is sockets, not what a process needs to serve its first.
    await open_all(sockets[:100], 10)
    await asyncio.sleep(3)
    before = resident(options.pid)
    seconds = await open_all(sockets[100:], 100)
    for wait in (3, 40):
        await asyncio.sleep(wait)
        grown = resident(options.pid) - before
        print(f"{len(sockets)} sockets on {len(places)} collections, after {wait} s: {grown / (len(sockets) - 100):.1f} KiB each "
              f"({before} KiB before; opened in {seconds:.1f} s; {load()})", flush=True)
    cut = rng.sample(sockets, options.storm)
    for socket in cut:
        socket.cut()
        socket.refused = socket.cut_off = 0
    await asyncio.sleep(2)
    seconds = await open_all(cut, options.storm)
    print(f"{len(cut)} cut off have come back after {seconds:.1f} s; told to come later {sum(one.refused for one in cut)} times, "
          f"cut off again {sum(one.cut_off for one in cut)} times; {load()}")
    print(f"{(resident(options.pid) - before) / (len(sockets) - 100):.1f} KiB for each socket after that")
    for socket in sockets:
        socket.cut()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("harness")
    parser.add_argument("front")
    parser.add_argument("gateway")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("fanout")
    command.add_argument("--subscribers", type=int, default=100)
    command.add_argument("--kill", type=int)
    command = commands.add_parser("idle")
    command.add_argument("pid", type=int)
    command.add_argument("--sockets", type=int, default=10_000)
    command.add_argument("--storm", type=int, default=5_000)
    options = parser.parse_args()
    sys.path.insert(0, options.harness)
    if options.command == "fanout":
        fanout(options)
    else:
        asyncio.run(idle(options))


if __name__ == "__main__":
    main()
