#!/usr/bin/env python3
"""Deletes with the official client, and lets the operator bring it back: undelete.py http://127.0.0.1:PORT --apus BINARY

Each time a second session has synced the deletion before, and must find in its next sync what was brought back. The
operator's commands find the server's database as the server does, through the environment.
"""

from __future__ import annotations

import json
from typing import Any

from etebase import FetchOptions
from harness import Person, Server, equal, main, refused, test, true

TYPE = "apus.test"


class Device:
    """A session that syncs: it keeps what it was told, and where it is."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.collections: dict[str, Any] = {}
        self.items: dict[str, Any] = {}
        self.stoken: str | None = None
        self.item_stoken: str | None = None

    def sync(self) -> None:
        """Asks for what has changed, the collections first, then the items of the one that there is."""
        changed = self.person.collections.list(TYPE, FetchOptions().stoken(self.stoken))
        self.stoken = changed.stoken
        self.collections |= {collection.uid: collection for collection in changed.data}
        for collection in self.collections.values():
            if not collection.deleted:
                manager = self.person.collections.get_item_manager(collection)
                found = manager.list(FetchOptions().stoken(self.item_stoken))
                self.item_stoken = found.stoken
                self.items |= {item.uid: item for item in found.data}

    @property
    def living(self) -> dict[str, bytes]:
        return {item.meta["name"]: item.content for item in self.items.values() if not item.deleted}


def given(server: Server, *names: str) -> tuple[Device, Device, Any, list[Any]]:
    """Two devices of one person, which have synced a collection with an item for each name; its content is its name."""
    person = server.person()
    collection = person.collections.create(TYPE, {"name": "Notes"}, b"about")
    person.collections.upload(collection)
    manager = person.collections.get_item_manager(collection)
    items = [manager.create({"name": name}, name.encode()) for name in names]
    manager.batch(items)
    first, second = Device(person), Device(server.another_session(person))
    for device in (first, second):
        device.sync()
        equal(device.living, {name: name.encode() for name in names}, "the items")
    return first, second, collection, items


def delete(device: Device, collection: Any, *items: Any) -> None:
    for item in items:
        item.delete()
    device.person.collections.get_item_manager(collection).batch(list(items))


def told(server: Server, *arguments: str) -> list[dict]:
    """What a command says with `--json`."""
    return [json.loads(line) for line in server.apus(*arguments, "--json").splitlines()]


@test("deleted items are back in a second session that had synced the deletion, and can be changed again")
def items_come_back(server: Server) -> None:
    first, second, collection, (one, two, three) = given(server, "one", "two", "three")
    delete(first, collection, one, two)
    second.sync()
    equal(second.living, {"three": b"three"}, "after the deletion")
    listed = told(server, "undelete", "--collection", collection.uid, "--list")
    equal({line["item"] for line in listed}, {one.uid, two.uid}, "what can be brought back")
    equal({line["deletedBy"] for line in listed}, {first.person.name}, "who deleted it")
    server.apus("undelete", "--collection", collection.uid)
    for device in (first, second):
        device.sync()
        equal(device.living, {"one": b"one", "two": b"two", "three": b"three"}, "after undelete")
    item = second.items[one.uid]
    true(item.verify(), "what the client signed is as it was")
    item.content = b"changed"
    second.person.collections.get_item_manager(collection).transaction([item])
    first.sync()
    equal(first.living["one"], b"changed", "what was changed after it")
    equal(told(server, "undelete", "--collection", collection.uid, "--list"), [], "what can be brought back")


@test("a session that has not seen the item come back cannot overwrite it unseen")
def stale(server: Server) -> None:
    first, second, collection, (one,) = given(server, "one")
    delete(first, collection, one)
    second.sync()
    server.apus("undelete", "--collection", collection.uid, "--item", one.uid)
    manager = second.person.collections.get_item_manager(collection)
    item = second.items[one.uid]
    item.content = b"written over"
    refused(lambda: manager.transaction([item]), "failed to validate|etag|conflict")
    second.sync()
    item = second.items[one.uid]
    equal(item.content, b"one", "what came back")
    item.content = b"written after"
    manager.transaction([item])
    first.sync()
    equal(first.living, {"one": b"written after"}, "the item")


@test("a deleted collection is back with its items in a second session that had synced the deletion")
def collection_comes_back(server: Server) -> None:
    first, second, collection, _ = given(server, "one", "two")
    collection.delete()
    first.person.collections.upload(collection)
    second.sync()
    true(second.collections[collection.uid].deleted, "the second session knows that it is deleted")
    (line,) = told(server, "undelete", "--collection", collection.uid, "--list")
    equal((line["item"], line["isCollection"]), (collection.uid, True), "what can be brought back")
    server.apus("undelete", "--collection", collection.uid)
    for device in (first, second, Device(server.another_session(first.person))):
        device.sync()
        found = device.collections[collection.uid]
        equal((found.deleted, found.meta["name"], found.content), (False, "Notes", b"about"), "the collection")
        equal(device.living, {"one": b"one", "two": b"two"}, "its items")


@test("the state of a moment comes back: what was changed and deleted since, and nothing that is new is lost")
def moment(server: Server) -> None:
    first, second, collection, (one, two) = given(server, "one", "two")
    last = told(server, "audit", "--collection", collection.uid)[-1]
    manager = first.person.collections.get_item_manager(collection)
    one.content = b"changed"
    manager.batch([one])
    delete(first, collection, two)
    manager.batch([manager.create({"name": "new"}, b"new")])
    second.sync()
    equal(second.living, {"one": b"changed", "new": b"new"}, "before")
    server.apus("undelete", "--collection", collection.uid, "--at", last["time"])
    second.sync()
    equal(second.living, {"one": b"one", "two": b"two", "new": b"new"}, "after")
    server.apus("undelete", "--collection", collection.uid, "--before", str(
        next(line["position"] for line in told(server, "audit", "--collection", collection.uid) if line["action"] == "item_deleted")))
    second.sync()
    equal(second.living, {"one": b"changed", "two": b"two", "new": b"new"}, "the other moment")
    actions = [line["action"] for line in told(server, "audit", "--collection", collection.uid)]
    equal(actions.count("item_restored"), 3, "what the audit tells")


if __name__ == "__main__":
    main(__doc__)
