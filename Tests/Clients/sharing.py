#!/usr/bin/env python3
"""What two users of the official client do with one collection: sharing.py http://127.0.0.1:PORT

Inviting, accepting, both writing, access levels, refusals, removing, leaving, inviting again.
What one user does alone is in official_client.py.
"""

from __future__ import annotations

from typing import Any

from etebase import CollectionAccessLevel, FetchOptions
from harness import Person, Server, equal, main, refused, test, true

TYPE = "apus.test.shared"
READ_ONLY, READ_WRITE, ADMIN = CollectionAccessLevel.ReadOnly, CollectionAccessLevel.ReadWrite, CollectionAccessLevel.Admin


def notebook(owner: Person, *names: str) -> Any:
    """A new collection with an item for each name, uploaded; each item's content is its name."""
    collection = owner.collections.create(TYPE, {"name": "Shared"}, b"about")
    owner.collections.upload(collection)
    if names:
        write(owner, collection, *names)
    return owner.collections.fetch(collection.uid)


def write(person: Person, collection: Any, *names: str) -> None:
    manager = person.collections.get_item_manager(collection)
    manager.batch([manager.create({"name": name}, name.encode()) for name in names])


def read(person: Person, collection: Any) -> dict[str, bytes]:
    found = person.collections.get_item_manager(person.collections.fetch(collection.uid)).list()
    return {item.meta["name"]: item.content for item in found.data}


def invite(owner: Person, collection: Any, guest: Person, level: int = READ_WRITE) -> None:
    """Invites by name, with the key that the server tells for that name."""
    pubkey = owner.invitations.fetch_user_profile(guest.name).pubkey
    equal(pubkey, bytes(guest.invitations.pubkey), "the public key of the invited user")
    owner.invitations.invite(collection, guest.name, pubkey, level)


def accept(guest: Person) -> Any:
    """Accepts the one invitation that is waiting."""
    (invitation,) = guest.invitations.list_incoming().data
    guest.invitations.accept(invitation)
    return guest.collections.fetch(invitation.collection)


def shared(server: Server, level: int = READ_WRITE) -> tuple[Person, Person, Any, Any]:
    """An owner and a guest, and the collection that they share as each of them sees it."""
    owner, guest = server.person(), server.person()
    collection = notebook(owner, "one")
    invite(owner, collection, guest, level)
    return owner, guest, collection, accept(guest)


def members(person: Person, collection: Any) -> dict[str, int]:
    return {member.username: member.access_level for member in person.collections.get_member_manager(collection).list().data}


@test("an invitation by name says who invites, to what and with which access")
def invitation_is_told(server: Server) -> None:
    owner, guest = server.person(), server.person()
    collection = notebook(owner)
    invite(owner, collection, guest, READ_ONLY)
    (incoming,) = guest.invitations.list_incoming().data
    (outgoing,) = owner.invitations.list_outgoing().data
    equal((incoming.uid, incoming.collection, incoming.access_level), (outgoing.uid, collection.uid, READ_ONLY), "invitation")
    equal(incoming.from_pubkey, bytes(owner.invitations.pubkey), "the inviting user's public key")
    equal(outgoing.username, guest.name, "the invited user's name")
    refused(lambda: guest.collections.fetch(collection.uid), "not exist|not found")


@test("an invitation by email reaches the same user, whatever the case")
def invited_by_email(server: Server) -> None:
    owner, guest = server.person(), server.person()
    collection = notebook(owner, "one")
    email = guest.name.upper() + "@Example.com"
    pubkey = owner.invitations.fetch_user_profile(email).pubkey
    owner.invitations.invite(collection, email, pubkey, READ_WRITE)
    (outgoing,) = owner.invitations.list_outgoing().data
    equal(outgoing.username, guest.name, "the invited user's name")
    equal(read(guest, accept(guest)), {"one": b"one"}, "items")


@test("a user who accepts sees the collection and everything in it")
def accepted(server: Server) -> None:
    _, guest, collection, theirs = shared(server)
    equal((theirs.uid, theirs.meta, theirs.content), (collection.uid, {"name": "Shared"}, b"about"), "collection")
    equal(theirs.access_level, READ_WRITE, "access level")
    equal([each.uid for each in guest.collections.list(TYPE).data], [collection.uid], "the guest's collections")
    equal(read(guest, collection), {"one": b"one"}, "items")
    equal(list(guest.invitations.list_incoming().data), [], "invitations after accepting")


