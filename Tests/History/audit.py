"""Asks who did what: `apus audit`, and `GET collection/UID/audit/` for admins."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import time
from typing import Iterator

import common
from common import (
    ADMIN, READ_ONLY, READ_WRITE, Client, Server, done, equal, expected, invite, lines, put, refused, share, true, uid)
import support
from support import fault_in_form, person, test

NOTES = "notes"
PATH = f"/api/v1/collection/{NOTES}/audit/"


@contextlib.contextmanager
def given(options: argparse.Namespace, *flags: str) -> Iterator[tuple[Server, Client, Client]]:
    """A server on which alice and bob have accounts; alice has a collection."""
    with Server(options.apus, "--signup", "open", *flags) as server:
        alice, bob = person(server, "alice"), person(server, "bob")
        expected(alice.create_collection(NOTES), 201)
        yield server, alice, bob


def history(server: Server, alice: Client, bob: Client) -> list[tuple]:
    """Lets the two do everything once; what an audit of the collection must tell of it: who, what, of which item or whom."""
    put(alice, NOTES, "one", "two")
    put(alice, NOTES, "one", revision=1)
    put(alice, NOTES, "two", revision=1, deleted=True)
    share(alice, NOTES, bob, READ_WRITE)
    put(bob, NOTES, "three")
    expected(alice.call("PATCH", f"/api/v1/collection/{NOTES}/member/bob/", {"accessLevel": READ_ONLY}), 204)
    expected(bob.call("POST", f"/api/v1/collection/{NOTES}/member/leave/"), 204)
    share(alice, NOTES, bob, ADMIN)
    expected(alice.call("DELETE", f"/api/v1/collection/{NOTES}/member/bob/"), 204)
    expected(invite(alice, NOTES, "bob", ADMIN), 201)
    expected(bob.call("DELETE", f"/api/v1/invitation/incoming/{uid(NOTES, 'alice', 'bob', 'invitation')}/"), 204)
    put(alice, NOTES, NOTES, revision=1, deleted=True)
    done(server, "undelete", "--collection", NOTES)
    return [
        ("alice", "collection_created", NOTES), ("alice", "member_joined", "alice"), ("alice", "item_created", "one"),
        ("alice", "item_created", "two"), ("alice", "item_changed", "one"), ("alice", "item_deleted", "two"),
        ("alice", "member_invited", "bob"), ("bob", "member_joined", "bob"), ("bob", "item_created", "three"),
        ("alice", "member_level_changed", "bob"), ("bob", "member_left", "bob"), ("alice", "member_invited", "bob"),
        ("bob", "member_joined", "bob"), ("alice", "member_removed", "bob"), ("alice", "member_invited", "bob"),
        ("bob", "invitation_rejected", "bob"), ("alice", "collection_deleted", NOTES), (None, "collection_restored", NOTES)]


def told(entries: list[dict], user: str) -> list[tuple]:
    return [(entry.get(user), entry["action"], entry.get("item") or entry.get("member")) for entry in entries]


def paged(client: Client, limit: int) -> list[dict]:
    """All entries that an admin is told, page by page."""
    found: list[dict] = []
    iterator = None
    while True:
        page = expected(client.get(PATH, limit=limit, **({"iterator": iterator} if iterator else {})), 200).value
        equal(set(page), {"data", "iterator", "done"}, "keys")
        found += page["data"]
        if page["done"]:
            return found
        equal(len(page["data"]), limit, "a page that is not the last one")
        true(page["iterator"] != iterator, "the iterator moves")
        iterator = page["iterator"]


# --- what is told ---------------------------------------------------------------------------------


@test("the command line and the route tell everything that was done, with names, oldest first, and no ciphertext")
def everything(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        wanted = history(server, alice, bob)
        entries = lines(server, "audit", "--collection", NOTES)
        equal(told(entries, "user"), wanted, "the command line")
        equal(told(paged(alice, 50), "username"), wanted, "the route")
        first = entries[2]
        equal((first["collection"], first["item"], first["revision"]), (NOTES, "one", uid(NOTES, "one", 0)), "an item's entry")
        equal(entries[9]["level"], "read-only", "a level")
        moment = datetime.datetime.fromisoformat(first["time"].replace("Z", "+00:00")).timestamp()
        true(abs(time.time() - moment) < 60, "the time")
        equal(paged(alice, 50)[2]["time"], int(moment * 1000), "the same time in milliseconds")
        output = done(server, "audit", "--collection", NOTES)
        equal(len(output.splitlines()), len(wanted), "lines for people")
        for text in (output, str(entries), str(paged(alice, 50))):
            true("meta" not in text and "secret" not in text and "signed key" not in text, "nothing that was encrypted")


@test("pages of any size give the same")
def pages(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        history(server, alice, bob)
        whole = paged(alice, 50)
        for limit in (1, 2, 7, len(whole)):
            equal(paged(alice, limit), whole, f"pages of {limit}")
        last = expected(alice.get(PATH), 200).value
        again = expected(alice.get(PATH, iterator=last["iterator"]), 200).value
        equal(again, {"data": [], "iterator": last["iterator"], "done": True}, "after the last one")
        put(alice, NOTES, "four")
        news = expected(alice.get(PATH, iterator=last["iterator"]), 200).value
        equal(told(news["data"], "username"), [("alice", "item_created", "four")], "what is new")


@test("pages go on where the last one ended, whatever happened in between")
def changing_pages(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        put(alice, NOTES, "one", "two")
        exact = expected(alice.get(PATH, limit=4), 200).value
        equal((len(exact["data"]), exact["done"]), (4, True), "a page that ends where the history does")
        equal(expected(alice.get(PATH, limit=3), 200).value["done"], False, "one that ends before")
        first = expected(alice.get(PATH, limit=2), 200).value
        put(alice, NOTES, "one", revision=1, deleted=True)
        share(alice, NOTES, bob, ADMIN)
        expected(bob.call("POST", f"/api/v1/collection/{NOTES}/member/leave/"), 204)
        rest = expected(alice.get(PATH, iterator=first["iterator"]), 200).value
        equal(first["data"] + rest["data"], paged(alice, 50), "each entry once")
        equal(told(rest["data"], "username"), [
            ("alice", "item_created", "one"), ("alice", "item_created", "two"), ("alice", "item_deleted", "one"),
            ("alice", "member_invited", "bob"), ("bob", "member_joined", "bob"), ("bob", "member_left", "bob")], "the rest")


@test("of a deleted collection it is told as before; an iterator is a moment, in any collection")
def deleted(options: argparse.Namespace) -> None:
    with given(options) as (_, alice, _):
        put(alice, NOTES, "one")
        put(alice, NOTES, NOTES, revision=1, deleted=True)
        equal(told(paged(alice, 50), "username")[-2:], [("alice", "item_created", "one"), ("alice", "collection_deleted", NOTES)], "the end")
        middle = expected(alice.get(PATH, limit=3), 200).value["iterator"]
        expected(alice.create_collection("others"), 201)
        there = expected(alice.get("/api/v1/collection/others/audit/", iterator=middle), 200).value
        equal(len(there["data"]), 2, "an iterator is a moment, in any collection")


@test("it outlives members and the whole collection's owner's reset is told")
def outlives(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--debug") as server:
        alice, bob = person(server, "test_user_alice"), person(server, "bob")
        expected(alice.create_collection(NOTES), 201)
        share(alice, NOTES, bob, ADMIN)
        put(bob, NOTES, "one")
        expected(alice.post("/api/v1/test/authentication/reset/", {
            "user": {"username": alice.name, "email": "alice@example.com"}, "salt": support.SALT,
            "loginPubkey": bytes(alice.key.verify_key), "pubkey": support.PUBKEY, "encryptedContent": support.CONTENT}), 204)
        expected(bob.get(PATH), 404)
        entries = lines(server, "audit", "--collection", NOTES)
        equal(told(entries, "user")[-2:], [("bob", "item_created", "one"), (alice.name, "user_reset", alice.name)], "the end")


@test("of a user it tells the account's and the memberships' history, and what the user did in all collections")
def of_a_user(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        history(server, alice, bob)
        done(server, "user", "disable", "bob")
        done(server, "user", "enable", "bob")
        entries = told(lines(server, "audit", "--user", "BOB"), "user")
        equal(entries, [
            ("bob", "user_created", "bob"), ("alice", "member_invited", "bob"), ("bob", "member_joined", "bob"),
            ("bob", "item_created", "three"), ("alice", "member_level_changed", "bob"), ("bob", "member_left", "bob"),
            ("alice", "member_invited", "bob"), ("bob", "member_joined", "bob"), ("alice", "member_removed", "bob"),
            ("alice", "member_invited", "bob"), ("bob", "invitation_rejected", "bob"), (None, "user_disabled", "bob"),
            (None, "user_enabled", "bob")], "bob's")


@test("a range of time holds both of its ends, whatever zone they are told in")
def times(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, _):
        for name in ("one", "two", "three"):
            time.sleep(0.01)
            put(alice, NOTES, name)
        entries = lines(server, "audit", "--collection", NOTES)
        second, third = entries[-2]["time"], entries[-1]["time"]

        def asked(*flags: str) -> list[str]:
            return [entry["item"] for entry in lines(server, "audit", "--collection", NOTES, *flags) if entry["action"] == "item_created"]

        equal(asked("--since", second), ["two", "three"], "since")
        equal(asked("--until", second), ["one", "two"], "until")
        equal(asked("--since", second, "--until", second), ["two"], "a moment")
        moment = datetime.datetime.fromisoformat(second.replace("Z", "+00:00"))
        elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30))).isoformat()
        equal(asked("--since", elsewhere, "--until", third), ["two", "three"], "in another zone")
        equal([entry["action"] for entry in lines(server, "audit", "--user", "alice", "--since", third)], ["item_created"], "of a user")


@test("over HTTP the range is told in milliseconds, as the entries' times are, and pages stay in it")
def times_over_http(options: argparse.Namespace) -> None:
    with given(options) as (_, alice, _):
        for name in ("one", "two", "three", "four"):
            time.sleep(0.01)
            put(alice, NOTES, name)
        one, two, three, four = (entry["time"] for entry in paged(alice, 50)[-4:])

        def asked(**query: int) -> list[str]:
            return [entry["item"] for entry in expected(alice.get(PATH, **query), 200).value["data"] if entry["action"] == "item_created"]

        equal(asked(since=two), ["two", "three", "four"], "since")
        equal(asked(until=two), ["one", "two"], "until")
        equal(asked(since=two, until=three), ["two", "three"], "both")
        equal(asked(since=two + 1, until=three - 1), [], "between")
        equal(asked(since=0, until=10 ** 30), ["one", "two", "three", "four"], "everything")
        equal(asked(since=10 ** 30), [], "what is to come")
        equal(asked(since=-(10 ** 30), until=-1), [], "before 1970")
        equal(asked(since="", until=""), ["one", "two", "three", "four"], "empty ones are none")
        page = expected(alice.get(PATH, since=two, limit=1), 200).value
        equal((len(page["data"]), page["done"]), (1, False), "the first page")
        page = expected(alice.get(PATH, since=two, until=three, iterator=page["iterator"]), 200).value
        equal(([entry["item"] for entry in page["data"]], page["done"]), (["three"], True), "the next one")
        equal(expected(alice.get(PATH, since=four, limit=1), 200).value["done"], True, "one that ends where the range does")


# --- sessions and addresses -----------------------------------------------------------------------


@test("addresses are kept only where the operator says so, and are the operator's to see, and everybody's own")
def addresses(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        put(alice, NOTES, "one")
        true(not any("address" in entry for entry in lines(server, "audit", "--collection", NOTES)), "off by default")
        server.stop()
        server.flags.append("--record-addresses")
        server.start()
        alice, bob = Client(server, "alice", alice.token), Client(server, "bob", bob.token)
        forged = {"headers": [("X-Forwarded-For", "203.0.113.9")]}
        share(alice, NOTES, bob, READ_WRITE)
        expected(bob.call("POST", f"/api/v1/collection/{NOTES}/item/batch/", {
            "items": [common.offered("two", uid("two"), b"meta")], "deps": None}, **forged), 200)
        entry = lines(server, "audit", "--collection", NOTES)[-1]
        equal((entry["user"], entry["address"]), ("bob", "127.0.0.1"), "what a client says of itself does not count")
        mine = [entry for entry in paged(alice, 50) if entry["username"] == "alice"]
        his = [entry for entry in paged(alice, 50) if entry["username"] == "bob"]
        equal(mine[-1]["address"], "127.0.0.1", "alice's own address")
        true(his and all(entry["address"] is None and entry["device"] is None for entry in his), "bob's is not for alice")
        true(all(len(entry["session"]) == 12 for entry in his), "the short id of bob's session")


@test("behind a proxy that is trusted the address is the last one that it tells")
def behind_a_proxy(options: argparse.Namespace) -> None:
    with given(options, "--record-addresses", "--trust-proxy") as (server, alice, _):
        for number, (said, kept) in enumerate((
            ("203.0.113.9", "203.0.113.9"), ("198.51.100.1, 203.0.113.9", "203.0.113.9"), ("2001:DB8::1", "2001:db8::1"),
            ("nonsense", "127.0.0.1"), ("203.0.113.9, ", "127.0.0.1"), ("", "127.0.0.1"), ("<script>", "127.0.0.1"),
        )):
            expected(alice.call("POST", f"/api/v1/collection/{NOTES}/item/batch/", {
                "items": [common.offered("one", uid("one", number), b"meta")], "deps": None}, headers=[("X-Forwarded-For", said)]), 200)
            equal(lines(server, "audit", "--collection", NOTES)[-1]["address"], kept, f"of {said!r}")


@test("a session is told by a short id and the name of the device, which cannot forge a line")
def sessions(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, _):
        phone = Client(server, "alice")
        device = 'Phone 5" user=bob'
        expected(phone.answer_challenge(expected(phone.challenge(), 200).value["challenge"], headers=[("User-Agent", device)]), 200)
        put(phone, NOTES, "one")
        put(alice, NOTES, "two")
        one, two = lines(server, "audit", "--collection", NOTES)[-2:]
        equal(one["device"], device, "the device")
        true(one["session"] != two["session"] and phone.token not in str(one), "sessions")
        line = done(server, "audit", "--collection", NOTES).splitlines()[-2]
        true('device="Phone 5\\" user=bob"' in line and " user=bob " not in line.replace(f"{device!r}", ""), line)
        equal(paged(alice, 50)[-2]["device"], device, "her own devices alice may see")


# --- rights and mistakes --------------------------------------------------------------------------


@test("only admins of the collection are told, and strangers learn nothing")
def rights(options: argparse.Namespace) -> None:
    with given(options) as (server, alice, bob):
        for client, status, code in ((bob, 404, "does_not_exist"), (Client(server, "nobody"), 403, None)):
            equal(fault_in_form(expected(client.get(PATH), status, code)), None, "form")
        for level in (READ_ONLY, READ_WRITE):
            share(alice, NOTES, bob, level)
            equal(fault_in_form(expected(bob.get(PATH), 403, "admin_access_required")), None, "form")
            expected(bob.call("POST", f"/api/v1/collection/{NOTES}/member/leave/"), 204)
        share(alice, NOTES, bob, ADMIN)
        true(paged(bob, 50), "another admin")
        expected(alice.call("DELETE", f"/api/v1/collection/{NOTES}/member/bob/"), 204)
        equal(fault_in_form(expected(bob.get(PATH), 404, "does_not_exist")), None, "form")
        equal(bob.get(PATH).value, bob.get(f"/api/v1/collection/{NOTES}/item/").value, "a removed member is told what other routes tell")
        expected(alice.get("/api/v1/collection/nothing/audit/"), 404, "does_not_exist")
        expected(alice.call("POST", PATH, {}), 405)
        true(b'"/api/v1/collection/{collection_uid}/audit/"' in server.get("/openapi.json").body, "openapi.json")


@test("mistakes in the query are told in the protocol's form")
def bad_queries(options: argparse.Namespace) -> None:
    with given(options) as (_, carol, _):
        foreign = expected(carol.get(PATH), 200).value["iterator"]
    with given(options) as (_, alice, _):
        for query, status, code in (
            ({"limit": "0"}, 422, None), ({"limit": "-1"}, 422, None), ({"limit": "many"}, 422, None), ({"limit": ""}, 422, None),
            ({"limit": "1.5"}, 422, None), ({"limit": str(-(10 ** 30))}, 422, None), ({"limit": "9" * 5000}, 422, None),
            ({"since": "yesterday"}, 422, None), ({"until": "2026-01-31T18:30:00Z"}, 422, None), ({"since": "1.5"}, 422, None),
            ({"since": "2", "until": "1"}, 422, None), ({"since": "soon", "iterator": "made up"}, 422, None),
            ({"iterator": foreign}, 400, "bad_stoken"), ({"iterator": "x" * 5000}, 400, "bad_stoken"),
            ({"iterator": "made up"}, 400, "bad_stoken"), ({"iterator": "x" * 32}, 400, "bad_stoken"),
        ):
            equal(fault_in_form(expected(alice.get(PATH, **query), status, code)), None, f"the form of {query}")
        for limit in (100000, 10 ** 30):
            equal(len(expected(alice.get(PATH, limit=limit, iterator=""), 200).value["data"]), 2, "an empty iterator is none")


@test("mistakes at the command line are refused with a reason")
def bad_commands(options: argparse.Namespace) -> None:
    with given(options) as (server, _, _):
        for reason, *arguments in (
            ("no collection nothing", "--collection", "nothing"), ("no user nobody", "--user", "nobody"),
            ("--collection UID or --user NAME",), ("--collection UID or --user NAME", "--collection", NOTES, "--user", "alice"),
            ("ambiguous.*time zone", "--collection", NOTES, "--since", "2026-01-31T18:30:00"),
            ("ambiguous.*whole day", "--collection", NOTES, "--since", "2026-01-31"),
            ("no time.*2026-01-31T18:30:00Z", "--collection", NOTES, "--until", "yesterday"),
            ("no time that there is", "--collection", NOTES, "--until", "2026-02-31T25:00:00Z"),
            ("--since is after --until", "--user", "alice", "--since", "2026-02-01T00:00Z", "--until", "2026-01-01T00:00Z"),
        ):
            refused(server, reason, "audit", *arguments)


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
