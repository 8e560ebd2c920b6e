"""Judges what came of it: the histories of clients, the log and its tables, what stokens still mean, and what processes have said."""

from __future__ import annotations

import base64
import collections
import copy
import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

from world import SECRET, World

import checker
import cluster
import mutations
from cluster import LOG_FAULTS, READ_MODEL_FAULTS
from faults import Nemesis
from people import Host, Lost, People, Reading, Round, Subscriber

Record = dict[str, Any]


class Epochs:
    """Which places of the log are of its history: what Sources/EventLog/Epochs.swift says, from the table and stokens alone."""

    def __init__(self, rows: list[list[int]], head: int) -> None:
        self.firsts, self.head = [(epoch, first) for epoch, first in rows], head

    def contain(self, epoch: int, position: int) -> bool:
        for index, (number, first) in enumerate(self.firsts):
            if number == epoch:
                end = self.firsts[index + 1][1] if index + 1 < len(self.firsts) else self.head + 1
                return first <= position < end
        return False


def opened(stoken: str, secret: str = SECRET) -> tuple[int, int]:
    """Epoch and position of a stoken (Sources/EventLog/Stoken.swift)."""
    def key(purpose: bytes) -> bytes:
        return hashlib.blake2b(secret.encode(), digest_size=32, person=purpose.ljust(16, b"\0")).digest()

    data = base64.urlsafe_b64decode(stoken)
    tag, content = data[:12], data[12:]
    mask = hashlib.blake2b(tag, key=key(b"apus-stoken-mask"), digest_size=16).digest()
    plain = bytes(one ^ other for one, other in zip(content, mask))
    assert hashlib.blake2b(plain, key=key(b"apus-stoken-tag"), digest_size=16).digest()[:12] == tag, "a stoken that is not of this server"
    return int.from_bytes(plain[:4], "big"), int.from_bytes(plain[4:], "big")


def licensed(history: list[Record], epochs: Epochs) -> tuple[list[Record], int]:
    """A history without what its epochs say is lost, and how much that was.

    A write is lost for good reason where whoever was told of it was told with a stoken of what is lost. What nobody was told
    of may be lost only if it was acknowledged before the last epoch began; nobody knows more of it.
    """
    there = {revision for record in history if record["kind"] == "revisions" for revision in record["told"]}
    is_good = {record["stoken"]: epochs.contain(*opened(record["stoken"]))
               for record in history if record["kind"] in ("page", "frame") and record["stoken"]}
    told_for_good = {revision for record in history if record["kind"] in ("page", "frame") and is_good.get(record["stoken"])
                     for _, revision in record["told"]}
    lost = 0
    judged = []
    for record in history:
        if record["kind"] == "write" and record["outcome"] == "done":
            revisions = [revision for _, revision, _ in record["items"]]
            if not any(revision in there or revision in told_for_good for revision in revisions):
                lost += 1
                record = record | {"outcome": "unknown", "end": float("inf")}
        elif record["kind"] in ("page", "frame") and record["stoken"] and not is_good[record["stoken"]]:
            record = record | {"told": [[item, revision] for item, revision in record["told"] if revision in there]}
        judged.append(record)
    return judged, lost


