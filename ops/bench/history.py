#!/usr/bin/env python3
"""What sealing costs those who write, and how fast the history of a long log is: audit and apus log verify.

    history.py HARNESS APUS FOLDER [--database-url URL --postgres PID] [--events N] [--rounds N]

HARNESS is the folder of the load harness, whose client is used; APUS is the program, FOLDER the data folder of a new server.
The log is written by servers that seal it every second and by servers that do not, in turn. One event in a hundred is of the
collection whose audit is asked for. Items have no chunks, so that nothing but events is written: the less an event costs, the
more its seal weighs.
"""

import argparse
import math
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
import typing
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

USERS, COLLECTIONS, WRITERS, BATCH = 10, 100, 8, 50


class Server:
    """An apus serve, whose CPU time is counted when `with` is left."""

    def __init__(self, options: argparse.Namespace, seal_interval: str) -> None:
        self.options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.command = [
            options.apus, "serve", "--listen", self.url.split("//")[1], *options.place, "--signup", "open", "--log-level", "warning",
            "--seal-interval", seal_interval]

    def __enter__(self) -> "Server":
        self.database_before = database_seconds(self.options)
        self.process = subprocess.Popen(self.command)
        for _ in range(600):
            try:
                client.Session(self.url).call("GET", "/authentication/is_etebase/")
                return self
            except OSError:
                time.sleep(0.05)
        sys.exit("the server does not start")

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.process.pid, 0)
        if status:
            sys.exit(f"the server ended with {status}")
        self.cpu_seconds = usage.ru_utime + usage.ru_stime + database_seconds(self.options) - self.database_before


def database_seconds(options: argparse.Namespace) -> float:
    """The CPU time of a PostgreSQL."""
    return procstat.cpu_seconds([options.postgres]) if options.postgres else 0


class Ended(typing.NamedTuple):
    """A command that has ended."""

    seconds: float
    cpu_seconds: float
    """With that of a PostgreSQL."""
    mib: float
    said: str


def run(options: argparse.Namespace, *arguments: str) -> Ended:
    began, before = time.monotonic(), database_seconds(options)
    process = subprocess.Popen([options.apus, *arguments, *options.place], stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"apus {' '.join(arguments)}: {said}")
    cpu = usage.ru_utime + usage.ru_stime + database_seconds(options) - before
    return Ended(time.monotonic() - began, cpu, usage.ru_maxrss / 1024, said)


class Writers:
    """Users who write into a hundred collections in turn."""

    def __init__(self, server: Server) -> None:
        self.random, self.collections = random.Random(1), []
        for _ in range(USERS):
            user, session = client.User("history" + secrets.token_hex(6)), client.Session(server.url)
            session.token, kind = user.signup(session), secrets.token_bytes(40)
            for _ in range(COLLECTIONS // USERS):
                self.collections.append((client.create_collection(session, self.random, kind), session.token))

    def item(self) -> dict:
        content = {"uid": client.uid(32), "meta": self.random.randbytes(self.random.randint(150, 300)), "deleted": False, "chunks": []}
        return {"uid": client.uid(), "version": 1, "encryptionKey": None, "content": content, "etag": None}

    def write(self, server: Server, rounds: int) -> float:
        """Puts `rounds` batches into each collection; the seconds until all of it can be read."""
        def one(writer: int) -> None:
            session = client.Session(server.url)
            for _ in range(rounds):
                for collection, session.token in self.collections[writer::WRITERS]:
                    client.put_items(session, collection, [self.item() for _ in range(BATCH)])

        began = time.monotonic()
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(one, range(WRITERS)))
        session = client.Session(server.url)
        for collection, session.token in self.collections:
            while True:
                try:
                    session.call("GET", f"/collection/{collection}/item/?limit=1")
                    break
                except client.ApiError as error:  # the projector is behind
                    if error.status != 503:
                        raise
        return time.monotonic() - began


