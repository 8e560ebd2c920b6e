"""What the programs in this folder share. The server, the answers and the minimal client are those of Tests/Faults."""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "Tests" / "Faults"))

import support  # noqa: E402
from support import Answer, Client, Server, Wire, equal, expected, free_port, offered, person, request_bytes, true, uid  # noqa: E402

PATIENCE_SECONDS = 60.0
REDIS: list[str] = []


def options(parser: argparse.ArgumentParser) -> None:
    support.on_either_engine(parser)
    parser.add_argument("--redis", type=lambda url: REDIS.append(url) or url, help="redis://…, for what needs PostgreSQL too")


class Watched(Server):
    """A server that is looked after at an address of its own."""

    def __init__(self, binary: str, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.ops = free_port()
        super().__init__(binary, "--ops-listen", f"127.0.0.1:{self.ops}", *flags, environment=environment)

    def look(self, target: str = "/metrics", method: str = "GET", host: str = "prometheus") -> Answer:
        with Wire(self.ops, 30.0) as wire:
            wire.send(request_bytes(method, target, [("Host", host)]))
            return wire.receive(method)

    def text(self) -> str:
        return expected(self.look(), 200).body.decode()

    def values(self) -> dict[str, float]:
        """The samples, by name and labels as they are written."""
        return parsed(self.text())

    def until(self, what: str, condition: Callable[[dict[str, float]], Any]) -> dict[str, float]:
        """Looks again and again until the condition holds."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.values()
            if condition(found):
                return found
            true(time.monotonic() < end, f"{what} within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.1)


def parsed(text: str) -> dict[str, float]:
    samples: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, value = line.rsplit(" ", 1)
        true(name not in samples, f"{name} stands there twice")
        samples[name] = float(value)
    return samples


def metrics_of(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


@contextlib.contextmanager
def tool(*command: str, **more: Any) -> Iterator[subprocess.Popen]:
    """A program that runs beside, and is ended."""
    process = subprocess.Popen(command, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
