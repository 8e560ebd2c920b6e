"""One fault at a time, and how long clients feel it: what ops/docs/availability.md promises, measured."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import subprocess
import threading
import time
from typing import Callable, Iterator

from world import HALL, World, run, wait

import faults
from faults import Fault
from judging import Judgement
from people import People, Reader, Round, Subscriber, Writer
from support import psql

WARM_SECONDS = 6.0
# What is promised, in seconds.
WRITES_SECONDS, READS_SECONDS, PROJECTOR_SECONDS, GATEWAY_SECONDS = 2.0, 5.0, 4.0, 5.0

Say = Callable[[str], None]


class Stage:
    """A round of people at work, and what is measured of them."""

    def __init__(self, world: World, options: argparse.Namespace, people: People, number: int, say: Say) -> None:
        self.world, self.people, self.say = world, people, say
        self.play = Round(number, options.seed, people, options.writers, options.readers, options.subscribers)
        self.nemesis = faults.Nemesis(world, say)
        self.figures: dict[str, float] = {}
        self.found: list[str] = []

    def measured(self, what: str, seconds: float, limit: float | None = None) -> None:
        self.figures[what] = seconds
        if limit is not None and seconds > limit:
            self.found.append(f"{what}: {seconds:.2f} s, and {limit} s are promised")

    def fault(self, kind: str, target: str, detail: float = 0.0) -> contextlib.AbstractContextManager:
        return self.nemesis.begun(Fault(kind, target, 0, 0, detail))

    def spent(self, seconds: float) -> None:
        """Lets time pass."""
        self.nemesis._pass(seconds)

    # how long clients feel it

    def writers_wait(self, since: float) -> float:
        """How long after a moment the last of all writers has got an acknowledgement."""
        first = [min((record["end"] for record in list(writer.records) if record["outcome"] == "done" and record["end"] > since), default=None)
                 for writer in self.play.of(Writer)]
        if None in first:
            return float("inf")
        return max(first) - since

    def readers_wait_for_one(self, since: float) -> float:
        """How long after a moment the last of all readers has got an answer."""
        first = [min((record["end"] for record in list(reader.records) if record["end"] > since), default=float("inf"))
                 for reader in self.play.of(Reader) if reader.session.name not in self.play.guests]
        return max(first) - since

    def readers_wait(self, since: float, until: float) -> float:
        """The longest that any reader was without an answer."""
        longest = 0.0
        for reader in self.play.of(Reader):
            if reader.session.name in self.play.guests:
                continue
            ends = [since, *(record["end"] for record in list(reader.records) if since < record["end"] < until), until]
            longest = max(longest, *(after - before for before, after in zip(ends, ends[1:])))
        return longest


# --- failovers ------------------------------------------------------------------------------------


def accepted(world: World, but: str, until: threading.Event) -> float | None:
    """When a PostgreSQL other than that one has taken a write, asked of each itself."""
    found: list[float] = []

    def ask(address: str) -> None:
        url = f"postgres://postgres@{address}:5432/probe?connect_timeout=1&options=-c%20statement_timeout%3D1000"
        while not found and not until.is_set():
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                psql(url, "UPDATE probe SET at = clock_timestamp()")
                found.append(time.monotonic())
            time.sleep(0.03)

    threads = [threading.Thread(target=ask, args=(machine.address,), daemon=True) for machine in world.dbs if machine.name != but]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min(found, default=None)


def failover(stage: Stage, kind: str) -> None:
    """The primary's host is lost, with its Patroni; a standby is promoted."""
    world = stage.world
    with contextlib.suppress(RuntimeError):
        psql(world.database.server_url, "CREATE DATABASE probe")
    url = world.database.server_url.removesuffix("/postgres") + "/probe"
    psql(url, "CREATE TABLE IF NOT EXISTS probe (at TIMESTAMPTZ); INSERT INTO probe VALUES (NULL)")
    wait("standbys have it", world.is_replicated, 30)
    stage.spent(WARM_SECONDS)
    old = world.leader()
    began = time.monotonic()
    given_up = threading.Event()
    threading.Timer(60, given_up.set).start()
    with stage.fault(kind, "primary" if kind == "cut" else "host") as words:
        stage.say(words)
        moment = accepted(world, old, given_up)
        if moment is None:
            stage.found.append("no PostgreSQL has taken over")
            return
        stage.spent(14)
        over = time.monotonic()
        stage.measured("a new primary after", moment - began)
        stage.measured("all writers after that", stage.writers_wait(moment), WRITES_SECONDS)
        stage.measured("all readers after that", stage.readers_wait_for_one(moment), READS_SECONDS)
        stage.measured("readers without an answer", stage.readers_wait(began, over))
    stage.spent(8)  # the old one comes back, and may believe that it is the primary


def switchover(stage: Stage) -> None:
    stage.spent(WARM_SECONDS)
    began = time.monotonic()
    with stage.fault("switchover", "") as words:
        stage.say(words)
        stage.spent(12)
    stage.measured("all writers after", stage.writers_wait(began + 1), 6)
    stage.measured("readers without an answer", stage.readers_wait(began, time.monotonic()), READS_SECONDS)


# --- processes of Apus ----------------------------------------------------------------------------


