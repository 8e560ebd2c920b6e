"""Keeps what a server has, as its operator does: backups, while people go on writing, and what is restored from them.

Without --postgres all is done on SQLite; with it the same on PostgreSQL, and a backup moves from each engine to the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator

import support
from support import (
    Client, Server, apus, equal, expected, head, meddle, offered, person, query, refused, shown, succeeds, test, true, uid,
    verified)


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


def waiting(server: Server) -> None:
    """Waits until the tables are where the log ends."""
    end = time.monotonic() + 20
    while query(server, "SELECT log.position - projection.position FROM apus_log log, apus_projection projection") != [[0]]:
        true(time.monotonic() < end, "the projector must catch up")
        time.sleep(0.05)


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
            ahead = {path: expected(ada.get(path, limit=1000), 200).value["stoken"] for path in lists("notes")}
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
        accounts = succeeds(server.apus("user", "list"), "user list")
        true("30 items" in accounts, accounts)
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
                elif other.folder.exists() and os.listdir(other.folder):
                    listed = succeeds(other.apus("user", "list"), "user list")
                    equal(listed, accounts, "the accounts")
                    verified(other)
        true(unfinished > 0, "some must have been interrupted")
        return f"{unfinished} of 12 were interrupted"


@test("a backup or restore that is told to end leaves nothing, or all of it")
def told_to_end(options: argparse.Namespace) -> None:
    def interrupted(step: int, place: Path, *command: str, environment: dict[str, str]) -> bool:
        """Lets it begin, and tells it to end: whether it was in the middle."""
        number = (signal.SIGINT, signal.SIGTERM)[step % 2]
        process = subprocess.Popen(
            [options.apus, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=support.clean_environment(environment))
        while process.poll() is None and not (place.exists() and os.listdir(place)):
            time.sleep(0.0005)
        process.send_signal(number)
        process.wait(30)
        return process.returncode != 0

    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        write(ada, "notes", range(60))
        file = server.scratch / "kept"
        succeeds(server.apus("backup", str(file)), "backup")
        ends = {"backup": 0, "restore": 0}
        for step in range(8):
            place = server.scratch / f"place{step}"
            place.mkdir()
            if interrupted(step, place, "backup", str(place / "copy"), environment={"APUS_DATA": str(server.folder), **server.engine}):
                ends["backup"] += 1
                equal(os.listdir(place), [], "what a backup leaves")
            with restored(options, None) as other:
                if interrupted(step, other.folder, "restore", str(file), environment={"APUS_DATA": str(other.folder)}):
                    left = os.listdir(other.folder)
                    # When all of it is where it belongs, only the folder may be left that says that it was not finished.
                    if "restoring" not in left:
                        ends["restore"] += 1
                        equal(left, [], "what a restore leaves")
        equal(min(ends.values()) > 0, True, f"some were interrupted: {ends}")


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


def aged(path: Path, data: bytes, hours: float) -> Path:
    """A file that nobody has touched for so long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    before = time.time() - hours * 3600
    os.utime(path, (before, before))
    return path


def reset(client: Client) -> None:
    """Takes everything from a test user."""
    expected(client.post("/api/v1/test/authentication/reset/", {
        "user": {"username": client.name, "email": f"{client.name}@example.com"}, "salt": support.SALT,
        "loginPubkey": bytes(client.key.verify_key), "pubkey": support.PUBKEY, "encryptedContent": support.CONTENT}), 204)


for place in ("database", "files"):
    @test(f"gc removes contents that nothing names, and nothing else ({place})")
    def collected(options: argparse.Namespace, place: str = place) -> str:
        with Server(options.apus, "--signup", "open", "--chunks", place, "--debug") as server:
            ada, tester = person(server, "ada"), person(server, "test_user")
            for client, name in ((ada, "notes"), (tester, "tests")):
                expected(client.create_collection(name), 201)
            write(ada, "notes", range(3))
            write(tester, "tests", range(10, 13))
            alone = "/api/v1/collection/notes/item/item-5/chunk/alone"
            expected(ada.call("PUT", alone + "/", body=b"stored alone"), 201)
            reset(tester)
            folder = server.folder / "chunks"
            for path in folder.rglob("*"):
                os.utime(path, (time.time() - 30 * 3600,) * 2)
            old = [aged(folder / "user_1" / "notes" / "or" / "phan", b"of no event", 30), aged(folder / "user_9" / ".new-left", b"half", 30)]
            young = [aged(folder / "user_1" / "notes" / "yo" / "ung", b"just coming", 20), aged(folder / ".new-coming", b"ha", 20)]
            kept = contents(ada, "notes")
            files = {path for path in folder.rglob("*") if path.is_file()}
            rows = query(server, "SELECT collection, uid FROM apus_chunk")
            waiting(server)
            said = succeeds(server.apus("gc", "--dry-run"), "gc --dry-run")
            wanted = sorted([f"row\ttests/{chunk(number)}" for number in range(10, 13)] if place == "database" else
                            [f"file\tuser_2/tests/{chunk(number)[:2]}/{chunk(number)[2:]}" for number in range(10, 13)])
            wanted = sorted(wanted + [f"file\t{path.relative_to(folder)}" for path in old])
            equal(sorted(said.splitlines()[:-1]), wanted, "what would be removed")
            true("would be removed" in said, "it says so")
            equal({path for path in folder.rglob("*") if path.is_file()}, files, "files after a dry run")
            equal(query(server, "SELECT collection, uid FROM apus_chunk"), rows, "rows after a dry run")
            equal(sorted(succeeds(server.apus("gc"), "gc").splitlines()[:-1]), wanted, "what was removed")
            true(succeeds(server.apus("gc"), "gc").startswith("0 contents in the database and 0 files"), "nothing is left to remove")
            equal([path.exists() for path in old + young], [False, False, True, True], "files of no event")
            equal(contents(ada, "notes"), kept, "what is left")
            equal(ada.get(alone + "/download/").body, b"stored alone", "a chunk that was stored alone")
            expected(ada.commit("notes", [dict(offered("item-5", uid("late"), b"meta"), content={
                "uid": uid("late"), "meta": b"meta", "deleted": False, "chunks": [["alone", None]]})]), 200)
            succeeds(server.apus("gc", "--older-than", "1s"), "gc --older-than")
            equal(contents(ada, "notes")["item-5"], b"stored alone", "the chunk in its revision")
            waiting(server)
            verified(server)
            return f"{len(wanted)} contents"


@test("gc removes nothing where log and tables do not agree")
def not_collected(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        write(ada, "notes", range(3))
        waiting(server)
        meddle(server, "DELETE FROM django_etebase_revisionchunkrelation; DELETE FROM django_etebase_collectionitemchunk")
        files = [path for path in (server.folder / "chunks").rglob("*") if path.is_file()]
        for path in files:
            os.utime(path, (0, 0))
        refused(server.apus("gc"), "gc", "nothing is removed", "django_etebase")
        true(len(files) == 3 and all(path.exists() for path in files), "contents")
        succeeds(server.apus("rebuild"), "rebuild")
        verified(server)
        equal(len(contents(ada, "notes")), 3, "items")


@test("what a writer comes upon is not waste any more, however old it is")
def touched(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        ada = person(server, "ada")
        expected(ada.create_collection("notes"), 201)
        path = aged(server.folder / "chunks" / "user_1" / "notes" / chunk(1)[:2] / chunk(1)[2:], content(1), 100)
        write(ada, "notes", range(1, 2))
        true(time.time() - path.stat().st_mtime < 60, "the file must look new while its event is on its way")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