class Judgement:
    """All that is found wrong, and what was done."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.found: list[str] = []
        self.checks = 0
        self.faults: collections.Counter = collections.Counter()
        self.writes = self.pages = self.frames = self.lost = self.told_lost = 0
        self.figures: list[str] = []
        self.stokens: set[str] = set()

    def of_round(self, play: Round, nemesis: Nemesis, found: list[str]) -> None:
        self.faults.update(nemesis.done)
        history = play.history()
        kinds = collections.Counter(record["kind"] for record in history)
        done = sum(record["kind"] == "write" and record["outcome"] == "done" for record in history)
        self.writes, self.pages, self.frames = self.writes + done, self.pages + kinds["page"], self.frames + kinds["frame"]
        self.stokens |= {record["stoken"] for record in history if record["kind"] in ("page", "frame") and record["stoken"]}
        told = [(person.name, stoken) for person in play.persons if isinstance(person, Reading) for stoken, _ in person.lost]
        self.told_lost += len(told)
        epochs = self.epochs()
        for name, stoken in told:
            self.check(not epochs.contain(*opened(stoken)), f"{name} was told that its stoken is of a lost history, and it is not: {opened(stoken)}")
        lost = 0
        back = sum(host.lost for host in play.of(Host))
        if self.world.is_asynchronous:
            history, lost = licensed(history, epochs)
            self.lost += lost
            self.check(not (lost or back) or len(epochs.firsts) > 1, f"{lost} acknowledged writes and {back} removals are lost, and no epoch has begun")
        else:
            self.check(not back, f"{back} who had been put out were members again")
            self.check(not told, f"{len(told)} were told that their stokens are of a lost history: {told[:3]}")
        self.history = history
        violations = checker.check(history)
        self.checks += 1
        self.last = (kinds, done, lost)
        if violations or found:
            path = self.folder / f"history-{self.checks}.jsonl"
            path.write_text("".join(json.dumps(record) + "\n" for record in history))
        self.found += [str(violation) for violation in violations] + found

    def check(self, holds: bool, otherwise: str) -> None:
        self.checks += 1
        if not holds:
            self.found.append(otherwise)

    def epochs(self) -> Epochs:
        head = self.world.database.value("SELECT position FROM apus_log")
        return Epochs(self.world.database.rows("SELECT epoch, first_position FROM apus_epoch ORDER BY epoch"), head)

    def of_the_end(self, people: People) -> None:
        """Looks at the log and its tables, and asks whether the server calls just those stokens lost that are."""
        database = self.world.database
        cluster.wait("the read model is where the log ends", lambda: database.value(
            "SELECT projected.position = log.position FROM apus_projection projected, apus_log log"), 60)
        self.found += cluster.faults(database, LOG_FAULTS | READ_MODEL_FAULTS)
        for command in (("verify",), ("log", "verify")):
            done = self.world.command(*command)
            self.check(done.returncode == 0, f"apus {' '.join(command)}: {(done.stdout + done.stderr)[-1000:]}")
        epochs = self.epochs()
        owner = people.groups[0][0]
        sample = sorted(self.stokens)
        gone = [stoken for stoken in sample if not epochs.contain(*opened(stoken))]
        chosen = set(random.Random(1).sample(gone, min(100, len(gone)))) | set(random.Random(2).sample(sample, min(100, len(sample))))
        for stoken in sorted(chosen):
            try:
                owner.insist("read", lambda: owner.get("/api/v1/collection/", stoken=stoken), 200)
                is_known = True
            except Lost:
                is_known = False
            self.check(is_known == epochs.contain(*opened(stoken)), f"the server {'knows' if is_known else 'does not know'} the stoken {opened(stoken)}")
        if not self.world.is_asynchronous:
            self.check(not gone, f"{len(gone)} stokens are of a history that is lost, such as {[opened(stoken) for stoken in gone[:3]]}")
        self.figures.append(f"{len(epochs.firsts)} epochs, log of {epochs.head} events, {len(gone)} of {len(sample)} stokens lost")
        if not self.found:
            self.of_the_checker()
        for part in self.world.apus_parts:
            bad = [line for line in part.log.splitlines() if re.search(r" critical |Fatal error|precondition", line)]
            self.check(not bad, f"{part.name} says {bad[:2]}")

    def of_the_checker(self) -> None:
        """Puts each fault that there can be into what clients saw last, and looks whether it is found there."""
        collection = max({record["collection"] for record in self.history}, key=lambda name: sum(
            record["collection"] == name for record in self.history))
        whole = [record | {"collection": "c"} for record in self.history if record["collection"] == collection]
        count = 0
        for fault, kinds in mutations.FAULTS.items():
            for seed in range(3):
                history = copy.deepcopy(whole)
                if fault(history, random.Random(seed)):
                    count += 1
                    told = {violation.kind for violation in checker.check(history)}
                    self.check(bool(told & kinds), f"the checker does not find that {fault.__doc__} It finds {sorted(told)}")
        self.check(count > len(mutations.FAULTS), f"only {count} faults could be put into what clients saw")
        self.figures.append(f"{count} faults put into what clients saw were looked for")

    def summary(self, play: Round) -> str:
        kinds, done, lost = self.last
        breaks = sum(len(person.broken) for person in play.of(Subscriber))
        return (f"{done} writes, {kinds['page']} pages, {kinds['frame']} frames, {kinds['access']} comings and goings, {breaks} sockets broken"
                + (f", {lost} writes lost" if lost else ""))

    def words(self) -> str:
        done = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.faults.items()))
        return "\n".join([f"{self.writes} acknowledged writes, {self.pages} pages, {self.frames} frames; {self.lost} writes lost, "
                          f"{self.told_lost} stokens told to be lost", f"faults: {done}", *self.figures])

    def counts(self) -> tuple[int, int]:
        return max(0, self.checks - len(self.found)), len(self.found)
