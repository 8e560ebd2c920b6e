#!/usr/bin/env python3
"""Judges a history: what clients did and saw, and nothing else. No look into the database, no word of the server's but its answers.

A history is a list of records in no particular order, here as dictionaries and in files as lines of JSON. Times are of one clock, in
seconds. What a record has depends on its `kind`:

    write       session, collection, items [[item, revision, after]], outcome, begin, end. `after` is the revision that the item was asked
                to have before, or null where it was not asked. `outcome` is done, refused, or unknown where no answer came.
    page        reader, user, collection, since, told [[item, revision]], stoken, last, begin, end. What a reader was told in answer to a
                stoken, or to none; `last` where nothing more was to come. A reader's pages follow each other.
    frame       reader, user, collection, told, stoken, begin, end. What came by a socket, which goes on where the reader's pages ended.
    revisions   collection, item, told [revision]. All revisions of an item, the oldest first, asked when all was over.
    access      user, collection, allowed, begin, end. Somebody was let in, or put out, and that was acknowledged.

    python3 checker.py FILE      prints what is wrong; exit code 1 where something is
"""

from __future__ import annotations

import collections
import heapq
import json
import sys
from typing import Any, Iterable, Iterator

Record = dict[str, Any]

# What may be found, each with what it is that does not hold.
KINDS = {
    "lost": "a write that was acknowledged is there",
    "ghost": "a write that was refused is not there, and nobody is told what nobody wrote",
    "twice": "a write is there once",
    "halves": "a write is there wholly or not at all, for whoever has read to the end",
    "overwritten": "a write that asked for a revision came after that one",
    "backwards": "no reader is told the same twice, or an older revision after a newer one",
    "skipped": "a reader who has read to the end knows what was acknowledged, or read by anybody, before that",
    "order": "there is one order of all writes to a collection, which agrees with every reader and with time",
    "differs": "those who have read up to the same stoken know the same",
    "still": "a stoken moves on when something is told, and goes on where it ended",
    "revoked": "nobody is told anything of a collection once it is acknowledged that it is no longer theirs",
}


class Violation(str):
    """What does not hold, in words, with its kind."""

    kind: str

    def __new__(cls, kind: str, words: str) -> Violation:
        assert kind in KINDS, kind
        violation = super().__new__(cls, f"{kind}: {words}")
        violation.kind = kind
        return violation


def check(history: Iterable[Record]) -> list[Violation]:
    """All that is wrong with a history."""
    records = list(history)
    found: list[Violation] = []
    for collection in sorted({record["collection"] for record in records}):
        found += _Collection([record for record in records if record["collection"] == collection], collection).violations()
    return found


