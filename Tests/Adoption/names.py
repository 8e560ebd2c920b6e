#!/usr/bin/env python3
"""Uids as no client makes them, in a database of the original: names.py APUS_BINARY [--postgres URL]

Apus takes no such uids any more (QUIRKS.md, row 33); those that are there are served, compared by their bytes, and never
trusted as names of files.
"""

from __future__ import annotations

import shutil
import urllib.parse
from pathlib import Path

from common import Adopted, main, test
from support import Answer, Database, Server, apus, equal, expected, pack, true

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
# Some begin with what sticks to a character before it, or end with half a line's end.
ODD = [COMPOSED, DECOMPOSED, "\u0301x", "a b", "A", "tail\r", "~", "..x"]
CHUNKS = [COMPOSED + " chunk", DECOMPOSED + " chunk"]
TOKEN = "t" * 40


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def add(server: Adopted) -> None:
    """Collections under these uids, each with two items whose uids only look alike; and a session of their owner's."""
    blob = "'\\x00'::bytea" if server.postgres_database else "x'00'"
    script = [f"INSERT INTO token_auth_authtoken (key, created, expiry, user_id) VALUES ('{TOKEN}', '2024-01-01 00:00:00', NULL, 1)"]
    for number, uid in enumerate(ODD):
        base = 5000 + number * 10
        script.append(f"INSERT INTO django_etebase_stoken (id, uid) VALUES ({base}, 'odd-{base}'), ({base + 1}, 'odd-{base + 1}'), "
                      f"({base + 2}, 'odd-{base + 2}'), ({base + 3}, 'odd-{base + 3}')")
        script.append(f"INSERT INTO django_etebase_collection (id, uid, owner_id) VALUES ({base}, {quoted(uid)}, 1)")
        for offset, item in enumerate((uid, COMPOSED + "!", DECOMPOSED + "!")):
            script.append(f"INSERT INTO django_etebase_collectionitem (id, uid, version, collection_id) "
                          f"VALUES ({base + offset}, {quoted(item)}, 1, {base})")
            script.append(f"INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id) "
                          f"VALUES ({base + offset}, {quoted(f'{item}-{base + offset}')}, {blob}, TRUE, FALSE, {base + offset}, {base + offset})")
        script.append(f"UPDATE django_etebase_collection SET main_item_id = {base} WHERE id = {base}")
        script.append(f'INSERT INTO django_etebase_collectionmember (id, "encryptionKey", "accessLevel", collection_id, user_id, stoken_id) '
                      f"VALUES ({base}, {blob}, 1, {base}, 1, {base + 3})")
    for number, form in enumerate(CHUNKS):
        path = f"user_1/odd/{form}"
        (server.media / "user_1" / "odd").mkdir(exist_ok=True)
        (server.media / path).write_bytes(content(ODD[0], form))
        script.append(f'INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id) '
                      f"VALUES ({5900 + number}, {quoted(form)}, {quoted(path)}, 5000)")
        script.append(f"INSERT INTO django_etebase_revisionchunkrelation (id, chunk_id, revision_id) VALUES ({5900 + number}, {5900 + number}, 5001)")
    if server.postgres_database:
        script += [f"SELECT setval('django_etebase_{name}_id_seq', 6000)" for name in (
            "stoken", "collection", "collectionitem", "collectionitemrevision", "collectionmember", "collectionitemchunk", "revisionchunkrelation")]
    server.change(";\n".join(script))


def ask(server: Server, method: str, uid: str, path: str, body: bytes | None = None) -> Answer:
    headers = [("Host", server.authority), ("Authorization", "Token " + TOKEN), ("Content-Type", "application/msgpack")]
    return server.send(method, f"/api/v1/collection/{urllib.parse.quote(uid, safe='')}/{path}", headers[1:], body)


def content(uid: str, chunk: str) -> bytes:
    return f"{uid!a} {chunk}".encode()


def write(server: Server) -> None:
    """A chunk of each kind into each collection, named by a new item."""
    for number, uid in enumerate(ODD):
        for chunk in ("abcdef", "xy", "z"):
            expected(ask(server, "PUT", uid, f"item/x/chunk/{chunk}/", content(uid, chunk)), 201)
        new = {"uid": "new", "version": 1, "encryptionKey": None, "etag": None, "content": {
            "uid": f"new-{number}", "meta": b"meta", "deleted": False, "chunks": [[chunk, None] for chunk in ("abcdef", "xy", "z")]}}
        expected(ask(server, "POST", uid, "item/batch/", pack({"items": [new], "deps": None})), 200)


def look(server: Server) -> None:
    """Everything is there, and what looks alike is apart."""
    for number, uid in enumerate(ODD):
        found = expected(ask(server, "GET", uid, "item/"), 200).value["data"]
        revisions = {item["uid"].encode(): item["content"]["uid"].encode() for item in found}
        base = 5000 + number * 10
        equal(revisions, {b"new": f"new-{number}".encode(), **{
            f"{item}!".encode(): f"{item}!-{base + offset}".encode() for offset, item in ((1, COMPOSED), (2, DECOMPOSED))}}, f"items of {uid!a}")
        if number == 0:
            both = next(item["content"]["chunks"] for item in found if item["uid"] == COMPOSED + "!")
            equal([(chunk.encode(), stored) for chunk, stored in both], [(form.encode(), content(uid, form)) for form in CHUNKS], "both chunks")
        chunks = next(item["content"]["chunks"] for item in found if item["uid"] == "new")
        equal({chunk: stored for chunk, stored in chunks}, {chunk: content(uid, chunk) for chunk in ("abcdef", "xy", "z")}, "contents")


