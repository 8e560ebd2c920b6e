"""What lies in files: who can read them, what becomes of them when they are removed, backups from hostile hands, and places
that cannot do what others can.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator

import support
from disk import COLLECTION, Disk, compiler, item
from support import Client, Database, Server, equal, expected, on_either_engine, person, refused, succeeds, test, true, verified

def filled(server: Server) -> Client:
    ada = person(server, "ada")
    expected(ada.create_collection(COLLECTION), 201)
    expected(ada.commit(COLLECTION, [item(number) for number in range(5)]), 200)
    return ada


def modes(folder: Path) -> dict[str, int]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")} | {".": folder}
    return {name: stat.S_IMODE(path.stat().st_mode) for name, path in found.items()}


@test("nobody else can read what is kept, whatever the folder was before, and whatever is made beside it")
def private(arguments: Any) -> None:
    for mode in (0o755, 0o777):
        before = os.umask(0)
        try:
            server = Server(arguments.apus, "--signup", "open", "--chunks", "files")
            server.folder.mkdir()
            server.folder.chmod(mode)
            with server:
                filled(server)
                succeeds(server.apus("backup", str(server.scratch / "backup")), "backup")
                new = server.scratch / "new"
                succeeds(support.apus(arguments.apus, "restore", str(server.scratch / "backup"), environment={"APUS_DATA": str(new)}), "restore")
                for folder in (server.folder, new):
                    found = {name: oct(mode) for name, mode in modes(folder).items() if mode & 0o077}
                    equal(found, {}, f"modes in {folder.name}")
                equal(oct(stat.S_IMODE((server.scratch / "backup").stat().st_mode)), "0o600", "mode of the backup")
                # What an earlier start, or a copy, has left open is closed.
                server.stop()
                for path in server.folder.rglob("*"):
                    if path.is_file() and path.parent == server.folder:
                        path.chmod(0o644)
                server.start()
                equal({name: oct(mode) for name, mode in modes(server.folder).items() if mode & 0o077}, {}, "modes after a start")
        finally:
            os.umask(before)


@test("a folder with other things in it stays as it is, but for what is kept there")
def shared_folder(arguments: Any) -> None:
    server = Server(arguments.apus, "--signup", "open")
    server.folder.mkdir()
    (server.folder / "other").touch()
    for path, mode in ((server.folder, 0o755), (server.folder / "other", 0o644)):
        path.chmod(mode)
    with server:
        filled(server)
        open_to_others = {name for name, mode in modes(server.folder).items() if mode & 0o077}
        equal(open_to_others, {".", "other"}, "what others can get at")


@test("a database that is removed or replaced under a running server is noticed")
def removed(arguments: Any) -> None:
    if Server.postgres:
        return
    for what in ("removed", "replaced", "log of changes"):
        with Server(arguments.apus, "--signup", "open") as server:
            ada = filled(server)
            database = server.folder / "apus.sqlite"
            if what == "replaced":
                shutil.copyfile(database, server.folder / "copy")
                (server.folder / "copy").rename(database)
            else:
                Path(f"{database}-wal" if what == "log of changes" else database).unlink()
            expected(ada.commit(COLLECTION, [item("lost")]), 503)
            answer = server.get("/ready")
            equal(answer.status, 503, f"/ready when it was {what}")
            true(b"removed or replaced" in answer.body, f"/ready says what is wrong: {answer.body!r}")
            true("apus.sqlite" in server.log and "removed or replaced" in server.log, "the log says which file")
            expected(ada.collection(COLLECTION), 200)


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A folder that is a disk of 12 MiB."""
    with tempfile.TemporaryDirectory(prefix="apus-disk.") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "apus", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, left_bytes: int) -> None:
    """Leaves that much room on the folder's disk."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    room = os.statvfs(folder)
    filler.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - left_bytes)))


@test("a disk that gets full in the middle of a write refuses it and loses nothing, and there is no fault once it has room again")
def full(arguments: Any) -> str | None:
    if Server.postgres:
        return None
    with small_disk() as disk, Server(arguments.apus, "--signup", "open", "--data", str(disk)) as server:
        server.folder = disk
        ada = filled(server)
        written = {item(number)["uid"] for number in range(5)}
        for turn in range(4):
            fill(disk, 150_000 + 37_000 * turn)
            for number in range(200):
                wished = [item((turn, number, n)) for n in range(3)]
                answer = ada.commit(COLLECTION, wished)
                if answer.status != 200:
                    break
                written |= {one["uid"] for one in wished}
            equal((answer.status, answer.code), (503, "unavailable"), "a write when the disk is full")
            fill(disk, 4_000_000)
            expected(ada.commit(COLLECTION, [item((turn, "after"))]), 200)
            written.add(item((turn, "after"))["uid"])
            equal(support.query(server, "PRAGMA integrity_check"), [["ok"]], "SQLite's check")
            equal(written - {one["uid"] for one in ada.changes(COLLECTION, None, 200)[0]}, set(), "what is lost")
        (disk / "filler").unlink()
        server.kill()
        server.start()
        equal(written - {one["uid"] for one in Client(server, "ada", ada.token).changes(COLLECTION, None, 200)[0]}, set(), "what is lost")
        verified(server)
        server.stop()
    return f"{len(written)} items"


@test("a file system that shows those who map a file something else than those who read it makes no harm")
def mapped(arguments: Any) -> None:
    if Server.postgres:
        return
    library = Path(tempfile.mkdtemp(prefix="apus-mapped.")) / "mapped.so"
    atexit.register(shutil.rmtree, library.parent)
    source = Path(__file__).with_name("mapped.c")
    subprocess.run([compiler(), "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    environment = {"LD_PRELOAD": str(library)}
    with Server(arguments.apus, "--signup", "open", environment=environment) as server:
        ada = filled(server)
        true((server.folder / "apus.sqlite-wal.mapped").exists(), "the log of changes is mapped")
        for number in range(5, 30):
            expected(ada.commit(COLLECTION, [item(number)]), 200)
            true({item(number)["uid"]} <= {found["uid"] for found in ada.changes(COLLECTION, None, 50)[0]}, f"item {number} is not seen")
        verified(server)
        equal(support.query(server, "PRAGMA integrity_check"), [["ok"]], "SQLite's check")


# --- backups --------------------------------------------------------------------------------------

HOSTILE = {
    "a table": 'CREATE TABLE "apus_evil (x int); DROP TABLE apus_event; --" (a INTEGER)',
    "a table that PostgreSQL would quote otherwise": 'CREATE TABLE "x"" (a) VALUES (1); --" (a INTEGER)',
    "a view": "CREATE VIEW evil AS SELECT 1 AS a",
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON apus_event BEGIN DELETE FROM apus_event; END",
    "an index": "CREATE INDEX evil ON apus_event (epoch)",
    "an index over an expression": "DROP INDEX apus_session_user; CREATE INDEX apus_session_user ON apus_session (abs(user_id))",
    "an index over another expression": "DROP INDEX apus_user_email; CREATE INDEX apus_user_email ON myauth_user (hex(email))",
    "a column": 'ALTER TABLE myauth_user ADD COLUMN "a"") VALUES (1); --" TEXT',
    "a computed column": "ALTER TABLE myauth_user ADD COLUMN evil TEXT AS (upper(username)) VIRTUAL",
    "a module's table": "DROP TABLE django_session; CREATE VIRTUAL TABLE django_session USING fts5(session_key)",
    "a table of a backup's that is a view": "ALTER TABLE apus_backup_file RENAME TO evil; CREATE VIEW apus_backup_file AS SELECT * FROM evil",
}

# What is not refused by its shape, but is not what a backup holds either.
DAMAGED = {
    "text for a number": "UPDATE myauth_user SET is_active = 'many'",
    "text for the secret": "DROP TABLE apus_backup; CREATE TABLE apus_backup (format, made_at, position, epoch, secret); "
                           "INSERT INTO apus_backup VALUES (1, 1, 1, 1, 5)",
    "no header": "DELETE FROM apus_backup",
    "a file that leaves the folder": "UPDATE apus_backup_file SET path = '../../escaped' WHERE rowid = 1",
}


@test("a hostile backup is refused in one sentence, and nothing of it is run")
def hostile(arguments: Any) -> None:
    server = Server(arguments.apus, "--signup", "open", "--chunks", "files")
    with server, contextlib.ExitStack() as stack:
        filled(server)
        succeeds(server.apus("backup", str(server.scratch / "good")), "backup")
        target = stack.enter_context(Database(Server.postgres)) if Server.postgres else None
        for number, (what, script) in enumerate((HOSTILE | DAMAGED).items()):
            bad, folder = server.scratch / f"bad{number}", server.scratch / f"restored{number}"
            shutil.copyfile(server.scratch / "good", bad)
            with contextlib.closing(sqlite3.connect(bad)) as database:
                database.executescript(script)
            place = {"APUS_DATA": str(folder), "APUS_DATABASE_URL": target.url if target else f"sqlite:{folder}/apus.sqlite"}
            done = support.apus(arguments.apus, "restore", str(bad), environment=place)
            refused(done, f"a backup with {what}", *(["no backup of apus has"] if what in HOSTILE else []))
            true(len(done.stderr.strip().splitlines()) == 1, f"one sentence for {what}: {done.stderr!r}")
            true(done.returncode == 1, f"{what} ends it as an error does: {done.returncode}")
            equal(list(folder.iterdir()) if folder.exists() else [], [], f"what {what} leaves in the folder")
            if target:
                equal(target.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), 0, "tables")


@test("what other programs have made in the database is in no backup, and every backup can be restored")
def others(arguments: Any) -> None:
    if Server.postgres:
        return
    with Server(arguments.apus, "--signup", "open") as server:
        filled(server)
        support.meddle(server, "CREATE TABLE other (a); CREATE INDEX own ON apus_event (epoch); CREATE VIEW seen AS SELECT 1; "
                               "CREATE TRIGGER mine AFTER INSERT ON other BEGIN SELECT 1; END")
        succeeds(server.apus("backup", str(server.scratch / "backup")), "backup")
        new = server.scratch / "new"
        succeeds(support.apus(arguments.apus, "restore", str(server.scratch / "backup"), environment={"APUS_DATA": str(new)}), "restore")
        with contextlib.closing(sqlite3.connect(new / "apus.sqlite")) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE name IN ('other', 'own', 'seen', 'mine')").fetchall()
        equal(found, [], "what was restored beside ours")
        verified(server)


@test("a backup goes where there are no hard links, replaces nothing there, and leaves nothing when it fails")
def places(arguments: Any) -> None:
    if Server.postgres:
        return
    server = Disk(arguments.apus, "--chunks", "files")
    place = server.root / "stick"
    place.mkdir()
    server.new_state()
    (server.state / "links").touch()
    with server:
        token = filled(server).token
        succeeds(server.apus("backup", str(place / "backup")), "backup")
        content = (place / "backup").read_bytes()
        refused(server.apus("backup", str(place / "backup")), "a second one", "is there already")
        equal((place / "backup").read_bytes(), content, "the first backup")
        server.fail("/stick/")
        refused(server.apus("backup", str(place / "another")), "a backup that cannot be synced")
        server.fail(None)
        equal(sorted(os.listdir(place)), ["backup"], "what is left")
        server.cut()
        succeeds(server.apus("restore", str(place / "backup"), "--data", str(server.root / "new")), "restore")
        server.folder = server.root / "new"
        server.start()
        equal(len(Client(server, "ada", token).changes(COLLECTION, None, 50)[0]), 5, "items of the restored server")


@test("a chunk whose file was changed is named by verify and told of by backup")
def changed(arguments: Any) -> None:
    with Server(arguments.apus, "--signup", "open", "--chunks", "files") as server:
        filled(server)
        verified(server)
        path = next(path for path in sorted((server.folder / "chunks").rglob("*")) if path.is_file())
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        refused(server.apus("verify"), "verify", "was changed", str(path.relative_to(server.folder / "chunks")))
        refused(server.apus("backup", str(server.scratch / "backup")), "backup", "1 contents of chunks are not what was stored")
        refused(support.apus(arguments.apus, "restore", str(server.scratch / "backup"),
                             environment={"APUS_DATA": str(server.scratch / "new")}), "restore", "was changed")


@test("a PostgreSQL that may lose what it has said is on the disk is warned of at the start")
def warned(arguments: Any) -> None:
    if not Server.postgres:
        return
    with Server(arguments.apus) as server:
        is_off = server.postgres_database.value("SELECT current_setting('fsync')") == "off"
        equal("fsync = off" in server.log, is_off, "a warning of fsync = off")


if __name__ == "__main__":
    support.main(__doc__, on_either_engine)
