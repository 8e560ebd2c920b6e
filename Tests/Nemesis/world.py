"""The installation that is tried: machines that are network namespaces of one bridge, and what runs on them.

    hall            HAProxy before everything, etcd, a sentinel, and the clients: nothing happens to these
    db1 db2 db3     PostgreSQL under Patroni, each with a small disk of its own
    kv1 kv2         Redis and its replica, each with a sentinel
    api1 api2 projector1 projector2 gateway1 gateway2       Apus

All of it is in a network, mount and process namespace that ops/nemesis makes, and ends with it. Needs root.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator

for folder in ("Histories", "Faults", "Cluster"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))

import cluster  # noqa: E402
import support  # noqa: E402
from cluster import BIN  # noqa: E402
from support import Wire, psql, true  # noqa: E402

HALL = "10.99.0.1"
FRONT_PORT, PRIMARY_PORT, STANDBY_PORT, REDIS_PORT = 8000, 5000, 5001, 6379
POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"]
DISK_BYTES = 1 << 30
LEADER_SECONDS = 5  # how long a primary's claim is good that is not renewed (Patroni's ttl)
REPAIR_SECONDS = 40.0
SILENCE_SECONDS = 10.0  # longer than a kernel waits until it sends again what was lost, after a cut of a few seconds
SECRET = cluster.SECRET


def run(*command: Any) -> str:
    """Runs a command to its end, which must be a good one."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    true(done.returncode == 0, f"{command}: {done.stderr.strip()[:500]}")
    return done.stdout


def wait(what: str, condition: Callable[[], Any], seconds: float) -> float:
    return cluster.wait(what, condition, seconds)


# --- machines -------------------------------------------------------------------------------------


