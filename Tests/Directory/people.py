#!/usr/bin/env python3
"""People with the official client at an Apus whose directory (LDAP) says who may be there."""

from __future__ import annotations

import argparse

from slapd import Directory, options, served, until
from support import Server, equal, main, test, true
from etebase import Account, Client, User
from etebase.etebase_python import Error

PASSWORD = "a good password"


def signed_up(server: Server, name: str) -> Account:
    return Account.signup(Client("apus-tests", f"http://{server.authority}"), User(name, f"{name}@example.com"), PASSWORD)


def logged_in(server: Server, name: str) -> Account:
    return Account.login(Client("apus-tests", f"http://{server.authority}"), name, PASSWORD)


def refusal(action) -> str | None:
    """With what something is refused; nil where it is not."""
    try:
        action()
    except Error as error:
        return str(error)
    return None


@test("whoever is in the directory signs up and works; whoever is not is told so, and may once they are")
def signing_up(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings) as server:
        alice = signed_up(server, "Alice")
        collections = alice.get_collection_manager()
        notes = collections.create("notes", {"name": "notes"}, b"content")
        collections.upload(notes)
        items = collections.get_item_manager(notes)
        items.batch([items.create({"name": "an item"}, b"content")])
        equal([item.content for item in items.list().data], [b"content"], "what alice has")
        true("not in the LDAP directory" in (refusal(lambda: signed_up(server, "bob")) or ""), "bob is told why he may not sign up")
        directory.add("bob")
        signed_up(server, "bob").get_collection_manager().list("notes")
        equal(logged_in(server, "ALICE").get_collection_manager().fetch(notes.uid).meta, {"name": "notes"}, "what ALICE has")


@test("whoever leaves the directory is let in no more, logged in or not, and has everything when they come back")
def leaving(arguments: argparse.Namespace) -> None:
    with Directory("alice") as directory, served(arguments, directory.settings | {"APUS_LDAP_CACHE": "1s"}) as server:
        alice = signed_up(server, "alice")
        collections = alice.get_collection_manager()
        notes = collections.create("notes", {"name": "notes"}, b"content")
        collections.upload(notes)
        directory.remove("alice")
        until("alice is refused", lambda: "not in LDAP directory" in (refusal(lambda: collections.list("notes")) or ""))
        true("not in LDAP directory" in (refusal(lambda: logged_in(server, "alice").get_collection_manager().list("notes")) or ""),
             "alice logs in, and is refused")
        directory.add("alice")
        until("alice is back", lambda: refusal(lambda: collections.list("notes")) is None)
        equal(collections.fetch(notes.uid).content, b"content", "what alice has")


if __name__ == "__main__":
    main(__doc__, options)
