"""Rows 25 to 30: passwords, disabled users, tokens, challenges, names."""

from __future__ import annotations

import nacl.signing

from common import (Person, Server, at_once, equal, expected, field_errors, mend, new_uid, nothing_changes, outcomes, pack,
                    somebody, true)

NEW_KEY = nacl.signing.SigningKey(b"k" * 32)


def new_password(person: Person, **more: object) -> dict:
    return person.login_response(
        action="changePassword", loginPubkey=bytes(NEW_KEY.verify_key), encryptedContent=b"new content", **more)


@mend(25, "a change of password in another user's name is refused")
def password_of_another(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    for name in (bob.name, bob.name.upper()):
        with nothing_changes(server):
            expected(alice.signed("change_password", new_password(alice, username=name)), 400, "wrong_user")
    expected(bob.log_in(), 200)
    expected(alice.log_in(), 200)
    expected(alice.signed("change_password", new_password(alice)), 204)
    expected(alice.log_in(), 401, "login_bad_signature")


@mend(25, "a change of password ends the user's other sessions, and no others")
def password_ends_sessions(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    other = alice.another()
    expected(other.log_in(), 200)
    expected(alice.signed("change_password", new_password(alice)), 204)
    expected(other.get("/api/v1/collection/"), 401, "authentication_failed")
    true(alice.is_in() and bob.is_in(), "the session that changed it goes on, and another user's")


@mend(25, "a change of password leaves the other sessions where the operator says so", "--password-change", "keeps-sessions")
def password_keeps_sessions(server: Server) -> None:
    alice = somebody(server)
    other = alice.another()
    expected(other.log_in(), 200)
    expected(alice.signed("change_password", new_password(alice)), 204)
    true(alice.is_in() and other.is_in(), "both go on")


@mend(25, "a challenge can be signed again, but what was signed has one session at a time, and few in all")
def one_session_for_a_response(server: Server) -> None:
    person = somebody(server)
    response = person.login_response()
    answers = at_once([lambda p=person.another(): p.signed("login", response) for _ in range(30)])
    equal(outcomes(answers), {(200, None): 30}, "answers")
    tokens = {answer.value["token"] for answer in answers}
    equal(len(tokens), 1, "tokens of one response")
    again = expected(person.signed("login", {**response, "more": 1}), 200).value["token"]
    true(again not in tokens, "signed again it makes another session")
    thief = Person(server, person.name, tokens.pop())
    expected(thief.call("POST", "/api/v1/authentication/logout/"), 204)
    seen = set(tokens)
    for _ in range(7):
        token = expected(person.signed("login", response), 200).value["token"]
        true(token not in seen and token not in (again, thief.token), "another session")
        seen.add(token)
        expected(Person(server, person.name, token).call("POST", "/api/v1/authentication/logout/"), 204)
    expected(person.signed("login", response), 400, "challenge_expired")
    true(person.is_in(), "the other sessions go on")


@mend(25, "a login key that can be none is refused, at sign-up and in a change of password")
def login_keys(server: Server) -> None:
    person = somebody(server)
    for number, length in enumerate((1, 31, 33, 64)):
        with nothing_changes(server):
            newcomer = {"user": {"username": f"keyless{number}", "email": ""}, "salt": b"s" * 16, "loginPubkey": b"k" * length,
                        "pubkey": b"p" * 32, "encryptedContent": b"content"}
            field_errors(person.post("/api/v1/authentication/signup/", newcomer), "loginPubkey")
            response = person.login_response(action="changePassword", loginPubkey=b"k" * length, encryptedContent=b"new")
            field_errors(person.signed("change_password", response), "loginPubkey")
    expected(person.log_in(), 200)


@mend(25, "a change of password under one's email address is one's own")
def password_by_email(server: Server) -> None:
    alice = somebody(server)
    expected(alice.signed("change_password", new_password(alice, username=f"{alice.name}@example.com")), 204)
    alice.key = NEW_KEY
    expected(alice.log_in(), 200)


@mend(26, "a disabled user is told so at the challenge, at the login and with her token")
def disabled(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    response = alice.login_response()
    equal(server.apus("user", "disable", alice.name, "--data", str(server.folder)).returncode, 0, "exit code")
    for answer in (alice.challenge(), alice.signed("login", response), alice.get("/api/v1/collection/"),
                   alice.signed("change_password", {**response, "action": "changePassword"}), alice.create(new_uid())):
        expected(answer, 401, "authentication_failed")
        equal(answer.value["detail"], "User inactive or deleted.", "detail")
    true(bob.is_in(), "others are let in")
    equal(server.apus("user", "enable", alice.name, "--data", str(server.folder)).returncode, 0, "exit code")
    true(alice.is_in(), "her token is good again")
    expected(alice.log_in(), 200)


@mend(26, "a disabled account cannot be initialized by a sign-up")
def disabled_before_signup(server: Server) -> None:
    alice = Person(server, "disabled_before")
    for command in ("create", "disable"):
        equal(server.apus("user", command, alice.name, "--data", str(server.folder)).returncode, 0, "exit code")
    with nothing_changes(server):
        expected(alice.sign_up(), 401, "authentication_failed")


@mend(27, "an Authorization of one word is a bad token")
def one_word(server: Server) -> None:
    person = somebody(server)
    for header in (person.token, "Token", "Token ", "Token\t", f" {person.token}", "\u00e9"):
        expected(person.call("GET", "/api/v1/collection/", headers=[("Authorization", header)]), 401, "authentication_failed")


@mend(29, "another user's challenge is refused with wrong_user")
def challenge_of_another(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    challenge = alice.login_response()["challenge"]
    expected(bob.signed("login", bob.login_response(challenge=challenge)), 400, "wrong_user")
    with nothing_changes(server):
        expected(bob.signed("change_password", new_password(bob, challenge=challenge)), 400, "wrong_user")


@mend(29, "garbage in a login or a change of password is told with a code")
def garbage(server: Server) -> None:
    person = somebody(server)
    for path, good in (("login", person.login_response()), ("change_password", new_password(person))):
        responses = [b"", b"\xc1", b"\x01", b"\x90", b"\x81", b"\xdf\xff\xff\xff\xff", b"text", pack({}), pack([good]),
                     pack({key.encode(): value for key, value in good.items()}), pack(good) + b"\x00",
                     {**good, "action": "dance"}, {**good, "action": ""}, {**good, "action": 1}, {**good, "action": None},
                     {**good, "host": 1}, {**good, "username": None}, {**good, "username": [1]}]
        responses += [{known: value for known, value in good.items() if known != key}
                      for key in ("username", "challenge", "host", "action")]
        box = good["challenge"]
        responses += [{**good, "challenge": value} for value in (
            b"", b"short", b"\0" * 24, b"\0" * len(box), box[:-1], box + b"\0", box[::-1], "text", 5, None)]
        if path == "change_password":
            responses += [{known: value for known, value in good.items() if known != key}
                          for key in ("loginPubkey", "encryptedContent")]
            responses += [{**good, "loginPubkey": 5}, {**good, "encryptedContent": [b"x"]}]
        with nothing_changes(server):
            for response in responses:
                answer = person.signed(path, response)
                true(answer.status in (400, 401) and answer.code, f"{path} with {response!r}: {answer}")
            for signature in (b"", b"short", b"\0" * 63, b"\0" * 64, b"\0" * 65, b"\xff" * 64, b"\0" * 50_000):
                expected(person.signed(path, good, signature), 401, "login_bad_signature")
    expected(person.log_in(), 200)


@mend(29, "a user whose keys are no keys cannot log in, and is told so")
def keys_that_are_none(server: Server) -> None:
    for number, key in enumerate((b"", b"\0" * 32, b"\xff" * 32)):
        person = Person(server, f"keyless{number}")
        expected(person.post("/api/v1/authentication/signup/", {
            "user": {"username": person.name, "email": ""}, "salt": b"", "loginPubkey": key, "pubkey": b"",
            "encryptedContent": b""}), 200)
        for signature in (b"s" * 64, b"\0" * 64, b"\x01" + b"\0" * 63):
            answer = person.signed("login", person.login_response(), signature)
            true(answer.status in (400, 401) and answer.code, f"{answer} for a key of {len(key)} bytes")


@mend(30, "a name with an at sign is found when no email address is that")
def name_with_at_sign(server: Server) -> None:
    person, other = somebody(server, "m@home", "elsewhere@example.com"), somebody(server)
    expected(person.log_in(), 200)
    equal(expected(other.get("/api/v1/invitation/outgoing/fetch_user_profile/", username="m@home"), 200).value["pubkey"],
          b"p" * 32, "pubkey")
    expected(other.invite("M@Home", other.made()), 201)
    equal(len(person.incoming()), 1, "invitations")


@mend(30, "an email address goes before a name that looks like it")
def email_before_name(server: Server) -> None:
    owner = somebody(server, email="owner@example.com")
    namesake = somebody(server, "owner@example.com", "namesake@example.com")
    expected(owner.signed("login", {**owner.login_response(), "username": "Owner@Example.com"}), 200)
    expected(namesake.log_in(), 401, "login_bad_signature")


@mend(30, "who logs in by a shared email address is told so, and gets in by name")
def shared_email(server: Server) -> None:
    people = [somebody(server, email="init@localhost"), somebody(server, email="INIT@LOCALHOST")]
    for person in people:
        for answer in (Person(server, "init@localhost").challenge(),
                       person.signed("login", person.login_response(username="Init@Localhost"))):
            expected(answer, 401, "user_not_found")
            true("several" in answer.value["detail"].lower(), f"{answer} does not say why")
        expected(person.log_in(), 200)
    other = somebody(server)
    expected(other.invite("init@localhost", other.made()), 404, "does_not_exist")
    expected(other.get("/api/v1/invitation/outgoing/fetch_user_profile/", username="init@localhost"), 404, "does_not_exist")
