"""Rows 16 to 18: limits of pages, uniqueness, repeated transactions."""

from __future__ import annotations

from common import Server, at_once, equal, expected, field_errors, item, mend, new_uid, nothing_changes, outcomes, somebody

LISTS = [("GET", "/api/v1/collection/"), ("POST", "/api/v1/collection/list_multi/"), ("GET", "/api/v1/collection/{}/item/"),
         ("GET", "/api/v1/collection/{0}/item/{0}/revision/"), ("GET", "/api/v1/collection/{}/member/"),
         ("GET", "/api/v1/invitation/incoming/"), ("GET", "/api/v1/invitation/outgoing/")]


@mend(16, "a limit below 1 is refused in every list")
def small_limits(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    for method, path in LISTS:
        body = {"collectionTypes": [b"type"]} if method == "POST" else None
        for limit in (0, -1, -2, -2**63, -10**30):
            answer = person.call(method, path.format(collection), body, query={"limit": limit})
            expected(answer, 422)
            equal(answer.value["detail"][0]["loc"], ["query", "limit"], f"{path} limit={limit}")
        expected(person.call(method, path.format(collection), body, query={"limit": 1}), 200)


@mend(16, "a limit above 1000 serves 1000")
def large_limits(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    expected(person.batch(collection, *(item(new_uid()) for _ in range(1001))), 200)
    for limit in (1001, 2**31, 2**63, 10**30):
        page = expected(person.get(f"/api/v1/collection/{collection}/item/", limit=limit), 200).value
        equal((len(page["data"]), page["done"]), (1000, False), f"items with limit={limit}")
    rest = expected(person.get(f"/api/v1/collection/{collection}/item/", limit=1001, stoken=page["stoken"]), 200).value
    equal((len(rest["data"]), rest["done"]), (1, True), "items on the next page")
    for method, path in LISTS:
        body = {"collectionTypes": [b"type"]} if method == "POST" else None
        expected(person.call(method, path.format(collection), body, query={"limit": 10**30}), 200)


@mend(17, "of six creations of one collection at once one succeeds and five are told unique_uid")
def creations_at_once(server: Server) -> None:
    people = [somebody(server) for _ in range(2)]
    for _ in range(5):
        collection = new_uid()
        answers = at_once([lambda p=people[n % 2].another(): p.create(collection) for n in range(6)])
        equal(outcomes(answers), {(201, None): 1, (409, "unique_uid"): 5}, "answers")


@mend(17, "of six creations with one revision uid at once one succeeds and five are told content.uid")
def revisions_at_once(server: Server) -> None:
    person, revision = somebody(server), new_uid()
    answers = at_once([lambda p=person.another(): p.create(new_uid(), revision=revision) for _ in range(6)])
    equal(outcomes(answers), {(201, None): 1, (400, "field_errors"): 5}, "answers")


@mend(17, "a repeated revision uid in a creation is told as an error of content.uid")
def repeated_revision(server: Server) -> None:
    alice, bob, revision = somebody(server), somebody(server), new_uid()
    alice.made(revision=revision)
    for person in (alice, bob):
        refused = new_uid()
        with nothing_changes(server):
            equal(field_errors(person.create(refused, revision=revision), "content.uid"), ["unique"], "codes")
        expected(person.collection(refused), 404, "does_not_exist")


@mend(18, "a repeated transaction is a success whatever the stoken")
def repeated_transaction(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    stoken = person.stoken(collection)
    items = [item(new_uid()), item(new_uid())]
    expected(person.transaction(collection, *items, stoken=stoken), 200)
    with nothing_changes(server):
        for kind in ("transaction", "batch"):
            for given in (stoken, person.stoken(collection), "rubbish", ""):
                expected(person.batch(collection, *items, kind=kind, stoken=given), 200)


@mend(18, "a transaction that is repeated in part only is held to its stoken")
def partly_repeated(server: Server) -> None:
    person = somebody(server)
    collection = person.made()
    stoken, first = person.stoken(collection), item(new_uid())
    expected(person.transaction(collection, first, stoken=stoken), 200)
    with nothing_changes(server):
        expected(person.transaction(collection, first, item(new_uid()), stoken=stoken), 409, "stale_stoken")
    current = person.stoken(collection)
    expected(person.transaction(collection, item(first["uid"], etag=first["content"]["uid"]), stoken=current), 200)
    with nothing_changes(server):
        expected(person.transaction(collection, first, stoken=stoken), 409, "stale_stoken")
