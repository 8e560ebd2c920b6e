"""Keeps what a server has, as its operator does: backups, while people go on writing, and what is restored from them.

Without --postgres all is done on SQLite; with it the same on PostgreSQL, and a backup moves from each engine to the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path
from typing import Iterator

import support
from support import (
    Client, Server, apus, equal, expected, head, offered, person, refused, shown, succeeds, test, true, uid, verified)


class Restored(Server):
    """A server whose folder, and database, do not exist yet."""

    def __init__(self, binary: str, postgres: str | None, *flags: str, **more) -> None:
        self.postgres = postgres
        super().__init__(binary, *flags, **more)

    def restore(self, file: Path, *flags: str) -> subprocess.CompletedProcess:
        return self.apus("restore", str(file), *flags)


@contextlib.contextmanager
def restored(options: argparse.Namespace, postgres: str | None, *flags: str) -> Iterator[Restored]:
    """One whose remains are gone afterwards, started or not."""
    server = Restored(options.apus, postgres, *flags)
    try:
        yield server
    finally:
        server.__exit__()


def content(number: int) -> bytes:
    return b"content %d " % number * 100


def chunk(number: int) -> str:
    return uid("chunk", number)


def write(client: Client, collection: str, numbers: range) -> None:
    for number in numbers:
        expected(client.commit(collection, [
            offered(f"item-{number}", uid("revision", number), b"meta", [(chunk(number), content(number))])]), 200)


def contents(client: Client, collection: str) -> dict[str, bytes]:
    items, _ = client.changes(collection, None, 3)
    return {item["uid"]: item["content"]["chunks"][0][1] for item in items if item["content"]["chunks"]}


def lists(collection: str) -> list[str]:
    return ["/api/v1/collection/", f"/api/v1/collection/{collection}/item/"]


def ways() -> list[tuple[str | None, str]]:
    """Where a backup of the server is restored: on its own engine, and on the other."""
    own = (Server.postgres, "the same engine")
    return [own, (None, "SQLite")] if Server.postgres else [own]


for place in ("database", "files"):
    @test(f"a backup taken while people write is restored: all of one position, clients go on, those ahead are told ({place})")
    def backed_up(options: argparse.Namespace, place: str = place) -> str:
        with Server(options.apus, "--signup", "open", "--chunks", place) as server:
            ada = person(server, "ada")
            expected(ada.create_collection("notes"), 201)
            write(ada, "notes", range(20))
            over, last = threading.Event(), [20]

            def go_on() -> None:
                client = ada.another()
                while not over.is_set():
                    write(client, "notes", range(last[0], last[0] + 1))
                    last[0] += 1

            writer = threading.Thread(target=go_on, daemon=True)
            writer.start()
            before = {path: expected(ada.get(path), 200).value["stoken"] for path in lists("notes")}
            file = server.scratch / "kept.backup"
            said = succeeds(server.apus("backup", str(file)), "backup")
            over.set()
            writer.join(30)
            equal(oct(stat.S_IMODE(file.stat().st_mode)), "0o600", "mode of the backup")
            equal([name for name in os.listdir(server.scratch) if name.startswith(".")], [], "temporary files")
            refused(server.apus("backup", str(file)), "a second backup to the same file", "is there already")
            write(ada, "notes", range(last[0], last[0] + 5))
            ahead = {path: expected(ada.get(path), 200).value["stoken"] for path in lists("notes")}
            lost = head(server)
            with contextlib.closing(sqlite3.connect(file)) as backup:
                end = backup.execute("SELECT position FROM apus_backup").fetchone()[0]
                kept = {row[0] for row in backup.execute("SELECT uid FROM django_etebase_collectionitem")} - {"notes"}
            true(f"position {end}" in said and 23 <= end < lost, f"the position is told: {shown(said)}")
            server.stop()
            for postgres, way in ways():
                with restored(options, postgres, "--signup", "open", "--chunks", place) as other:
                    succeeds(other.restore(file), f"restore on {way}")
                    verified(other)
                    equal(head(other), end, "where the log ends")
                    equal(os.path.exists(other.folder / "chunks"), place == "files", "a folder of chunks")
                    refused(other.restore(file), "a second restore", "not empty")
                    other.start()
                    client = Client(other, "ada", ada.token)
                    client.key = ada.key
                    for path in lists("notes"):
                        expected(client.get(path, stoken=ahead[path]), 400, "bad_stoken")
                        expected(client.get(path, stoken=before[path]), 200)
                    equal(set(contents(client, "notes")), kept, "items")
                    for name, stored in contents(client, "notes").items():
                        equal(stored, content(int(name.removeprefix("item-"))), f"content of {name}")
                    write(client, "notes", range(1000, 1002 + lost - end))
                    true(head(other) > lost, "the new history must be longer than the lost one")
                    for path in lists("notes"):
                        expected(client.get(path, stoken=ahead[path]), 400, "bad_stoken")
                    changed, _ = client.changes("notes", before[lists("notes")[1]], 3)
                    true({"item-1000", "item-1001", "item-1002"} <= {item["uid"] for item in changed}, "what came after")
                    expected(client.another().log_in(), 200)
                    person(other, "eve")
                    other.stop()
                    verified(other)
            return f"position {end}"


@test("nothing is restored over anything, and what is no sound backup is refused")
def unsound(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        write(ada, "notes", range(3))
        good = server.scratch / "good"
        succeeds(server.apus("backup", str(good)), "backup")
        refused(server.apus("restore", str(good)), "a restore over a server", "not empty")
        expected(ada.get("/api/v1/collection/"), 200)
        refused(server.apus("backup", str(server.scratch / "no" / "folder")), "a backup to nowhere", "cannot be written")

        def changed(name: str, *statements: str) -> Path:
            path = server.scratch / name
            shutil.copy(good, path)
            with contextlib.closing(sqlite3.connect(path)) as backup:
                for statement in statements:
                    backup.execute(statement)
                backup.commit()
            return path

        (server.scratch / "text").write_text("no backup at all")
        sqlite3.connect(server.scratch / "other").executescript("CREATE TABLE shop (id INTEGER)")
        half = server.scratch / "half"
        half.write_bytes(good.read_bytes()[:good.stat().st_size // 2])
        for path, reason in (
            (server.scratch / "nothing", "cannot be read"),
            (server.scratch / "text", "no backup"),
            (server.scratch / "other", "no backup"),
            (half, ""),
            (changed("token", "UPDATE token_auth_authtoken SET user_id = user_id + 1"), "damaged"),
            (changed("event", "DELETE FROM apus_event WHERE position = 3"), "damaged"),
            (changed("file", "UPDATE apus_backup_file SET content = X'00'"), "damaged"),
            (changed("newer", "UPDATE apus_backup SET format = 2"), "newer"),
        ):
            with restored(options, Server.postgres) as other:
                refused(other.restore(path), f"the restore of {path.name}", reason)
                equal(os.listdir(other.folder) if other.folder.exists() else [], [], f"what is left of {path.name}")
                if other.postgres_database:
                    equal(other.postgres_database.rows("SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'"), [],
                          "tables")
        with restored(options, Server.postgres) as other:
            done = apus(options.apus, "restore", str(good), environment={
                "APUS_DATA": str(other.folder), **other.engine, "APUS_SECRET": "another"})
            refused(done, "a restore with another secret", "APUS_SECRET")


@test("beside what an interrupted restore has left no server starts")
def interrupted(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        person(server, "ada").close()
        file = server.scratch / "kept"
        succeeds(server.apus("backup", str(file)), "backup")
        with restored(options, Server.postgres) as other:
            (other.folder / "restoring").mkdir(parents=True)
            refused(other.apus("user", "list"), "a command", "interrupted")
            refused(other.apus("serve", "--listen", other.authority), "a server", "interrupted")
            refused(other.restore(file), "another restore", "interrupted")
            shutil.rmtree(other.folder)
            succeeds(other.restore(file), "the restore into an empty folder")


@test("a restore that is killed leaves nothing that serves, or all of it")
def killed(options: argparse.Namespace) -> str:
    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        write(ada, "notes", range(30))
        file = server.scratch / "kept"
        succeeds(server.apus("backup", str(file)), "backup")
        unfinished = 0
        for step in range(12):
            with restored(options, Server.postgres) as other:
                process = subprocess.Popen(
                    [options.apus, "restore", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=support.clean_environment({"APUS_DATA": str(other.folder), **other.engine}))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.03 + 0.015 * step)
                process.kill()
                process.wait()
                if (other.folder / "restoring").exists():
                    unfinished += 1
                    refused(other.apus("user", "list"), "a command", "interrupted")
                elif other.folder.exists():
                    equal(succeeds(other.apus("user", "list"), "user list"), "ada\tada@example.com\tactive\n", "the accounts")
                    verified(other)
        true(unfinished > 0, "some must have been interrupted")
        return f"{unfinished} of 12 were interrupted"


@test("a backup of SQLite is restored in PostgreSQL, whose server goes on with it")
def moved(options: argparse.Namespace) -> str | None:
    if not Server.postgres:
        return "left out without --postgres"
    with restored(options, None, "--signup", "open", "--chunks", "files") as origin:
        origin.start()
        ada = person(origin, "ada")
        expected(ada.create_collection("notes"), 201)
        write(ada, "notes", range(5))
        file = origin.scratch / "kept"
        succeeds(origin.apus("backup", str(file)), "backup")
        with restored(options, Server.postgres, "--signup", "open") as other:
            succeeds(other.restore(file), "restore")
            verified(other)
            other.start()
            client = Client(other, "ada", ada.token)
            client.key = ada.key
            equal(contents(client, "notes"), {f"item-{number}": content(number) for number in range(5)}, "contents")
            write(client, "notes", range(5, 9))
            expected(client.another().log_in(), 200)
            person(other, "eve")
            other.stop()
            verified(other)
    return None


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
