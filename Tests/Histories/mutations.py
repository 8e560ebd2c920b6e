#!/usr/bin/env python3
"""The checker finds nothing in histories of a server that keeps all promises, and each fault that is put into one.

Last line: N passed, N failed.
"""

from __future__ import annotations

import collections
import copy
import random
import sys
from typing import Callable, Iterator

from checker import KINDS, Record, check

SEEDS = 60
WRITES, ITEMS, READERS = 30, 6, 4
History = list[Record]


class Log:
    """A server that does one thing after the other: its clients wait for it some time before and after that."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.revisions: dict[str, list[str]] = collections.defaultdict(list)
        self.changes: list[tuple[str, str]] = []     # positions are counted from 1
        self.history: History = []
        self.known: dict[str, int] = {f"reader {number}": 0 for number in range(READERS)}

    def run(self) -> History:
        for number in range(WRITES):
            self.write(number)
            for reader in self.known:
                if self.random.random() < 0.3:
                    self.read(reader)
        for reader in self.known:
            self.read(reader)
        for item, told in self.revisions.items():
            self.history.append({"kind": "revisions", "collection": "c", "item": item, "told": list(told)})
        return self.history

    def tick(self, before: float, after: float) -> dict[str, float]:
        """A moment at which something is done, within the time for which somebody waits."""
        self.now += 1
        return {"begin": self.now - self.random.uniform(0.01, before), "end": self.now + self.random.uniform(0.01, after)}

    def write(self, number: int) -> None:
        names = self.random.sample([f"item {number}" for number in range(ITEMS)], self.random.choice([1, 1, 2, 3]))
        outcome = self.random.choice(["done"] * 6 + ["refused", "unknown", "unknown"])
        asks = self.random.random() < 0.5
        items = [[name, f"{number}/{name}", self.revisions[name][-1] if asks and self.revisions[name] else None] for name in names]
        times = self.tick(3, 3)
        if outcome == "done" or outcome == "unknown" and self.random.random() < 0.5:
            for name, revision, _ in items:
                self.revisions[name].append(revision)
                self.changes.append((name, revision))
        self.history.append({"kind": "write", "session": f"s{number % 5}", "collection": "c", "items": items, "outcome": outcome, **times})

    def read(self, reader: str) -> None:
        """Page by page to the end; half of the readers of a socket's frames as far as one has come."""
        if self.known[reader] and self.random.random() < 0.3:
            return self.frame(reader)
        while True:
            since = self.known[reader]
            changed = self.since(since)
            page, rest = changed[:4], changed[4:]
            position = page[-1][0] if rest else len(self.changes)
            self.known[reader] = position
            self.history.append({
                "kind": "page", "reader": reader, "user": reader, "collection": "c", "since": self.stoken(since),
                "told": [[name, revision] for _, name, revision in page], "stoken": self.stoken(position), "last": not rest,
                **self.tick(0.4, 0.4)})
            if not rest:
                return None

    def frame(self, reader: str) -> None:
        changed = self.since(self.known[reader])
        if not changed:
            return
        self.known[reader] = len(self.changes)
        self.history.append({
            "kind": "frame", "reader": reader, "user": reader, "collection": "c", "stoken": self.stoken(len(self.changes)),
            "told": [[name, revision] for _, name, revision in changed], **self.tick(0.4, 0.4)})

    def since(self, position: int) -> list[tuple[int, str, str]]:
        """Each item once, as it is now."""
        newest = {name: (number, name, revision) for number, (name, revision) in enumerate(self.changes, 1) if number > position}
        return sorted(newest.values())

    @staticmethod
    def stoken(position: int) -> str | None:
        return f"stoken {position}" if position else None


# --- faults -------------------------------------------------------------------------------------------


def of_kind(history: History, kind: str) -> Iterator[Record]:
    return (record for record in history if record["kind"] == kind)


def forget(history: History, revision: str) -> None:
    """As if it had never been."""
    for record in history:
        if record["kind"] == "revisions":
            record["told"] = [told for told in record["told"] if told != revision]
        elif record["kind"] in ("page", "frame"):
            record["told"] = [told for told in record["told"] if told[1] != revision]


def done(history: History, count: int = 1) -> list[Record]:
    return [write for write in of_kind(history, "write") if write["outcome"] == "done" and len(write["items"]) >= count]