class _Collection:
    """What happened to one collection. Collections are independent of each other: the log orders them all, and clients see one at a time."""

    def __init__(self, records: list[Record], name: str) -> None:
        self.name = name
        self.of: dict[str, list[Record]] = collections.defaultdict(list)
        for record in records:
            self.of[record["kind"]].append(record)
        # Of each item its revisions, the oldest first; of each revision its item and its number there.
        self.revisions = {record["item"]: record["told"] for record in self.of["revisions"]}
        self.place: dict[str, tuple[str, int]] = {}
        for item, revisions in self.revisions.items():
            for number, revision in enumerate(revisions):
                self.place.setdefault(revision, (item, number))
        self.readers: dict[str, list[Record]] = collections.defaultdict(list)
        for record in sorted(self.of["page"] + self.of["frame"], key=lambda record: (record["end"], record["begin"])):
            self.readers[record["reader"]].append(record)

    def violations(self) -> Iterator[Violation]:
        yield from self._writes()
        yield from self._access()
        yield from self._readers()
        yield from self._order()

    def _name(self, what: str) -> str:
        return f"{what} of {self.name}"

    # --- what is there in the end ---------------------------------------------------------------------

    def _writes(self) -> Iterator[Violation]:
        count = collections.Counter(revision for revisions in self.revisions.values() for revision in revisions)
        for revision, times in count.items():
            if times > 1:
                yield Violation("twice", self._name(revision))
        written = {revision for write in self.of["write"] for _, revision, _ in write["items"]}
        for revision in count:
            if revision not in written:
                yield Violation("ghost", f"nobody wrote {self._name(revision)}")
        for write in self.of["write"]:
            there = [self.place.get(revision, (None, 0))[0] == item for item, revision, _ in write["items"]]
            names = ", ".join(revision for _, revision, _ in write["items"])
            if write["outcome"] == "done" and not all(there):
                yield Violation("lost", self._name(names))
            if write["outcome"] == "refused" and any(there):
                yield Violation("ghost", f"what was refused is there: {self._name(names)}")
            if write["outcome"] == "unknown" and any(there) and not all(there):
                yield Violation("halves", self._name(names))
            if all(there):
                yield from self._expectations(write)

    def _expectations(self, write: Record) -> Iterator[Violation]:
        for item, revision, after in write["items"]:
            number = self.place[revision][1]
            before = self.revisions[item][number - 1] if number else None
            if after is not None and before != after:
                yield Violation("overwritten", f"{self._name(revision)} came after {before}, and asked for {after}")

    # --- who may read -----------------------------------------------------------------------------------

    def _access(self) -> Iterator[Violation]:
        for gone in self.of["access"]:
            if gone["allowed"]:
                continue
            # From then on, until it is begun to let the user in again.
            back = min((again["begin"] for again in self.of["access"]
                        if again["allowed"] and again["user"] == gone["user"] and again["begin"] >= gone["begin"]), default=None)
            for seen in self.of["page"] + self.of["frame"]:
                if seen["user"] == gone["user"] and seen["begin"] > gone["end"] and (back is None or seen["end"] < back):
                    yield Violation("revoked", f"{seen['reader']} was told {seen['told'][:3]} of {self.name} after that")

    # --- what readers are told ---------------------------------------------------------------------------

    def _readers(self) -> Iterator[Violation]:
        acknowledged = _Floor()       # of each item the newest revision that must be known, by the time from which on
        for write in self.of["write"]:
            if write["outcome"] == "done":
                acknowledged.add(write["end"], [self.place[revision] for _, revision, _ in write["items"] if revision in self.place])
        states: dict[str, tuple[str, dict[str, int]]] = {}
        ends: list[tuple[Record, dict[str, int]]] = []
        for name, seen in self.readers.items():
            known: dict[str, int] = {}
            stoken = None
            for record in seen:
                if record["kind"] == "page" and record["since"] != stoken:
                    yield Violation("still", f"{name} went on at {record['since']}, and had ended at {stoken}")
                if record["told"] and record["stoken"] == stoken:
                    yield Violation("still", f"{name} was told something, and its stoken is still {stoken}")
                stoken = record["stoken"]
                yield from self._told(name, record, known)
                if record["kind"] == "page" and record["last"]:
                    ends.append((record, dict(known)))
                    yield from self._whole(name, known)
                    if stoken is not None:
                        other, same = states.setdefault(stoken, (name, dict(known)))
                        if same != known:
                            yield Violation("differs", f"{name} and {other} at {stoken} of {self.name}")
        yield from self._complete(acknowledged, ends)

    def _told(self, name: str, record: Record, known: dict[str, int]) -> Iterator[Violation]:
        for item, revision in record["told"]:
            if self.place.get(revision, (None, 0))[0] != item:
                yield Violation("ghost", f"{name} was told {self._name(revision)}, which is not there")
                continue
            number = self.place[revision][1]
            if number <= known.get(item, -1):
                yield Violation("backwards", f"{name} was told {self._name(revision)} after {self.revisions[item][known[item]]}")
            known[item] = max(number, known.get(item, -1))

    def _whole(self, name: str, known: dict[str, int]) -> Iterator[Violation]:
        for write in self.of["write"]:
            places = [self.place[revision] for _, revision, _ in write["items"] if revision in self.place]
            told = [number <= known.get(item, -1) for item, number in places]
            if any(told) and not all(told):
                yield Violation("halves", f"{name} knows {sum(told)} of {len(told)} of {self._name(write['items'][0][1])}")

    def _complete(self, floor: _Floor, ends: list[tuple[Record, dict[str, int]]]) -> Iterator[Violation]:
        """Whoever begins to read knows in the end what was acknowledged before, or known to somebody who had read to the end."""
        for record, known in ends:
            floor.add(record["end"], known.items())
        for record, known in sorted(ends, key=lambda end: end[0]["begin"]):
            for item, number in floor.at(record["begin"]).items():
                if known.get(item, -1) < number:
                    yield Violation("skipped", f"{record['reader']} does not know {self._name(self.revisions[item][number])}")

    # --- one order ---------------------------------------------------------------------------------------

    def _order(self) -> Iterator[Violation]:
        """Looks whether the order of each item, of each reader and of time can all be true: whether their union has no circle."""
        following: dict[Any, set[Any]] = collections.defaultdict(set)
        whole: dict[str, Any] = {}    # what is written at once is one point of the order
        for number, write in enumerate(self.of["write"]):
            for _, revision, _ in write["items"]:
                if revision in self.place:
                    whole[revision] = ("write", number)

        def point(revision: str) -> Any:
            return whole.get(revision, ("revision", revision))

        def precedes(before: Any, after: Any) -> None:
            if before != after:
                following[before].add(after)
                following.setdefault(after, set())

        for revisions in self.revisions.values():
            for before, after in zip(revisions, revisions[1:]):
                precedes(point(before), point(after))
        for seen in self.readers.values():
            told = [revision for record in seen for _, revision in record["told"] if revision in self.place]
            for before, after in zip(told, told[1:]):
                precedes(point(before), point(after))
        self._time(precedes)
        circle = _circle(following)
        if circle:
            yield Violation("order", f"of {self.name}: " + " before ".join(self._words(point) for point in circle[:6] if point[0] != "time"))

    def _time(self, precedes: Any) -> None:
        """What was acknowledged before another began came before it: through a row of moments, one for each acknowledgement."""
        done = [(write["begin"], write["end"], number) for number, write in enumerate(self.of["write"])
                if write["outcome"] == "done" and all(revision in self.place for _, revision, _ in write["items"])]
        moments = sorted(end for _, end, _ in done)
        for before, after in zip(moments, moments[1:]):
            precedes(("time", before), ("time", after))
        begun = sorted(done)
        at = -1
        for begin, _, number in begun:
            while at + 1 < len(moments) and moments[at + 1] < begin:
                at += 1
            if at >= 0:
                precedes(("time", moments[at]), ("write", number))
        for _, end, number in done:
            precedes(("write", number), ("time", end))

    def _words(self, point: Any) -> str:
        return self.of["write"][point[1]]["items"][0][1] if point[0] == "write" else point[1]


