"""Lets the operator bring back what was deleted: `apus undelete`, beside a running server and without one.

What the official client makes of it is in Tests/Clients/undelete.py.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from typing import Iterator

from common import Client, Server, done, equal, etag, lines, put, refused, true, uid
import support
from support import expected, person, test

NOTES = "notes"


@contextlib.contextmanager
def given(options: argparse.Namespace) -> Iterator[tuple[Server, Client]]:
    """A server on which alice has a collection with the items one and two."""
    with Server(options.apus, "--signup", "open") as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        put(alice, NOTES, "one", "two")
        yield server, alice


def well(server: Server) -> None:
    """The tables are what the log gives, also when it is replayed."""
    for command in (["verify"], ["rebuild", "--check"]):
        ended = server.apus(*command)
        equal(ended.returncode, 0, f"{command}: {ended.stdout}{ended.stderr}")


@test("deletions are undone one after the other, newest first, each with all that its request deleted")
def one_after_the_other(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        put(alice, NOTES, "three")
        put(alice, NOTES, "one", revision=1, deleted=True)
        put(alice, NOTES, "two", "three", revision=1, deleted=True)
        listed = lines(server, "undelete", "--collection", NOTES, "--list")
        equal([line["item"] for line in listed], ["three", "two", "one"], "the list")
        equal([line["revision"] for line in listed], [uid(NOTES, item, 0) for item in ("three", "two", "one")], "what would come back")
        equal({line["deletedBy"] for line in listed}, {"alice"}, "who deleted it")
        true("three deleted at 20" in done(server, "undelete", "--collection", NOTES, "--list"), "the list for people")
        stoken = alice.stoken(NOTES)
        brought = lines(server, "undelete", "--collection", NOTES)
        equal([line["item"] for line in brought], ["two", "three"], "the newest")
        changed, _ = alice.changes(NOTES, stoken, 10)
        equal([item["uid"] for item in changed], ["two", "three"], "what a client is told")
        true(not any(item["content"]["deleted"] for item in changed), "they are not deleted")
        equal([line["item"] for line in lines(server, "undelete", "--collection", NOTES)], ["one"], "the one before")
        refused(server, "nothing is deleted in notes.*--at", "undelete", "--collection", NOTES)
        well(server)


@test("without a server running it is the same")
def without_a_server(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        put(alice, NOTES, "one", revision=1, deleted=True)
        server.stop()
        done(server, "undelete", "--collection", NOTES, "--item", "one")
        server.start()
        equal(etag(Client(server, "alice", alice.token), NOTES, "one"), uid(NOTES, "one", 0), "the item's etag")
        well(server)


@test("uids that begin with a hyphen, as one in 64 does, are taken as they are")
def hyphens(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        expected(alice.create_collection("-rJ"), 201)
        put(alice, "-rJ", "--list")
        put(alice, "-rJ", "--list", revision=1, deleted=True)
        done(server, "undelete", "--collection", "-rJ", "--item", "--list")
        equal(lines(server, "audit", "--collection", "-rJ")[-1]["action"], "item_restored", "the last event")


@test("the state of a moment comes back, and nothing is deleted for it")
def moments(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        then = lines(server, "audit", "--collection", NOTES)[-1]
        time.sleep(0.01)
        put(alice, NOTES, "one", revision=1)
        put(alice, NOTES, "two", revision=1, deleted=True)
        put(alice, NOTES, "three")
        put(alice, NOTES, "one", revision=2)
        changes = lines(server, "audit", "--collection", NOTES)
        done(server, "undelete", "--collection", NOTES, "--before", str(changes[-1]["position"]), "--item", "one")
        equal(etag(alice, NOTES, "one"), uid(NOTES, "one", 1), "before an event")
        brought = lines(server, "undelete", "--collection", NOTES, "--at", then["time"])
        equal({line["item"] for line in brought}, {"one", "two"}, "what came back")
        equal([etag(alice, NOTES, item) for item in ("one", "two", "three")],
              [uid(NOTES, item, 0) for item in ("one", "two", "three")], "the items")
        refused(server, "nothing to bring back", "undelete", "--collection", NOTES, "--at", then["time"])
        well(server)


@test("what has a restored revision for its etag can be written by a transaction that knows it, and by no other")
def etags(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        put(alice, NOTES, "one", revision=1, deleted=True)
        done(server, "undelete", "--collection", NOTES)
        for known, status in ((uid(NOTES, "one", 1), 409), (uid(NOTES, "one", 0), 200)):
            change = support.offered("one", uid(NOTES, "one", 2), b"meta", etag=known)
            expected(alice.commit(NOTES, [change], transaction=True), status)
        equal([revision["uid"] for revision in alice.revisions(NOTES, "one")],
              [uid(NOTES, "one", number) for number in (2, 1, 0)], "the revisions")


@test("while clients write the same items nothing of theirs is lost")
def beside_writers(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        writer, over = alice.another(), threading.Event()
        written: list[str] = []

        def write() -> None:
            number = 10
            while not over.is_set():
                number += 1
                put(writer, NOTES, "one", revision=number, deleted=number % 2 == 1)
                written.append(uid(NOTES, "one", number))

        thread = threading.Thread(target=write)
        thread.start()
        refusals = [server.apus("undelete", "--collection", NOTES).stderr for _ in range(8)]
        over.set()
        thread.join()
        true(all(not text or "nothing is deleted" in text for text in refusals), f"refused: {refusals}")
        entries = lines(server, "audit", "--collection", NOTES)
        kept = [entry["revision"] for entry in entries if entry.get("item") == "one" and entry["action"] != "item_restored"]
        equal(kept[1:], written, "what was written")
        current = {}
        for entry in entries:
            if entry["action"] == "item_restored":
                true(entry["revision"] != current.get(entry["item"]), "what is restored was not current")
            current[entry.get("item")] = entry.get("revision")
        equal(etag(alice, NOTES, "one"), current["one"], "the item's etag")
        well(server)


@test("mistakes are refused with what to do, and change nothing")
def mistakes(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        put(alice, NOTES, "gone", revision=1, deleted=True)
        last = lines(server, "audit", "--collection", NOTES)[-1]
        position = last["position"]
        for reason, *arguments in (
            ("no collection nothing", "--collection", "nothing"), ("no collection nothing", "--collection", "nothing", "--list"),
            ("nothing is deleted.*--at TIME", "--collection", NOTES),
            ("never was an item x.*--list", "--collection", NOTES, "--item", "x"),
            ("one is not deleted.*--at TIME", "--collection", NOTES, "--item", "one"),
            ("gone was deleted from its first", "--collection", NOTES, "--item", "gone"),
            ("gone was deleted too.*apus audit", "--collection", NOTES, "--item", "gone", "--at", last["time"]),
            ("two moments", "--collection", NOTES, "--at", "2026-01-01T00:00:00Z", "--before", "1"),
            ("there was no collection notes yet.*made at", "--collection", NOTES, "--at", "2001-01-01T00:00:00Z"),
            ("no item gone yet.*made at", "--collection", NOTES, "--item", "gone", "--before", str(position)),
            ("ambiguous.*time zone", "--collection", NOTES, "--at", "2026-01-31 18:30"),
            ("ambiguous.*whole day", "--collection", NOTES, "--at", "2026-01-31"),
            ("no time", "--collection", NOTES, "--at", "noon"), ("future", "--collection", NOTES, "--at", "2999-01-01T00:00:00Z"),
            (f"no event {position + 1}.*1 to {position}", "--collection", NOTES, "--before", str(position + 1)),
            ("no event 0", "--collection", NOTES, "--before", "0"),
            ("no other choice", "--collection", NOTES, "--list", "--item", "one"), ("collection",),
        ):
            refused(server, reason, "undelete", *arguments)
        equal(lines(server, "audit", "--collection", NOTES)[-1]["position"], position, "the last event")
        equal(lines(server, "undelete", "--collection", NOTES, "--list"), [], "the list")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
