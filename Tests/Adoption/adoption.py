#!/usr/bin/env python3
"""Databases of the original are adopted, served and handed back: adoption.py APUS_BINARY [--postgres URL]"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import time
import urllib.parse

from common import TYPE, Adopted, grow, listed, main, test
from etebase import CollectionAccessLevel, FetchOptions
from harness import refused
from support import Client, equal, expected, true


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


@test("a byte that changes in an adopted content is found, and its file named")
def changed_content(server: Adopted) -> None:
    server.done("adopt")
    chunk = next(path for path in sorted(server.media.rglob("*")) if path.is_file())
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    result = server.apus("verify")
    equal(result.returncode, 1, f"exit code of verify, which said {result.stdout}")
    true(f"was changed (file {chunk.relative_to(server.media)})" in result.stdout, f"verify says {result.stdout}")
    chunk.write_bytes(content)
    true("All is well" in server.done("verify"), "verify finds something in what is as it was")


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
        removed = carl.get_collection_manager().list(TYPE, FetchOptions().stoken(stokens["collections_early"])).removed_memberships
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


@test("the audit of an adopted collection tells that its records were taken over, and everything after that")
def audited(server: Adopted) -> None:
    server.done("adopt")
    notes = server.held["collections"]["notes"]
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        items = manager.get_item_manager(manager.fetch(notes))
        items.batch([items.create({"name": "new"}, b"with Apus")])
        token = server.rows("SELECT key FROM token_auth_authtoken WHERE user_id = (SELECT id FROM myauth_user WHERE username = 'anna')")
        anna = Client(server, "anna", token[0][0])
        path = f"/api/v1/collection/{notes}/audit/"
        told = anna.get(path, limit=1000).value["data"]
        page = anna.get(path, limit=len(told) - 1).value
        equal(anna.get(path, iterator=page["iterator"]).value["data"], told[-1:], "the next page")
        stoken = server.rows("SELECT uid FROM django_etebase_stoken ORDER BY id")[0][0]
        equal(anna.get(path, limit=1000, iterator=stoken).value["data"], told, "after a stoken of the original's, which is older")
    equal({entry["action"] for entry in told[:-1]}, {"records_adopted"}, "what was adopted")
    equal({entry["username"] for entry in told[:-1]}, {None}, "who made that is not known")
    equal((told[-1]["action"], told[-1]["username"]), ("item_created", "anna"), "what came then")
    for flags in (("--collection", notes), ("--user", "anna")):
        lines = [json.loads(line) for line in server.done("audit", *flags, "--json").splitlines()]
        equal((lines[0]["action"], lines[-1]["action"], lines[-1]["user"]), ("records_adopted", "item_created", "anna"), f"of {flags}")


@test("a name that the original stored with capitals is found in any case, and under no former one")
def capitals(server: Adopted) -> None:
    server.change("UPDATE myauth_user SET username = 'Ben' WHERE username = 'ben'")
    server.done("adopt")
    with server.serving():
        for name in ("ben", "BEN", "Ben"):
            expected(Client(server, name).challenge(), 200)
        anna = server.account("anna").get_collection_manager()
        members = anna.get_member_manager(anna.fetch(server.held["collections"]["notes"]))
        members.modify_access_level("ben", CollectionAccessLevel.ReadOnly)
        true(("Ben", CollectionAccessLevel.ReadOnly) in [(each.username, each.access_level) for each in members.list().data], "the member")
    server.done("hand-back")
    server.change("UPDATE myauth_user SET username = 'benjamin' WHERE username = 'Ben'")
    server.done("adopt")
    with server.serving():
        expected(Client(server, "benjamin").challenge(), 200)
        expected(Client(server, "ben").challenge(), 401, "user_not_found")


@test("a database that was handed back has what the original needs, and is served by nobody else")
def handed_back(server: Adopted) -> None:
    server.done("adopt")
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        made = manager.create(TYPE, {"name": "new"}, b"of Apus " * 700)
        manager.upload(made)
        items = manager.get_item_manager(manager.fetch(made.uid))
        items.batch([items.create({"name": str(number)}, f"content {number} ".encode() * 300) for number in range(5)])
    server.done("verify")
    files = {path for path in server.media.rglob("*") if path.is_file()}
    said = server.done("hand-back")
    true("media_root" in said and "uvicorn" in said, f"how to start the original is not told: {said}")
    new = {path for path in server.media.rglob("*") if path.is_file()} - files
    equal(len(new), 6, "new files of chunks")
    stored = {(row[0], row[1]) for row in server.rows("SELECT collection, uid FROM apus_chunk")}
    equal({(path.parent.parent.name, path.parent.name + path.name) for path in new}, stored, "the files")

    head = server.rows("SELECT position FROM apus_log")[0][0]
    for table in TABLES_WITH_SEQUENCES:
        true(server.last_id(table) >= head, f"the sequence of {table} is below the log's head")
        true(server.last_id(table) >= (server.rows(f"SELECT max(id) FROM {table}")[0][0] or 0), f"the sequence of {table} is below its ids")
    for invariant, question in INVARIANTS.items():
        equal(server.rows(question), [(0,)], invariant)
    server.compare_with_catalogue()
    if not server.postgres_database:
        equal(server.rows("PRAGMA journal_mode"), [("delete",)], "how changes are written")
        equal([path.name for path in server.scratch.glob("db.sqlite3*")], ["db.sqlite3"], "the files of the database")
    for command in (("verify",), ("user", "list"), ("hand-back",)):
        true("handed back" in server.not_done(*command), f"{command} works on a database that was handed back")


@test("adopted users can be erased, one after the other, and what is left can be handed back")
def erased(server: Adopted) -> None:
    server.done("adopt")
    server.done("log", "seal")
    carried = server.rows("SELECT id, uid FROM django_etebase_stoken ORDER BY id")
    names = [row[0] for row in server.rows("SELECT username FROM myauth_user ORDER BY id")]
    for name in names:
        owner = f"(SELECT id FROM myauth_user WHERE username = '{name}')"
        alone = [row[0] for row in server.rows(f"""
            SELECT uid FROM django_etebase_collection one
            WHERE (owner_id = {owner} OR EXISTS (
                SELECT 1 FROM django_etebase_collectionmember WHERE collection_id = one.id AND user_id = {owner}))
            AND NOT EXISTS (SELECT 1 FROM django_etebase_collectionmember WHERE collection_id = one.id AND user_id <> {owner})""")]
        shared = server.rows("SELECT count(*) FROM django_etebase_collection")[0][0] - len(alone)
        said = server.done("user", "erase", name, "--yes")
        true("is erased" in said, said)
        equal(server.rows(f"SELECT count(*) FROM myauth_user WHERE username = '{name}'"), [(0,)], "accounts of that name")
        equal(server.rows("SELECT count(*) FROM django_etebase_collection"), [(shared,)], f"collections after {name}, who was alone in {alone}")
        left = [path for path in server.media.rglob("*") if path.is_file() and any(uid in str(path) for uid in alone)]
        equal(left, [], "files of contents that are left")
        for command in (("log", "verify"), ("verify",), ("rebuild", "--check")):
            server.done(*command)
    equal(server.rows("SELECT count(*) FROM django_etebase_collection"), [(0,)], "collections in the end")
    equal(server.rows("SELECT id, uid FROM django_etebase_stoken ORDER BY id")[:len(carried)], carried, "the stokens")
    server.done("hand-back")
    for invariant, question in INVARIANTS.items():
        equal(server.rows(question), [(0,)], invariant)
    server.done("adopt")
    server.done("verify")


@test("contents of any number and size come into files")
def contents(server: Adopted) -> None:
    grow(server, 1200)
    server.done("adopt")
    size = "CASE WHEN chunk.id % 400 = 0 THEN 5000000 ELSE chunk.id % 7 END"
    content = f"decode(repeat('00', ({size})::integer), 'hex')" if server.postgres_database else f"zeroblob({size})"
    server.change(f"""
        INSERT INTO apus_chunk (collection, uid, content)
        SELECT collection.uid, chunk.uid, {content} FROM django_etebase_collectionitemchunk chunk
        JOIN django_etebase_collection collection ON collection.id = chunk.collection_id WHERE chunk.id BETWEEN 1000 AND 2199""")
    server.done("hand-back")
    many = {int(path.name): path.stat().st_size for path in (server.media / "user_1" / "many").iterdir()}
    equal(many, {number: number % 7 if number % 400 else 5_000_000 for number in range(1000, 2200)}, "the sizes of the files")


@test("a type of an erased user that somebody else's membership names stays, without what it was")
def borrowed_type(server: Adopted) -> None:
    server.change("""
        UPDATE django_etebase_collectionmember SET "collectionType_id" = 1
        WHERE user_id = (SELECT id FROM myauth_user WHERE username = 'ben')""")
    server.done("adopt")
    server.done("user", "erase", "anna", "--yes")
    left = "convert_from(uid, 'UTF8')" if server.postgres_database else "CAST(uid AS TEXT)"
    equal(server.rows(f"SELECT id, {left} FROM django_etebase_collectiontype WHERE owner_id = 1"), [(1, "erased:1")], "types of the user")
    server.done("verify")


@test("what was unusual before an adoption is no reason against a hand-back")
def unusual(server: Adopted) -> None:
    chunk = next(path for path in sorted(server.media.rglob("*")) if path.is_file())
    chunk.unlink()
    # An owner may leave, and an item may have lost its only revision.
    server.change("""
        DELETE FROM django_etebase_collectioninvitation WHERE "fromMember_id" IN (
            SELECT id FROM django_etebase_collectionmember WHERE collection_id = 1 AND user_id = 1);
        DELETE FROM django_etebase_collectionmember WHERE collection_id = 1 AND user_id = 1;
        INSERT INTO django_etebase_collectionitem (id, uid, version, collection_id) VALUES (1000, 'without-a-revision', 1, 1);
        UPDATE django_etebase_collectionmember SET "collectionType_id" = NULL;
        UPDATE myauth_user SET username = 'ANNA' WHERE username = 'ben'""")
    said = server.done("adopt", "--dry-run") + server.done("adopt")
    for words in ("1 collections were left", "1 items have no revision", "1 user names differ", "missing: user_"):
        true(words in said, f"not told: {words}, but {said}")
    found = server.apus("verify").stdout.splitlines()
    true(len(found) == 1 and "is missing" in found[0], f"verify finds other things than the missing file: {found}")
    result = server.apus("hand-back")
    true(result.returncode == 1 and str(chunk.relative_to(server.media)) in result.stdout, f"a missing file is not told: {result.stdout}")
    server.done("hand-back", "--without-missing-files")
    server.done("adopt")


@test("a server that still runs writes nothing into a database that was handed back")
def still_running(server: Adopted) -> None:
    server.done("adopt")
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        items = manager.get_item_manager(manager.fetch(server.held["collections"]["notes"]))
        for command in ("hand-back", "adopt"):
            result = server.apus(command)
            true(result.returncode != 0 and "another program has this database open" in result.stderr, f"{command}: a running server is not told")
        result = server.apus("hand-back", "--ignore-others")
        if server.postgres_database:
            true(result.returncode != 0 and "stop it first" in result.stderr, f"a running projector is not told: {result.stderr}")
            return
        equal(result.returncode, 0, f"exit code of hand-back, which said {result.stderr}")
        before = server.content()
        refused(lambda: items.batch([items.create({"name": "too late"}, b"")]), ".")
        equal(server.content(), before, "the tables")
    server.done("adopt")
    with server.serving():
        items.batch([items.create({"name": "in time"}, b"")])
    true("All is well" in server.done("verify"), "verify finds something")


@test("what the original has changed since is adopted, and only that")
def adopted_again(server: Adopted) -> None:
    server.done("adopt")
    stokens = server.held["stokens"]
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        made = manager.create(TYPE, {"name": "of Apus"}, b"")
        manager.upload(made)
        stoken = manager.list(TYPE).stoken
    server.done("hand-back")
    true("0 events" in server.done("adopt"), "something is adopted where nothing has changed")
    true("All is well" in server.done("verify"), "verify finds something")
    server.done("hand-back")

    # What the original does: ids from the sequences, a random stoken for each change, old revisions no longer current.
    item = server.rows("SELECT id FROM django_etebase_collectionitem WHERE collection_id = 1 ORDER BY id DESC")[0][0]
    revised, gone = server.next_id("django_etebase_stoken"), server.next_id("django_etebase_stoken", skip=40)
    revision = server.next_id("django_etebase_collectionitemrevision")
    member, user = server.rows("SELECT id, user_id FROM django_etebase_collectionmember WHERE collection_id = 1 ORDER BY id DESC")[0]
    true(server.rows("SELECT id FROM django_etebase_collectioninvitation"), "there must be invitations, none of which stays")
    server.change(f"""
        INSERT INTO django_etebase_stoken (id, uid) VALUES ({revised}, 'stoken-of-the-original-1'), ({gone}, 'stoken-of-the-original-2');
        UPDATE django_etebase_collectionitemrevision SET current = NULL WHERE item_id = {item};
        INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
        SELECT {revision}, 'revision-of-the-original', meta, TRUE, TRUE, item_id, {revised}
        FROM django_etebase_collectionitemrevision WHERE item_id = {item} ORDER BY id DESC LIMIT 1;
        DELETE FROM django_etebase_collectioninvitation;
        DELETE FROM django_etebase_collectionmember WHERE id = {member};
        DELETE FROM django_etebase_collectionmemberremoved WHERE user_id = {user} AND collection_id = 1;
        INSERT INTO django_etebase_collectionmemberremoved (id, collection_id, user_id, stoken_id)
        VALUES ({server.next_id("django_etebase_collectionmemberremoved")}, 1, {user}, {gone});
        UPDATE myauth_user SET email = 'new@example.com' WHERE id = 1""")
    before = server.rows("SELECT position FROM apus_log")[0][0]
    server.done("adopt")
    true(server.rows("SELECT position FROM apus_log")[0][0] >= gone, "the log does not reach the ids of the original")
    equal(server.rows(f"SELECT count(*) FROM apus_event WHERE position > {before} AND type <> 'RecordsAdopted'"), [(0,)], "other events")
    true("All is well" in server.done("verify"), "verify finds something")
    with server.serving():
        anna = server.account("anna").get_collection_manager()
        items = anna.get_item_manager(anna.fetch(server.held["collections"]["notes"]))
        changed = list(items.list(FetchOptions().stoken(stoken)).data)
        equal([(each.deleted, each.etag) for each in changed], [(True, "revision-of-the-original")], "since a stoken of Apus")
        equal(len(list(items.list(FetchOptions().stoken("stoken-of-the-original-1")).data)), 0, "since a stoken of the original")
        items.batch([items.create({"name": "gone on"}, b"gone on")])
        equal([each.meta["name"] for each in items.list(FetchOptions().stoken("stoken-of-the-original-1")).data], ["gone on"], "items")
        equal(len(list(items.list(FetchOptions().stoken(stokens["notes"])).data)), 2, "since the first server")
    true("All is well" in server.done("verify"), "verify finds something")


def written_by_the_original(server: Adopted) -> str:
    """A new item, as the original makes one."""
    server.change(f"""
        INSERT INTO django_etebase_stoken (id, uid) VALUES ({(stoken := server.next_id("django_etebase_stoken"))}, 'stoken-beside');
        INSERT INTO django_etebase_collectionitem (id, uid, version, collection_id)
        VALUES ({(item := server.next_id("django_etebase_collectionitem"))}, 'item-beside', 1, 1);
        INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
        SELECT {server.next_id("django_etebase_collectionitemrevision")}, 'revision-beside', meta, TRUE, FALSE, {item}, {stoken}
        FROM django_etebase_collectionitemrevision WHERE item_id = 2 AND current = TRUE""")
    return "item-beside"


@test("an original that runs on is noticed before it is adopted, where somebody can see it")
def runs_on_before(server: Adopted) -> None:
    if server.postgres_database:
        with subprocess.Popen(["psql", "-XAtq", server.postgres_database.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            other.stdin.write("SET application_name = 'etesync'; SELECT 1;\n")
            other.stdin.flush()
            other.stdout.readline()
            for command in (("adopt",),):
                said = server.not_done(*command)
                true("another program has this database open" in said and "program etesync" in said and "stop that program" in said, said)
            true("must be stopped" in server.done("adopt", "--dry-run"), "the dry run does not tell")
            other.stdin.close()
    else:
        with contextlib.closing(sqlite3.connect(server.file)) as other:
            other.execute("SELECT count(*) FROM myauth_user").fetchall()
            said = server.not_done("adopt")
            true("another program has this database open" in said and f"process {os.getpid()}" in said, said)
            true("must be stopped" in server.done("adopt", "--dry-run"), "the dry run does not tell")
            server.done("adopt", "--ignore-others")
            return
    said = server.done("adopt")
    true(re.search(r"Adopted: [1-9]\d* rows and [1-9]\d* files of chunks, as [1-9]\d* events", said), said)


@test("what the original writes beside Apus is told, is not deleted, and is brought in by adopting again")
def runs_on_after(server: Adopted) -> None:
    true(re.search(r"[1-9]\d* rows and [1-9]\d* files of chunks can be adopted", server.done("adopt", "--dry-run")), "what can be adopted")
    server.done("adopt")
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        items = manager.get_item_manager(manager.fetch(server.held["collections"]["notes"]))
        items.batch([items.create({"name": "of Apus"}, b"")])
        stoken = items.list().stoken
        name = written_by_the_original(server)
        # On PostgreSQL its sequences are behind, and what it draws fails until they are not.
        deadline = time.monotonic() + 30
        while "run apus adopt again" not in server.log:
            true(time.monotonic() < deadline, f"the log does not tell: {server.log[-500:]}")
            time.sleep(0.1)
        answer = server.get("/ready")
        true(answer.status == 503 and b"run apus adopt again" in answer.body, f"/ready: {answer}")
    before = server.content()
    for command in (("serve", "--listen", "127.0.0.1:0"), ("verify",), ("rebuild",), ("rebuild", "--check")):
        result = server.apus(*command)
        said = result.stdout + result.stderr
        true(result.returncode != 0 and "run apus adopt again" in said and "apus rebuild" not in said, f"{command}: {result.returncode} {said[-500:]}")
        equal(server.content(), before, f"the tables after {command}")
    server.done("adopt")
    true("All is well" in server.done("verify"), "verify finds something")
    with server.serving():
        token, uid = server.rows("SELECT token.key, collection.uid FROM token_auth_authtoken token "
                                 "JOIN django_etebase_collection collection ON collection.owner_id = token.user_id WHERE collection.id = 1")[0]
        changed = expected(Client(server, "anna", token).get(f"/api/v1/collection/{uid}/item/", stoken=stoken), 200).value["data"]
        equal([item["uid"] for item in changed], [name], "since a stoken of Apus")
        items.batch([items.create({"name": "gone on"}, b"")])
    true("All is well" in server.done("verify"), "verify finds something")


@test("the original's configuration is enough to adopt and to serve; flags and the environment come before it")
def configured(server: Adopted) -> None:
    if server.postgres_database:
        url = urllib.parse.urlsplit(server.postgres_database.url)
        database = {"engine": "django.db.backends.postgresql", "name": url.path[1:], "user": url.username or "", "port": str(url.port or ""),
                    "host": url.hostname or "", "password": url.password or "100%% unused"}
    else:
        database = {"engine": "django.db.backends.sqlite3", "name": str(server.file)}
    secret, ini = server.scratch / "secret.txt", server.scratch / "etebase-server.ini"
    secret.write_text("the original's secret")
    sections = {
        "global": {"secret_file": str(secret), "debug": "false", "static_root": "/static", "media_root": str(server.media), "time_zone": "UTC"},
        "allowed_hosts": {"allowed_host1": "example.com", "allowed_host2": "127.0.0.1"},
        "database": database, "database-options": {}}

    def write(more: dict[str, dict[str, str]]) -> None:
        merged = {name: {**sections.get(name, {}), **more.get(name, {})} for name in {**sections, **more}}
        ini.write_text("; as the original has it\n" + "".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for name, keys in merged.items()))

    write({})
    server.engine = {"APUS_CONFIG": str(ini)}
    result = server.apus("adopt")
    equal(result.returncode, 0, f"exit code of adopt, which said {result.stderr}")
    for name in ("static_root", "time_zone"):
        true(name in result.stderr, f"{name} is not named as not served: {result.stderr}")
    with server.serving():
        items = server.account("anna").get_collection_manager()
        equal(items.fetch(server.held["collections"]["notes"]).meta, {"name": "notes, renamed"}, "a collection")
        equal(server.status_for("stranger.example"), 400, "the status for a host that is not allowed")
    server.environment = {"APUS_ALLOWED_HOSTS": "127.0.0.1,stranger.example"}
    with server.serving():
        equal(server.status_for("stranger.example"), 200, "the status for a host that the environment allows")
    for more in ({"global": {"sekret_file": "x"}}, {"databases": {}}, {"database": {"engine": "django.db.backends.mysql"}},
                 {"database": {"conn_max_age": "1"}}, {"ldap": {"servers": "ldap://127.0.0.1"}}, {"ldap": {"cache_ttl": "soon"}}, {"global": {"media_root": "%(home)s/media"}}):
        write(more)
        said = server.not_done("verify")
        true("etebase-server.ini" in said, f"what is wrong is not told: {said}")


TABLES_WITH_SEQUENCES = ["myauth_user"] + ["django_etebase_" + name for name in (
    "stoken", "collectiontype", "collection", "collectionitem", "collectionitemrevision", "collectionitemchunk",
    "revisionchunkrelation", "collectionmember", "collectionmemberremoved", "collectioninvitation")]

# What the original's code takes for granted, each as the number of rows that are not so.
INVARIANTS = {
    "items with none or several current revisions": """
        SELECT count(*) FROM (SELECT item_id FROM django_etebase_collectionitemrevision GROUP BY item_id
                              HAVING sum(CASE WHEN current THEN 1 ELSE 0 END) <> 1) items""",
    "revisions that are neither current nor null": "SELECT count(*) FROM django_etebase_collectionitemrevision WHERE NOT current",
    "stokens of revisions that do not grow with their ids": """
        SELECT count(*) FROM django_etebase_collectionitemrevision one JOIN django_etebase_collectionitemrevision other
        ON other.item_id = one.item_id AND other.id > one.id AND other.stoken_id < one.stoken_id""",
}


if __name__ == "__main__":
    main(__doc__)
