"""How long fields may be: the longest that is taken is taken on either engine, and one more is a field error."""

from __future__ import annotations

from typing import Any, Callable

from common import Answer, Person, Server, equal, expected, field_errors, item, mend, new_uid, nothing_changes, somebody

KIB, MIB = 1 << 10, 1 << 20


def refused(server: Server, field: str, limit: int, send: Callable[[int], Answer], status: int = 200) -> None:
    with nothing_changes(server):
        equal(field_errors(send(limit + 1), field), ["max_length"], f"codes for {field}")
    expected(send(limit), status)


@mend(47, "the fields of an account have limits")
def account_fields(server: Server) -> None:
    names = iter(f"limits{number}" for number in range(100))

    def sign_up(**more: Any) -> Answer:
        keys = {"salt": b"s" * 16, "loginPubkey": b"l" * 32, "pubkey": b"p" * 32, "encryptedContent": b"content"}
        body = {"user": {"username": next(names), "email": ""}, **keys, **more}
        return Person(server, "nobody").stranger().post("/api/v1/authentication/signup/", body)

    for field, limit in (("salt", KIB), ("pubkey", KIB), ("encryptedContent", 16 * KIB)):
        refused(server, field, limit, lambda length, f=field: sign_up(**{f: b"x" * length}))
    person = somebody(server)
    key = bytes(person.key.verify_key)
    refused(server, "encryptedContent", 16 * KIB, lambda length: person.signed("change_password", person.login_response(
        action="changePassword", loginPubkey=key, encryptedContent=b"x" * length)), 204)


@mend(47, "the fields of collections, items and invitations have limits")
def content_fields(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection = alice.made()

    def create(length: int) -> Answer:
        return alice.post("/api/v1/collection/", {"collectionType": b"type of " + alice.name.encode(), "collectionKey": b"k" * length,
                                                  "item": item(new_uid())})

    refused(server, "collectionKey", 4 * KIB, create, 201)
    refused(server, "encryptionKey", 4 * KIB, lambda length: alice.batch(collection, item(new_uid(), key=b"k" * length)))
    refused(server, "content.meta", 4 * MIB, lambda length: alice.batch(collection, item(new_uid(), meta=b"m" * length)))
    refused(server, "content.meta", 4 * MIB, lambda length: alice.create(new_uid(), meta=b"m" * length), 201)
    invitation = new_uid()
    refused(server, "signedEncryptionKey", 4 * KIB, lambda length: alice.invite(
        bob.name, collection, invitation, signedEncryptionKey=b"k" * length), 201)
    refused(server, "encryptionKey", 4 * KIB, lambda length: bob.post(f"/api/v1/invitation/incoming/{invitation}/accept/", {
        "collectionType": b"type of " + bob.name.encode(), "encryptionKey": b"k" * length}), 201)


@mend(47, "a revision may name a chunk as often as content can need, and no more")
def chunk_mentions(server: Server) -> None:
    person = somebody(server)
    collection, chunk = person.made(), new_uid()
    expected(person.put(f"/api/v1/collection/{collection}/item/x/chunk/{chunk}/", b"x"), 201)
    for kind in ("batch", "transaction"):
        refused(server, "content.chunks", 65_536, lambda length, k=kind: person.batch(
            collection, item(new_uid(), chunks=[[chunk, None]] * length), kind=k))
    with nothing_changes(server):
        two = [item(new_uid(), chunks=[[chunk, None]] * 50_001) for _ in range(2)]
        equal(field_errors(person.batch(collection, *two), "content.chunks"), ["max_length"], "codes")
        many = [[chunk, None]] * 120_000
        equal(field_errors(person.batch(collection, item(new_uid(), chunks=many)), "content.chunks"), ["max_length"], "codes")
        equal(field_errors(person.create(new_uid(), chunks=many), "content.chunks"), ["max_length"], "codes")
    repeated = item(new_uid(), chunks=[[new_uid(), b"content"]] + [[chunk, None]] * 3)
    expected(person.batch(collection, repeated), 200)
    found = expected(person.get(f"/api/v1/collection/{collection}/item/{repeated['uid']}/", prefetch="medium"), 200).value
    equal([uid for uid, _ in found["content"]["chunks"]], [uid for uid, _ in repeated["content"]["chunks"]], "chunks")

