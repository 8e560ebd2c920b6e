#!/usr/bin/env python3
"""The official client's whole flow, by one user, against a server: official_client.py http://127.0.0.1:PORT

Signing up and in, collections, items, conflicts, history, large content, deletion, paging, sessions, passwords.
What two users do together is in sharing.py.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from etebase import Account, FetchOptions, PrefetchOption, User
from harness import Person, Server, equal, main, pages, refused, test, true

TYPE = "apus.test"
CONFLICT = "failed to validate|stoken"  # what the server says of items, dependencies and stokens that moved on


def notebook(person: Person, name: str = "Notes", content: bytes = b"", of_type: str = TYPE) -> Any:
    """A new collection of this person's, uploaded."""
    collection = person.collections.create(of_type, {"name": name}, content)
    person.collections.upload(collection)
    return collection


def notes(person: Person, collection: Any, *names: str) -> list[Any]:
    """New items in a collection, uploaded together; each one's content is its name."""
    manager = person.collections.get_item_manager(collection)
    made = [manager.create({"name": name}, name.encode()) for name in names]
    manager.batch(made)
    return made


def listed(manager: Any, options: FetchOptions | None = None) -> dict[str, bytes]:
    return {item.meta["name"]: item.content for item in manager.list(options).data}


# --- users and sessions ---------------------------------------------------------------------------


@test("the server says that it speaks Etebase")
def speaks_etebase(server: Server) -> None:
    true(Account.is_etebase_server(server.client()), "is_etebase_server answered no")


@test("a user signs up, and logs in with the right password only")
def sign_up_and_log_in(server: Server) -> None:
    person = server.person()
    server.another_session(person)
    refused(lambda: Account.login(server.client(), person.name, "not the password"), "wrong password")
    refused(lambda: Account.login(server.client(), person.name + "x", person.password), "not found")


@test("a user name is given once")
def name_is_given_once(server: Server) -> None:
    person = server.person()
    again = User(person.name, "other-" + person.name + "@example.com")
    refused(lambda: Account.signup(server.client(), again, "other password"), "exists")
    server.another_session(person)