def sealing(options: argparse.Namespace) -> Writers:
    """Rounds of four stretches: not sealed, sealed, sealed, not sealed, since writing gets slower as the tables grow. It does so
    fastest at the beginning, so there is a stretch before that is not counted. What was not sealed is sealed after it."""
    batches = math.ceil(options.events / ((4 * options.rounds + 1) * COLLECTIONS * BATCH))
    events = batches * COLLECTIONS * BATCH
    with Server(options, "0") as server:
        writers = Writers(server)
        writers.write(server, batches)
    run(options, "log", "seal")
    seconds: dict[str, list[float]] = {"0": [], "1s": []}
    cpu: dict[str, list[float]] = {"0": [], "1s": []}
    afterwards = 0.0
    print(f"{'events':>12} {'not sealed':>24} {'sealed every second':>24}")
    for number in range(options.rounds):
        for interval in ("0", "1s", "1s", "0"):
            with Server(options, interval) as server:
                seconds[interval].append(writers.write(server, batches))
            cpu[interval].append(server.cpu_seconds)
            rest = run(options, "log", "seal").cpu_seconds
            afterwards += rest if interval == "0" else 0
        rates = [(2 * events / sum(seconds[interval][-2:]), sum(cpu[interval][-2:]) / (2 * events) * 1e6) for interval in ("0", "1s")]
        print(f"{(4 * number + 5) * events:12,}" + "".join(f" {rate:12,.0f}/s {cost:6.0f} µs" for rate, cost in rates), flush=True)
    print(f"throughput with sealing: {sum(seconds['0']) / sum(seconds['1s']) - 1:+.1%}, CPU: {sum(cpu['1s']) / sum(cpu['0']) - 1:+.1%}")
    print(f"apus log seal of what was not: {afterwards / (2 * options.rounds * events) * 1e6:.1f} µs of CPU for each event, "
          f"{afterwards / sum(cpu['0']):.1%} of what writing it took")
    return writers


def audit(options: argparse.Namespace, writers: Writers) -> None:
    collection, token = writers.collections[0]
    head = run(options, "log", "tail", "-l", "1").said.split("\t")[0]
    told = run(options, "audit", "--collection", collection, "--json")
    entries = told.said.splitlines()
    print(f"a log of {int(head):,} events, {len(entries):,} of the collection")
    with Server(options, "0") as server:
        session = client.Session(server.url, token)

        def timed(name: str, limit: int, **query: str) -> dict:
            times = []
            for _ in range(200):
                began = time.perf_counter()
                page = session.call("GET", f"/collection/{collection}/audit/?" + urllib.parse.urlencode({"limit": limit, **query}))
                times.append(time.perf_counter() - began)
            if len(page["data"]) != limit:
                sys.exit(f"{name}: {len(page['data'])} entries")
            times = [time * 1e3 for time in times]
            print(f"{name}: first {times[0]:.1f} ms, median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms", flush=True)
            return page

        page = timed("first page of 50", 50)
        for _ in range(len(entries) // 100):
            page = session.call("GET", f"/collection/{collection}/audit/?iterator={page['iterator']}")
        timed("page of 50 in the middle", 50, iterator=page["iterator"])
        timed("first page of 1,000", min(1000, len(entries)))
        timed("first page of 50 since a time in the middle", 50, since=str(page["data"][-1]["time"]))
    print(f"apus audit --collection UID --json: {told.seconds:.2f} s, {len(entries) / told.seconds:,.0f} entries/s, {told.mib:.0f} MiB")


def verify(options: argparse.Namespace) -> None:
    run(options, "log", "seal")
    done = run(options, "log", "verify")
    end = int(done.said.split("position ")[1].split(",")[0])
    print(f"{done.said.strip()}\napus log verify: {done.seconds:.1f} s, {end / done.seconds:,.0f} events/s, {done.mib:.0f} MiB")


def main() -> None:
    global client, procstat
    parser = argparse.ArgumentParser()
    for name in ("harness", "apus", "folder"):
        parser.add_argument(name)
    parser.add_argument("--database-url")
    parser.add_argument("--postgres", type=int, help="the postmaster, to count its CPU time")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.place = ["--data", options.folder] + (["--database-url", options.database_url] if options.database_url else [])
    sys.path.insert(0, options.harness)
    from etebench import client, procstat

    writers = sealing(options)
    audit(options, writers)
    verify(options)


if __name__ == "__main__":
    main()
