#!/usr/bin/env python3
"""`apus status`, beside a running server and without one."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from common import PATIENCE_SECONDS, Server, equal, expected, offered, options, person, support, true, uid
from support import meddle, succeeds, test

NOTES = uid("notes")


def status(server: Server) -> dict[str, Any]:
    return json.loads(succeeds(server.apus("status", "--json"), "status"))


def warned(found: dict[str, Any], *words: str) -> None:
    for word in words:
        true(any(word in warning for warning in found["warnings"]), f"'{word}' in {found['warnings']}")


def until(server: Server, what: str, condition: Any) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition(found := status(server)):
        true(time.monotonic() < end, f"{what}: {found}")
        time.sleep(0.1)
    return found


@test("what is kept and who serves it is told, in words and in JSON")
def kept(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--seal-interval", "0") as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        expected(alice.commit(NOTES, [offered(uid(number), uid(number, "a"), b"meta") for number in range(3)]), 200)
        person(server, "bob")
        succeeds(server.apus("user", "disable", "bob"), "user disable")
        found = until(server, "the process is noted and all is projected",
                      lambda found: found["processes"] and not found["readModels"][0]["lagEvents"] and found["disabledUsers"])
        counted = {key: found[key] for key in ("users", "disabledUsers", "collections", "items", "epoch", "chunkFileBytes")}
        equal(counted, {"users": 2, "disabledUsers": 1, "collections": 1, "items": 4, "epoch": 1, "chunkFileBytes": 0}, "what is kept")
        equal(found["head"], support.head(server), "head")
        equal([model["name"] for model in found["readModels"]], ["main"], "read models")
        equal(found["engine"].split()[0], "PostgreSQL" if options.postgres else "SQLite", "engine")
        true(found["databaseBytes"] > 100_000 and found["isWritable"], "size")
        process, = found["processes"]
        equal((process["roles"], process["address"], process["sockets"]), ("api,gateway,projector", server.authority, 0), "process")
        equal(process["version"], found["version"], "version")
        words = succeeds(server.apus("status"), "status")
        for word in (found["engine"], server.authority, "1 collections, 4 items", "2 users (1 disabled)", "main: up to date"):
            true(word in words, f"'{word}' in {words}")


@test("who is near a quota is counted and warned of, and listed where the operator looks")
def near_quota(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", environment={"APUS_QUOTA": "items=1000"}) as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        expected(alice.commit(NOTES, [offered(uid(number), uid(number, "a"), b"meta") for number in range(9)]), 200)
        until(server, "all is projected", lambda found: not found["readModels"][0]["lagEvents"])
        equal(status(server)["usersNearQuota"], 0, "users near a quota of 1000 items")
        succeeds(server.apus("user", "quota", "alice", "10KB,items=10"), "user quota")
        found = status(server)
        equal(found["usersNearQuota"], 1, "users near a quota of 10 items")
        warned(found, "apus user quota gives more")
        told = json.loads(succeeds(server.apus("user", "quota", "alice", "--json"), "user quota"))
        equal((told["quota"], told["isOwn"]), ({"bytes": 10000, "items": 10}, True), "the quota")
        equal((told["used"]["items"], told["used"]["collections"]), (9, 1), "what is in use")
        words = f"{told['used']['bytes']} of 10000 bytes, 9 of 10 items, 1 collections"
        true(words in succeeds(server.apus("user", "list"), "user list"), f"'{words}' in the list")
        expected(alice.commit(NOTES, [offered(uid(number), uid(number, "a"), b"meta") for number in range(9, 11)]), 403)
        expected(alice.commit(NOTES, [offered(uid(9), uid(9, "a"), b"meta")]), 200)
        succeeds(server.apus("user", "quota", "alice", "default"), "user quota")
        expected(alice.commit(NOTES, [offered(uid(10), uid(10, "a"), b"meta")]), 200)
        for wrong in ("5 apples", "bytes=0", "items=-1", "rows=3", "items=1,items=2", ""):
            done = server.apus("user", "quota", "alice", wrong)
            true(done.returncode != 0 and "such as 5GB" in done.stderr or "such as 75MB" in done.stderr, f"{wrong!r}: {done.stderr}")


@test("a process is there while it runs; one that was killed expires")
def processes(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        until(server, "it is noted", lambda found: found["processes"])
        server.stop()
        found = status(server)
        equal(found["processes"], [], "processes after the end")
        warned(found, "no server has this database open")
        server.start()
        until(server, "it is noted again", lambda found: found["processes"])
        server.kill()
        equal(len(status(server)["processes"]), 1, "processes after a kill")
        meddle(server, "UPDATE apus_process SET expires_at = seen_at")  # as if its time were over
        equal(status(server)["processes"], [], "processes whose rows have expired")


@test("what should be seen to is told, with what to do: backups, seals, versions")
def warnings(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--seal-interval", "0") as server:
        person(server, "alice")
        until(server, "it is noted", lambda found: found["processes"])
        found = status(server)
        true("backup" not in found, "no backup")
        warned(found, "apus backup FILE")
        succeeds(server.apus("backup", str(server.scratch / "backup")), "backup")
        found = status(server)
        equal(found["backup"]["position"], support.head(server), "what the backup has")
        equal([warning for warning in found["warnings"] if "backup" in warning or "seal" in warning], [], "warnings")
        day = 86_400_000_000
        meddle(server, f"UPDATE apus_last_backup SET made_at = made_at - {8 * day};"
                       f"UPDATE apus_event SET occurred_at = occurred_at - {day};"
                       "INSERT INTO apus_process SELECT 'other', roles, address, 'older', 0, started_at, seen_at, expires_at FROM apus_process")
        equal([warning for warning in status(server)["warnings"] if "backup" in warning], [], "an old backup of all there is will do")
        person(server, "bob")
        found = until(server, "the event is there", lambda found: found["head"] > found["backup"]["position"])
        warned(found, "8 days old", "apus log seal", "several versions")
        true(found["seal"]["lagSeconds"] > 80_000, "how long events are not sealed")


@test("events that nobody projects are told, with their number and age")
def lag(options: argparse.Namespace) -> str | None:
    if not options.postgres:
        return "on PostgreSQL only"
    with Server(options.apus, "--signup", "open") as server:
        expected(person(server, "alice").create_collection(NOTES), 201)
        until(server, "it projects", lambda found: not found["readModels"][0]["lagEvents"] and found["readModels"][0]["isLeased"])
        server.stop()
        meddle(server, "UPDATE apus_event SET occurred_at = occurred_at - 60000000; UPDATE apus_projection SET position = position - 1")
        found = until(server, "the lease is over", lambda found: not found["readModels"][0]["isLeased"])
        model, = found["readModels"]
        true(model["lagEvents"] == 1 and model["lagSeconds"] >= 60, model)
        warned(found, "start a process with the role projector")
    return None


@test("a database that cannot be written is told of as that, with all that can be read, and by the command that asks it")
def only_read(options: argparse.Namespace) -> str | None:
    if not options.postgres:
        return "on PostgreSQL only"
    with Server(options.apus, "--signup", "open") as server:
        person(server, "alice")
        until(server, "it is noted", lambda found: found["processes"])
        change = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
        meddle(server, change.format("SET default_transaction_read_only = on"))
        found = status(server)
        equal((found["isWritable"], found["users"]), (False, 1), "what is told")
        warned(found, "takes no writes")
        true("takes no writes" in succeeds(server.apus("status"), "status"), "in words")
        meddle(server, "SET default_transaction_read_only = off; " + change.format("RESET default_transaction_read_only"))
        true(status(server)["isWritable"], "it can be written again")
    return None


@test("a database of an earlier version is left as it is, and it is said what brings it to this one")
def earlier(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        server.stop()
        meddle(server, "UPDATE apus_schema SET version = version - 1")
        done = server.apus("status")
        true(done.returncode != 0 and "earlier version" in done.stderr and "apus serve" in done.stderr, done.stderr)
        equal(server.apus("status").stderr, done.stderr, "what is said the second time")


if __name__ == "__main__":
    support.main(__doc__, options)