@test("a name in capitals is the same user")
def name_in_capitals(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    same = Account.login(server.client(), person.name.upper(), person.password)
    equal([found.uid for found in same.get_collection_manager().list(TYPE).data], [collection.uid], "collections")


@test("a session that was logged out is refused, and another one of the same user is not")
def logged_out(server: Server) -> None:
    person = server.person()
    other = server.another_session(person)
    notebook(person)
    person.account.logout()
    refused(lambda: person.collections.list(TYPE), "token")
    equal(len(list(other.collections.list(TYPE).data)), 1, "collections in the other session")


@test("a session gets itself a new token")
def new_token(server: Server) -> None:
    person = server.person()
    notebook(person)
    person.account.logout()
    person.account.fetch_token()
    equal(len(list(person.collections.list(TYPE).data)), 1, "collections")


@test("after a change of password the old one is refused, and the new one opens everything")
def change_of_password(server: Server) -> None:
    person = server.person()
    collection = notebook(person, content=b"kept")
    person.account.change_password("the new password")
    refused(lambda: Account.login(server.client(), person.name, person.password), "wrong password")
    again = Account.login(server.client(), person.name, "the new password")
    equal(again.get_collection_manager().fetch(collection.uid).content, b"kept", "content")


@test("a saved session is restored and goes on")
def restored_session(server: Server) -> None:
    person = server.person()
    collection = notebook(person, content=b"kept")
    key = secrets.token_bytes(32)
    for lock in (None, key):
        restored = Account.restore(server.client(), person.account.save(lock), lock)
        equal(restored.get_collection_manager().fetch(collection.uid).content, b"kept", "content")


@test("a second client that logs in sees everything, and each sees what the other writes")
def second_client(server: Server) -> None:
    person = server.person()
    collection = notebook(person, content=b"about")
    notes(person, collection, "one", "two")
    other = server.another_session(person)
    theirs = next(iter(other.collections.list(TYPE).data))
    equal((theirs.uid, theirs.meta, theirs.content), (collection.uid, {"name": "Notes"}, b"about"), "collection")
    equal(listed(other.collections.get_item_manager(theirs)), {"one": b"one", "two": b"two"}, "items")
    notes(other, theirs, "three")
    equal(sorted(listed(person.collections.get_item_manager(collection))), ["one", "three", "two"], "items")


# --- collections ----------------------------------------------------------------------------------


@test("a collection comes back with its type, name and content")
def collection_comes_back(server: Server) -> None:
    person = server.person()
    collection = notebook(person, "Ünïcode", b"\x00\xff content")
    found = person.collections.fetch(collection.uid)
    true(found.verify(), "the signature does not hold")
    equal((found.collection_type, found.meta, found.content), (TYPE, {"name": "Ünïcode"}, b"\x00\xff content"))
    refused(lambda: person.collections.fetch("no-such-collection"), "not exist|not found")


@test("a changed collection comes back changed, and a stale change of it is refused")
def collection_changes(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    stale = person.collections.fetch(collection.uid)
    collection.meta, collection.content = {"name": "Renamed"}, b"new"
    person.collections.transaction(collection)
    stale.meta = {"name": "Too late"}
    refused(lambda: person.collections.transaction(stale), CONFLICT)
    found = person.collections.fetch(collection.uid)
    equal((found.meta, found.content), ({"name": "Renamed"}, b"new"))


@test("a deleted collection is listed as deleted to whoever knew it")
def deleted_collection(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    stoken = person.collections.list(TYPE).stoken
    collection.delete()
    person.collections.upload(collection)
    found = list(person.collections.list(TYPE, FetchOptions().stoken(stoken)).data)
    equal([(each.uid, each.deleted) for each in found], [(collection.uid, True)], "collections since the stoken")


@test("collections are listed by type, and several types page by page")
def collections_by_type(server: Server) -> None:
    person = server.person()
    made = {notebook(person, str(number), of_type=f"{TYPE}.{number % 3}").uid: number for number in range(9)}
    equal({each.uid for each in person.collections.list(f"{TYPE}.1").data}, {uid for uid, n in made.items() if n % 3 == 1})
    types = [f"{TYPE}.0", f"{TYPE}.2"]
    answers = pages(lambda options: person.collections.list(types, options), limit=2)
    found = [each.uid for answer in answers for each in answer.data]
    equal(sorted(found), sorted(uid for uid, n in made.items() if n % 3 != 1), "collections on all pages")
    true(len(answers) >= 3, f"six collections by twos came on {len(answers)} pages")
    after = person.collections.list(types, FetchOptions().stoken(answers[-1].stoken))
    equal(([each.uid for each in after.data], after.done), ([], True), "after the last page")


@test("a list since a stoken has only what changed after it")
def collections_since(server: Server) -> None:
    person = server.person()
    first, second = notebook(person, "first"), notebook(person, "second")
    stoken = person.collections.list(TYPE).stoken
    equal(list(person.collections.list(TYPE, FetchOptions().stoken(stoken)).data), [], "before any change")
    notes(person, first, "makes its collection change")
    equal([each.uid for each in person.collections.list(TYPE, FetchOptions().stoken(stoken)).data], [first.uid])
    true(second.uid != first.uid, "two collections have one uid")


# --- items ----------------------------------------------------------------------------------------


@test("items uploaded together are listed with their content")
def items_listed(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    made = notes(person, collection, "one", "two", "three")
    manager = person.collections.get_item_manager(collection)
    equal(listed(manager), {"one": b"one", "two": b"two", "three": b"three"}, "items")
    true(all(item.verify() for item in manager.list().data), "a signature does not hold")
    equal(manager.fetch(made[1].uid).meta, {"name": "two"}, "one item by its uid")


@test("a changed item comes back changed, and the others as they were")
def item_changes(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, _ = notes(person, collection, "one", "two")
    manager = person.collections.get_item_manager(collection)
    stoken = manager.list().stoken
    one.content = b"changed"
    manager.batch([one])
    equal(listed(manager), {"one": b"changed", "two": b"two"}, "items")
    equal(listed(manager, FetchOptions().stoken(stoken)), {"one": b"changed"}, "items since the stoken")


@test("a stale etag refuses the whole transaction")
def stale_etag(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, two = notes(person, collection, "one", "two")
    manager = person.collections.get_item_manager(collection)
    stale = manager.fetch(two.uid)
    two.content = b"newer"
    manager.transaction([two])
    one.content, stale.content = b"must not get in", b"must not get in"
    refused(lambda: manager.transaction([one, stale]), CONFLICT)
    equal(listed(manager), {"one": b"one", "two": b"newer"}, "items")


@test("a batch does not ask for etags")
def batch_overwrites(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "one")
    manager = person.collections.get_item_manager(collection)
    stale = manager.fetch(one.uid)
    one.content = b"first"
    manager.batch([one])
    stale.content = b"second"
    manager.batch([stale])
    equal(listed(manager), {"one": b"second"}, "items")


@test("a stale stoken refuses transactions and batches, the current one does not")
def stale_stoken(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "one")
    manager = person.collections.get_item_manager(collection)
    stale = FetchOptions().stoken(person.collections.fetch(collection.uid).stoken)
    notes(person, collection, "moves the collection on")
    one.content = b"changed"
    refused(lambda: manager.transaction([one], None, stale), CONFLICT)
    refused(lambda: manager.batch([one], None, stale), CONFLICT)
    equal(manager.fetch(one.uid).content, b"one", "content after the refusals")
    manager.transaction([one], None, FetchOptions().stoken(person.collections.fetch(collection.uid).stoken))
    equal(manager.fetch(one.uid).content, b"changed", "content after the transaction")


@test("a collection that was uploaded, changed and uploaded again conflicts with what is old, as in the official suite")
def collection_sync(server: Server) -> None:
    person = server.person()
    manager = person.collections
    collection = manager.create(TYPE, {"name": "Collection"}, b"SomeContent")
    equal(list(manager.list(TYPE).data), [], "before it is uploaded")
    manager.upload(collection)
    equal([(each.meta["name"], each.content) for each in manager.list(TYPE).data], [("Collection", b"SomeContent")])
    old = manager.fetch(collection.uid)
    since = FetchOptions().stoken(old.stoken)
    equal(list(manager.list(TYPE, since).data), [], "since the stoken")
    collection.meta = {"name": "Collection meta2"}
    manager.upload(collection)
    equal(len(list(manager.list(TYPE).data)), 1, "collections after the change")
    equal([each.meta["name"] for each in manager.list(TYPE, since).data], ["Collection meta2"], "since the old stoken")
    old.content = b"Content2"
    refused(lambda: manager.transaction(old), CONFLICT)
    # The server has it already, but what the client believes of the collection is old.
    refused(lambda: manager.upload(collection, since), CONFLICT)
    refused(lambda: manager.transaction(collection, since), CONFLICT)
    collection.content = b"Content2"
    manager.transaction(collection)
    equal([(each.meta["name"], each.content) for each in manager.list(TYPE).data], [("Collection meta2", b"Content2")])


@test("a batch whose answer was lost can be sent again when another device has changed the item since")
def lost_answer(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "one")
    manager = person.collections.get_item_manager(collection)
    one.content = b"at the desk"
    kept = manager.cache_save(one)
    manager.batch([one])
    elsewhere = manager.fetch(one.uid)
    elsewhere.content = b"on the phone"
    manager.batch([elsewhere])
    manager.batch([manager.cache_load(kept), manager.create({"name": "two"}, b"new")])
    equal(listed(manager), {"one": b"on the phone", "two": b"new"}, "items")


@test("an item that a transaction depends on must not have moved on")
def stale_dependency(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, two = notes(person, collection, "one", "two")
    manager = person.collections.get_item_manager(collection)
    stale = manager.fetch(two.uid)
    two.content = b"newer"
    manager.batch([two])
    one.content = b"changed"
    refused(lambda: manager.transaction([one], [stale]), CONFLICT)
    refused(lambda: manager.batch([one], [stale]), CONFLICT)
    equal(manager.fetch(one.uid).content, b"one", "content after the refusals")
    manager.transaction([one], [two])
    equal(manager.fetch(one.uid).content, b"changed", "content after the transaction")


@test("every revision of an item is kept, newest first, and comes page by page")
def revisions(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "0")
    manager = person.collections.get_item_manager(collection)
    for number in range(1, 5):
        one.content = str(number).encode()
        manager.batch([one])
    expected = [b"4", b"3", b"2", b"1", b"0"]
    equal([each.content for each in manager.item_revisions(one).data], expected, "revisions")
    found, iterator = [], None
    while True:
        answer = manager.item_revisions(one, FetchOptions().limit(2).iterator(iterator))
        found += [each.content for each in answer.data]
        if answer.done:
            break
        true(answer.iterator != iterator, "a page that is not the last one must move the iterator")
        iterator = answer.iterator
    equal(found, expected, "revisions by twos")


@test("a deleted item is listed as deleted, and its history stays")
def deleted_item(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, _ = notes(person, collection, "one", "two")
    manager = person.collections.get_item_manager(collection)
    stoken = manager.list().stoken
    one.delete()
    manager.batch([one])
    found = list(manager.list(FetchOptions().stoken(stoken)).data)
    equal([(each.uid, each.deleted) for each in found], [(one.uid, True)], "items since the stoken")
    true(manager.fetch(one.uid).deleted, "the item itself is not deleted")
    equal([each.deleted for each in manager.item_revisions(one).data], [True, False], "revisions")


@test("a list page by page has every item once, oldest change first")
def items_page_by_page(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    manager = person.collections.get_item_manager(collection)
    made = []
    for start in range(0, 25, 5):
        made += notes(person, collection, *(str(number) for number in range(start, start + 5)))
    made[0].content = b"changed last"
    manager.batch([made[0]])
    answers = pages(manager.list, limit=7)
    found = [each.uid for answer in answers for each in answer.data]
    equal(sorted(found), sorted(each.uid for each in made), "items on all pages")
    equal(found[-1], made[0].uid, "the last item")
    equal(list(manager.list(FetchOptions().stoken(answers[-1].stoken)).data), [], "after the last page")


@test("the collection's own item is listed only when asked for")
def with_collection(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "one")
    manager = person.collections.get_item_manager(collection)
    equal({each.uid for each in manager.list().data}, {one.uid}, "without")
    both = manager.list(FetchOptions().with_collection(True))
    equal({each.uid for each in both.data}, {one.uid, collection.uid}, "with")


@test("fetch_updates tells of the items that changed, and of no other")
def fetch_updates(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, two, _ = notes(person, collection, "one", "two", "three")
    manager = person.collections.get_item_manager(collection)
    known = [manager.fetch(one.uid), manager.fetch(two.uid)]
    equal(list(manager.fetch_updates(known).data), [], "before any change")
    two.content = b"changed"
    manager.batch([two])
    found = list(manager.fetch_updates(known).data)
    equal([(each.uid, each.content) for each in found], [(two.uid, b"changed")], "after a change")


@test("fetch_multi brings the items that are named")
def fetch_multi(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    one, _, three = notes(person, collection, "one", "two", "three")
    manager = person.collections.get_item_manager(collection)
    found = manager.fetch_multi([one.uid, three.uid])
    equal({each.meta["name"] for each in found.data}, {"one", "three"}, "items")


@test("an item kept in a client's cache can be changed from there")
def cached_item(server: Server) -> None:
    person = server.person()
    collection = notebook(person)
    (one,) = notes(person, collection, "one")
    cached = person.collections.cache_load(person.collections.cache_save(collection))
    manager = person.collections.get_item_manager(cached)
    again = manager.cache_load(manager.cache_save(one))
    again.content = b"changed"
    manager.transaction([again])
    equal(listed(manager), {"one": b"changed"}, "items")


# --- large content --------------------------------------------------------------------------------


@test("content of several MB, in many chunks, comes back equal")
def large_content(server: Server) -> None:
    person = server.person()
    content = os.urandom(6_000_000)
    collection = notebook(person, content=content[:2_000_000])
    manager = person.collections.get_item_manager(collection)
    item = manager.create({"name": "large"}, content)
    manager.batch([item])
    other = server.another_session(person).collections
    equal(other.fetch(collection.uid).content, content[:2_000_000], "the collection's content")
    equal(other.get_item_manager(collection).fetch(item.uid).content, content, "the item's content")


@test("after a small change in large content both revisions are whole")
def change_in_large_content(server: Server) -> None:
    person = server.person()
    before = os.urandom(3_000_000)
    after = before[:1_500_000] + b"a few bytes more" + before[1_500_000:]
    collection = notebook(person)
    manager = person.collections.get_item_manager(collection)
    item = manager.create({"name": "large"}, before)
    manager.batch([item])
    item.content = after
    manager.transaction([item])
    equal(manager.fetch(item.uid).content, after, "content")
    equal([each.content for each in manager.item_revisions(item).data], [after, before], "revisions")


@test("content that a list leaves out is downloaded chunk by chunk when asked for")
def content_on_demand(server: Server) -> None:
    person = server.person()
    content = os.urandom(1_000_000)
    collection = notebook(person)
    manager = person.collections.get_item_manager(collection)
    manager.batch([manager.create({"name": "large"}, content)])
    (found,) = manager.list(FetchOptions().prefetch(PrefetchOption.Medium)).data
    true(found.missing_content, "the list had the content in it")
    manager.download_content(found)
    equal(found.content, content, "content")


@test("content may be uploaded chunk by chunk before its item")
def content_uploaded_first(server: Server) -> None:
    person = server.person()
    content = os.urandom(1_000_000)
    collection = notebook(person)
    manager = person.collections.get_item_manager(collection)
    item = manager.create({"name": "large"}, content)
    manager.upload_content(item)
    equal(list(manager.list().data), [], "items before the batch")
    manager.batch([item])
    equal(manager.fetch(item.uid).content, content, "content")


if __name__ == "__main__":
    main(__doc__)