@test("both members write, and each sees what the other wrote")
def both_write(server: Server) -> None:
    owner, guest, collection, theirs = shared(server)
    stoken = owner.collections.list(TYPE).stoken
    write(guest, theirs, "two")
    write(owner, collection, "three")
    for person in (owner, guest):
        equal(read(person, collection), {name: name.encode() for name in ("one", "two", "three")}, "items")
    since = owner.collections.list(TYPE, FetchOptions().stoken(stoken))
    equal([each.uid for each in since.data], [collection.uid], "the owner's changed collections")


@test("two members who change one item at once: the second is refused and nothing is lost")
def both_change_one(server: Server) -> None:
    owner, guest, collection, theirs = shared(server)
    mine, other = owner.collections.get_item_manager(collection), guest.collections.get_item_manager(theirs)
    (first,), (second,) = mine.list().data, other.list().data
    first.content, second.content = b"the owner's", b"the guest's"
    mine.transaction([first])
    refused(lambda: other.transaction([second]), "failed to validate")
    equal(read(guest, collection), {"one": b"the owner's"}, "items")
    second = other.fetch(second.uid)
    second.content = b"the guest's"
    other.transaction([second])
    equal(read(owner, collection), {"one": b"the guest's"}, "items")


@test("who may only read is refused every change")
def read_only(server: Server) -> None:
    owner, guest, collection, theirs = shared(server, READ_ONLY)
    equal(theirs.access_level, READ_ONLY, "access level")
    manager = guest.collections.get_item_manager(theirs)
    (item,) = manager.list().data
    item.content, theirs.content = b"changed", b"changed"
    refusal = "access|permission|allowed"
    refused(lambda: write(guest, theirs, "two"), refusal)
    refused(lambda: manager.batch([item]), refusal)
    refused(lambda: manager.transaction([item]), refusal)
    refused(lambda: guest.collections.upload(theirs), refusal)
    equal(read(owner, collection), {"one": b"one"}, "items")
    equal(owner.collections.fetch(collection.uid).content, b"about", "the collection's content")


@test("only an admin invites, sees the members, changes them and removes them")
def admins_only(server: Server) -> None:
    owner, guest, _, theirs = shared(server, READ_WRITE)
    third = server.person()
    refusal = "access|permission|admin"
    pubkey = guest.invitations.fetch_user_profile(third.name).pubkey
    manager = guest.collections.get_member_manager(theirs)
    refused(lambda: guest.invitations.invite(theirs, third.name, pubkey, READ_ONLY), refusal)
    refused(manager.list, refusal)
    refused(lambda: manager.modify_access_level(guest.name, ADMIN), refusal)
    refused(lambda: manager.remove(owner.name), refusal)


@test("a changed access level holds from the next request on")
def access_level_changes(server: Server) -> None:
    owner, guest, collection, theirs = shared(server, READ_ONLY)
    third = server.person()
    manager = owner.collections.get_member_manager(collection)
    equal(members(owner, collection), {owner.name: ADMIN, guest.name: READ_ONLY}, "members")
    manager.modify_access_level(guest.name, READ_WRITE)
    write(guest, theirs, "two")
    equal(guest.collections.fetch(collection.uid).access_level, READ_WRITE, "access level")
    manager.modify_access_level(guest.name, READ_ONLY)
    refused(lambda: write(guest, theirs, "three"), "access|permission")
    manager.modify_access_level(guest.name, ADMIN)
    invite(guest, guest.collections.fetch(collection.uid), third)
    accept(third)
    equal(members(guest, collection), {owner.name: ADMIN, guest.name: ADMIN, third.name: READ_WRITE}, "members")


@test("a change of access level is a change of the member's list of collections")
def access_level_is_told(server: Server) -> None:
    owner, guest, collection, _ = shared(server, READ_ONLY)
    stoken = guest.collections.list(TYPE).stoken
    owner.collections.get_member_manager(collection).modify_access_level(guest.name, READ_WRITE)
    found = guest.collections.list(TYPE, FetchOptions().stoken(stoken)).data
    equal([(each.uid, each.access_level) for each in found], [(collection.uid, READ_WRITE)], "changed collections")


