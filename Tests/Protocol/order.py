"""Rows 16 to 18 and 46: limits of pages, uniqueness, repeated writes."""

from __future__ import annotations

from common import (Server, at_once, equal, expected, field_errors, item, mend, new_uid, nothing_changes, outcomes,
                    somebody, true)

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


@mend(18, "a repeated write is a success without effect, but with an old stoken stale_stoken, in batch and transaction")
def repeated_writes(server: Server) -> None:
    person = somebody(server)
    for kind in ("transaction", "batch"):
        collection = person.made()
        stoken = person.stoken(collection)
        items = [item(new_uid()), item(new_uid())]
        expected(person.batch(collection, *items, kind=kind, stoken=stoken), 200)
        with nothing_changes(server):
            for given in ("", person.stoken(collection)):
                expected(person.batch(collection, *items, kind=kind, stoken=given), 200)
            for given in (stoken, "rubbish"):
                expected(person.batch(collection, *items, kind=kind, stoken=given), 409, "stale_stoken")
                expected(person.batch(collection, items[0], item(new_uid()), kind=kind, stoken=given), 409, "stale_stoken")


@mend(18, "the steps of the official suite's simple_collection_sync")
def collection_sync(server: Server) -> None:
    person = somebody(server)
    collection, first, second = new_uid(), new_uid(), new_uid()
    lists = "/api/v1/collection/"

    def listed(**query: str) -> list[str]:
        return [each["item"]["content"]["uid"] for each in expected(person.get(lists, **query), 200).value["data"]]

    equal(listed(), [], "before it is uploaded")
    expected(person.create(collection, revision=first, chunks=[[new_uid(), b"SomeContent"]]), 201)
    equal(listed(), [first], "after it is uploaded")
    old = person.stoken(collection)
    equal(listed(stoken=old), [], "since the stoken")
    changed = item(collection, second, first, meta=b"another name")
    expected(person.transaction(collection, changed, stoken=old), 200)
    equal(listed(), [second], "after the change")
    equal(listed(stoken=old), [second], "since the old stoken")
    for kind in ("batch", "transaction"):
        with nothing_changes(server):
            # What is uploaded is what the server has; what the client believes of the collection is old.
            expected(person.batch(collection, changed, kind=kind, stoken=old), 409, "stale_stoken")
            outdated = item(collection, etag=first)
            expected(person.batch(collection, outdated, kind=kind, stoken=old), 409, "stale_stoken")
    with nothing_changes(server):
        expected(person.transaction(collection, item(collection, etag=first)), 409, "item_failed")
    third = item(collection, etag=second, chunks=[[new_uid(), b"Content2"]])
    expected(person.transaction(collection, third, stoken=person.stoken(collection)), 200)
    equal(listed(), [third["content"]["uid"]], "after the last change")


@mend(46, "a revision that the item has had is a success without effect in a batch, and what is new beside it is written")
def sent_again(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection, name, chunk = alice.made(), new_uid(), new_uid()
    alice.let_in(bob, collection)
    expected(alice.batch(collection, item(name)), 200)
    lost = item(name, chunks=[[chunk, b"content"], [chunk, b"content"]])
    expected(alice.batch(collection, lost), 200)
    expected(bob.batch(collection, item(name)), 200)
    expected(bob.batch(collection, item(name, deleted=True)), 200)
    with nothing_changes(server):
        expected(alice.batch(collection, lost), 200)
        by_name = dict(lost, content=dict(lost["content"], chunks=[[chunk, None], [chunk, None]]))
        expected(alice.batch(collection, by_name, by_name), 200)
        refused = alice.transaction(collection, dict(lost, etag=alice.revision(collection, name)))
        equal(field_errors(refused, "content.uid"), ["unique"], "codes")
        expected(alice.transaction(collection, lost), 409, "item_failed")
    beside = item(new_uid())
    expected(alice.batch(collection, lost, beside), 200)
    equal(sorted(each["uid"] for each in alice.items(collection)), sorted([name, beside["uid"]]), "items")
    true(alice.revision(collection, name) != lost["content"]["uid"], "the later change is current")
    at_once_again = at_once([lambda p=alice.another(): p.batch(collection, lost, beside) for _ in range(4)])
    equal(outcomes(at_once_again), {(200, None): 4}, "answers")


@mend(46, "a revision that the item has had, with other content, is refused, and nothing beside it is written")
def sent_again_changed(server: Server) -> None:
    person = somebody(server)
    collection, elsewhere, name, other, chunk = person.made(), person.made(), new_uid(), new_uid(), new_uid()
    lost = item(name, chunks=[[chunk, b"content"]])
    for each in (lost, item(name), item(other)):
        expected(person.batch(collection, each), 200)
    expected(person.batch(elsewhere, item(name)), 200)
    content = lost["content"]
    with nothing_changes(server):
        for place, offered in ((collection, dict(lost, content=dict(content, meta=b"meto"))),
                               (collection, dict(lost, content=dict(content, meta=b"meta2"))),
                               (collection, dict(lost, content=dict(content, deleted=True))),
                               (collection, dict(lost, content=dict(content, chunks=[]))),
                               (collection, dict(lost, content=dict(content, chunks=[[chunk, None], [chunk, None]]))),
                               (collection, dict(lost, uid=other)), (collection, dict(lost, uid=new_uid())),
                               (elsewhere, dict(lost, content=dict(content, chunks=[[chunk, b"content"]])))):
            equal(field_errors(person.batch(place, item(new_uid()), offered), "content.uid"), ["unique"], "codes")
