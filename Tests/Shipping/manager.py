"""What the server tells a service manager, as systemd listens for it, and that the units are as hard as they say."""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, PATIENCE_SECONDS, Server, equal, run, support, test, true, what_is_missing

WATCHDOG_SECONDS = 2
UNITS = ROOT / "ops" / "units"
LARGEST_EXPOSURE = 1.5


class Manager:
    """The socket of a service manager. An abstract one is a name that no file has."""

    def __init__(self, is_abstract: bool) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="apus-manager.")
        self.name = f"@apus-test-{os.getpid()}" if is_abstract else self.folder.name + "/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if is_abstract else self.name)
        self.socket.settimeout(PATIENCE_SECONDS)

    def next(self) -> dict[str, str]:
        """The next message: names and values."""
        lines = self.socket.recv(4096).decode().splitlines()
        true(all("=" in line for line in lines), f"a message is lines of NAME=value: {lines}")
        return dict(line.split("=", 1) for line in lines)

    def until(self, name: str, value: str = "1") -> dict[str, str]:
        while (message := self.next()).get(name) != value:
            equal(message, {"WATCHDOG": "1"}, f"what comes before {name}")
        return message

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.close()
        self.folder.cleanup()


def story(arguments: Any, is_abstract: bool, *flags: str, status: str = "serving on 127.0.0.1:{port}") -> None:
    with Manager(is_abstract) as manager:
        server = Server(arguments.apus, *flags, environment={
            "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000)})
        with server:
            equal(manager.until("READY")["STATUS"], status.format(port=server.port), "the status")
            for _ in range(2):
                equal(manager.next(), {"WATCHDOG": "1"}, "a sign of life")
            server.signal(signal.SIGTERM)
            manager.until("STOPPING")
            equal(server.wait(), 0, "exit code")
            true("service manager" not in server.log, server.log)


@test("a manager is told that the server is ready, that it lives, and that it ends")
def told(arguments: Any) -> None:
    story(arguments, is_abstract=False)


@test("so is one whose socket has an abstract name")
def told_abstract(arguments: Any) -> None:
    story(arguments, is_abstract=True)


@test("a server that stands still gives no sign of life until it goes on")
def stands_still(arguments: Any) -> None:
    with Manager(is_abstract=False) as manager:
        server = Server(arguments.apus, environment={
            "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000)})
        with server:
            manager.until("READY")
            equal(manager.next(), {"WATCHDOG": "1"}, "a sign of life")
            server.signal(signal.SIGSTOP)
            try:
                manager.socket.settimeout(2 * WATCHDOG_SECONDS)
                try:
                    # One may have been on its way.
                    manager.next(), manager.next()
                    raise AssertionError("a process that stands still said that it lives")
                except TimeoutError:
                    pass
            finally:
                server.signal(signal.SIGCONT)
            manager.socket.settimeout(PATIENCE_SECONDS)
            equal(manager.next(), {"WATCHDOG": "1"}, "a sign of life")


@test("a watchdog that is meant for another process gets no signs, and a manager that is not there stops nobody")
def not_meant(arguments: Any) -> None:
    with Manager(is_abstract=False) as manager:
        with Server(arguments.apus, environment={
                "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}) as server:
            manager.until("READY")
            server.stop()
            equal(manager.next().get("STOPPING"), "1", "the message after the first")
    with Server(arguments.apus, environment={"NOTIFY_SOCKET": "/nonexistent/notify"}) as server:
        equal(server.get("/ready").status, 200, "status")
        true("the service manager cannot be told" in server.log, "the log says so")


@test("`apus ready` knows a server that is ready, one that does not answer, and none")
def ready(arguments: Any) -> None:
    with Server(arguments.apus) as server:
        equal(support.succeeds(server.apus("ready", "--listen", f"0.0.0.0:{server.port}"), "ready"), "ready\n", "what it says")
        equal(support.succeeds(server.apus("ready", environment={"APUS_LISTEN": server.authority}), "ready"), "ready\n", "what it says")
        server.signal(signal.SIGSTOP)
        try:
            support.refused(server.apus("ready", "--listen", server.authority), "ready", "does not answer")
        finally:
            server.signal(signal.SIGCONT)
        server.stop()
        support.refused(server.apus("ready", "--listen", server.authority), "ready", "nobody listens")


@test("the units let the server do what it must and little else: exposure at most 1.5")
def exposure(_: Any) -> str | None:
    if missing := what_is_missing("systemd-analyze"):
        return f"left out: no {missing}"
    for unit in sorted(UNITS.glob("*.service")):
        told = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
        true(found and float(found.group(1)) <= LARGEST_EXPOSURE, f"{unit.name}: {told[-200:]}")
    return None


@test("the unit of a role is as hard as that of the whole server")
def alike(_: Any) -> None:
    def hardening(name: str) -> str:
        return (UNITS / name).read_text().split("# What the program may do")[1]

    equal(hardening("apus@.service"), hardening("apus.service"), "how hard it is")


if __name__ == "__main__":
    support.main(__doc__)