class Machine:
    """A network namespace with one link to the bridge; the hall is where the bridge is."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.clock: Clock | None = None

    @property
    def inside(self) -> list[str]:
        """What a command begins with that runs there."""
        return [] if self.name == "hall" else ["nsenter", f"--net=/run/netns/{self.name}"]

    def connect(self) -> None:
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", f"to-{self.name}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", f"to-{self.name}", "master", "bridge", "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            run(*self.inside, "ip", *words)

    def drop(self, chain: str, *rule: str) -> contextlib.AbstractContextManager:
        """Throws away what comes in (INPUT) or goes out (OUTPUT) and fits the rule, until it is left."""
        stack = contextlib.ExitStack()
        words = [chain, "!", "-i" if chain == "INPUT" else "-o", "lo", *rule, "-j", "DROP"]
        run(*self.inside, "iptables", "-w", "-A", *words)
        stack.callback(run, *self.inside, "iptables", "-w", "-D", *words)
        return stack

    def slow(self, kilobits: int) -> contextlib.AbstractContextManager:
        """Lets no more go out than so many kilobits in a second; what waits longer than 400 ms is lost."""
        stack = contextlib.ExitStack()
        run(*self.inside, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{kilobits}kbit", "burst", "4kb", "latency", "400ms")
        stack.callback(run, *self.inside, "tc", "qdisc", "del", "dev", "eth0", "root")
        return stack


class Clock:
    """The wall clock of what runs on a machine: that of the kernel, and an offset that clock.c adds."""

    library: Path | None = None

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"clock-{name}"
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o644)
        with self.path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8)

    def step(self, seconds: int) -> None:
        self.memory[:] = struct.pack("q", seconds)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "NEMESIS_CLOCK": str(self.path)}


# --- processes ------------------------------------------------------------------------------------


def descendants(pid: int) -> list[int]:
    """A process and all that it has started, parents first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def tell(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Part:
    """A process that is started again when it has ended, as a service manager does."""

    def __init__(self, name: str, machine: Machine, command: list[Any], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.name, self.machine, self.command = name, machine, [str(word) for word in command]
        self.environment = support.clean_environment({}) | {"PATH": os.environ["PATH"]} | (environment or {})
        if machine.clock:
            self.environment |= machine.clock.environment
        self.log_path = folder / f"{name}.log"
        self.process: subprocess.Popen | None = None
        self.started = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.machine.inside, *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd="/")

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pids(self) -> list[int]:
        return [self.process.pid] if self.is_alive else []

    def signal(self, number: int) -> None:
        tell(self.pids(), number)

    def ended(self, seconds: float) -> int | None:
        """Its exit code, once it has ended; nil where it does not in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=seconds)
        return None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Postmaster:
    """PostgreSQL as Patroni has started it."""

    def __init__(self, patroni: Part, folder: Path) -> None:
        self.name, self.machine, self.folder = patroni.name.replace("patroni", "postgres"), patroni.machine, folder

    def pids(self) -> list[int]:
        try:
            pid = int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, 0)
        except (OSError, ValueError):
            return []
        return descendants(pid)

    def signal(self, number: int) -> None:
        pids = self.pids()
        tell(pids if number != signal.SIGKILL else pids[:1], number)


class Front:
    """What clients see: the proxy."""

    def __init__(self, port: int = FRONT_PORT, timeout: float = 12) -> None:
        self.port, self.timeout = port, timeout

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wire(self) -> Wire:
        return Wire(self.port, self.timeout)


class Database(support.Database):
    """The log's database, asked through the proxy."""

    def __init__(self) -> None:
        self.server_url = f"postgres://postgres@{HALL}:{PRIMARY_PORT}/postgres"
        self.name, self.url = "apus", f"postgres://postgres@{HALL}:{PRIMARY_PORT}/apus"


# --- the installation -----------------------------------------------------------------------------


class World:
    """All machines and what runs on them. `with` starts it and ends it."""

    def __init__(
        self, binary: str, folder: Path, is_asynchronous: bool = False, by_hosts: bool = False, has_clocks: bool = True,
        reads_standbys: bool = True,
    ) -> None:
        self.binary, self.folder, self.is_asynchronous = binary, folder, is_asynchronous
        folder.chmod(0o755)
        self.hall = Machine("hall", HALL)
        self.dbs = [Machine(f"db{number}", f"10.99.0.1{number}") for number in (1, 2, 3)]
        self.kvs = [Machine(f"kv{number}", f"10.99.0.2{number}") for number in (1, 2)]
        self.apps = [Machine(f"{role}{number}", f"10.99.0.{tens}{number}")
                     for role, tens in (("api", 3), ("projector", 4), ("gateway", 5)) for number in (1, 2)]
        self.machines = [*self.dbs, *self.kvs, *self.apps]
        self.has_clocks = has_clocks and self._clocks()
        self.database, self.front = Database(), Front()
        hosts = ",".join(f"{machine.address}:5432" for machine in self.dbs)
        self.database_url = f"postgres://postgres@{hosts}/apus" if by_hosts else self.database.url
        self.read_url = (f"postgres://postgres@{hosts}/apus?target_session_attrs=prefer-standby" if by_hosts
                         else f"postgres://postgres@{HALL}:{STANDBY_PORT}/apus") if reads_standbys else None
        self.parts: dict[str, Part] = {}
        self.reinitialized: list[str] = []  # standbys that were made anew by hand
        self.expected_away: set[str] = set()  # what a fault has ended, and will start again
        self._engines()
        self._apus()

    def _clocks(self) -> bool:
        compiler = next((found for found in map(shutil.which, ("cc", "gcc", "clang", "/opt/swift/usr/bin/clang")) if found), None)
        if not compiler:
            return False
        Clock.library = self.folder / "clock.so"
        run(compiler, "-shared", "-fPIC", "-O2", "-o", Clock.library, Path(__file__).resolve().parent / "clock.c", "-ldl")
        for machine in [*self.dbs, *self.apps]:
            machine.clock = Clock(self.folder, machine.name)
        return True

    def _add(self, name: str, machine: Machine, command: list[Any], environment: dict[str, str] | None = None) -> Part:
        part = self.parts[name] = Part(name, machine, command, self.folder, environment)
        return part

    def _engines(self) -> None:
        etcd = self.folder / "etcd"
        self._add("etcd", self.hall, [
            "etcd", "--name", "e1", "--data-dir", etcd, "--listen-client-urls", f"http://{HALL}:2379",
            "--advertise-client-urls", f"http://{HALL}:2379", "--listen-peer-urls", f"http://{HALL}:2380",
            "--initial-advertise-peer-urls", f"http://{HALL}:2380", "--initial-cluster", f"e1=http://{HALL}:2380",
            "--heartbeat-interval", "100", "--election-timeout", "1000", "--log-level", "error", "--unsafe-no-fsync"])
        self.postmasters = {}
        for machine in self.dbs:
            folder = self.folder / machine.name
            folder.mkdir()
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", machine.name, folder)
            shutil.chown(folder, "postgres", "postgres")
            settings = folder / "patroni.yml"
            settings.write_text(self._patroni(machine, folder))
            # Debian's Patroni is of Debian's Python.
            patroni = self._add(f"patroni-{machine.name}", machine, [*POSTGRES, "/usr/bin/patroni", settings],
                                {"HOME": str(folder), "PATH": "/usr/bin:/bin"})
            self.postmasters[machine.name] = Postmaster(patroni, folder)
        for number, machine in enumerate(self.kvs):
            folder = self.folder / machine.name
            folder.mkdir()
            follows = ["--replicaof", self.kvs[0].address, "6379"] if number else []
            self._add(f"redis-{machine.name}", machine, [
                "redis-server", "--bind", machine.address, "--port", "6379", "--save", "", "--appendonly", "no", "--dir", folder,
                "--protected-mode", "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", *follows])
        for machine in [self.hall, *self.kvs]:
            settings = self.folder / f"sentinel-{machine.name}.conf"
            settings.write_text(
                f"bind {machine.address}\nport 26379\nprotected-mode no\ndir {self.folder}\nsentinel monitor apus {self.kvs[0].address} 6379 2\n"
                "sentinel down-after-milliseconds apus 1500\nsentinel failover-timeout apus 5000\n")
            self._add(f"sentinel-{machine.name}", machine, ["redis-sentinel", settings])
        self._add("haproxy", self.hall, ["haproxy", "-db", "-f", self.folder / "haproxy.cfg"])
        (self.folder / "haproxy.cfg").write_text(self._haproxy())

    def _patroni(self, machine: Machine, folder: Path) -> str:
        return json.dumps({  # which is YAML too
            "scope": "apus", "name": machine.name, "etcd3": {"host": f"{HALL}:2379"},
            "restapi": {"listen": f"{machine.address}:8008", "connect_address": f"{machine.address}:8008"},
            "bootstrap": {
                "dcs": {
                    "ttl": LEADER_SECONDS, "loop_wait": 1, "retry_timeout": 2, "primary_start_timeout": 0, "master_start_timeout": 0,
                    "synchronous_mode": not self.is_asynchronous, "maximum_lag_on_failover": 64 << 20,
                    "postgresql": {"use_pg_rewind": True, "parameters": {
                        "max_connections": 150, "shared_buffers": "64MB", "wal_keep_size": "128MB", "max_wal_size": "256MB", "wal_log_hints": "on",
                        "hot_standby": "on", "wal_sender_timeout": "3s", "wal_receiver_timeout": "3s", "tcp_user_timeout": "3s",
                        # A standby whose primary has moved asks the new one at once, and not when five seconds are over.
                        "wal_retrieve_retry_interval": "500ms", "fsync": "off", "synchronous_commit": "on", "timezone": "UTC"}}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}],
                "pg_hba": ["host all all 10.99.0.0/24 trust", "host replication all 10.99.0.0/24 trust", "local all all trust"]},
            "postgresql": {
                "listen": f"{machine.address}:5432", "connect_address": f"{machine.address}:5432", "data_dir": str(folder / "data"),
                "bin_dir": BIN, "pgpass": str(folder / "pgpass"), "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
                "authentication": {"superuser": {"username": "postgres", "password": "p"},
                                   "replication": {"username": "repl", "password": "p"},
                                   "rewind": {"username": "postgres", "password": "p"}},
                "parameters": {"unix_socket_directories": str(folder)}}})

    def _haproxy(self) -> str:
        def servers(machines: list[Machine], port: int, more: str = "") -> str:
            return "".join(f"  server {machine.name} {machine.address}:{port}{more}\n" for machine in machines)

        checked = "  default-server inter 300ms fastinter 300ms downinter 300ms fall 2 rise 1"
        cut = f"{checked} on-marked-down shutdown-sessions"
        return f"""
global
  maxconn 2000
  stats socket {self.folder}/haproxy.sock mode 600
defaults
  mode tcp
  timeout connect 1s
  timeout check 1s
  timeout client 1h
  timeout server 1h
listen primary
  bind {HALL}:{PRIMARY_PORT}
  option httpchk GET /primary
{cut}
{servers(self.dbs, 5432, " check port 8008")}
listen standby
  bind {HALL}:{STANDBY_PORT}
  option httpchk GET /replica
{cut}
{servers(self.dbs, 5432, " check port 8008")}
listen redis
  bind {HALL}:{REDIS_PORT}
  option tcp-check
  tcp-check send PING\\r\\n
  tcp-check expect string +PONG
  tcp-check send info\\ replication\\r\\n
  tcp-check expect string role:master
{cut}
{servers(self.kvs, 6379, " check")}
frontend front
  mode http
  bind 127.0.0.1:{FRONT_PORT}
  option forwardfor
  timeout client 90s
  use_backend gateway if {{ path_beg /api/v1/ws/ }}
  default_backend api
backend api
  mode http
  balance roundrobin
  timeout server 40s
  option redispatch 1
  option httpchk
  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host apus
{checked}
{servers(self.apps[:2], 3735, " check")}
backend gateway
  mode http
  balance leastconn
  timeout server 40s
  timeout tunnel 1h
  option redispatch 1
  option httpchk
  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host apus
{cut}
{servers(self.apps[4:], 3736, " check")}
"""

    def _apus(self) -> None:
        for machine in self.apps:
            role, number = machine.name[:-1], machine.name[-1]
            port = {"api": 3735, "gateway": 3736}.get(role)
            # A projector reads the log's own database, and has nobody to answer.
            reads = ["--read-database-url", self.read_url] if self.read_url and port else []
            listens = ["--listen", f"{machine.address}:{port}"] if port else []
            self._add(f"{role}-{number}", machine, [
                self.binary, "serve", "--roles", role, "--data", self.folder / f"data-{machine.name}", "--database-url", self.database_url,
                *reads, "--redis-url", f"redis://{HALL}:{REDIS_PORT}", *listens, "--log-level", "info"],
                {"APUS_SECRET": SECRET, "APUS_SIGNUP": "open", "APUS_TRUST_PROXY": "on", "APUS_LAME_DUCK": "3s", "APUS_PING_INTERVAL": "5s"})

    @property
    def apus_parts(self) -> list[Part]:
        return [part for name, part in self.parts.items() if name.split("-")[0] in ("api", "projector", "gateway")]

    # --- starting and ending ------------------------------------------------------------------------

    def __enter__(self) -> World:
        try:
            self._start()
            return self
        except BaseException:
            self.__exit__()
            raise

    def _start(self) -> None:
        Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "netns", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "addr", "add", f"{HALL}/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for machine in self.machines:
            machine.connect()
        self.parts["etcd"].start()
        wait("etcd answers", lambda: self._get(f"http://{HALL}:2379/health"), 60)
        for name in ("patroni-db1", "redis-kv1", "redis-kv2", "sentinel-hall", "sentinel-kv1", "sentinel-kv2", "haproxy"):
            self.parts[name].start()
        wait("there is a primary", lambda: self.leader() == "db1", 60)
        wait("the proxy has found the primary", self._asks, 30)
        for name in ("patroni-db2", "patroni-db3"):
            self.parts[name].start()
        wait("all follow the primary", self.is_replicated, 120)
        psql(self.database.server_url, "CREATE DATABASE apus")
        wait("standbys have the database", self.is_replicated, 30)
        if "api-1" in self.parts:
            self.parts["api-1"].start()
            wait("there are tables", lambda: psql(self.database.url, "SELECT to_regclass('apus_schema') IS NOT NULL") == "t", 60)
            for part in self.apus_parts:
                if not part.is_alive:
                    part.start()
            self.whole(90)

    def _asks(self) -> bool:
        with contextlib.suppress(RuntimeError):
            return psql(self.database.server_url, "SELECT 1") == "1"
        return False

    def __exit__(self, *_: Any) -> None:
        for part in reversed(self.parts.values()):
            part.signal(signal.SIGCONT)
            part.signal(signal.SIGKILL)
        for postmaster in self.postmasters.values():
            tell(postmaster.pids(), signal.SIGKILL)

    # --- what is to be seen ---------------------------------------------------------------------------

    @staticmethod
    def _get(url: str, seconds: float = 1) -> bytes | None:
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                return answer.read() or b" "
        return None

    def leader(self) -> str | None:
        """The machine whose PostgreSQL may be written, as Patroni there says."""
        return next((machine.name for machine in self.dbs if self._get(f"http://{machine.address}:8008/primary", 0.5)), None)

    def members(self) -> list[dict]:
        leader = next((machine for machine in self.dbs if machine.name == self.leader()), None)
        said = leader and self._get(f"http://{leader.address}:8008/cluster")
        return json.loads(said)["members"] if said else []

    def is_replicated(self) -> bool:
        """Whether two standbys follow the primary, and one of them synchronously where that is wanted.

        One that has been a primary of its own for a while may have a timeline of the same number: Patroni then takes it for a standby, and
        the primary knows better.
        """
        roles = sorted(member["role"] for member in self.members() if member.get("state") in ("running", "streaming") and not member.get("lag"))
        return (roles == (["leader", "replica", "replica"] if self.is_asynchronous else ["leader", "replica", "sync_standby"])
                and self.streaming() == {machine.address for machine in self.dbs if machine.name != self.leader()})

    def streaming(self) -> set[str]:
        """The addresses of standbys to which the primary sends its log."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            return set(psql(self.database.server_url, "SELECT host(client_addr) FROM pg_stat_replication WHERE state = 'streaming'").split())
        return set()

    def is_ready(self, part: Part, port: int) -> bool:
        return part.is_alive and self._get(f"http://{part.machine.address}:{port}/ready") is not None

    def whole(self, seconds: float) -> float:
        """Waits until all is as it should be; what has ended is started."""
        began, is_repaired = time.monotonic(), False

        def wanting() -> list[str]:
            found = [part.name for name, part in self.parts.items()
                     for role, port in (("api", 3735), ("gateway", 3736)) if name.startswith(role) and not self.is_ready(part, port)]
            found += [part.name for part in self.parts.values() if not part.is_alive]
            return found + ([] if self.is_replicated() else [f"PostgreSQL's standbys: {self.members()}"])

        while lacks := wanting():
            true(time.monotonic() - began < seconds, f"not whole again within {seconds} s: {lacks}")
            self.watched()
            if time.monotonic() - began > REPAIR_SECONDS and not is_repaired:
                is_repaired = True
                self._repair()
            time.sleep(0.2)
        return time.monotonic() - began

    def _repair(self) -> None:
        """What an operator does about a standby that does not come back: pg_rewind waits for ever on a connection that a cut has taken, and one
        that has had a future of its own is made anew."""
        leader, streaming = self.leader(), self.streaming()
        for machine in self.dbs:
            if leader and machine.name != leader and machine.address not in streaming and self._get(f"http://{machine.address}:8008/patroni"):
                self.reinitialized.append(machine.name)
                subprocess.run(["/usr/bin/patronictl", "-c", self.folder / leader / "patroni.yml", "reinit", "apus", machine.name, "--force"],
                               capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": ""})
        for member in self.members():
            if member["state"] not in ("running", "streaming"):
                patroni = self.parts[f"patroni-{member['name']}"]
                tell(list(reversed(descendants(patroni.process.pid))), signal.SIGKILL)
                patroni.ended(10)
                patroni.start()

    def silent(self) -> None:
        """Waits until the log has not grown for a while, although links that were cut are whole: what was sent into one is sent again
        by the kernel, long after its sender has given it up, and is carried out then."""
        began = changed = time.monotonic()
        position = None
        while time.monotonic() - began < SILENCE_SECONDS or time.monotonic() - changed < 3:
            true(time.monotonic() - began < 60, "the log grows, and nobody writes")
            now = self.database.value("SELECT position FROM apus_log")
            if now != position:
                position, changed = now, time.monotonic()
            time.sleep(0.5)

    def watched(self) -> list[str]:
        """Starts what has ended by itself, a second later as a service manager does, and says what that was.

        An Apus that finds no database when it starts ends, and says so: that is how it is meant.
        """
        found = []
        for name, part in self.parts.items():
            if name in self.expected_away or not part.process or part.is_alive or time.monotonic() - part.started < 1.0:
                continue
            is_early = part.process.returncode == 1 and part.log.rstrip().rpartition("\n")[2].startswith("Error: PostgreSQL: ")
            if not is_early:
                found.append(f"{name} has ended by itself with {part.process.returncode}: {part.log[-300:]}")
            part.start()
        return found

    def command(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess:
        """Runs another command of Apus."""
        folder = self.folder / "operator"
        return subprocess.run(
            [self.binary, *arguments, "--database-url", self.database.url], capture_output=True, text=True, timeout=seconds,
            env=support.clean_environment({"APUS_SECRET": SECRET, "APUS_DATA": str(folder)}))