def sound(server: Adopted) -> None:
    for command in (("verify",), ("rebuild", "--check"), ("rebuild",), ("log", "verify"), ("gc", "--older-than", "1s")):
        server.done(*command)


def restored(server: Adopted, file: Path, postgres: Database | None) -> None:
    """A backup comes back on an engine, and is served there."""
    folder = server.scratch / f"restored-{bool(postgres)}"
    environment = {"APUS_DATA": str(folder), **({"APUS_DATABASE_URL": postgres.url} if postgres else {})}
    done = apus(server.binary, "restore", str(file), environment=environment)
    equal(done.returncode, 0, f"exit code of restore, which said {done.stdout} {done.stderr}")
    done = apus(server.binary, "verify", environment=environment)
    equal(done.returncode, 0, f"exit code of verify, which said {done.stdout} {done.stderr}")
    other = Server(server.binary)
    shutil.rmtree(other.folder, ignore_errors=True)
    other.folder, other.engine = folder, {key: environment[key] for key in environment if key == "APUS_DATABASE_URL"}
    with other:
        look(other)


@test("uids that look alike, and such as are no names of files, are kept apart through everything")
def odd_uids(server: Adopted) -> None:
    add(server)
    server.done("adopt")
    server.flags = ["--chunks", "files"]
    with server.serving():
        write(server)
        look(server)
        sound(server)
        look(server)
    backup = server.scratch / "backup"
    server.done("backup", str(backup))
    restored(server, backup, None)
    if Server.postgres:
        database = Database(Server.postgres)
        try:
            restored(server, backup, database)
        finally:
            database.drop()
    server.done("hand-back")
    for uid, chunk, path in server.rows("""
            SELECT collection.uid, chunk.uid, "chunkFile" FROM django_etebase_collectionitemchunk chunk
            JOIN django_etebase_collection collection ON collection.id = chunk.collection_id WHERE collection.id >= 5000"""):
        file = server.media / path
        true(file.resolve().is_relative_to(server.media.resolve()), f"{path} leaves the folder")
        equal(file.read_bytes(), content(uid, chunk), f"the file of {chunk} of {uid!a}")


@test("files that rows of others name stay when a user is erased, and so do folders and what lies elsewhere")
def erased_with_foreign_paths(server: Adopted) -> None:
    victims = server.rows('SELECT "chunkFile" FROM django_etebase_collectionitemchunk WHERE collection_id = 1')
    kept = {path: (server.media / path).read_bytes() for path, in victims}
    elsewhere = server.scratch / "elsewhere"
    elsewhere.write_bytes(b"not a chunk")
    named = ["user_1", victims[0][0].rsplit("/", 1)[0], "../elsewhere", f"user_1/../{victims[0][0]}", f"./{victims[0][0]}", str(elsewhere)]
    script = ["INSERT INTO myauth_user (id, password, username, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined) "
              "VALUES (900, '!', 'mallory', '', '', '', TRUE, FALSE, FALSE, '2024-01-01 00:00:00')",
              "INSERT INTO django_etebase_stoken (id, uid) VALUES (5000, 'm-1'), (5001, 'm-2')",
              "INSERT INTO django_etebase_collection (id, uid, owner_id) VALUES (5000, 'mallorys', 900)",
              "INSERT INTO django_etebase_collectionitem (id, uid, version, collection_id) VALUES (5000, 'mallorys', 1, 5000)",
              "INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id) "
              f"VALUES (5000, 'm-r', {'x' if not server.postgres_database else ''}'00', TRUE, FALSE, 5000, 5000)",
              "UPDATE django_etebase_collection SET main_item_id = 5000 WHERE id = 5000",
              'INSERT INTO django_etebase_collectionmember (id, "encryptionKey", "accessLevel", collection_id, user_id, stoken_id) '
              f"VALUES (5000, {'x' if not server.postgres_database else ''}'00', 1, 5000, 900, 5001)"]
    script += [f'INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id) '
               f"VALUES ({5000 + number}, 'm-{number}', {quoted(path)}, 5000)" for number, path in enumerate(named)]
    server.change(";\n".join(script))
    server.done("adopt")
    server.done("user", "erase", "mallory", "--yes")
    equal(server.rows("SELECT count(*) FROM django_etebase_collection WHERE id = 5000"), [(0,)], "collections of the erased")
    equal({path: (server.media / path).read_bytes() for path, in victims}, kept, "the files of others")
    equal(elsewhere.read_bytes(), b"not a chunk", "what lies elsewhere")
    server.done("verify")


@test("a text with a NUL, of which SQLite would give half, is refused", "sqlite")
def nul(server: Adopted) -> None:
    server.change("UPDATE django_etebase_collectionitem SET uid = 'a' || char(0) || 'b' WHERE id = (SELECT max(id) FROM django_etebase_collectionitem)")
    said = server.not_done("adopt")
    true("NUL" in said, f"the NUL is not told: {said}")


if __name__ == "__main__":
    main(__doc__)
