"""A machine of a page's own, below a folder: what the page's commands change, and the programs that they call.

What is root's or another machine's is pretended by pretend.py; `apus` is the program under test, the service is really run, and
PostgreSQL and Redis are those that the tests were given. Paths, ports and databases of the documents stand for the machine's.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

from blocks import ROOT, Block

sys.path += [str(ROOT / "Tests" / "Shipping"), str(ROOT / "Tests" / "Faults")]

import support  # noqa: E402

known = list(support.TESTS)
import proxies  # noqa: E402

support.TESTS[:] = known  # its own are run where it is
from common import Authority, Process, listens, until  # noqa: E402
from support import Client, equal, expected, free_port, offered, true, uid  # noqa: E402

HERE = Path(__file__).resolve().parent
PRETENDED = ("chown", "createdb", "journalctl", "nginx", "sudo", "systemctl")
IN_A_CHECKOUT = {"docker": ("docker",), "kubernetes": ("kubectl",), "source": ("git", "swift")}
COLLECTION, ITEM = "UID_OF_COLLECTION", "UID_OF_ITEM"
FINISH = 'export -p >"$STATE"; printf "cd %q\\n" "$PWD" >>"$STATE"'


class Machine:
    def __init__(self, arguments: Any, number: int) -> None:
        self.arguments = arguments
        # A short name: paths of sockets may not be long.
        self.root = Path(tempfile.mkdtemp(prefix="docs."))
        self.root.chmod(0o755)
        self.prefix = f"apus_docs_{os.getpid()}_{number}_"
        self.ports: dict[int, int] = {}
        self.databases: set[str] = set()
        self.served: Process | None = None
        self.is_running = False
        self.stack = contextlib.ExitStack()
        for folder in ("etc/apus", "etc/nginx/conf.d", "var/lib", "var/backups", "usr/share/doc/apus/examples", "run", "log", "bin", "work"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "var/lib/apus").mkdir(mode=0o700)
        for examples in ("proxies", "compose", "kubernetes"):
            (self.root / "usr/share/doc/apus/examples" / examples).symlink_to(ROOT / "ops" / examples)
        settings = [(ROOT / name).read_text() for name in ("ops/debian/apus.env", "ops/apus.env")]
        (self.root / "etc/apus/apus.env").write_text("".join(settings))
        (self.root / "bin/apus").symlink_to(arguments.apus)
        self._apusctl()
        self._pretend(*PRETENDED)
        self.port = self._port(3735)
        (self.root / "state").write_text(f"cd {shlex.quote(str(self.root / 'work'))}\n")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end_served()
        self.stack.close()
        for file in (self.root / "run").glob("*.pid"):
            self.call("systemctl", "stop", file.stem)
        for name in self.databases:
            support.psql(self.arguments.postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        shutil.rmtree(self.root, ignore_errors=True)

    # --- programs

    def _pretend(self, *names: str) -> None:
        for name in names:
            file = self.root / "bin" / name
            if not file.exists():
                file.symlink_to(HERE / "pretend.py")

    def _apusctl(self) -> None:
        """The package's own, but that it looks below the machine's folder, and becomes nobody."""
        text = (ROOT / "ops/debian/apusctl").read_text()
        changes = (
            ('"$(id -u)" != 0', "x != x"), ("/var/lib/apus", f"{self.root}/var/lib/apus"), ("/etc/apus", f"{self.root}/etc/apus"),
            ("setpriv --reuid=apus --regid=apus --init-groups /usr/bin/apus", "apus"))
        for old, new in changes:
            equal(old in text, True, f"apusctl has {old}")
            text = text.replace(old, new)
        file = self.root / "bin/apusctl"
        file.write_text(text)
        file.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return support.clean_environment({
            "PATH": f"{self.root}/bin:{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": str(self.root), "STATE": str(self.root / "state"),
            "APUS_LISTEN": f"127.0.0.1:{self.port}", "PRETENDED": str(self.root), "PRETENDED_APUS": self.arguments.apus,
            "PRETENDED_POSTGRES": self.arguments.postgres, "PRETENDED_DATABASES": self.prefix})

    def call(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=120, stdin=subprocess.DEVNULL)
        true(done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        return done.stdout

    # --- what the documents' names stand for

    def _port(self, port: int) -> int:
        known = {5432: self.arguments.postgres, 6379: self.arguments.redis}
        if port in known:
            return urllib.parse.urlsplit(known[port]).port
        return self.ports.setdefault(port, free_port())

    def _database(self, found: re.Match) -> str:
        name = self.prefix + found[2]
        if name not in self.databases and not any(found[2] in line for line in self.made):
            support.psql(self.arguments.postgres, f"CREATE DATABASE {name}")
        self.databases.add(name)
        return found[1] + name

    def here(self, text: str) -> str:
        """The text with what is on this machine."""
        text = re.sub(r"(?<![\w/.$}])/(?=(?:etc|run|srv|usr/share/doc|var)/)", f"{self.root}/", text)
        text = re.sub(r"(postgres://[^\s/]+/)(\w+)", self._database, text)
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: str(self._port(int(found[0]))), text)

    made: list[str] = []

    # --- worlds

    def _service(self) -> None:
        """The service runs, and has people who have stored something."""
        if self.is_running:
            return
        self.is_running = True
        self.call("systemctl", "start", "apus")
        for name in ("alice", "bob"):
            self.call("apusctl", "user", "create", name)
            client = Client(_Front(self.port), name)
            expected(client.sign_up(), 200)
            collection = COLLECTION if name == "alice" else "collection_of_bob"
            expected(client.create_collection(collection), 201)
            for revision in range(2):
                made = offered(ITEM, uid(name, revision), b"meta", [(uid(name, revision, "chunk"), b"content")])
                expected(client.commit(collection, [made]), 200)
            gone = offered(ITEM, uid(name, 2), b"meta")
            gone["content"]["deleted"] = True
            expected(client.commit(collection, [gone]), 200)
            client.close()

    def _etesync(self) -> None:
        folder = self.root / "work"
        if (folder / "db.sqlite3").exists():
            return
        made = ROOT / "Tests/Adoption/sqlite"
        shutil.copytree(made / "media", folder / "media")
        with contextlib.closing(sqlite3.connect(folder / "db.sqlite3")) as database:
            database.executescript((made / "database.sql").read_text())
        (folder / "etebase-server.ini").write_text(
            "[global]\nmedia_root = media\n[database]\nengine = django.db.backends.sqlite3\nname = db.sqlite3\n")

    def _nginx(self, text: str) -> str:
        """A proxy with a certificate that only the tests trust, at a port of its own."""
        authority = Authority(Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=self.root))))
        authority.folder.chmod(0o755)
        port = self.stack.enter_context(proxies.proxy("nginx", authority, _Front(self.port)))
        more = f" --address 127.0.0.1:{port} --authorities {authority.certificate} --patience 2s"
        return re.sub(r"(?m)(--url https://sync\.example\.com)$", rf"\1{more}", text)

    # --- blocks

    def end_served(self) -> None:
        if self.served:
            self.served.__exit__()
            self.served = None

    def run(self, block: Block) -> None:
        marks = set(block.marks)
        text = self.here(block.text)
        for mark, names in IN_A_CHECKOUT.items():
            if mark in marks:
                self._pretend(*names)
        if "stopped" in marks:
            self.end_served()
        if "etesync" in marks:
            self._etesync()
        elif "source" in marks:
            text = text.replace("<this repository>", "repository")
            if "git clone" not in text and not (self.root / "work/apus").exists():
                text = f"git clone repository apus\ncd apus\n{text}"
        else:
            self._service()
        if "nginx" in marks:
            text = self._nginx(text)
        if "serves" not in marks:
            return self._finish(block, text)
        *lines, last = text.splitlines()
        self._finish(block, "\n".join(lines))
        self.served = Process(self.root / "log/served", "bash", "-c", f'. "$STATE"; exec {last}', env=self.environment)
        self.served.listening(self.port)

    def _finish(self, block: Block, text: str) -> None:
        """Runs commands to their end, as a shell would that goes on with the page's next block."""
        script = f'set -euo pipefail\n. "$STATE"\ntrap \'echo "failed: $BASH_COMMAND" >&2\' ERR\n{text}\n{FINISH}\n'
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, env=self.environment, timeout=120, stdin=subprocess.DEVNULL)
        true(done.returncode == 0, f"{block}: exit code {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")


class _Front:
    """What a client and a proxy must know of the machine's server."""

    def __init__(self, port: int) -> None:
        self.port, self.authority = port, f"127.0.0.1:{port}"

    def wire(self) -> support.Wire:
        return support.Wire(self.port)
