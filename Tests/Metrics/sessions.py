#!/usr/bin/env python3
"""`apus user sessions`: what an operator sees of a user's sessions, and that ended ones get nothing more."""

from __future__ import annotations

import argparse
import json
from typing import Any

from common import PATIENCE_SECONDS, Server, equal, expected, offered, options, person, support, true, uid
from support import Client, refused, succeeds, test
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

NOTES = uid("notes")


def sessions(server: Server, name: str = "alice") -> list[dict[str, Any]]:
    lines = succeeds(server.apus("user", "sessions", name, "--json"), "user sessions").splitlines()
    return [json.loads(line) for line in lines]


def another_session(server: Server, name: str) -> Client:
    client = Client(server, name)
    expected(client.log_in(), 200)
    return client


@test("sessions are listed with what is known of them, also those that live for ever, and by a name in any case")
def listed(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        expected(person(server, "alice").create_collection(NOTES), 201)
        another_session(server, "alice")
        expected(Client(server, "alice").log_in(headers=[("User-Agent", "a phone " + 300 * "x")]), 200)
        person(server, "bob")
        found = sessions(server, "ALICE")
        equal(len(found), 3, "sessions of alice")
        true("a phone " + 192 * "x" in [session.get("device") for session in found], f"the device's name in {found}")
        for session in found:
            equal(set(session) - {"device"}, {"session", "since", "lastUsed", "expires"}, "what is told")
            true(session["lastUsed"][:10] == session["since"][:10] < session["expires"][:10], f"times of {session}")
        words = succeeds(server.apus("user", "sessions", "alice"), "user sessions")
        true(all(session["session"] in words for session in found), words)
        true("expires" in words, words)
        refused(server.apus("user", "sessions", "nobody"), "sessions of nobody", "no user")
        server.stop()
        server.flags += ["--token-lifetime", "0"]
        server.start()
        another_session(server, "alice")
        equal([session for session in sessions(server) if "expires" not in session][0].get("lastUsed"), None, "last use of one for ever")


@test("a session that was ended is refused, its socket gets nothing more and ends, and others go on")
def revoked(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        before = {session["session"] for session in sessions(server)}
        phone = another_session(server, "alice")
        ended, = {session["session"] for session in sessions(server)} - before
        ticket = expected(phone.post(f"/api/v1/collection/{NOTES}/item/subscription-ticket/", {}), 200).value["ticket"]
        with connect(f"ws://{server.authority}/api/v1/ws/{ticket}/?stoken={alice.stoken(NOTES)}", max_size=None, compression=None,
                     open_timeout=PATIENCE_SECONDS) as socket:
            refused(server.apus("user", "sessions", "alice", "--revoke", "000000000000"), "an id that is none", "apus user sessions")
            refused(server.apus("user", "sessions", "alice", "--revoke", ended, "--all"), "both", "--revoke")
            equal(len(sessions(server)), 2, "sessions after refusals")
            succeeds(server.apus("user", "sessions", "alice", "--revoke", ended.upper()), "user sessions --revoke")
            expected(phone.get("/api/v1/collection/"), 401)
            expected(alice.commit(NOTES, [offered(uid(1), uid(1, "a"), b"meta")]), 200)
            try:
                told = socket.recv(timeout=PATIENCE_SECONDS)
                raise AssertionError(f"the socket was told {len(told)} bytes")
            except ConnectionClosed:
                pass
        expected(alice.get("/api/v1/collection/"), 200)
        equal({session["session"] for session in sessions(server)}, before, "sessions that are left")


@test("all sessions of a user are ended together, and nobody else's; the user may log in again")
def all_revoked(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        alice, bob = person(server, "alice"), person(server, "bob")
        phone = another_session(server, "alice")
        succeeds(server.apus("user", "sessions", "alice", "--all"), "user sessions --all")
        equal(sessions(server), [], "sessions")
        for client in (alice, phone):
            expected(client.get("/api/v1/collection/"), 401)
        expected(bob.get("/api/v1/collection/"), 200)
        expected(another_session(server, "alice").get("/api/v1/collection/"), 200)
        equal(len(sessions(server)), 1, "sessions")


if __name__ == "__main__":
    support.main(__doc__, options)
