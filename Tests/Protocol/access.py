"""Rows 19 to 24: who may see what."""

from __future__ import annotations

from common import (ADMIN, READER, WRITER, Server, at_once, equal, expected, field_errors, item, mend, new_uid, nothing_changes,
                    outcomes, somebody, true)


@mend(19, "a chunk of another user or collection cannot be named without its content")
def foreign_chunks(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    hers, other, his, chunk = alice.made(), alice.made(), bob.made(), new_uid()
    expected(bob.put(f"/api/v1/collection/{his}/item/x/chunk/{chunk}/", b"bob's secret"), 201)
    expected(bob.batch(his, item(new_uid(), chunks=[[chunk, None]])), 200)
    with nothing_changes(server):
        for collection in (hers, other):
            for kind in ("batch", "transaction"):
                name = new_uid()
                answer = alice.batch(collection, item(name, chunks=[[chunk, None]]), kind=kind)
                equal(field_errors(answer, name, 409, "item_failed"), ["chunk_no_content"], "codes")
        expected(alice.create(new_uid(), chunks=[[chunk, None]]), 400, "chunk_no_content")
        expected(alice.get(f"/api/v1/collection/{hers}/item/x/chunk/{chunk}/download/"), 404, "does_not_exist")
    expected(alice.put(f"/api/v1/collection/{other}/item/x/chunk/{chunk}/", b"alice's own"), 201)
    with nothing_changes(server):
        expected(alice.batch(hers, item(new_uid(), chunks=[[chunk, None]])), 409, "item_failed")


@mend(19, "a chunk uid stands for another content in each collection")
def chunks_of_one_name(server: Server) -> None:
    alice, bob, chunk = somebody(server), somebody(server), new_uid()
    for person, content in ((alice, b"alice's"), (bob, b"bob's")):
        collection, name = person.made(), new_uid()
        expected(person.batch(collection, item(name, chunks=[[chunk, content]])), 200)
        equal(person.items(collection)[0]["content"]["chunks"], [[chunk, content]], "chunks")
        download = person.get(f"/api/v1/collection/{collection}/item/{name}/chunk/{chunk}/download/")
        equal(expected(download, 200).body, content, "download")


@mend(20, "dependencies look at their own collection only, and tell no etag of another")
def foreign_dependencies(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    hers, other, his = alice.made(), alice.made(), bob.made()
    for person, collection in ((alice, other), (bob, his)):
        known = item(new_uid())
        expected(person.batch(collection, known), 200)
        etag = known["content"]["uid"]
        for given in (etag, "guess"):
            with nothing_changes(server):
                deps = [{"uid": known["uid"], "etag": given}]
                answer = alice.transaction(hers, item(new_uid()), deps=deps)
                equal(field_errors(answer, known["uid"], 409, "dep_failed"), ["wrong_etag"], "codes")
                detail = answer.value["errors"][0]["detail"]
                equal(detail, f"Wrong etag. Expected None got {given}", "detail")


@mend(20, "a dependency on an unknown item is a wrong etag")
def unknown_dependency(server: Server) -> None:
    person = somebody(server)
    collection, unknown = person.made(), new_uid()
    for kind in ("transaction", "batch"):
        with nothing_changes(server):
            answer = person.batch(collection, item(new_uid()), kind=kind, deps=[{"uid": unknown, "etag": "x"}])
            equal(field_errors(answer, unknown, 409, "dep_failed"), ["wrong_etag"], "codes")


@mend(20, "an item uid that two collections have is looked at in the right one")
def items_of_one_name(server: Server) -> None:
    person, name = somebody(server), new_uid()
    one, two = person.made(), person.made()
    first, second = item(name), item(name)
    expected(person.batch(one, first), 200)
    expected(person.batch(two, second), 200)
    expected(person.transaction(one, item(new_uid()), deps=[{"uid": name, "etag": first["content"]["uid"]}]), 200)
    expected(person.transaction(two, item(new_uid()), deps=[{"uid": name, "etag": first["content"]["uid"]}]), 409, "dep_failed")


@mend(21, "another user's collection type is refused on creation and on accept")
def foreign_types(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection, kind, invitation = new_uid(), b"alice's own type", new_uid()
    expected(alice.create(collection, type=kind), 201)
    alice.made(type=kind)
    expected(alice.invite(bob.name, collection, invitation), 201)
    with nothing_changes(server):
        expected(bob.create(new_uid(), type=kind), 400, "bad_collection_type")
        expected(bob.accept(invitation, kind), 400, "bad_collection_type")
    equal(len(bob.incoming()), 1, "invitations that are left")
    expected(bob.accept(invitation), 201)


@mend(21, "of two users who take one type at once one gets it")
def types_at_once(server: Server) -> None:
    people = [somebody(server) for _ in range(2)]
    for number in range(5):
        answers = at_once([lambda p=p.another(): p.create(new_uid(), type=b"wanted %d" % number) for p in people])
        equal(outcomes(answers), {(201, None): 1, (400, "bad_collection_type"): 1}, "answers")


@mend(23, "what is wrong with an invitation is told as what it is")
def faulty_invitations(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    collection = alice.made()
    with nothing_changes(server):
        equal(field_errors(alice.invite(bob.name, collection, version=32768), "version"), ["max_value"], "codes")
        equal(field_errors(alice.invite(bob.name, collection, version=-1), "version"), ["min_value"], "codes")
        equal(field_errors(alice.invite(bob.name, collection, "x" * 44), "uid"), ["max_length"], "codes")
        expected(alice.invite("nobody", collection), 404, "does_not_exist")
        expected(alice.invite(bob.name, new_uid()), 404, "does_not_exist")
    expected(alice.invite(bob.name, collection), 201)


@mend(23, "invitations that share a uid can be read and answered one after the other")
def invitations_of_one_uid(server: Server) -> None:
    alice, bob, shared = somebody(server), somebody(server), new_uid()
    for collection in (alice.made(), alice.made()):
        expected(alice.invite(bob.name, collection, shared), 201)
    expected(bob.get(f"/api/v1/invitation/incoming/{shared}/"), 200)
    expected(bob.accept(shared), 201)
    equal(len(bob.incoming()), 1, "invitations that are left")
    expected(bob.accept(shared), 201)
    expected(bob.accept(shared), 404, "does_not_exist")
    equal(len(expected(bob.get("/api/v1/collection/"), 200).value["data"]), 2, "collections")


@mend(24, "accepting an invitation takes the other ones to that collection along, and no more")
def other_invitations_go(server: Server) -> None:
    alice, bob, carol, dave = (somebody(server) for _ in range(4))
    collection, elsewhere, accepted = alice.made(), alice.made(), new_uid()
    alice.let_in(carol, collection, ADMIN)
    expected(alice.invite(bob.name, collection, accepted), 201)
    expected(carol.invite(bob.name, collection), 201)
    expected(carol.invite(dave.name, collection), 201)
    expected(alice.invite(bob.name, elsewhere), 201)
    expected(bob.accept(accepted), 201)
    equal([each["collection"] for each in bob.incoming()], [elsewhere], "bob's invitations")
    outgoing = expected(carol.get("/api/v1/invitation/outgoing/"), 200).value["data"]
    equal([each["username"] for each in outgoing], [dave.name], "carol's invitations")


@mend(24, "accepting while a member is refused with already_member, and changes nothing")
def already_member(server: Server) -> None:
    alice, bob, carol = (somebody(server) for _ in range(3))
    collection, late = alice.made(), new_uid()
    alice.let_in(bob, collection, READER)
    alice.let_in(carol, collection, ADMIN)
    answer = carol.invite(bob.name, collection, late, ADMIN)
    true(answer.status == 201 or answer.code == "already_member", f"{answer} to the invitation of a member")
    if answer.status == 201:
        with nothing_changes(server):
            expected(bob.accept(late), 409, "already_member")
        expected(bob.call("DELETE", f"/api/v1/invitation/incoming/{late}/"), 204)
    equal(expected(bob.collection(collection), 200).value["accessLevel"], READER, "bob's level")
    equal(bob.incoming(), [], "bob's invitations")


@mend(24, "of two invitations to one collection that are accepted at once one counts")
def accepted_at_once(server: Server) -> None:
    alice, carol = somebody(server), somebody(server)
    collection = alice.made()
    alice.let_in(carol, collection, ADMIN)
    for _ in range(5):
        bob, one, two = somebody(server), new_uid(), new_uid()
        expected(alice.invite(bob.name, collection, one, WRITER), 201)
        expected(carol.invite(bob.name, collection, two, WRITER), 201)
        answers = at_once([lambda p=bob.another(), i=i: p.accept(i) for i in (one, two)])
        equal(sorted(answer.status for answer in answers)[0], 201, "the first answer")
        true(sorted(answers, key=lambda answer: answer.status)[1].code in ("already_member", "does_not_exist"), "the second")
        equal(bob.incoming(), [], "invitations that are left")
