#!/usr/bin/env python3
"""A directory (LDAP) says who may be at an Apus: who signs up, who is refused where, what holds while it is away, and over what it is asked."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "Gateway"))

from common import Listener, put, share  # noqa: E402
from slapd import ADMINS, BASE, READER, USERS, Directory, options, served, until  # noqa: E402
from support import Answer, Client, Server, equal, expected, free_port, main, meddle, person, query, test, true, uid  # noqa: E402

NOTES = uid("notes")
NOT_THERE = "User not in the LDAP directory."


def refused(answer: Answer) -> bool:
    """Whether it is the answer to one who is not in the directory; anything else must be a success."""
    if answer.status == 403:
        equal(answer.value, {"code": "permission_denied", "detail": "User not in LDAP directory."}, "the answer")
        return True
    true(answer.status < 300, f"{answer} is neither a success nor a refusal")
    return False


def lists(client: Client) -> Answer:
    return client.get("/api/v1/collection/")


def ready(server: Server) -> tuple[int, str]:
    answer = server.get("/ready")
    return answer.status, answer.body.decode()


def is_away(server: Server) -> bool:
    return "the directory (LDAP) is away" in ready(server)[1]


# --- who signs up ---------------------------------------------------------------------------------


@test("whoever is in the directory may sign up though sign-up is closed; nobody else may, whatever sign-up is")
def signing_up(arguments: argparse.Namespace) -> None:
    for policy in ("closed", "open"):
        with Directory("alice") as directory, served(arguments, directory.settings | {"APUS_SIGNUP": policy}) as server:
            person(server, "alice")
            answer = expected(Client(server, "bob").sign_up(), 400, "generic")
            equal(answer.value["detail"], NOT_THERE, "what bob is told")
            equal(query(server, "SELECT username FROM myauth_user"), [["alice"]], "accounts")
            directory.add("bob")
            person(server, "bob")


@test("an account that the operator has made is taken by its user without a question, and is of no use to who is not in the directory")
def made_by_the_operator(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings) as server:
        for name in ("alice", "bob"):
            equal(server.apus("user", "create", name).returncode, 0, f"exit code of user create {name}")
        alice, bob = person(server, "alice"), person(server, "bob")
        true(not refused(lists(alice)), "alice is let in")
        true(refused(lists(bob)), "bob is not")


@test("a link to sign up with is good for those who are in the directory only")
def links(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings | {"APUS_SIGNUP": "invite"}) as server:
        made = server.apus("user", "invite", "--uses", "2", "--url", "https://sync.example.com")
        equal(made.returncode, 0, f"exit code of user invite ({made.stderr})")
        path = next(word for word in made.stdout.split() if "/join/" in word)
        path = path[path.index("/join/"):]
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        answer = expected(server.send("POST", path, form, b"name=bob"), 400)
        true(NOT_THERE in answer.body.decode(), "bob is told why")
        expected(server.send("POST", path, form, b"name=alice"), 200)
        equal(query(server, "SELECT username FROM myauth_user"), [["alice"]], "accounts")


@test("a name is a value in the filter: one with characters of filters finds nobody but itself")
def escaped(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings) as server:
        for name in ("*", "al*", "*)(uid=*", "alice)(uid=alice", "alice)(|(uid=*", "(uid=alice)", "\\61lice", "alice\\", "al\0ce", "alice)(", "%s", ""):
            answer = Client(server, name).sign_up()
            equal((answer.status, answer.code, answer.value["detail"]), (400, "generic", NOT_THERE), f"the answer to {name!r}")
        true(r"\2A" in "".join(directory.filters("uid=")).upper(), f"the filters are escaped: {directory.filters('uid=')}")
        person(server, "alice")
        equal(query(server, "SELECT username FROM myauth_user"), [["alice"]], "accounts")


@test("a name in another case is the same user")
def cases(arguments: argparse.Namespace) -> None:
    with Directory("Alice", "bob") as directory, served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
        alice = person(server, "ALICE")
        expected(Client(server, "alice").sign_up(), 409, "user_exists")
        again = Client(server, "aLiCe")
        again.key = alice.key
        expected(again.log_in(), 200)
        true(not refused(lists(again)), "alice is let in")
        directory.remove("Alice")
        until("both are refused", lambda: refused(lists(alice)) and refused(lists(again)))


@test("two entries of one name are nobody's")
def ambiguous(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory:
        with served(arguments, directory.settings | {"APUS_LDAP_FILTER": "(|(uid=%s)(sn=bob))"}) as server:
            expected(Client(server, "alice").sign_up(), 400, "generic")
            person(server, "bob")


# --- who is refused -------------------------------------------------------------------------------


@test("whoever has left is refused with every call about what is kept and shared, and with none about the account")
def places(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        directory.remove("alice")
        until("alice is refused", lambda: refused(lists(alice)))
        base = f"/api/v1/collection/{NOTES}"
        stoken = query(server, "SELECT uid FROM django_etebase_stoken ORDER BY id DESC LIMIT 1")[0][0]
        for method, path, value in (
            ("GET", "/api/v1/collection/", None), ("GET", f"/api/v1/collection/?stoken={stoken}", None), ("POST", "/api/v1/collection/", {}),
            ("POST", "/api/v1/collection/list_multi/", {"collectionTypes": []}), ("GET", f"{base}/", None), ("GET", f"{base}/item/", None),
            ("GET", f"{base}/item/x/", None), ("GET", f"{base}/item/x/revision/", None), ("POST", f"{base}/item/fetch_updates/", []),
            ("POST", f"{base}/item/batch/", {"items": []}), ("POST", f"{base}/item/transaction/", {"items": []}),
            ("POST", f"{base}/item/subscription-ticket/", {}), ("PUT", f"{base}/item/x/chunk/{uid('chunk')}/", {}),
            ("GET", f"{base}/item/x/chunk/y/download/", None), ("GET", f"{base}/member/", None), ("POST", f"{base}/member/leave/", {}),
            ("DELETE", f"{base}/member/bob/", None), ("PATCH", f"{base}/member/bob/", {"accessLevel": 0}), ("GET", "/api/v1/collection/none/", None),
            ("GET", "/api/v1/invitation/incoming/", None), ("GET", "/api/v1/invitation/incoming/x/", None),
            ("DELETE", "/api/v1/invitation/incoming/x/", None), ("POST", "/api/v1/invitation/incoming/x/accept/", {}),
            ("GET", "/api/v1/invitation/outgoing/", None), ("POST", "/api/v1/invitation/outgoing/", {}),
            ("GET", "/api/v1/invitation/outgoing/fetch_user_profile/?username=alice", None), ("DELETE", "/api/v1/invitation/outgoing/x/", None),
        ):
            true(refused(alice.call(method, path, value)), f"{method} {path} is refused")
        other = Client(server, "alice")
        expected(other.log_in(), 200)
        expected(other.post("/api/v1/authentication/dashboard_url/", {}), 200)
        true(refused(lists(other)), "a new session is refused too")
        expected(other.post("/api/v1/authentication/logout/", {}), 204)
        expected(lists(other), 401)
        directory.add("alice")
        until("alice is back", lambda: not refused(lists(alice)))


@test("whoever has left is signed out of their sockets, also those on which nothing happens; whoever stays stays")
def sockets(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory, served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
        alice, bob = person(server, "alice"), person(server, "bob")
        expected(alice.create_collection(NOTES), 201)
        share(alice, bob, NOTES)
        ticket = expected(bob.post(f"/api/v1/collection/{NOTES}/item/subscription-ticket/", {}), 200).value["ticket"]
        with Listener(alice, NOTES) as staying, Listener(bob, NOTES) as leaving:
            directory.remove("bob")
            leaving.wait("bob's socket is closed", lambda: leaving.code is not None, 60)
            equal(leaving.code, 1008, "the code with which it is closed")
            put(alice, NOTES, uid("item"))
            staying.wait("alice hears of it", lambda: staying.has(uid("item")))
            true(not leaving.has(uid("item")), "bob does not")
        expected(server.send("GET", f"/api/v1/ws/{ticket}/", [
            ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]), 403)


@test("one must be in the group where one is set, by one's entry or by one's name")
def groups(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory:
        for group, attribute, value in ((USERS, "member", f"uid=bob,{BASE}"), (ADMINS, "memberUid", "bob")):
            with served(arguments, directory.settings | {"APUS_LDAP_GROUP": group, "APUS_LDAP_CACHE": "1s"}) as server:
                alice = person(server, "alice")
                equal(expected(Client(server, "bob").sign_up(), 400, "generic").value["detail"], NOT_THERE, "what bob is told")
                directory.change(group, "add", attribute, value)
                bob = person(server, "bob")
                directory.change(group, "delete", attribute, value)
                until("bob is refused", lambda: refused(lists(bob)))
                true(not refused(lists(alice)), "alice is let in")


@test("who administers the server is said by the group for that, by one's entry or by one's name, as long as one is in it")
def admins(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory:
        for group, attribute, value in ((USERS, "member", f"uid=bob,{BASE}"), (ADMINS, "memberUid", "bob")):
            with served(arguments, directory.settings | {"APUS_LDAP_ADMIN_GROUP": group, "APUS_LDAP_CACHE": "1s"}) as server:
                for name in ("alice", "bob"):
                    true(not refused(lists(person(server, name))), f"{name} is let in")

                def administer() -> list[list]:
                    return query(server, "SELECT is_listed, is_admin FROM apus_listing ORDER BY user_id")

                until("alice does", lambda: administer() == [[1, 1], [1, 0]])
                directory.change(group, "add", attribute, value)
                until("bob does too", lambda: administer() == [[1, 1], [1, 1]])
                directory.change(group, "delete", attribute, value)
                until("bob does no more", lambda: administer() == [[1, 1], [1, 0]])
    with Directory("alice") as directory, served(arguments, directory.settings) as server:
        lists(person(server, "alice"))
        until("nobody does without such a group", lambda: query(server, "SELECT is_listed, is_admin FROM apus_listing") == [[1, 0]])


# --- how it is asked ------------------------------------------------------------------------------


@test("it is asked once for each user, over one connection, however many requests come")
def asked_once(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings) as server:
        alice = person(server, "alice")
        for _ in range(50):
            expected(lists(alice), 200)
        equal(len(directory.filters("uid=alice")), 2, "questions: for the sign-up, and for the first request")
        equal(directory.logins, 1, "connections")
        alice.close()
        server.stop()
        server.start()
        for _ in range(50):
            expected(lists(alice), 200)
        equal(len(directory.filters("uid=alice")), 3, "questions after a start")


@test("over ldaps and STARTTLS it is asked only where its certificate is good, for its name and by the right authority")
def certificates(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory:
        good = directory.certificates.authority
        ways = {"ldaps": directory.settings_for(directory.secure_url), "STARTTLS": directory.settings_for(directory.url, starttls="on")}
        for way, settings in ways.items():
            with served(arguments, settings) as server:
                person(server, "alice")
                equal(ready(server), (200, "ready\n"), f"readiness over {way}")
        for way, settings in ways.items():
            with served(arguments, settings | {"APUS_LDAP_AUTHORITIES": directory.certificates.stranger}) as server:
                refuses_to_ask(server, directory)
        directory.stop()
        directory.configure("elsewhere")
        directory.start()
        for way, settings in ways.items():
            equal(settings["APUS_LDAP_AUTHORITIES"], good, "the authority")
            with served(arguments, settings) as server:
                refuses_to_ask(server, directory)


def refuses_to_ask(server: Server, directory: Directory) -> None:
    before = directory.logins
    until("the directory counts as away", lambda: is_away(server))
    expected(Client(server, "alice").sign_up(), 503, "unavailable")
    true("certificate" in server.log.lower() or "hostname" in server.log.lower(), f"the log says why: {server.log[-600:]}")
    equal(directory.logins, before, "logins: no password is sent")


@test("without encryption to another machine the log says so; to this one nothing is said")
def unencrypted(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings_for(directory.url)) as server:
        person(server, "alice")
        true("go to the directory as they are" not in server.log, "this machine needs no warning")
    with served(arguments, directory.settings_for("ldap://192.0.2.1")) as server:
        until("the log says so", lambda: "go to the directory as they are" in server.log)


@test("where a server of the directory is gone, or frozen, the next takes over")
def several(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob", "carol") as first, Directory("alice", "bob", "carol") as second:
        authorities = first.scratch / "both.pem"
        authorities.write_text(Path(first.certificates.authority).read_text() + Path(second.certificates.authority).read_text())
        settings = first.settings_for(first.secure_url, second.secure_url, authorities=str(authorities))
        with served(arguments, settings) as server:
            person(server, "alice")
            equal((len(first.filters("alice")), len(second.filters("alice"))), (1, 0), "questions to the first and the second")
            with first.frozen():
                expected(patient(server, "bob").sign_up(), 200)
            until("the second is asked once", lambda: len(second.filters("bob")) == 1)
            second.stop()
            expected(patient(server, "carol").sign_up(), 200)
            equal(ready(server), (200, "ready\n"), "readiness")


def patient(server: Server, name: str) -> Client:
    """A client that waits for as long as a server of a directory may be silent."""
    client = Client(server, name)
    client.wire = server.wire(60)
    return client


@test("a connection that the directory has ended is made anew, unseen")
def ended(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory, served(arguments, directory.settings) as server:
        person(server, "alice")
        directory.stop()
        directory.start()
        person(server, "bob")
        true("the directory does not answer" not in server.log, "nobody was told")


# --- while it is away -----------------------------------------------------------------------------


@test("while the directory is away whoever was let in still is, nobody new is, and readiness and metrics say so")
def away(arguments: argparse.Namespace) -> None:
    ops = free_port()
    with Directory("alice", "bob", "carol") as directory:
        with served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s", "APUS_OPS_LISTEN": f"127.0.0.1:{ops}"}) as server:
            alice, bob = person(server, "alice"), person(server, "bob")
            expected(alice.create_collection(NOTES), 201)
            equal((up(ops), ready(server)), (1.0, (200, "ready\n")), "metric and readiness")
            # Of bob nothing is known: he has asked for nothing yet.
            directory.stop()
            with Listener(alice, NOTES) as listener:
                until("it is noticed", lambda: is_away(server) and up(ops) == 0.0)
                equal(ready(server)[0], 200, "the status of readiness")
                # Answers are good for a second; requests go on for longer.
                end = time.monotonic() + 4
                while time.monotonic() < end:
                    expected(lists(alice), 200)
                put(alice, NOTES, uid("item"))
                listener.wait("alice hears", lambda: listener.has(uid("item")))
                answer = expected(Client(server, "carol").sign_up(), 503, "unavailable")
                true(answer.header("retry-after"), "when to come again")
                expected(lists(bob), 503, "unavailable")
                directory.start()
                until("it is noticed", lambda: ready(server) == (200, "ready\n") and up(ops) == 1.0)
                equal(listener.code, None, "the code of a socket that stays open")
            expected(lists(bob), 200)
            person(server, "carol")
            until("the log says so", lambda: "the directory answers again" in server.log)


def up(ops: int) -> float:
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{ops}/metrics", timeout=30) as answer:
        return next(float(line.split()[1]) for line in answer.read().decode().splitlines() if line.startswith("apus_directory_up "))


@test("when the time of grace is over requests are answered with 503 and sockets closed, until the directory is back")
def grace(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory:
        with served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s", "APUS_LDAP_GRACE": "2s"}) as server:
            alice = person(server, "alice")
            expected(alice.create_collection(NOTES), 201)
            with Listener(alice, NOTES) as listener:
                with directory.away():
                    until("alice is not let in", lambda: lists(alice).status == 503)
                    equal(lists(alice).code, "unavailable", "the code")
                    listener.wait("her socket is closed", lambda: listener.code is not None, 60)
                    until("the server is not ready", lambda: ready(server) == (
                        503, "the directory (LDAP) has been away for too long: nobody is let in\n"))
                    other = Client(server, "alice")
                    expected(other.log_in(), 200)
                until("alice is let in", lambda: lists(alice).status == 200)


def kept(server: Server) -> list[list]:
    return query(server, "SELECT is_listed FROM apus_listing ORDER BY user_id")


@test("a server that is started while the directory is away lets in whom it let in before, until the time of grace is over")
def restarted(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob", "carol") as directory:
        with served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
            people = alice, bob, carol = [person(server, name) for name in ("alice", "bob", "carol")]
            expected(alice.create_collection(NOTES), 201)
            true(not refused(lists(bob)), "bob is let in")
            directory.remove("bob")
            until("bob is refused", lambda: refused(lists(bob)))
            # Of carol nothing is known: she has asked for nothing yet.
            until("what was said is kept", lambda: kept(server) == [[1], [0]])
            directory.stop()
            until("it is noticed", lambda: is_away(server))
            for stop in (server.stop, server.kill):
                # However it ends.
                stop()
                server.start()
                for client in people:
                    client.close()
                for _ in range(3):
                    expected(lists(alice), 200)
                    true(refused(lists(bob)), "bob is refused still")
                    expected(lists(carol), 503, "unavailable")
                with Listener(alice, NOTES) as listener:
                    put(alice, NOTES, uid(stop.__name__))
                    listener.wait("alice hears", lambda: listener.has(uid(stop.__name__)))
            # What was said before counts for nothing once it can be asked again: alice has left meanwhile.
            with Listener(alice, NOTES) as listener:
                directory.start()
                directory.remove("alice")
                listener.wait("her socket is closed", lambda: listener.code is not None, 60)
            until("it is noticed", lambda: ready(server) == (200, "ready\n"))
            true(refused(lists(alice)), "alice is refused")
            true(not refused(lists(carol)), "carol is let in")
            directory.add("alice")
            until("alice is back, and that is kept", lambda: not refused(lists(alice)) and kept(server) == [[1], [0], [1]])
            # Whoever is erased is known no more.
            equal(server.apus("user", "erase", "alice", "--yes").returncode, 0, "the exit code of an erasure")
            equal(kept(server), [[0], [1]], "what is kept")


@test("the time of grace is one, however often the server is started; an answer to another question is none")
def restarted_later(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory:
        settings = directory.settings | {"APUS_LDAP_CACHE": "1s", "APUS_LDAP_GRACE": "20s"}
        with served(arguments, settings) as server:
            alice = person(server, "alice")
            expected(lists(alice), 200)
            until("what was said is kept", lambda: kept(server) == [[1]])
            with directory.away():
                until("it is noticed", lambda: is_away(server))
                server.stop()
                server.environment = settings | {"APUS_SIGNUP": "closed", "APUS_LDAP_GROUP": USERS}
                server.start()
                alice.close()
                expected(lists(alice), 503, "unavailable")
                server.stop()
                server.environment = settings | {"APUS_SIGNUP": "closed"}
                server.start()
                alice.close()
                expected(lists(alice), 200)
                # As if that were long ago.
                server.stop()
                meddle(server, "UPDATE apus_listing SET said_at = said_at - 21000000")
                server.start()
                alice.close()
                expected(lists(alice), 503, "unavailable")
            until("alice is let in", lambda: lists(alice).status == 200)


@test("a directory that is frozen keeps no request of those who were let in")
def frozen(arguments: argparse.Namespace) -> None:
    with Directory("alice", "bob") as directory, served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
        alice = person(server, "alice")
        expected(lists(alice), 200)
        with directory.frozen():
            until("it is noticed", lambda: expected(lists(alice), 200) and is_away(server))
            expected(Client(server, "bob").sign_up(), 503, "unavailable")
        until("it is noticed", lambda: ready(server) == (200, "ready\n"))


# --- settings -------------------------------------------------------------------------------------


@test("the section [ldap] of the original's configuration is enough")
def original(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory:
        ini, password = directory.scratch / "etebase-server.ini", directory.scratch / "password"
        password.write_text("a password\n")
        ini.write_text(f"[global]\ndebug = false\n[ldap]\nserver = {directory.url}\nsearch_base = {BASE}\nfilter = (uid=%%s)\nbind_dn = {READER}\n"
                       f"bind_pw_file = {password}\ncache_ttl = 5\n")
        with served(arguments, {"APUS_CONFIG": str(ini)}) as server:
            person(server, "alice")
            expected(Client(server, "bob").sign_up(), 400, "generic")
            true("[ldap]" not in server.log, "nothing is said of it")


@test("settings that cannot be meant are refused at the start")
def mistakes(arguments: argparse.Namespace) -> None:
    good = {"APUS_LDAP_URL": "ldaps://ldap.example.com", "APUS_LDAP_BASE": BASE}
    for more, words in (
        ({"APUS_LDAP_URL": "ldap.example.com"}, "APUS_LDAP_URL is an address such as"), ({"APUS_LDAP_URL": ""}, "APUS_LDAP_URL"),
        ({"APUS_LDAP_BASE": ""}, "APUS_LDAP_BASE"), ({"APUS_LDAP_FILTER": "(uid=alice)"}, "%s stands for the name"),
        ({"APUS_LDAP_FILTER": "(uid=%s"}, "%s stands for the name"), ({"APUS_LDAP_BIND_DN": READER}, "APUS_LDAP_PASSWORD"),
        ({"APUS_LDAP_PASSWORD": "x"}, "APUS_LDAP_BIND_DN"), ({"APUS_LDAP_BIND_DN": READER, "APUS_LDAP_PASSWORD": ""}, "APUS_LDAP_PASSWORD is empty"),
        ({"APUS_LDAP_CACHE": "0"}, "APUS_LDAP_CACHE"), ({"APUS_LDAP_GRACE": "soon"}, "span of time"),
    ):
        # It is never started: what is wrong is found before.
        server = served(arguments, good | more)
        try:
            server.start()
        except AssertionError as fault:
            true(words in str(fault), f"{more}: {fault}")
        else:
            raise AssertionError(f"{more}: it serves")
        finally:
            server.__exit__()


if __name__ == "__main__":
    main(__doc__, options)