@test("a removed member is told so and refused everything")
def removed_member(server: Server) -> None:
    owner, guest, collection, theirs = shared(server)
    stoken = guest.collections.list(TYPE).stoken
    owner.collections.get_member_manager(collection).remove(guest.name)
    answer = guest.collections.list(TYPE, FetchOptions().stoken(stoken))
    equal([each.uid for each in answer.removed_memberships], [collection.uid], "removed memberships")
    equal(list(answer.data), [], "collections since the stoken")
    equal(list(guest.collections.list(TYPE).data), [], "collections")
    gone = "not exist|not found"
    refused(lambda: guest.collections.fetch(collection.uid), gone)
    refused(lambda: guest.collections.get_item_manager(theirs).list(), gone)
    refused(lambda: write(guest, theirs, "two"), gone)
    equal(members(owner, collection), {owner.name: ADMIN}, "members")
    equal(read(owner, collection), {"one": b"one"}, "items")


@test("a member who leaves sees the collection no more, and what they wrote stays")
def member_leaves(server: Server) -> None:
    owner, guest, collection, theirs = shared(server)
    write(guest, theirs, "two")
    stoken = guest.collections.list(TYPE).stoken
    guest.collections.get_member_manager(theirs).leave()
    answer = guest.collections.list(TYPE, FetchOptions().stoken(stoken))
    equal([each.uid for each in answer.removed_memberships], [collection.uid], "removed memberships")
    refused(lambda: guest.collections.fetch(collection.uid), "not exist|not found")
    equal(read(owner, collection), {"one": b"one", "two": b"two"}, "items")


@test("a removed member who is invited again sees everything again")
def invited_again(server: Server) -> None:
    owner, guest, collection, _ = shared(server)
    stoken = guest.collections.list(TYPE).stoken
    owner.collections.get_member_manager(collection).remove(guest.name)
    write(owner, collection, "meanwhile")
    invite(owner, collection, guest)
    theirs = accept(guest)
    write(guest, theirs, "again")
    expected = {name: name.encode() for name in ("one", "meanwhile", "again")}
    equal(read(guest, collection), expected, "the guest's items")
    equal(read(owner, collection), expected, "the owner's items")
    answer = guest.collections.list(TYPE, FetchOptions().stoken(stoken))
    equal([each.uid for each in answer.data], [collection.uid], "collections since the old stoken")
    equal(list(answer.removed_memberships), [], "removed memberships")


@test("a rejected invitation is gone for both, and may be repeated")
def rejected(server: Server) -> None:
    owner, guest = server.person(), server.person()
    collection = notebook(owner)
    invite(owner, collection, guest)
    (invitation,) = guest.invitations.list_incoming().data
    guest.invitations.reject(invitation)
    equal(list(guest.invitations.list_incoming().data), [], "incoming")
    equal(list(owner.invitations.list_outgoing().data), [], "outgoing")
    refused(lambda: guest.invitations.accept(invitation), "not exist|not found")
    invite(owner, collection, guest)
    equal(accept(guest).uid, collection.uid, "the collection that was accepted at last")


@test("a withdrawn invitation can not be accepted")
def withdrawn(server: Server) -> None:
    owner, guest = server.person(), server.person()
    collection = notebook(owner)
    invite(owner, collection, guest)
    (incoming,) = guest.invitations.list_incoming().data
    (outgoing,) = owner.invitations.list_outgoing().data
    owner.invitations.disinvite(outgoing)
    equal(list(guest.invitations.list_incoming().data), [], "incoming")
    refused(lambda: guest.invitations.accept(incoming), "not exist|not found")
    refused(lambda: guest.collections.fetch(collection.uid), "not exist|not found")


@test("a user who does not exist can not be looked up, and nobody invites themselves")
def nobody_to_invite(server: Server) -> None:
    owner = server.person()
    collection = notebook(owner)
    refused(lambda: owner.invitations.fetch_user_profile(owner.name + "x"), "not exist|not found|match")
    refused(lambda: invite(owner, collection, owner), "self|yourself")


@test("invitations come page by page")
def invitations_page_by_page(server: Server) -> None:
    owner, guest = server.person(), server.person()
    made = {notebook(owner).uid for _ in range(5)}
    for uid in made:
        invite(owner, owner.collections.fetch(uid), guest)
    for list_page in (guest.invitations.list_incoming, owner.invitations.list_outgoing):
        found, iterator = [], None
        while True:
            answer = list_page(FetchOptions().limit(2).iterator(iterator))
            found += [each.collection for each in answer.data]
            if answer.done:
                break
            true(answer.iterator != iterator, "a page that is not the last one must move the iterator")
            iterator = answer.iterator
        equal(sorted(found), sorted(made), "collections invited to")


if __name__ == "__main__":
    main(__doc__)
