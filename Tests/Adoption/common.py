"""What the programs in this folder share: a server on a copy of a database that the original made, and their tests, which are
run on each engine.
"""

from __future__ import annotations

import argparse
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
sys.path += [str(HERE.parent / "Faults"), str(HERE.parent / "Clients")]

import support  # noqa: E402
from etebase import Account  # noqa: E402
from support import Server, equal, request_bytes, true  # noqa: E402

TYPE = "apus.test"
ENGINES = ("sqlite", "postgres")
TESTS: list[tuple[str, tuple[str, ...], Callable[[Adopted], None]]] = []


def test(sentence: str, *engines: str) -> Callable:
    """Adds a function to the tests of these engines, or of both."""

    def add(function: Callable[[Adopted], None]) -> Callable:
        TESTS.append((sentence, engines or ENGINES, function))
        return function

    return add


class Adopted(Server):
    """A server on a copy of a database that the original made."""

    catalogue: str | None = None

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

    def forget_rules(self, table: str) -> None:
        """Lets the table hold anything, as one does that was copied by hand."""
        if self.postgres_database:
            return self.change(f"""
                DO $$ DECLARE rule RECORD; BEGIN
                    FOR rule IN SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('p', 'u', 'f')
                    LOOP EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I CASCADE', rule.conname); END LOOP;
                END $$""")
        self.change(f"""
            CREATE TABLE copied AS SELECT * FROM {table};
            DROP TABLE {table};
            ALTER TABLE copied RENAME TO {table}""")

    def last_id(self, table: str) -> int:
        """The last id that the table's sequence has given, or is taken to have given."""
        if self.postgres_database:
            return self.rows(f"SELECT last_value FROM {table}_id_seq")[0][0]
        return self.rows(f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'")[0][0]

    def next_id(self, table: str, skip: int = 0) -> int:
        """An id as the original gets it; some may have been drawn by what failed."""
        if self.postgres_database:
            return self.rows(f"SELECT max(nextval('{table}_id_seq')) FROM generate_series(0, {skip})")[0][0]
        self.change(f"UPDATE sqlite_sequence SET seq = seq + {skip + 1} WHERE name = '{table}'")
        return self.last_id(table)

    def compare_with_catalogue(self) -> None:
        """Holds the tables against the catalogue of the original's, where there is one."""
        if not Adopted.catalogue:
            return
        place = ["--postgres", self.postgres_database.url] if self.postgres_database else ["--sqlite", str(self.file)]
        compared = subprocess.run(
            ["/usr/bin/python3", "-B", str(HERE.parent / "Schemas" / "compare.py"), Adopted.catalogue, *place], capture_output=True, text=True)
        equal(compared.returncode, 0, f"exit code of the comparison, which said {compared.stdout[-1500:]} {compared.stderr[-500:]}")

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

    def everything(self) -> dict[str, str]:
        """Every byte that a command could change: of the files outside the data folder, and of PostgreSQL's tables."""
        files = {str(path): word(path.read_bytes()) for path in self.scratch.rglob("*")
                 if path.is_file() and path != self.log_path and not path.is_relative_to(self.folder)}
        return files | ({"tables": self.content()} if self.postgres_database else {})

    def not_done(self, *command: str, environment: dict[str, str] | None = None) -> str:
        """What a command says that does not what it should, in one sentence, and changes nothing."""
        before = self.everything()
        result = self.apus(*command, environment=environment)
        true(result.returncode != 0, f"{command} did something: {result.stdout}")
        true(result.stderr.startswith("Error: ") and "Fatal" not in result.stderr, f"how {command} failed: {result.stderr[:500]}")
        equal(self.everything(), before, f"what there is after {command}, which said {result.stderr}")
        return result.stderr

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()

    def status_for(self, host: str) -> int:
        """How a request is answered that calls the server so."""
        with self.wire() as wire:
            wire.send(request_bytes("GET", "/api/v1/authentication/is_etebase/", [("Host", host)]))
            return wire.receive("GET").status

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


def grow(server: Adopted, revisions: int, first: int = 1000) -> None:
    """More rows, as the original makes them: four revisions for each item, each with a chunk."""
    if server.postgres_database:
        numbers = f"generate_series({first}, {first + revisions - 1}) AS numbers (n)"
        blob, true_or_null = "'\\x00'::bytea", "CASE WHEN n % 4 = 3 THEN TRUE END"
    else:
        numbers = (f"(WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {first + revisions - 1}) "
                   "SELECT n FROM numbers) AS numbers")
        blob, true_or_null = "x'00'", "CASE WHEN n % 4 = 3 THEN 1 END"
    server.change(f"""
        INSERT INTO django_etebase_stoken (id, uid) SELECT n, 'stoken-of-many-' || n FROM {numbers};
        INSERT INTO django_etebase_collectionitem (id, uid, version, collection_id) SELECT n, 'item-of-many-' || n, 1, 1
        FROM {numbers} WHERE n % 4 = 0;
        INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
        SELECT n, 'revision-of-many-' || n, {blob}, {true_or_null}, FALSE, n - n % 4, n FROM {numbers};
        INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id)
        SELECT n, 'chunk-of-many-' || n, 'user_1/many/' || n, 1 FROM {numbers};
        INSERT INTO django_etebase_revisionchunkrelation (id, chunk_id, revision_id) SELECT n, n, n FROM {numbers}""")
    if server.postgres_database:
        server.change(" ".join(f"SELECT setval('django_etebase_{name}_id_seq', {first + revisions});" for name in (
            "stoken", "collectionitem", "collectionitemrevision", "collectionitemchunk", "revisionchunkrelation")))


def tests(arguments: Any) -> Iterator[tuple[str, Callable]]:
    for engine in ENGINES if Server.postgres else ENGINES[:1]:
        for sentence, engines, function in TESTS:
            if engine in engines:
                yield f"{engine}: {sentence}", on_a_copy(arguments.apus, engine, function)


def on_a_copy(binary: str, engine: str, function: Callable[[Adopted], None]) -> Callable:
    def run(_: Any) -> None:
        with Adopted(binary, engine) as server:
            function(server)

    return run


def options(parser: argparse.ArgumentParser) -> None:
    support.on_either_engine(parser)
    parser.add_argument("--catalogue", type=lambda folder: setattr(Adopted, "catalogue", folder), help="of the original's tables")


def main(about: str) -> None:
    support.main(about, options, tests)