class _Floor:
    """What must be known at a time: of each item the newest of what has been added up to then."""

    def __init__(self) -> None:
        self.added: list[tuple[float, int, list[tuple[str, int]]]] = []
        self.sorted: list[tuple[float, int, list[tuple[str, int]]]] | None = None
        self.next = 0
        self.known: dict[str, int] = {}

    def add(self, time: float, places: Iterable[tuple[str, int]]) -> None:
        self.added.append((time, len(self.added), list(places)))

    def at(self, time: float) -> dict[str, int]:
        """Times only grow."""
        if self.sorted is None:
            self.sorted = sorted(self.added)
        while self.next < len(self.sorted) and self.sorted[self.next][0] < time:
            for item, number in self.sorted[self.next][2]:
                self.known[item] = max(number, self.known.get(item, -1))
            self.next += 1
        return self.known


def _circle(following: dict[Any, set[Any]]) -> list[Any]:
    """Points that follow each other in a circle; none where there is an order."""
    waiting = collections.Counter(after for points in following.values() for after in points)
    free = [point for point in following if not waiting[point]]
    while free:
        point = free.pop()
        for after in following[point]:
            waiting[after] -= 1
            if not waiting[after]:
                free.append(after)
    left = {point for point in following if waiting[point] > 0}
    # What only comes after a circle is in none.
    preceding: dict[Any, set[Any]] = collections.defaultdict(set)
    for point in left:
        for after in following[point] & left:
            preceding[after].add(point)
    going_on = {point: len(following[point] & left) for point in left}
    ends = [point for point in left if not going_on[point]]
    while ends:
        point = ends.pop()
        left.discard(point)
        for before in preceding[point]:
            going_on[before] -= 1
            if not going_on[before]:
                ends.append(before)
    return _shortest(following, left) if left else []


def _shortest(following: dict[Any, set[Any]], left: set[Any]) -> list[Any]:
    """A short circle among points of which each has a predecessor: easier to read than the first that is found."""
    best: list[Any] = []
    for number, start in enumerate(left):
        if best and number >= 200:
            break
        paths = [(0, 0, [start])]
        seen = {start}
        count = 0
        while paths:
            length, _, path = heapq.heappop(paths)
            if best and length + 1 >= len(best):
                break
            if start in following[path[-1]]:
                best = path + [start]
                break
            for after in following[path[-1]] & left - seen:
                seen.add(after)
                count += 1
                heapq.heappush(paths, (length + 1, count, path + [after]))
    return best


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        found = check(json.loads(line) for line in file)
    for violation in found:
        print(violation)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
