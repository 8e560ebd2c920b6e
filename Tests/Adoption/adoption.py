#!/usr/bin/env python3
"""Databases of the original are adopted, served and handed back: adoption.py APUS_BINARY [--postgres URL]"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "Faults"), str(HERE.parent / "Clients")]

import support  # noqa: E402
from etebase import Account, FetchOptions  # noqa: E402
from harness import refused  # noqa: E402
from support import Server, equal, true  # noqa: E402

TYPE = "apus.test"
TESTS: list[tuple[str, Callable[[Adopted], None]]] = []


def test(sentence: str) -> Callable:
    def add(function: Callable[[Adopted], None]) -> Callable:
        TESTS.append((sentence, function))
        return function

    return add


class Adopted(Server):
    """A server on a copy of a database that the original made."""

    def __init__(self, binary: str, engine: str) -> None:
        self.postgres = Server.postgres if engine == "postgres" else None
        super().__init__(binary)
        self.made = HERE / engine
        self.media = self.scratch / "media"
        shutil.copytree(self.made / "media", self.media)
        self.held = json.loads((self.made / "held.json").read_text())
        self.file = self.scratch / "db.sqlite3"
        if self.postgres_database:
            self.postgres_database.run((self.made / "database.sql").read_text())
        else:
            self.engine = {"APUS_DATABASE_URL": f"sqlite:{self.file}"}
            with contextlib.closing(sqlite3.connect(self.file)) as connection:
                connection.executescript((self.made / "database.sql").read_text())
        self.engine["APUS_MEDIA_ROOT"] = str(self.media)

    def __enter__(self) -> Adopted:
        return self

    def rows(self, query: str) -> list[tuple]:
        if self.postgres_database:
            return [tuple(row) for row in self.postgres_database.rows(query)]
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def change(self, script: str) -> None:
        if self.postgres_database:
            return self.postgres_database.run(script)
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            connection.executescript(script)

    def content(self) -> str:
        """Everything that is in the tables, as one word."""
        if self.postgres_database:
            dumped = subprocess.run(["pg_dump", "--inserts", self.postgres_database.url], capture_output=True, text=True, check=True)
            # Newer ones put a random word around the dump.
            return word(sorted(line for line in dumped.stdout.splitlines() if "restrict" not in line))
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            return word(list(connection.iterdump()))

    def done(self, *command: str) -> str:
        """What a command says that does what it should."""
        result = self.apus(*command)
        equal(result.returncode, 0, f"exit code of {command}, which said {result.stdout} {result.stderr}")
        return result.stdout

    def not_done(self, *command: str) -> str:
        """What a command says that does not, and changes nothing."""
        before = self.content()
        result = self.apus(*command)
        true(result.returncode != 0, f"{command} did something: {result.stdout}")
        equal(self.content(), before, "the tables")
        return result.stderr

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()

    def account(self, name: str) -> Account:
        """A session that was begun with the original."""
        account = Account.restore(support_client(self), self.held["sessions"][name], None)
        account.force_server_url(f"http://{self.authority}")
        return account


def support_client(server: Server) -> Any:
    from etebase import Client

    return Client("apus-tests", f"http://{server.authority}")


def word(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def listed(items: Any) -> dict[str, bytes]:
    return {item.meta["name"]: item.content for item in items.data if not item.deleted}


@test("a dry run says what there is, and changes nothing")
def dry_run(server: Adopted) -> None:
    chunk = next(path for path in sorted(server.media.rglob("*")) if path.is_file())
    chunk.unlink()
    server.change("UPDATE myauth_user SET email = 'one@example.com' WHERE id < 3; DELETE FROM django_etebase_userinfo WHERE owner_id = 4; "
                  'UPDATE django_etebase_collectionmember SET "collectionType_id" = NULL WHERE id = 1')
    before = server.content()
    said = server.done("adopt", "--dry-run")
    for line in ("4 users", "5 login tokens", "19 revisions", "2 invitations", "1 users have no keys", "1 email addresses are those",
                 "1 memberships have no collection type", f"missing: {chunk.relative_to(server.media)}"):
        true(line in said, f"not told: {line}, but {said}")
    equal(server.content(), before, "the tables")


@test("the log of an adopted database begins above all ids that are in use, and says what the tables do")
def log_and_tables(server: Adopted) -> None:
    stokens = server.rows("SELECT id, uid FROM django_etebase_stoken ORDER BY id")
    server.done("adopt")
    equal(server.rows("SELECT min(position) FROM apus_event"), [(stokens[-1][0] + 1,)], "the first position")
    equal(server.rows("SELECT id, uid FROM django_etebase_stoken ORDER BY id"), stokens, "the stokens")
    true("All is well" in server.done("verify"), "verify finds something")
    again = server.content()
    true("already" in server.done("adopt"), "a second adoption is not told")
    equal(server.content(), again, "the tables")


@test("what the tables lose or get wrong after an adoption comes back from the log")
def rebuilt(server: Adopted) -> None:
    server.done("adopt")
    before = server.content()
    server.change("""
        DELETE FROM django_etebase_revisionchunkrelation WHERE id < 5;
        UPDATE django_etebase_collectionitemrevision SET deleted = NOT deleted WHERE id = 7;
        DELETE FROM apus_item WHERE id = 2""")
    result = server.apus("verify")
    equal(result.returncode, 1, f"exit code of verify, which said {result.stdout}")
    server.done("rebuild")
    equal(server.content(), before, "the tables")


@test("clients go on with their sessions, stokens and etags as if nothing had happened")
def clients_go_on(server: Adopted) -> None:
    server.done("adopt")
    stokens, uids = server.held["stokens"], server.held["collections"]
    with server.serving():
        anna, ben, carl, dora = (server.account(name) for name in ("anna", "ben", "carl", "dora"))
        manager = anna.get_collection_manager()
        notes = manager.fetch(uids["notes"])
        equal(notes.meta, {"name": "notes, renamed"}, "the collection")
        items = manager.get_item_manager(notes)
        now = {"note 0": b"revised 2", "renamed": b"note 1", "note 2": b"note 2" * 3001, "note 4": b"note 4", "by ben": b"by ben"}
        equal(listed(items.list()), now, "all items")
        changed = list(items.list(FetchOptions().stoken(stokens["notes_early"])).data)
        equal(sorted(each.meta["name"] for each in changed), ["by ben", "note 0", "note 3", "renamed"], "since an old stoken")
        equal([each.deleted for each in changed if each.meta["name"] == "note 3"], [True], "the deleted item")
        equal(list(items.list(FetchOptions().stoken(stokens["notes"])).data), [], "since the last stoken")
        revised = next(each for each in changed if each.meta["name"] == "note 0")
        equal([each.content for each in items.item_revisions(revised).data], [b"revised 2", b"revised 1", b"revised 0", b"note 0"], "its revisions")
        since = manager.list(TYPE, FetchOptions().stoken(stokens["collections_early"])).data
        equal(sorted((each.uid, each.deleted) for each in since),
              sorted([(uids["notes"], False), (uids["diary"], False), (uids["gone"], True)]), "collections since an old stoken")
        removed = carl.get_collection_manager().list(TYPE, FetchOptions().stoken(None)).removed_memberships
        equal([each.uid for each in removed or []], [uids["notes"]], "what was taken from a removed member")

        # Cached items carry the etags that the client last saw: the first was revised by this client, the second as well.
        cached = [items.cache_load(base64.b64decode(each)) for each in server.held["cached"]["notes"]]
        cached[1].content = b"gone on"
        items.transaction([cached[1]])
        bens = ben.get_collection_manager()
        theirs = bens.get_item_manager(bens.fetch(uids["notes"]))
        fresh, stale = theirs.fetch(cached[0].uid), cached[0]
        fresh.content = b"by ben"
        theirs.transaction([fresh])
        stale.content = b"too late"
        refused(lambda: items.transaction([stale]), "failed to validate|conflict|etag")
        equal(sorted(each.meta["name"] for each in items.list(FetchOptions().stoken(stokens["notes"])).data), ["note 0", "renamed"],
              "since the last stoken of before")

        for guest, collection in ((ben, "diary"), (dora, "notes")):
            (invitation,) = guest.get_invitation_manager().list_incoming().data
            equal(invitation.collection, uids[collection], "the open invitation")
            guest.get_invitation_manager().accept(invitation)
            guest.get_collection_manager().fetch(uids[collection])
        made = manager.create(TYPE, {"name": "new"}, b"with Apus")
        manager.upload(made)
        server.account("anna_second").logout()
        refused(lambda: server.account("anna_second").get_collection_manager().list(TYPE), "token")
        equal(manager.fetch(made.uid).content, b"with Apus", "a new collection")
    highest = server.rows("SELECT max(id) FROM django_etebase_stoken")
    true(highest > server.rows("SELECT min(position) FROM apus_event"), "new stokens are not above the old ones")
    true("All is well" in server.done("verify"), "verify finds something")


@test("what is no database of the original, or half of one, is refused and left as it is")
def refused_databases(server: Adopted) -> None:
    server.change("DELETE FROM django_migrations WHERE name = '0037_auto_20210127_1237'")
    true("migrat" in server.not_done("adopt"), "a missing migration is not told")
    server.change("INSERT INTO django_migrations (app, name, applied) VALUES ('django_etebase', '0037_auto_20210127_1237', '2024-01-01'), "
                  "('django_etebase', '0038_new', '2024-01-01')")
    true("0038_new" in server.not_done("adopt"), "an unknown migration is not told")
    server.change("DELETE FROM django_migrations WHERE name = '0038_new'; DROP TABLE django_etebase_collectioninvitation")
    true("not whole" in server.not_done("adopt"), "a missing table is not told")
    server.change("DROP TABLE django_migrations")
    true("no database of an EteSync server" in server.not_done("adopt"), "a foreign schema is not told")


def tests(arguments: Any) -> Iterator[tuple[str, Callable]]:
    engines = ["sqlite"] + (["postgres"] if Server.postgres else [])
    for engine in engines:
        for sentence, function in TESTS:
            yield f"{engine}: {sentence}", on_a_copy(arguments.apus, engine, function)


def on_a_copy(binary: str, engine: str, function: Callable[[Adopted], None]) -> Callable:
    def run(_: Any) -> None:
        with Adopted(binary, engine) as server:
            function(server)

    return run


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine, tests)