def projector(stage: Stage, kind: str) -> None:
    """The one that is at work is lost; the other one takes over."""
    world = stage.world
    stage.spent(WARM_SECONDS)
    # Each says in its log when it begins.
    since = {name: max((line.split(" ")[0] for line in part.log.splitlines() if line.endswith(" projecting")), default="")
             for name, part in world.parts.items() if name.startswith("projector")}
    active = max(since, key=since.get)
    fence = world.database.value("SELECT fence FROM apus_projection")
    began = time.monotonic()
    with stage.fault(kind, "projector", 0.0 if active.endswith("1") else 0.9) as words:
        stage.say(f"{words} ({active} is at work)")
        end = time.monotonic() + 30
        query = f"DO $$ BEGIN WHILE (SELECT fence FROM apus_projection) = {fence} LOOP PERFORM pg_sleep(0.02); COMMIT; END LOOP; END $$"
        psql(world.database.url, f"SET statement_timeout = '30s'; {query}")
        stage.measured("taken over after", time.monotonic() - began, PROJECTOR_SECONDS)
        stage.spent(max(0.0, min(8.0, end - time.monotonic())))
        stage.measured("readers without an answer", stage.readers_wait(began, time.monotonic()), READS_SECONDS)


def gateway(stage: Stage, kind: str) -> None:
    """One of two is lost; its clients open their sockets on the other one."""
    stage.spent(WARM_SECONDS)
    began = time.monotonic()
    with stage.fault(kind, "gateway") as words:
        stage.say(words)
        stage.spent(12)
    subscribers = [one for one in stage.play.of(Subscriber) if one.session.name not in stage.play.guests]
    gone = [one for one in subscribers if any(began <= moment < began + 12 for moment in one.broken)]
    back = [max([moment for moment in one.opened if moment > began], default=float("inf")) - began for one in gone]
    stage.measured("sockets that were broken", len(gone))
    stage.measured("the last is open again after", max(back, default=0), GATEWAY_SECONDS)
    if not gone:
        stage.found.append("no socket was on that gateway")


def rolling(stage: Stage) -> None:
    """All processes of Apus are restarted, then Redis, which then fails over by Sentinel, then PostgreSQL by a switchover."""
    world = stage.world
    stage.spent(WARM_SECONDS)
    began = time.monotonic()
    with stage.fault("rolling", "") as words:
        stage.say(words)
    stage.spent(5)
    stage.measured("requests that failed while Apus was restarted", _failed(stage, began), 0)
    began = time.monotonic()
    for name in ("redis-kv2", "redis-kv1"):
        world.expected_away.add(name)
        stage.nemesis.restart(world.parts[name])
        world.expected_away.discard(name)
        stage.spent(5)
    stage.say("Redis was restarted")
    wait("Sentinel promotes the replica", lambda: "OK" in run("redis-cli", "-h", HALL, "-p", "26379", "SENTINEL", "FAILOVER", "apus"), 30)
    stage.spent(8)
    stage.say("Redis has failed over")
    stage.measured("requests that failed while Redis was", _failed(stage, began, but="ticket"), 0)
    stage.measured("tickets that were not to be had meanwhile", _failed(stage, began) - _failed(stage, began, but="ticket"))
    began = time.monotonic()
    with stage.fault("switchover", "") as words:
        stage.say(words)
        stage.spent(10)
    stage.measured("requests that were refused while PostgreSQL's primary moved", _failed(stage, began))


def _failed(stage: Stage, since: float, but: str = "") -> int:
    found = [key for moment, key in list(stage.people.tally.unanswered) if moment > since and not (but and key.startswith(but))]
    if found:
        stage.say(f"failed: {sorted(set(found))}, {len(found)} times")
    return len(found)


ALL: dict[str, Callable[[Stage], None]] = {
    "failover-killed": lambda stage: failover(stage, "kill"),
    "failover-cut": lambda stage: failover(stage, "cut"),
    "failover-frozen": lambda stage: failover(stage, "freeze"),
    "switchover": switchover,
    "projector-killed": lambda stage: projector(stage, "kill"),
    "projector-frozen": lambda stage: projector(stage, "freeze"),
    "projector-cut": lambda stage: projector(stage, "cut"),
    "gateway-killed": lambda stage: gateway(stage, "kill"),
    "gateway-frozen": lambda stage: gateway(stage, "freeze"),
    "gateway-cut": lambda stage: gateway(stage, "cut"),
    "rolling": rolling,
}


# --- playing them -----------------------------------------------------------------------------------


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that would like a processor each."""
    processes = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


def play(world: World, options: argparse.Namespace, say: Say) -> Judgement:
    """Plays the scenarios that are named, each as often as it is wanted, and judges what clients saw as after any other fault."""
    judgement = Judgement(world, options.folder)
    people = People(world.front)
    figures: dict[str, dict[str, list[float]]] = {}
    number = 0
    with busy(options.load):
        for name in options.scenario * options.times:
            number += 1
            stage = Stage(world, options, people, number, say)
            stage.play.start()
            ALL[name](stage)
            took = world.whole(120)
            found = stage.nemesis.faults_of_ours + stage.play.finish(world.silent)
            judgement.of_round(stage.play, stage.nemesis, found + stage.found)
            for what, seconds in stage.figures.items():
                judgement.checks += 1
                figures.setdefault(name, {}).setdefault(what, []).append(seconds)
            say(f"{name}: " + ", ".join(f"{what} {seconds:.2f}" for what, seconds in stage.figures.items())
                + f"; whole again after {took:.1f} s; {judgement.summary(stage.play)}; {len(judgement.found) or 'no'} violations so far")
    judgement.of_the_end(people)
    for name, measured in figures.items():
        for what, values in measured.items():
            judgement.figures.append(f"{name}: {what}: " + ", ".join(f"{value:.2f}" for value in values))
    return judgement
