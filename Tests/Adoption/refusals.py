#!/usr/bin/env python3
"""What cannot be adopted is refused with a sentence and left as it is: refusals.py APUS_BINARY [--postgres URL]"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import urllib.parse

from common import Adopted, main, test
from support import equal, true

REVISION, STOKEN, ITEM = "django_etebase_collectionitemrevision", "django_etebase_stoken", "django_etebase_collectionitem"
CHUNK, COLLECTION, MEMBER = "django_etebase_collectionitemchunk", "django_etebase_collection", "django_etebase_collectionmember"


@test("a database that is in another form than the original's last is refused")
def other_forms(server: Adopted) -> None:
    server.change("DELETE FROM django_migrations WHERE name = '0037_auto_20210127_1237'")
    true("migrat" in server.not_done("adopt"), "a missing migration is not told")
    server.change("INSERT INTO django_migrations (app, name, applied) VALUES ('django_etebase', '0037_auto_20210127_1237', '2024-01-01'), "
                  "('django_etebase', '0038_new', '2024-01-01')")
    true("0038_new" in server.not_done("adopt"), "an unknown migration is not told")
    server.change(f"""DELETE FROM django_migrations WHERE name = '0038_new';
                      ALTER TABLE {MEMBER} RENAME COLUMN "collectionType_id" TO type_id""")
    for command in (("adopt",), ("adopt", "--dry-run")):
        true(f"{MEMBER} lacks the column collectionType_id" in server.not_done(*command), "a missing column is not told")
    server.change("DROP TABLE django_etebase_collectioninvitation")
    true("not whole" in server.not_done("adopt"), "a missing table is not told")
    server.change("DROP TABLE django_migrations")
    true("no database of an EteSync server" in server.not_done("adopt"), "a foreign schema is not told")


# What is done to the tables, and what is said of it.
BROKEN = {
    f"UPDATE {REVISION} SET current = TRUE WHERE current IS NULL": "not one that is the current one",
    f"UPDATE {REVISION} SET current = NULL WHERE item_id = 3": "not one that is the current one",
    f"UPDATE {REVISION} SET current = FALSE WHERE id = (SELECT min(id) FROM {REVISION} WHERE current IS NULL)": "marked with false",
    f"UPDATE {REVISION} SET uid = 'one' WHERE id IN (2, 3)": f"uid stand in several rows of {REVISION}",
    f"UPDATE {REVISION} SET stoken_id = 3 WHERE id IN (2, 3)": f"stoken_id stand in several rows of {REVISION}",
    f"INSERT INTO {STOKEN} (id, uid) VALUES (5, 'another')": f"id stand in several rows of {STOKEN}",
    f"UPDATE {STOKEN} SET uid = 'one' WHERE id IN (2, 3)": f"uid stand in several rows of {STOKEN}",
    f"UPDATE {CHUNK} SET uid = 'one' WHERE collection_id = 1": f"collection_id, uid stand in several rows of {CHUNK}",
    "UPDATE myauth_user SET username = 'one' WHERE id < 3": "username stand in several rows of myauth_user",
    f"UPDATE {COLLECTION} SET main_item_id = NULL WHERE id = 1": f"{COLLECTION} refer to no row of {ITEM} (main_item_id)",
    f"UPDATE {COLLECTION} SET main_item_id = (SELECT max(id) FROM {ITEM}) WHERE id = 1": "a main item that is not theirs",
    f"DELETE FROM {ITEM} WHERE id = 3": f"{REVISION} refer to no row of {ITEM} (item_id)",
    f"DELETE FROM {STOKEN} WHERE id = (SELECT max(stoken_id) FROM {REVISION})": f"{REVISION} refer to no row of {STOKEN}",
    f"DELETE FROM {CHUNK} WHERE id = 2": f"refer to no row of {CHUNK} (chunk_id)",
    f"DELETE FROM {REVISION} WHERE id = 2": f"refer to no row of {REVISION} (revision_id)",
    f"DELETE FROM {MEMBER}": f"refer to no row of {MEMBER} (fromMember_id)",
    f"DELETE FROM {COLLECTION} WHERE id = 1": f"refer to no row of {COLLECTION} (collection_id)",
    "DELETE FROM myauth_user WHERE id = 2": "refer to no row of myauth_user (user_id)",
}


@test("tables from which no history follows are refused, and the dry run says so")
def broken_tables(server: Adopted) -> None:
    for table in (COLLECTION, ITEM, CHUNK, REVISION, STOKEN, MEMBER, "myauth_user"):
        server.forget_rules(table)
    whole = server.scratch / "whole"
    if not server.postgres_database:
        shutil.copy(server.file, whole)
    # PostgreSQL keeps most of it from happening, and its tables are slow to put back.
    for script, words in list(BROKEN.items())[:: 4 if server.postgres_database else 1]:
        if server.postgres_database:
            server.change(f"CREATE SCHEMA kept; {' '.join(copies('public', 'kept'))}")
        server.change(script)
        said = server.not_done("adopt")
        true(words in said, f"not told after {script}: {words}, but {said}")
        result = server.apus("adopt", "--dry-run")
        true(result.returncode == 1 and words in result.stdout, f"the dry run says after {script}: {result.stdout}")
        if server.postgres_database:
            server.change(f"TRUNCATE {', '.join(TABLES)} CASCADE; {' '.join(copies('kept', 'public'))} DROP SCHEMA kept CASCADE")
        else:
            shutil.copy(whole, server.file)
    server.done("adopt")


TABLES = ["myauth_user"] + ["django_etebase_" + name for name in (
    "userinfo", "collectiontype", "stoken", "collection", "collectionitem", "collectionitemrevision", "collectionitemchunk",
    "revisionchunkrelation", "collectionmember", "collectionmemberremoved", "collectioninvitation")] + ["token_auth_authtoken"]


def copies(source: str, target: str) -> list[str]:
    if target == "public":
        return [f"INSERT INTO public.{table} SELECT * FROM {source}.{table};" for table in TABLES]
    return [f"CREATE TABLE {target}.{table} AS SELECT * FROM {source}.{table};" for table in TABLES]


@test("values that are none of their columns' are refused", "sqlite")
def wrong_values(server: Adopted) -> None:
    server.change(f"UPDATE {ITEM} SET version = 'one' WHERE id = 3; UPDATE {ITEM} SET uid = x'ff' WHERE id = 4")
    true(f"2 rows of {ITEM} have what is no value" in server.not_done("adopt"), "wrong values are not told")


COMMANDS = (("adopt",), ("adopt", "--dry-run"), ("serve", "--listen", "127.0.0.1:0"), ("verify",), ("hand-back",), ("user", "list"))


@test("files that are no database of ours or the original's are refused, and keep every byte", "sqlite")
def wrong_files(server: Adopted) -> None:
    whole, wal = server.file.read_bytes(), server.scratch / "wal"
    for path, mode in ((server.scratch / "other", "delete"), (wal, "wal")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA journal_mode = {mode}; CREATE TABLE song (title); INSERT INTO song VALUES ('a')")
    for name, content in {"letter": b"this is no database at all. " * 200, "half": whole[: len(whole) // 2], "head": whole[:100],
                          "torn": whole[: len(whole) // 3 + 17]}.items():
        (server.scratch / name).write_bytes(content)
    for name in ("other", "wal", "letter", "half", "head", "torn"):
        for command in COMMANDS:
            server.not_done(*command, "--database-url", f"sqlite:{server.scratch / name}")
    (server.scratch / "empty").write_bytes(b"")
    (server.scratch / "folder").mkdir()
    for name in ("empty", "missing", "folder"):
        for command in (("adopt",), ("adopt", "--dry-run"), ("verify",), ("hand-back",)):
            server.not_done(*command, "--database-url", f"sqlite:{server.scratch / name}")
    true(not (server.scratch / "missing").exists(), "a file was made")


@test("a database of the original is served by nobody, and looked at without a trace")
def not_served(server: Adopted) -> None:
    for command in (("serve", "--listen", "127.0.0.1:0"), ("verify",), ("hand-back",), ("user", "list")):
        true("apus adopt" in server.not_done(*command), f"{command} does not say what to do")
    for mode in ("delete", "wal"):
        if not server.postgres_database:
            server.change(f"PRAGMA journal_mode = {mode}")
        before = server.everything()
        server.done("adopt", "--dry-run")
        equal(server.everything(), before, "what there is")


@test("a database that another program writes into is refused, until that has ended")
def in_use(server: Adopted) -> None:
    if server.postgres_database:
        with subprocess.Popen(["psql", "-XAtq", server.postgres_database.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            other.stdin.write(f"BEGIN; SELECT id FROM {STOKEN} LIMIT 1;\n")
            other.stdin.flush()
            other.stdout.readline()
            true("another program" in server.not_done("adopt"), "a lock is not told")
            other.stdin.close()
    else:
        with contextlib.closing(sqlite3.connect(server.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            said = server.apus("adopt")
            true(said.returncode == 1 and "another program" in said.stderr, f"a lock is not told: {said.stderr}")
            other.execute("ROLLBACK")
        equal([row for row in server.rows("SELECT name FROM sqlite_master") if row[0].startswith("apus")], [], "tables of ours")
    server.done("adopt")


@test("a PostgreSQL that cannot be reached says why not, without the password", "postgres")
def no_connection(server: Adopted) -> None:
    parts = urllib.parse.urlsplit(server.postgres_database.url)
    user, port = parts.username or "", parts.port or 5432
    for place, words in {f"{parts.hostname}:{port}/nowhere": "does not exist", f"{parts.hostname}:1/nowhere": "refused",
                         f"nowhere.invalid:{port}/x": "nowhere.invalid", f"127.0.0.1:{port}/%zz": "not understood"}.items():
        said = server.not_done("adopt", "--database-url", f"postgres://{user}:hush@{place}")
        true(words in said and "hush" not in said, f"not told of {place}: {words}, but {said}")


@test("paths in the original's configuration are those of its folder, and what is left out there is what the original takes", "sqlite")
def configured(server: Adopted) -> None:
    ini = server.scratch / "etebase-server.ini"
    (server.scratch / "secret.txt").write_text("the original's secret\n")
    server.engine = {"APUS_CONFIG": str(ini)}
    texts = ["", "[global]\ndebug = no\n", "    [global]\n    media_root = media\n    [database]\n"
             "      engine = django.db.backends.sqlite3\n      NAME: db.sqlite3\n"]
    for text in texts:
        ini.write_text(text)
        said = server.done("adopt", "--dry-run")
        true("19 revisions" in said and "Nothing is unusual" in said, f"what is found: {said}")
    for text in ("[global]\ndebug\n", "[global]\ndebug = no\n more\n", "debug = no\n", "[global]\ndebug = no\ndebug = no\n",
                 "[database]\nname = x\n", "[database]\nengine = django.db.backends.sqlite3\nname = \"db.sqlite3\"\n",
                 "[global]\nsecret_file = /nowhere/secret.txt\n"):
        ini.write_text(text)
        server.not_done("adopt")
    server.not_done("adopt", "--config", str(server.scratch / "missing.ini"))
    ini.write_text("")
    server.done("adopt")


if __name__ == "__main__":
    main(__doc__)
