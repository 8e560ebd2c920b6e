"""What the programs in this folder share: commands, certificates, and tests that the machine may not allow.

The server, the answers and the minimal client are those of Tests/Faults.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "Tests" / "Faults"), str(ROOT / "Tests" / "Docs")]

import support  # noqa: E402
from support import Answer, Client, Server, equal, expected, free_port, offered, test, true, uid, unpack  # noqa: E402, F401

PATIENCE_SECONDS = 60.0  # for what must come; a busy machine needs its time


def run(*command: Any, **options: Any) -> str:
    """What a command prints. It must succeed."""
    done = attempt(*command, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))[:200]}: {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def attempt(*command: Any, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          **options)


def until(what: str, condition: Callable[[], Any]) -> Any:
    """What the condition gives, once it gives something; errors of a connection are a no."""
    end = time.monotonic() + PATIENCE_SECONDS
    error: Exception | None = None
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except OSError as failed:
            error = failed
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE_SECONDS:.0f} seconds {error or ''}")


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def what_is_missing(*programs: str) -> str | None:
    """The first of the programs that this machine has not."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return next((program for program in programs if not shutil.which(program, path=path)), None)


class Process:
    """A program that runs until `with` is left."""

    def __init__(self, log: Path, *command: Any, **options: Any) -> None:
        self.log_path = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def listening(self, port: int) -> None:
        def is_listening() -> bool:
            true(self.is_alive(), f"{self.process.args[0]} ended with {self.process.poll()}: {self.log[-1500:]}")
            return listens(port)

        until(f"{self.process.args[0]} listens", is_listening)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.is_alive():
            support.ended(self.process)


class Authority:
    """Certificates for the names of the examples, and a context that trusts them."""

    NAMES = ("sync.example.com", "www.example.com")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "authority.pem"
        key = folder / "authority.key"
        made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "90")
        run(*made, "-keyout", key, "-out", self.certificate, "-subj", "/CN=Authority of the tests")
        for name in self.NAMES:
            run(*made, "-CA", self.certificate, "-CAkey", key, "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
                "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE")
            both = folder / "both" / f"{name}.pem"  # as HAProxy wants it
            both.parent.mkdir(exist_ok=True)
            both.write_text((folder / f"{name}.pem").read_text() + (folder / f"{name}.key").read_text())
        for file in folder.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        self.context = ssl.create_default_context(cafile=str(self.certificate))


def without_comments(text: str) -> str:
    return re.sub(r"(?m)^\s*#.*\n", "", text)
