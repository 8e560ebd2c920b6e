"""Rows 31 to 41 and 47: what is answered instead of a 500, the form of errors, paths and bodies."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from typing import Any

from common import (ALONE, Answer, Person, Server, equal, expected, fault_in_form, field_errors, item, mend, new_uid,
                    nothing_changes, pack, request_bytes, somebody, true)

ORIGIN = [("Origin", "https://app.example.com")]
METHODS = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]
PATHS = [
    "/", "/health", "/ready", "/openapi.json", *("/api/v1/" + path for path in (
        "authentication/is_etebase/", "authentication/signup/", "authentication/login_challenge/", "authentication/login/",
        "authentication/logout/", "authentication/change_password/", "authentication/dashboard_url/", "collection/",
        "collection/list_multi/", "collection/x/", "collection/x/item/", "collection/x/item/batch/",
        "collection/x/item/transaction/", "collection/x/item/fetch_updates/", "collection/x/item/x/",
        "collection/x/item/x/revision/", "collection/x/item/x/chunk/x/", "collection/x/item/x/chunk/x/download/",
        "collection/x/member/", "collection/x/member/leave/", "collection/x/member/x/", "invitation/incoming/",
        "invitation/incoming/x/", "invitation/incoming/x/accept/", "invitation/outgoing/",
        "invitation/outgoing/fetch_user_profile/", "invitation/outgoing/x/"))]
BAD = {"": "blank", "a/b": "invalid", "a b": "invalid", "a\0b": "invalid", "\0": "invalid", "\u00e9": "invalid", "..": "invalid",
       "a+b": "invalid", "a=": "invalid", "a\n": "invalid", "\r\n": "invalid", "\U0001f600": "invalid"}
GOOD = ["-{}", "_{}", "{}" + "x" * 37]  # the braces stand for six characters


# --- 31, 32: what was a 500 -----------------------------------------------------------------------


@mend(31, "items with an encryptionKey can be read in every way")
def item_keys(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    keyed = item(new_uid(), key=b"item key \0\xff")
    expected(person.batch(collection, keyed), 200)
    path, name = f"/api/v1/collection/{collection}/item/", keyed["uid"]
    found = [person.items(collection)[0], expected(person.get(f"{path}{name}/"), 200).value,
             expected(person.post(f"{path}fetch_updates/", [{"uid": name}]), 200).value["data"][0]]
    for each in found:
        equal(each, {key: value for key, value in keyed.items() if key != "etag"}, "item")
    expected(person.get(f"{path}{name}/revision/"), 200)


@mend(32, "what is not there is does_not_exist")
def unknown(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection, his = alice.made(), bob.made()
    expected(bob.batch(his, item("bobs-item")), 200)
    base = f"/api/v1/collection/{collection}"
    for path in (f"{base}/item/unknown/", f"{base}/item/bobs-item/", f"{base}/item/batch/", f"{base}/item/transaction/",
                 f"{base}/item/fetch_updates/", f"{base}/item/a%00b/", f"{base}/item/{'x' * 5000}/",
                 f"{base}/item/x/chunk/unknown/download/", f"/api/v1/collection/{his}/item/bobs-item/",
                 "/api/v1/collection/a%00b/", "/api/v1/collection/list_multi/", "/api/v1/invitation/incoming/unknown/",
                 "/api/v1/invitation/incoming/a%00b/"):
        expected(alice.get(path), 404, "does_not_exist")
    for method, path in (("DELETE", f"{base}/member/a%00b/"), ("DELETE", "/api/v1/invitation/outgoing/a%00b/"),
                         ("GET", "/api/v1/invitation/outgoing/fetch_user_profile/?username=a%00b")):
        expected(alice.call(method, path), 404, "does_not_exist")


@mend(32, "a NUL in a text is not found, not valid, or a bad stoken")
def nul(server: Server) -> None:
    person = somebody(server)
    expected(Person(server, "a\0b").challenge(), 401, "user_not_found")
    expected(Person(server, "a\0b@example.com").challenge(), 401, "user_not_found")
    collection = person.made()
    expected(person.invite("a\0b", collection), 404, "does_not_exist")
    with nothing_changes(server):
        field_errors(Person(server, "a\0b").sign_up("nul@example.com"), "user.username")
        field_errors(Person(server, "nul").sign_up("a\0b@example.com"), "user.email")
        for path in ("/api/v1/collection/", f"/api/v1/collection/{collection}/item/"):
            expected(person.get(path, stoken="a\0"), 400, "bad_stoken")


@mend(32, "chunks without content are told for each item, and no item is stored")
def chunks_without_content(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    good, one, two = item(new_uid()), item(new_uid(), chunks=[["unknown", None]]), item(new_uid(), chunks=[["other", None]])
    for kind in ("batch", "transaction"):
        with nothing_changes(server):
            answer = person.batch(collection, good, one, two, kind=kind)
            for each in (one, two):
                equal(field_errors(answer, each["uid"], 409, "item_failed"), ["chunk_no_content"], "codes")
            equal(len(answer.value["errors"]), 2, "errors")
    with nothing_changes(server):
        stale = item(collection, etag="stale")
        answer = person.transaction(collection, stale, one)
        equal([error["code"] for error in answer.value["errors"]], ["wrong_etag", "chunk_no_content"], "codes")


@mend(32, "the test reset of an unknown user, or of a name in other case, is does_not_exist", "--debug")
def reset_unknown(server: Server) -> None:
    person = somebody(server, "test_user_reset")
    keys = {"salt": b"s", "loginPubkey": b"l", "pubkey": b"p", "encryptedContent": b"c"}
    for name in ("test_user_nobody", "Test_User_Reset", "a\0b", ""):
        with nothing_changes(server):
            body = {"user": {"username": name, "email": ""}, **keys}
            expected(person.post("/api/v1/test/authentication/reset/", body), 404, "does_not_exist")


# --- 33: uids -------------------------------------------------------------------------------------


@mend(33, "a new item, revision, chunk or invitation with a bad uid is refused, and nothing changes")
def bad_uids(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection = alice.made()
    with nothing_changes(server):
        for bad, code in (BAD | {"x" * 44: "max_length"}).items():
            for kind in ("batch", "transaction"):
                equal(field_errors(alice.batch(collection, item(bad), kind=kind), "uid"), [code], f"codes for {bad!r}")
                answer = alice.batch(collection, item(new_uid(), revision=bad), kind=kind)
                equal(field_errors(answer, "content.uid"), [code], f"codes for {bad!r}")
            equal(field_errors(alice.create(new_uid(), revision=bad), "content.uid"), [code], f"codes for {bad!r}")
            equal(field_errors(alice.invite(bob.name, collection, bad), "uid"), [code], f"codes for {bad!r}")
        for bad, code in (BAD | {"x" * 61: "max_length"}).items():
            chunks = [[bad, b"content"]]
            for answer in (alice.batch(collection, item(new_uid(), chunks=chunks)), alice.create(new_uid(), chunks=chunks)):
                equal(field_errors(answer, "content.chunks"), [code], f"codes for {bad!r}")


@mend(33, "a chunk that is uploaded under a bad uid is refused")
def bad_chunk_uploads(server: Server) -> None:
    person = somebody(server)
    path = f"/api/v1/collection/{person.made()}/item/x/chunk/"
    with nothing_changes(server):
        for bad, code in {"a%20b": "invalid", "a%00b": "invalid", "%C3%A9": "invalid", "a%0A": "invalid", "%FF": "invalid",
                          "..": "invalid", "x" * 61: "max_length"}.items():
            equal(field_errors(person.put(f"{path}{bad}/", b"content"), "uid"), [code], f"codes for {bad}")
        expected(person.put(f"{path}a%2Fb/", b"content"), 404, "does_not_exist")
    expected(person.put(f"{path}{'x' * 60}/", b"content"), 201)


@mend(33, "the uid of a collection is held to the same rule")
def bad_collections(server: Server) -> None:
    person = somebody(server)
    with nothing_changes(server):
        for bad, code in (BAD | {"x" * 44: "max_length", "../user_1/x": "invalid", "col\u00e9": "invalid"}).items():
            equal(field_errors(person.create(bad), "uid"), [code], f"codes for {bad!r}")


@mend(33, "uids of one to 43 URL-safe characters are taken")
def good_uids(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    for number, form in enumerate(GOOD):
        name = form.format(f"uid-{number:02}")
        expected(alice.create(name, revision=name, chunks=[[name, b"content"]]), 201)
        expected(alice.batch(name, item(f"{number}", revision=f"s{number}")), 200)
        expected(alice.invite(bob.name, name, name), 201)
        expected(bob.accept(name), 201)
        equal([each["uid"] for each in bob.items(name)], [f"{number}"], "items")
    short = [each["item"]["uid"] for each in expected(alice.get("/api/v1/collection/"), 200).value["data"]]
    expected(alice.create("x"), 201)
    listed = expected(alice.get("/api/v1/collection/"), 200).value["data"][len(short)]
    equal(expected(alice.collection("x"), 200).value, listed, "the collection alone and in the list")


@mend(47, "a collection's type may have 2,000 bytes, and belongs to one user")
def long_types(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    for size in (1024, 1025, 2000):
        # Alike up to the last byte, and nothing in them that could be packed.
        kind = random.Random(size).randbytes(size)
        other = kind[:-1] + bytes([kind[-1] ^ 1])
        one, another = alice.made(type=kind), bob.made(type=other)
        expected(alice.create(new_uid(), type=kind), 201)
        with nothing_changes(server):
            expected(bob.create(new_uid(), type=kind), 400, "bad_collection_type")
            expected(alice.create(new_uid(), type=other), 400, "bad_collection_type")
        for person, collection, types in ((alice, one, [kind]), (bob, another, [other])):
            found = expected(person.post("/api/v1/collection/list_multi/", {"collectionTypes": types}), 200).value["data"]
            true(collection in [each["item"]["uid"] for each in found], "the collection is listed by its type")
            equal({each["collectionType"] for each in found}, set(types), "types")
    with nothing_changes(server):
        equal(field_errors(alice.create(new_uid(), type=b"x" * 2001), "collectionType"), ["max_length"], "codes")


# --- 34, 35: headers and paths --------------------------------------------------------------------


def carries_cors(answer: Answer, status: int, code: str | None = None) -> None:
    expected(answer, status, code)
    wanted = {"access-control-allow-origin": ORIGIN[0][1], "access-control-allow-credentials": "true", "vary": "Origin"}
    equal({name: answer.header(name) for name in wanted}, wanted, f"headers of {status} {code or ''}")


@mend(34, "errors carry the CORS headers", "--body-limit", "2000", "--chunk-limit", "1000")
def cors(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    for status, code, method, path, body in (
            (400, None, "POST", "/api/v1/collection/", b"\xc1"),
            (400, "field_errors", "POST", f"/api/v1/collection/{collection}/item/batch/", pack({"items": [item("a b")]})),
            (404, "does_not_exist", "GET", "/api/v1/nothing/", None),
            (404, None, "GET", "/static/nothing", None),
            (404, "does_not_exist", "GET", "/api/v1/collection/unknown/", None),
            (405, "method_not_allowed", "PUT", "/api/v1/collection/", b""),
            (409, "unique_uid", "POST", "/api/v1/collection/", pack({"collectionKey": b"", "item": item(collection)})),
            (413, "too_large", "PUT", f"/api/v1/collection/{collection}/item/x/chunk/x/", b"x" * 1001),
            (413, "too_large", "PUT", f"/api/v1/collection/{collection}/item/x/chunk/x/", b"x" * 2001),
            (413, "too_large", "POST", "/api/v1/collection/", b"x" * 2001),
            (422, "missing", "POST", "/api/v1/collection/", pack({"a": 1})),
            (422, "greater_than_equal", "GET", "/api/v1/collection/?limit=0", None)):
        carries_cors(person.call(method, path, body=body, headers=ORIGIN), status, code)
    carries_cors(person.stranger().call("GET", "/api/v1/collection/", headers=ORIGIN), 403)
    bad = [("Authorization", "Token bad"), *ORIGIN]
    carries_cors(person.call("GET", "/api/v1/collection/", headers=bad), 401, "authentication_failed")


@mend(34, "a database that cannot be written to is a 503 with the CORS headers, and reads go on", *ALONE,
      sqlite_only=True)
def unavailable(server: Server) -> None:
    person, collection = somebody(server), new_uid()
    with contextlib.closing(sqlite3.connect(server.folder / "apus.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")  # the server waits ten seconds for the lock
        answer = person.post(
            "/api/v1/collection/", {"collectionType": b"t", "collectionKey": b"k", "item": item(collection)}, headers=ORIGIN)
        carries_cors(answer, 503, "unavailable")
        true(answer.header("retry-after"), "a 503 says when to come again")
        expected(person.get("/api/v1/collection/"), 200)
    expected(person.create(collection), 201)


@mend(35, "an unknown path is does_not_exist for everybody and every method")
def unknown_paths(server: Server) -> None:
    person = somebody(server)
    for path in ("/nothing/", "/admin/nothing/", "/admin", "/docs", "/redoc", "/api/v1/", "/api/v2/collection/", "/API/V1/COLLECTION/",
                 "/api/v1/collection//", "//nothing/", "/api/v1/collection/../collection/", "/api/v1/collection/x/y/",
                 "/api/v1/collection/a%2Fb/", "/api/v1/test/authentication/reset/", "/static"):
        for who in (person, person.stranger()):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                body = b"\xc1" if method in ("POST", "PUT", "PATCH") else None
                expected(who.call(method, path, body=body), 404, "does_not_exist")


@mend(35, "slashes at the start are one, for addresses that were entered with one at their end")
def slashes_at_the_start(server: Server) -> None:
    person = somebody(server)
    for path in ("//api/v1/collection/", "///api/v1/collection/"):
        expected(person.call("GET", path), 200)


@mend(35, "a missing slash at the end is not found, and no redirect")
def missing_slashes(server: Server) -> None:
    person = somebody(server)
    for path in PATHS:
        other = path[:-1] if path.endswith("/") else path + "/"
        if not other:
            continue
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = expected(person.call(method, other), 404, "does_not_exist")
            equal(answer.header("location"), None, "location")


@mend(35, "a wrong method is a 405 that tells the right ones")
def wrong_methods(server: Server) -> None:
    person = Person(server, "nobody")
    for path in PATHS:
        answers = {method: person.call(method, path) for method in METHODS}
        right = [method for method, answer in answers.items() if answer.status != 405]
        true(right, f"no method is right for {path}")
        for method, answer in answers.items():
            if answer.status == 405:
                equal(sorted((answer.header("allow") or "").split(", ")), right, f"allow of {method} {path}")
                equal(answer.code, "method_not_allowed", f"code of {method} {path}")


@mend(35, "an answer to HEAD has no body, so that the connection goes on")
def head(server: Server) -> None:
    person = somebody(server)
    for path in ("/", "/health", "/api/v1/collection/", "/api/v1/authentication/is_etebase/", "/api/v1/nothing/", "/static/x"):
        with server.wire() as wire:
            headers = [("Accept", "application/msgpack"), ("Authorization", f"Token {person.token}")]
            wire.send(request_bytes("HEAD", path, headers) + request_bytes("GET", "/health"))
            true(wire.receive("HEAD").status in (200, 404, 405), f"HEAD {path}")
            following = wire.file.peek(5)[:5]
            equal(following, b"HTTP/", f"the bytes after the headers of HEAD {path}")
            equal(wire.receive("GET").body, b"ok\n", "the next answer")


# --- 38 to 41: bodies -----------------------------------------------------------------------------


@mend(38, "an empty list of uids in fetch_updates gives an empty answer")
def fetch_no_updates(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    stoken, path = person.stoken(collection), f"/api/v1/collection/{collection}/item/fetch_updates/"
    for given in (None, stoken):
        query = {"stoken": given} if given else {}
        for body, kind in ((b"\x90", "application/msgpack"), (b"\xdc\0\0", "application/msgpack"), (b"[]", "application/json")):
            answer = person.call("POST", path, body=body, query=query, headers=[("Content-Type", kind)])
            equal(expected(answer, 200).value, {"data": [], "stoken": given, "done": True}, f"answer to {body!r}")
    expected(person.post(path, [], query={"stoken": "bad"}), 400, "bad_stoken")
    expected(somebody(server).post(path, []), 404, "does_not_exist")
    expected(person.stranger().post(path, []), 403)


@mend(40, "fetch_updates pairs each etag with its uid")
def paired_etags(server: Server) -> None:
    person = somebody(server)
    collection, one, two = person.made(), item(new_uid()), item(new_uid())
    expected(person.batch(collection, one, two), 200)

    def updates(first: Any, second: Any) -> list[str]:
        known = [{"uid": one["uid"], "etag": first}, {"uid": two["uid"], "etag": second}]
        answer = expected(person.post(f"/api/v1/collection/{collection}/item/fetch_updates/", known), 200)
        return [each["uid"] for each in answer.value["data"]]

    a, b = one["content"]["uid"], two["content"]["uid"]
    equal(updates(b, "old"), [one["uid"], two["uid"]], "the second's etag for the first")
    equal(updates(b, a), [one["uid"], two["uid"]], "each the other's")
    equal(updates("old", a), [one["uid"], two["uid"]], "the first's etag for the second")
    equal(updates(a, a), [two["uid"]], "the first's for both")
    equal(updates(a, b), [], "each its own")


# How long a body may be without a token.
STRANGERS_BODY = 64 << 10


@mend(41, "deep nesting is a 400, in MessagePack and in JSON")
def deep_nesting(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    for depth in (2_000, 200_000):
        packed = [b"\x91" * depth + b"\xc0", b"\x91" * depth, b"\x81\xa1a" * depth + b"\xc0", b"\xdd\0\0\0\x01" * depth + b"\xc0",
                  b"\x82\xa8username\xa1a\xa1x" + b"\x91" * depth + b"\xc0"]
        texts = [b"[" * depth + b"]" * depth, b"[" * depth, b'{"a":' * depth + b"1" + b"}" * depth]
        for path in ("/api/v1/authentication/login_challenge/", "/api/v1/collection/",
                     f"/api/v1/collection/{collection}/item/batch/", f"/api/v1/collection/{collection}/item/fetch_updates/"):
            for kind, bodies in (("application/msgpack", packed), ("application/json", texts)):
                for body in bodies:
                    answer = person.call("POST", path, body=body, headers=[("Content-Type", kind)])
                    is_long = path.endswith("/login_challenge/") and len(body) > STRANGERS_BODY
                    equal(answer.status, 413 if is_long else 400, f"status for {kind} {body[:12]!r}... of depth {depth} to {path}")
        expected(person.signed("login", b"\x91" * min(depth, STRANGERS_BODY // 2) + b"\xc0"), 400, "bad_login")


@mend(41, "nesting that is not deep is told with the other faults")
def shallow_nesting(server: Server) -> None:
    person = somebody(server)
    for kind, body in (("application/msgpack", b"\x91" * 30 + b"\xc0"), ("application/json", json.dumps([[[[[[]]]]]]).encode())):
        answer = person.call("POST", "/api/v1/collection/", body=body, headers=[("Content-Type", kind)])
        expected(answer, 422, "model_attributes_type")
        equal(fault_in_form(answer), None, "fault")
