"""What is done to the installation. Which, to whom, when and for how long follows from a seed; whom that is, where a role is meant, from the moment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import threading
import time
from typing import Callable, Iterator

from world import DISK_BYTES, LEADER_SECONDS, Machine, Part, Postmaster, World, tell

APUS = ("api", "projector", "gateway")
ENGINES = ("postgres-primary", "postgres-standby", "patroni", "redis", "sentinel")


@dataclasses.dataclass
class Fault:
    kind: str
    target: str
    begins_after: float  # the one before it, in seconds
    lasts: float
    detail: float        # from 0 to 1: what is still to be chosen

    def __str__(self) -> str:
        return f"{self.kind} {self.target} for {self.lasts:.1f} s"


def schedule(seed: object, seconds: float, kinds: list[str]) -> list[Fault]:
    """The faults of a while. Some overlap."""
    draw = random.Random(f"faults {seed}")
    faults: list[Fault] = []
    at = 2.0
    while True:
        kind = draw.choice(kinds)
        roles = {
            "kill": APUS + ENGINES, "freeze": APUS + ENGINES, "clock": ("app", "db"), "disk": ("primary", "standby"),
            "switchover": ("",), "rolling": ("",), "lag": ("primary",),
        }.get(kind, ("primary", "standby", "redis", "app", "app"))
        fault = Fault(kind, draw.choice(roles), draw.uniform(0.5, 7), draw.uniform(2, 9), draw.random())
        at += fault.begins_after
        if at + fault.lasts > seconds:
            return faults
        faults.append(fault)


# "lag" loses what was acknowledged last: only where replication is asynchronous.
KINDS = ["kill", "kill", "kill", "freeze", "freeze", "freeze", "cut", "cut-in", "cut-out", "lossy", "slow", "disk", "clock", "switchover", "rolling"]
OF_ASYNCHRONOUS = ["lag", "lag"]
LAG_SECONDS = 1.5
WATCHDOG_SECONDS = LEADER_SECONDS - 1.0


class Nemesis:
    """Carries faults out, each in a thread of its own, at most a few at a time, and at most one that takes a database away."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self.world, self.say = world, say
        self.threads: list[threading.Thread] = []
        self.faults_of_ours: list[str] = []  # what could not be done or undone
        self.done: dict[str, int] = {}
        self.calm = threading.Event()
        self.rolls = threading.Lock()
        self.lags = threading.Lock()

    def run(self, faults: list[Fault], seconds: float) -> None:
        """Begins each at its time; ends when the time is over and all of them have been taken back."""
        end = time.monotonic() + seconds
        for fault in faults:
            self._pass(fault.begins_after)
            if time.monotonic() + fault.lasts > end:
                break
            self.threads = [thread for thread in self.threads if thread.is_alive()]
            while len(self.threads) >= 2:
                self._pass(0.2)
                self.threads = [thread for thread in self.threads if thread.is_alive()]
            thread = threading.Thread(target=self._carry_out, args=(fault,), daemon=True)
            self.threads.append(thread)
            thread.start()
        while time.monotonic() < end:
            self._pass(0.5)
        for thread in self.threads:
            thread.join(120)

    def _pass(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self.faults_of_ours += self.world.watched()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.3, left))

    def _carry_out(self, fault: Fault) -> None:
        try:
            with self.begun(fault) as words:
                if words is None:
                    return
                self.say(f"{words}, for {fault.lasts:.1f} s")
                self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
                time.sleep(fault.lasts)
        except Exception as error:
            self.faults_of_ours.append(f"{fault} could not be done: {type(error).__name__}: {error}")

    @contextlib.contextmanager
    def begun(self, fault: Fault) -> Iterator[str | None]:
        """Does it, and takes it back at the end. What it is in words; nil where there is nobody to do it to."""
        with getattr(self, fault.kind.replace("-", "_"))(fault) as words:
            yield words

    # --- processes ------------------------------------------------------------------------------------

    def victims(self, target: str, detail: float) -> list[Part | Postmaster]:
        """Whose processes are meant."""
        world = self.world
        if target in ("postgres-primary", "postgres-standby"):
            found = self.database(target.removeprefix("postgres-"), detail)
            return [world.postmasters[found.name]] if found else []
        if target == "host":  # PostgreSQL and its Patroni
            found = self.database("primary", detail)
            return [world.parts[f"patroni-{found.name}"], world.postmasters[found.name]] if found else []
        parts = [part for name, part in world.parts.items() if name.split("-")[0] == target and name != "sentinel-hall"]
        return [parts[int(detail * len(parts))]]

    def database(self, role: str, detail: float) -> Machine | None:
        leader = self.world.leader()
        if leader is None:
            return None
        found = [machine for machine in self.world.dbs if (machine.name == leader) == (role == "primary")]
        return found[int(detail * len(found))]

    @contextlib.contextmanager
    def kill(self, fault: Fault) -> Iterator[str | None]:
        victims = self.victims(fault.target, fault.detail)
        names = " and ".join(victim.name for victim in victims)
        parts = [victim for victim in victims if isinstance(victim, Part)]
        for part in parts:
            self.world.expected_away.add(part.name)
        try:
            for victim in victims:
                victim.signal(signal.SIGKILL)
            yield f"kill -9 {names}" if victims else None
        finally:
            for part in parts:
                if not part.is_alive:
                    part.start()
                self.world.expected_away.discard(part.name)

    @contextlib.contextmanager
    def freeze(self, fault: Fault) -> Iterator[str | None]:
        """Lets processes stand still, and go on.

        A Patroni that wakes when its claim to be the primary's has run out takes it back, and what was written meanwhile is lost: that
        is what it wants a watchdog for, which resets the machine. So we do.
        """
        target = fault.target
        # A PostgreSQL whose Patroni lives is found out and killed by it; one that is frozen with it is what a machine is that stands still.
        if target == "postgres-primary" and fault.detail < 0.7:
            target = "host"
        victims = self.victims(target, fault.detail)
        pids = [pid for victim in victims for pid in victim.pids()]
        patronis = [victim for victim in victims if victim.name.startswith("patroni")]
        watchdog = None
        if patronis and target == "patroni":
            watchdog = threading.Timer(WATCHDOG_SECONDS, self._reset, args=(patronis,))
            watchdog.start()
        began = time.monotonic()
        tell(pids, signal.SIGSTOP)
        try:
            yield f"freeze {' and '.join(victim.name for victim in victims)}" if pids else None
        finally:
            if watchdog:
                watchdog.cancel()
            elif patronis and time.monotonic() - began > WATCHDOG_SECONDS:
                self._reset(patronis)
            tell(pids, signal.SIGCONT)

    def _reset(self, patronis: list[Part]) -> None:
        """What a watchdog does to their machines. A service manager starts Patroni again."""
        for patroni in patronis:
            self.world.expected_away.add(patroni.name)
            patroni.signal(signal.SIGKILL)
            self.world.postmasters[patroni.machine.name].signal(signal.SIGKILL)
            patroni.ended(10)
            patroni.start()
            self.world.expected_away.discard(patroni.name)

    @contextlib.contextmanager
    def rolling(self, fault: Fault) -> Iterator[str | None]:
        """Every process of Apus is ended as by its service manager, and started again, one after the other."""
        if not self.rolls.acquire(blocking=False):  # a service manager does not begin another one meanwhile
            yield None
            return
        try:
            yield "rolling restart of Apus"
            for part in self.world.apus_parts:
                self.world.expected_away.add(part.name)
                try:
                    self.restart(part)
                finally:
                    self.world.expected_away.discard(part.name)
        finally:
            self.rolls.release()

    def restart(self, part: Part, seconds: float = 45) -> None:
        if part.is_alive:
            part.signal(signal.SIGTERM)
            code = part.ended(seconds)
            # One that is frozen or cut off meanwhile takes longer: what then comes is the service manager's.
            if code is None:
                part.signal(signal.SIGKILL)
                part.ended(10)
            elif code not in (0, -signal.SIGKILL):
                self.faults_of_ours.append(f"{part.name} has ended with {code} after SIGTERM: {part.log[-300:]}")
        serving = part.log.count(" serving ")
        part.start()
        port = {"api": 3735, "gateway": 3736}.get(part.name.split("-")[0])
        end = time.monotonic() + 20
        # A projector has no address: it says when it has begun.
        while time.monotonic() < end and not (self.world.is_ready(part, port) if port else part.log.count(" serving ") > serving):
            time.sleep(0.2)

    @contextlib.contextmanager
    def switchover(self, fault: Fault) -> Iterator[str | None]:
        leader = self.database("primary", 0)
        candidates = [member["name"] for member in self.world.members() if member["role"] == "sync_standby"
                      or (self.world.is_asynchronous and member["role"] == "replica")]
        if not leader or not candidates:
            yield None
            return
        done = subprocess.run(
            ["/usr/bin/patronictl", "-c", self.world.folder / leader.name / "patroni.yml", "switchover", "--force", "--master", leader.name,
             "--candidate", candidates[0]], capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": ""})
        yield f"switchover from {leader.name} to {candidates[0]}" + ("" if done.returncode == 0 else ", refused")

    @contextlib.contextmanager
    def lag(self, fault: Fault) -> Iterator[str | None]:
        """The standbys get nothing any more for a moment, and then the primary's host is gone."""
        machine = self.database("primary", 0)
        if not machine or not self.lags.acquire(blocking=False):
            yield None
            return
        with contextlib.ExitStack() as stack:
            stack.callback(self.lags.release)
            for other in self.world.dbs:
                if other is not machine:
                    stack.enter_context(machine.drop("OUTPUT", "-d", other.address))
            time.sleep(LAG_SECONDS)
            with self.kill(dataclasses.replace(fault, target="host")) as words:
                yield f"nothing is replicated for {LAG_SECONDS} s, then {words}"

    # --- the network ----------------------------------------------------------------------------------

    def machine(self, fault: Fault) -> Machine | None:
        if fault.target in ("primary", "standby"):
            return self.database(fault.target, fault.detail)
        machines = self.world.kvs if fault.target == "redis" else [
            machine for machine in self.world.apps if fault.target in ("app", machine.name[:-1])]
        return machines[int(fault.detail * len(machines))]

    @contextlib.contextmanager
    def _dropping(self, fault: Fault, chains: tuple[str, ...], words: str, *rule: str) -> Iterator[str | None]:
        machine = self.machine(fault)
        if not machine:
            yield None
            return
        with contextlib.ExitStack() as stack:
            for chain in chains:
                stack.enter_context(machine.drop(chain, *rule))
            yield f"{machine.name} {words}"

    def cut(self, fault: Fault) -> contextlib.AbstractContextManager:
        return self._dropping(fault, ("INPUT", "OUTPUT"), "is cut off")

    def cut_in(self, fault: Fault) -> contextlib.AbstractContextManager:
        return self._dropping(fault, ("INPUT",), "hears nothing")

    def cut_out(self, fault: Fault) -> contextlib.AbstractContextManager:
        return self._dropping(fault, ("OUTPUT",), "is not heard")

    def lossy(self, fault: Fault) -> contextlib.AbstractContextManager:
        share = 0.05 + 0.25 * fault.detail
        return self._dropping(fault, ("INPUT", "OUTPUT"), f"loses {share:.0%} of its packets each way",
                              "-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}")

    @contextlib.contextmanager
    def slow(self, fault: Fault) -> Iterator[str | None]:
        machine = self.machine(fault)
        if not machine:
            yield None
            return
        try:
            slow = machine.slow(500 + int(3000 * fault.detail))
        except AssertionError:  # it is slow already
            yield None
            return
        with slow:
            yield f"{machine.name} has a slow link"

    # --- disks and clocks -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def disk(self, fault: Fault) -> Iterator[str | None]:
        machine = self.database(fault.target, fault.detail)
        if not machine:
            yield None
            return
        ballast = self.world.folder / machine.name / "ballast"
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            block = bytes(1 << 20)
            for _ in range(DISK_BYTES >> 20):
                file.write(block)
        try:
            yield f"the disk of {machine.name} is full"
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def clock(self, fault: Fault) -> Iterator[str | None]:
        machines = self.world.apps if fault.target == "app" else self.world.dbs
        if not self.world.has_clocks or (fault.target == "db" and self.world.is_asynchronous):
            yield None
            return
        machine = machines[int(fault.detail * len(machines))]
        seconds = int(random.Random(fault.detail).choice([-3600, -60, -3, 3, 60, 3600]))
        machine.clock.step(seconds)
        try:
            yield f"the clock of {machine.name} is set by {seconds} s"
        finally:
            machine.clock.step(0)