def lost(history: History, chance: random.Random) -> bool:
    """A write that was acknowledged is nowhere."""
    for _, revision, _ in chance.choice(done(history))["items"]:
        forget(history, revision)
    return True


def refused(history: History, chance: random.Random) -> bool:
    """A write is there whose client was told that it was refused."""
    chance.choice(done(history))["outcome"] = "refused"
    return True


def invented(history: History, chance: random.Random) -> bool:
    """A reader is told what is nowhere."""
    pages = [page for page in of_kind(history, "page") if page["told"]]
    chance.choice(chance.choice(pages)["told"])[1] = "invented"
    return True


def twice(history: History, chance: random.Random) -> bool:
    """A write that was tried again is there two times."""
    item, revision, _ = chance.choice(chance.choice(done(history))["items"])
    next(record for record in of_kind(history, "revisions") if record["item"] == item)["told"].append(revision)
    return True


def half(history: History, chance: random.Random) -> bool:
    """Of a write whose client never heard of it, a part is there."""
    writes = done(history, 2)
    if not writes:
        return False
    write = chance.choice(writes)
    write["outcome"] = "unknown"
    forget(history, write["items"][0][1])
    return True


def read_half(history: History, chance: random.Random) -> bool:
    """A reader who is at the end knows a part of a write."""
    for page in of_kind(history, "page"):
        for write in done(history, 2):
            told = [told for told in page["told"] if any(told[1] == revision for _, revision, _ in write["items"])]
            if page["last"] and len(told) > 1:
                page["told"].remove(told[0])
                return True
    return False


def overwritten(history: History, chance: random.Random) -> bool:
    """A write that asked for a revision comes after another one."""
    for record in of_kind(history, "revisions"):
        for write in done(history):
            for item, revision, after in write["items"]:
                if item == record["item"] and after is not None and record["told"].index(revision) >= 2:
                    number = record["told"].index(revision)
                    record["told"][number - 1], record["told"][number - 2] = record["told"][number - 2], record["told"][number - 1]
                    return True
    return False


def repeated(history: History, chance: random.Random) -> bool:
    """A reader is told the same again."""
    for first in of_kind(history, "page"):
        later = [page for page in of_kind(history, "page") if page["reader"] == first["reader"] and page["begin"] > first["end"] and page["told"]]
        if first["told"] and later:
            chance.choice(later)["told"].append(list(chance.choice(first["told"])))
            return True
    return False


def skipped(history: History, chance: random.Random) -> bool:
    """A reader is not told one change, and is at the end."""
    acknowledged = {revision: write["end"] for write in done(history) for _, revision, _ in write["items"]}
    owed = [(page, told) for page in of_kind(history, "page") if page["last"] for told in page["told"]
            if acknowledged.get(told[1], page["begin"]) < page["begin"]]
    if not owed:
        return False
    page, told = chance.choice(owed)
    page["told"].remove(told)
    return True


def swapped(history: History, chance: random.Random) -> bool:
    """A reader is told two writes the wrong way round, the first of which was acknowledged before the second began."""
    by_revision = {revision: write for write in done(history) for _, revision, _ in write["items"]}
    for page in of_kind(history, "page"):
        for number, (before, after) in enumerate(zip(page["told"], page["told"][1:])):
            first, second = by_revision.get(before[1]), by_revision.get(after[1])
            if first and second and first["end"] < second["begin"]:
                page["told"][number], page["told"][number + 1] = after, before
                return True
    return False


def disagreeing(history: History, chance: random.Random) -> bool:
    """Two readers are told the same pair of writes each its own way round, of which time says nothing."""
    pages = [page for page in of_kind(history, "page") if len(page["told"]) > 1]
    write_of = {revision: id(write) for write in of_kind(history, "write") for _, revision, _ in write["items"]}
    for one in pages:
        for other in pages:
            if one["reader"] == other["reader"]:
                continue
            for number, (before, after) in enumerate(zip(one["told"], one["told"][1:])):
                if before in other["told"] and after in other["told"] and write_of[before[1]] != write_of[after[1]]:
                    one["told"][number], one["told"][number + 1] = after, before
                    return True
    return False


def differing(history: History, chance: random.Random) -> bool:
    """Somebody who knows more is at the stoken of somebody who knows less."""
    last = [page for page in of_kind(history, "page") if page["last"]]
    for page in last:
        for other in last:
            if page["told"] and page["reader"] != other["reader"] and other["stoken"] and other["end"] < page["begin"] \
                    and other["stoken"] not in (page["stoken"], page["since"]):
                page["stoken"] = other["stoken"]
                return True
    return False


