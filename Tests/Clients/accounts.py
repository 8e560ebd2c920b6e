#!/usr/bin/env python3
"""What the operator does with accounts, as the official client sees it: accounts.py http://127.0.0.1:PORT --apus BINARY"""

from __future__ import annotations

import secrets
import urllib.error
import urllib.parse
import urllib.request

from harness import Server, equal, main, refused, test, true

TYPE = "apus.test"


@test("a person whose password was reset signs up again with another one, finds nothing, and can be invited again")
def reset(server: Server) -> None:
    person, friend = server.person(), server.person()
    other = server.another_session(person)
    mine = person.collections.create(TYPE, {"name": "mine"}, b"")
    shared = person.collections.create(TYPE, {"name": "shared"}, b"kept")
    for collection in (mine, shared):
        person.collections.upload(collection)
    theirs = friend.collections.create(TYPE, {"name": "theirs"}, b"theirs")
    friend.collections.upload(theirs)
    for inviter, invitee, collection in ((person, friend, shared), (friend, person, theirs)):
        profile = inviter.invitations.fetch_user_profile(invitee.name)
        inviter.invitations.invite(collection, invitee.name, profile.pubkey, 2)
        (invitation,) = invitee.invitations.list_incoming().data
        invitee.invitations.accept(invitation)
    said = server.apus("user", "reset", person.name, "--dry-run")
    true("1 collections go; 2 have other members" in said and "2 sessions end" in said, said)
    equal(len(list(person.collections.list(TYPE).data)), 3, "a dry run changes nothing")
    server.apus("user", "reset", person.name, "--yes")
    for session in (person, other):
        refused(lambda: session.collections.list(TYPE), "unauthorized|token|Unauthorized")
    again = server.person(person.name, password="another one")
    equal(len(list(again.collections.list(TYPE).data)), 0, "collections after signing up again")
    equal({collection.meta["name"] for collection in friend.collections.list(TYPE).data}, {"shared", "theirs"}, "what the other keeps")
    profile = friend.invitations.fetch_user_profile(again.name)
    friend.invitations.invite(theirs, again.name, profile.pubkey, 2)
    (invitation,) = again.invitations.list_incoming().data
    again.invitations.accept(invitation)
    (back,) = [found for found in again.collections.list(TYPE).data if not found.deleted]
    equal(back.content, b"theirs", "what the friend shares again")


@test("whoever has no room left is told so, keeps what is there and can delete; with more room the sync goes on where it ended")
def quota(server: Server) -> None:
    person, friend = server.person(), server.person()
    collection = person.collections.create(TYPE, {"name": "mine"}, b"")
    person.collections.upload(collection)
    profile = person.invitations.fetch_user_profile(friend.name)
    person.invitations.invite(collection, friend.name, profile.pubkey, 2)
    (invitation,) = friend.invitations.list_incoming().data
    friend.invitations.accept(invitation)
    manager = person.collections.get_item_manager(collection)
    items = [manager.create({"name": str(number)}, b"content") for number in range(4)]
    server.apus("user", "quota", person.name, "items=2")
    manager.batch(items[:1])
    # Also the friend's items are in the owner's collection.
    theirs = friend.collections.get_item_manager(friend.collections.fetch(collection.uid))
    item = theirs.create({"name": "theirs"}, b"content")
    theirs.batch([item])
    full = "quota of the collection's owner is used up: 2 of 2 items are in use"
    refused(lambda: manager.batch(items[1:3]), full)
    refused(lambda: theirs.batch([theirs.create({"name": "more"}, b"")]), full)
    equal(len(list(manager.list().data)), 2, "what is there")
    items[0].delete()
    manager.batch(items[:1])
    refused(lambda: manager.batch(items[1:2]), full)
    server.apus("user", "quota", person.name, "items=10")
    manager.transaction(items[1:])
    equal({found.content for found in theirs.list().data if not found.deleted}, {b"content"}, "what the friend gets")
    equal(len(list(theirs.list().data)), 5, "how much the friend gets")


@test("whoever opens an invitation's link chooses a name, signs up with it in the app, and syncs")
def invited(server: Server) -> None:
    name = "Invited" + secrets.token_hex(6)
    link = server.apus("user", "invite", "--url", server.url).splitlines()[0]
    page = urllib.request.urlopen(link).read().decode()
    true('method="post"' in page and name not in page, "the form")
    told = urllib.request.urlopen(link, urllib.parse.urlencode({"name": name}).encode()).read().decode()
    true(f"<code>{name.lower()}</code>" in told and f"<code>{server.url}</code>" in told, "what the page tells")
    person = server.person(name, password="chosen in the app")
    collection = person.collections.create(TYPE, {"name": "mine"}, b"kept")
    person.collections.upload(collection)
    (found,) = server.another_session(person).collections.list(TYPE).data
    equal(found.content, b"kept", "what a second device gets")
    try:
        urllib.request.urlopen(link)
    except urllib.error.HTTPError as error:
        equal(error.code, 404, "the link again")
    else:
        raise AssertionError("a link that was used works")


if __name__ == "__main__":
    main(__doc__)
