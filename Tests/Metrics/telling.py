#!/usr/bin/env python3
"""What is lost is told wherever one looks: by `/ready`, `/metrics`, `apus status` and an alert; and so is that it is well again.

A front end, a gateway and a projector on a PostgreSQL and a Redis of their own, one server on a small disk, and a Prometheus that looks at them. What is measured is how
long it takes until the last of them tells: the sentence says so, and a busy machine has a minute for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

from common import PATIENCE_SECONDS, ROOT, Watched, equal, expected, offered, options, person, support, true, uid
from prometheus import Prometheus
from support import clean_environment, test

sys.path.append(str(ROOT / "Tests" / "Cluster"))

import cluster  # noqa: E402

del support.TESTS[:]  # those of prometheus.py are run there
NOTES = uid("notes")


class Stage:
    """What is looked at, and from where."""

    def __init__(self, binary: str) -> None:
        self.binary, self.settings = binary, {}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        try:
            self.set_up()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.stack.close()

    def ready(self, server: Watched) -> str:
        answer = server.look("/ready")
        return "" if answer.status == 200 else answer.body.decode()

    def warnings(self) -> str:
        done = subprocess.run([self.binary, "status", "--json", "--data", str(self.front.folder)], capture_output=True, text=True, timeout=60,
                              env=clean_environment(self.settings))
        true(done.returncode == 0, f"apus status: {done.stderr}")
        return "\n".join(json.loads(done.stdout)["warnings"])

    def alerts(self) -> set[str]:
        found = self.prometheus.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def told(self, where: Watched, ready: str, metric: tuple[str, float], warning: str, alert: str) -> dict[str, bool]:
        """Which of them tell it just now: the metric by being no more than that."""
        return {
            "/ready": ready in self.ready(where), "/metrics": where.values().get(metric[0], math.inf) <= metric[1],
            "status": warning in self.warnings(), "the alert": alert in self.alerts(),
        }

    def loses(self, what: str, where: Watched, lose: Callable[[], Any], mend: Callable[[], Any], **words: Any) -> str:
        """Lets something be lost and brought back, and waits until all tell of each."""
        until(f"{what} is well", lambda: self.told(where, **words), False)
        lose()
        seconds = until(f"{what} is lost", lambda: self.told(where, **words), True)
        mend()
        until(f"{what} is back", lambda: self.told(where, **words), False)
        until("all is ready", lambda: {"/ready": self.ready(where) != ""}, False)
        return f"{what}: all told within {seconds:.1f} s"


class Processes(Stage):
    """Each role by itself, with an address for whoever looks after it."""

    def __init__(self, binary: str, postgres: cluster.Postgres, redis: cluster.Redis) -> None:
        super().__init__(binary)
        self.postgres, self.redis = postgres, redis
        self.settings = {"APUS_SECRET": cluster.SECRET, "APUS_DATABASE_URL": postgres.url, "APUS_REDIS_URL": redis.url}

    def set_up(self) -> None:
        self.front = self.stack.enter_context(self.process("api", "--signup", "open"))
        self.projector = self.projecting()
        self.gateway = self.stack.enter_context(self.process("gateway"))
        self.prometheus = self.stack.enter_context(Prometheus(self.front, self.gateway))

    def process(self, role: str, *flags: str) -> Watched:
        return Watched(self.binary, "--roles", role, *flags, environment=self.settings)

    def projecting(self) -> cluster.Projector:
        return self.stack.enter_context(cluster.Projector(self.binary, self.postgres, self.redis))


class SmallDisk(Stage):
    """One server on SQLite, whose folder is a disk of its own."""

    # More than what is warned of.
    SIZE = 1200 << 20

    def set_up(self) -> None:
        disk = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="apus-disk.")))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE},mode=700", "apus", disk], check=True)
        self.stack.callback(subprocess.run, ["umount", "--lazy", disk], check=True)
        self.front = Watched(self.binary, "--signup", "open")
        self.front.folder, self.front.engine = disk, {}
        self.stack.enter_context(self.front)
        self.prometheus = self.stack.enter_context(Prometheus(self.front))

    @property
    def ballast(self) -> Path:
        return self.front.folder / "ballast"

    def fill(self) -> None:
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(self.front.folder).f_bavail * os.statvfs(self.front.folder).f_frsize)


def until(what: str, look: Callable[[], dict[str, bool]], wanted: bool) -> float:
    """Waits until all tell, or none does; how long it took."""
    start = time.monotonic()
    while True:
        found = look()
        took = time.monotonic() - start
        if all(tells == wanted for tells in found.values()):
            return took
        true(took < PATIENCE_SECONDS, f"{what}, and told is {found}")
        time.sleep(0.1)


@contextlib.contextmanager
def processes(options: argparse.Namespace) -> Iterator[Processes]:
    with cluster.Postgres() as postgres, cluster.Redis() as redis, Processes(options.apus, postgres, redis) as stage:
        yield stage


@test("a projector that was killed, a Redis that is away and a database that is read-only are told of everywhere, and that they are back")
def told(options: argparse.Namespace) -> str:
    with processes(options) as stage:
        alice = person(stage.front, "alice")
        expected(alice.create_collection(NOTES), 201)
        expected(alice.commit(NOTES, [offered(uid(1), uid(1, "a"), b"meta")]), 200)
        found = [stage.loses(
            "the projector", stage.front, stage.projector.kill, stage.projecting, ready="no projector is at work",
            metric=('apus_read_model_leased{read_model="main"}', 0), warning="nobody projects", alert="ApusNoProjector")]
        found.append(stage.loses(
            "Redis", stage.gateway, stage.redis.kill, stage.redis.start, ready="Redis is away", metric=("apus_redis_up", 0),
            warning="Redis does not answer", alert="ApusRedisDown"))

        def read_only(value: str) -> None:
            stage.postgres.value(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            stage.postgres.value("SELECT pg_reload_conf()")

        found.append(stage.loses(
            "the database that takes writes", stage.front, lambda: read_only("on"), lambda: read_only("off"), ready="can only be read",
            metric=("apus_database_writable", 0), warning="the database takes no writes", alert="ApusDatabaseReadOnly"))
        expected(alice.commit(NOTES, [offered(uid(2), uid(2, "a"), b"meta")]), 200)
        equal(len(alice.changes(NOTES, None, 10)[0]), 2, "items")
        return "; ".join(found)


@test("a disk that is full is told of everywhere, refuses writes and keeps what it has, and goes on once there is room")
def full(options: argparse.Namespace) -> str:
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        return "left out: only root can mount a disk"
    with SmallDisk(options.apus) as stage:
        alice = person(stage.front, "alice")
        expected(alice.create_collection(NOTES), 201)
        kept = []

        def fill() -> None:
            stage.fill()
            # What SQLite has room for in the files that it has, it takes.
            for number in range(1, 200):
                answer = alice.commit(NOTES, [offered(uid(number), uid(number, "a"), bytes(100_000))])
                if answer.status != 200:
                    expected(answer, 503)
                    return
                kept.append(number)
            true(False, "a full disk took 20 MB")

        words = stage.loses(
            "room on the disk", stage.front, fill, stage.ballast.unlink, ready="the disk of the data folder is full",
            metric=("apus_data_free_bytes", 0), warning="the disk of the data folder has 0 MiB left", alert="ApusDiskFull")
        expected(alice.commit(NOTES, [offered(uid(500), uid(500, "a"), bytes(100_000))]), 200)
        equal({item["uid"] for item in alice.changes(NOTES, None, 300)[0]}, {uid(number) for number in [*kept, 500]}, "items")
        return words


if __name__ == "__main__":
    support.main(__doc__, options)
