"""Makes and upgrades the tables in PostgreSQL, by one process and by several at once."""

from __future__ import annotations

import argparse
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cluster
import support
from cluster import BIN, command, Database, Session
from support import equal, expected, offered, test, true, uid

VERSIONS = Path(__file__).resolve().parent.parent / "Schemas" / "versions"
OLDEST = (VERSIONS / "version1.postgres.sql").read_text()


def catalogue(database: Database) -> str:
    """All that the database is made of, as statements."""
    done = subprocess.run(
        [f"{BIN}/pg_dump", "--schema-only", "--no-owner", database.url], capture_output=True, text=True, check=True, timeout=120)
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("\\"))


def opened(binary: str, database: Database) -> None:
    done = command(binary, database, "user", "list")
    equal(done.returncode, 0, f"exit code ({done.stderr[-300:]})")


@test("an upgraded database is made of the same as a new one, and its epoch knows its place")
def upgraded(options: argparse.Namespace) -> str:
    with Database(options.postgres) as new, Database(options.postgres) as old:
        equal(command(options.apus, new, "user", "create", "somebody").returncode, 0, "exit code of user create")
        old.run(OLDEST)
        true(catalogue(old) != catalogue(new), "the versions must differ")
        opened(options.apus, old)
        equal(catalogue(old).splitlines(), catalogue(new).splitlines(), "the catalogue")
        for query in ("SELECT version FROM apus_schema", "SELECT epoch, first_position, place = apus_place() FROM apus_epoch"):
            equal(old.rows(query), new.rows(query), query)
        equal(new.rows("SELECT place = apus_place() FROM apus_epoch"), [[True]], "the place of a new database")
        return f"from 1 to {new.value('SELECT version FROM apus_schema')}"


@test("a server works on a database that it has upgraded")
def served(options: argparse.Namespace) -> None:
    with Database(options.postgres) as old:
        old.run(OLDEST)
        with cluster.Cluster(options.apus, options.postgres, database=old) as stage:
            user = cluster.member(stage.nodes[0], "somebody")
            expected(user.create_collection("notes"), 201)
            expected(user.over(stage.nodes[1]).commit("notes", [offered("item", uid("item"), b"meta")]), 200)
            equal(len(user.changes("notes", None, 10)[0]), 1, "items")
            stage.caught_up()
            cluster.verified(options.apus, old)


@test("of processes that come at once one upgrades, and the others find it done")
def at_once(options: argparse.Namespace) -> None:
    with Database(options.postgres) as old:
        old.run(OLDEST)
        # Whoever upgrades must wait for a reader first, so that the others have come by then.
        with Session(old.url) as session:
            session.run("BEGIN")
            session.run("LOCK TABLE apus_epoch IN ACCESS SHARE MODE")
            with ThreadPoolExecutor(4) as pool:
                answers = [pool.submit(command, options.apus, old, "user", "list") for _ in range(4)]
                cluster.wait("the upgrade waits for a table, and others for the upgrade", lambda: old.value(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") == 3, 30)
                session.run("COMMIT")
                done = [answer.result() for answer in answers]
        equal([(each.returncode, each.stderr) for each in done], [(0, "")] * 4, "exit codes")
        equal(old.rows("SELECT count(*) FROM apus_schema"), [[1]], "rows of the version")


@test("a newer schema than the program knows is refused and left as it is")
def newer(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database:
        equal(command(options.apus, database, "user", "create", "somebody").returncode, 0, "exit code of user create")
        database.run("UPDATE apus_schema SET version = version + 1; ALTER TABLE apus_log ADD COLUMN news TEXT")
        before = catalogue(database)
        done = command(options.apus, database, "user", "list")
        true(done.returncode != 0 and "use a newer apus" in done.stderr, f"{done.returncode} {done.stderr}")
        equal(catalogue(database), before, "the catalogue")


@test("an upgrade that cannot be finished changes nothing, and says so")
def unfinished(options: argparse.Namespace) -> None:
    with Database(options.postgres) as old:
        old.run(OLDEST + "ALTER TABLE apus_epoch ADD COLUMN place INTEGER;")
        before = catalogue(old)
        done = command(options.apus, old, "user", "list")
        true(done.returncode != 0, "exit code")
        equal((catalogue(old), old.value("SELECT version FROM apus_schema")), (before, 1), "what is there")


if __name__ == "__main__":
    support.main(__doc__, cluster.postgres_option)
