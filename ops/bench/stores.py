#!/usr/bin/env python3
"""Measures writes whose contents go into an S3 store beside the store's own puts of as many bytes, in turns, one after the other:
stores.py APUS_BINARY [--rounds N] [--bytes N]. The store is moto's, without the proxy of the tests; run it in the Python of Tests/Stores/run.
Prints a table of medians in milliseconds."""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import http.client
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable

import botocore.auth
import botocore.awsrequest
import botocore.credentials

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "Tests" / "Stores"))

from store import BUCKET, PREFIX, Store, support  # noqa: E402
from support import Client, Server, equal, expected, offered, person, uid  # noqa: E402

TOGETHER = 8  # as many of a command's contents as Apus puts at once


class Putter:
    """Puts objects over a connection of its own, signed before the time is taken."""

    def __init__(self, store: Store) -> None:
        self.store, self.wire = store, http.client.HTTPConnection("127.0.0.1", store.port)
        self.auth = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(store.access, store.secret), "s3", "us-east-1")

    def signed(self, name: str, content: bytes) -> tuple[str, bytes, dict[str, str]]:
        path = f"/{BUCKET}/direct/{name}"
        request = botocore.awsrequest.AWSRequest("PUT", f"http://127.0.0.1:{self.store.port}{path}", data=content)
        self.auth.add_auth(request)
        return path, content, dict(request.headers.items())

    def put(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        self.wire.request("PUT", path, content, headers)
        answer = self.wire.getresponse()
        answer.read()
        equal(answer.status, 200, "the status of a put")


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def measure(binary: str, rounds: int, size: int) -> None:
    store = Store()
    try:
        endpoint = f"http%3A%2F%2F127.0.0.1:{store.port}"
        environment = store.environment() | {"APUS_CHUNKS": f"s3://{BUCKET}/{PREFIX}?endpoint={endpoint}"}
        flags, collection = ("--signup", "open", "--log-level", "warning"), uid("collection")
        with Server(binary, *flags, environment=environment) as server, Server(binary, *flags) as other:
            writers = [person(server, "writer"), person(other, "writer")]
            for writer in writers:
                expected(writer.create_collection(collection), 201)
            putters = [Putter(store) for _ in range(TOGETHER)]
            print(f"contents of {size} bytes, medians of {rounds} rounds\n")
            print("| | Apus | the puts alone | ratio | Apus, into its database |\n|---|---|---|---|---|")
            with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
                for name, count in (("W1", 1), ("W2x50", 50)):
                    found = [one(writers, collection, f"{name} {number}", count, size, putters, pool) for number in range(-2, rounds)][2:]
                    apus, database, alone = (statistics.median(times) for times in zip(*found))
                    print(f"| {name} | {apus:.1f} ms | {alone:.1f} ms | {apus / alone:.2f} x | {database:.1f} ms |")
    finally:
        store.stop()


def one(writers: list[Client], collection: str, name: str, count: int, size: int, putters: list[Putter], pool: Any) -> tuple[float, ...]:
    """How long a batch took with each server, and as many puts."""
    def contents(who: str) -> list[bytes]:
        return [hashlib.shake_128(f"{who} {name} {number}".encode()).digest(size) for number in range(count)]

    items = [offered(uid(name, number), uid(name, number, "first"), b"meta", [(uid(name, number, "chunk"), content)])
             for number, content in enumerate(contents("apus"))]
    shares: list[list] = [[] for _ in putters]
    for number, content in enumerate(contents("alone")):
        putter = number % len(putters)
        shares[putter].append(putters[putter].signed(f"{name}/{number}".replace(" ", "-"), content))

    def alone(number: int) -> None:
        for put in shares[number]:
            putters[number].put(*put)

    batches = [timed(lambda: expected(writer.commit(collection, items), 200)) for writer in writers]
    busy = [number for number, share in enumerate(shares) if share]
    return *batches, timed(lambda: list(pool.map(alone, busy)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("apus", help="the program, such as .build/release/apus")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--bytes", type=int, default=10_000)
    arguments = parser.parse_args()
    measure(arguments.apus, arguments.rounds, arguments.bytes)