def still(history: History, chance: random.Random) -> bool:
    """A stoken does not move on."""
    pages = [page for page in of_kind(history, "page") if page["told"] and page["since"]]
    if not pages:
        return False
    page = chance.choice(pages)
    page["stoken"] = page["since"]
    return True


def revoked(history: History, chance: random.Random) -> bool:
    """Somebody goes on reading who was put out."""
    page = max(of_kind(history, chance.choice(["page", "frame"])), key=lambda record: record["begin"], default=None)
    if page is None:
        return False
    history.append({"kind": "access", "user": page["user"], "collection": "c", "allowed": False,
                    "begin": page["begin"] - 0.02, "end": page["begin"] - 0.01})
    return True


FAULTS: dict[Callable[[History, random.Random], bool], set[str]] = {
    lost: {"lost"}, refused: {"ghost"}, invented: {"ghost"}, twice: {"twice"}, half: {"halves"}, read_half: {"halves", "skipped"},
    overwritten: {"overwritten"}, repeated: {"backwards"}, skipped: {"skipped"}, swapped: {"order"},
    disagreeing: {"order"}, differing: {"differs"}, still: {"still"}, revoked: {"revoked"},
}


def sound() -> str:
    """In what a server does that keeps all promises, nothing is found."""
    for seed in range(SEEDS):
        found = check(Log(seed).run())
        assert not found, f"seed {seed}: {found[:3]}"
    return f"{SEEDS} histories"


def let_in_again() -> str:
    """Whoever was put out and let in again may read."""
    history = Log(1).run()
    page = max(of_kind(history, "page"), key=lambda record: record["begin"])
    user = {"kind": "access", "user": page["user"], "collection": "c"}
    others = [record["end"] for record in history if record.get("user") == page["user"] and record is not page]
    end = max(others, default=0)
    assert end < page["begin"]
    step = (page["begin"] - end) / 5
    history += [{**user, "allowed": False, "begin": end + step, "end": end + 2 * step},
                {**user, "allowed": True, "begin": end + 3 * step, "end": end + 4 * step}]
    assert not check(history), check(history)
    return "nothing is found"


def early() -> str:
    """A fault of the order at the beginning of a long history is found, although everything comes after it."""
    count = 0
    for seed in range(SEEDS):
        history = Log(seed).run()
        end = max(record["end"] for record in history if record["kind"] != "revisions" and record["end"] < float("inf"))
        if not swapped(history, random.Random(seed)):
            continue
        count += 1
        # Who writes and reads on for long, one after the other.
        for number in range(500):
            item, revision, begin = f"late {number}", f"late revision {number}", end + number
            history += [{"kind": "write", "session": "late", "collection": "c", "items": [[item, revision, None]], "outcome": "done",
                         "begin": begin + 0.1, "end": begin + 0.2},
                        {"kind": "revisions", "collection": "c", "item": item, "told": [revision]}]
        assert "order" in {violation.kind for violation in check(history)}, f"seed {seed}"
    assert count, "no history can have it"
    return f"in {count} histories"


def found(fault: Callable[[History, random.Random], bool], kinds: set[str]) -> str:
    """The fault is found in each history into which it can be put."""
    count = 0
    for seed in range(SEEDS):
        history = copy.deepcopy(Log(seed).run())
        if not fault(history, random.Random(seed)):
            continue
        count += 1
        told = {violation.kind for violation in check(history)}
        assert told & kinds, f"seed {seed}: found {sorted(told)}, wanted {sorted(kinds)}"
    assert count >= SEEDS // 10, f"only {count} histories can have it"
    return f"in {count} histories"


def main() -> None:
    tests: list[tuple[str, Callable[[], str]]] = [(sound.__doc__, sound), (let_in_again.__doc__, let_in_again), (early.__doc__, early)]
    tests += [(fault.__doc__, lambda fault=fault, kinds=kinds: found(fault, kinds)) for fault, kinds in FAULTS.items()]
    unproved = set(KINDS) - set().union(*FAULTS.values())
    failed = 0
    for name, body in tests:
        try:
            print(f"ok      {name} ({body()})")
        except AssertionError as error:
            failed += 1
            print(f"FAILED  {name}\n        {error}")
    if unproved:
        failed += 1
        print(f"FAILED  kinds that no fault shows: {sorted(unproved)}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
