#!/usr/bin/env python3
"""Moving in and out is killed at any moment and begun again: interruptions.py APUS_BINARY [--postgres URL]"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import uuid
from typing import Callable

from common import TYPE, Adopted, grow, main, test
from support import clean_environment, equal, true

REVISIONS = 6000  # more than a second's work for an adoption


def killed(server: Adopted, *command: str, between: Callable[[], None] = lambda: None) -> None:
    """Lets the command begin again and again, and kills it ever later, until it is done before."""
    environment = clean_environment({"APUS_DATA": str(server.folder), **server.engine})
    bound, kills = 0.1, 0
    while True:
        process = subprocess.Popen([server.binary, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(bound / 3, bound))
        process.kill()
        said = process.communicate()[0]
        if process.returncode != -signal.SIGKILL:
            break
        kills += 1
        bound *= 1.5
        between()
    # What was done just as it was killed is not done again.
    true(process.returncode == 0 or "handed back" in said, f"how {command} ended: {said[-500:]}")
    true(kills > 1, f"{command} is over before it can be killed")


def rows(server: Adopted) -> list[list[tuple]]:
    """What there is of the original's."""
    return [server.rows(f"SELECT count(*), min(id), max(id) FROM django_etebase_{name}") for name in (
        "collection", "collectionitem", "collectionitemrevision", "collectionitemchunk", "collectionmember")]


def ours(server: Adopted) -> bool:
    """Whether the database has tables of ours, as one that was adopted."""
    tables = "pg_tables WHERE tablename" if server.postgres_database else "sqlite_master WHERE name"
    return server.rows(f"SELECT count(*) FROM {tables} = 'apus_schema'")[0][0] > 0


def go_on(server: Adopted) -> None:
    """The original goes on with a database that was not adopted."""
    if not ours(server):
        server.change(f"INSERT INTO django_etebase_stoken (id, uid) VALUES ((SELECT max(id) + 1 FROM django_etebase_stoken), '{uuid.uuid4()}')")


@test("an adoption that is killed at any moment has not begun, and is whole when it is begun again")
def adoption(server: Adopted) -> None:
    grow(server, REVISIONS)
    before = rows(server)
    killed(server, "adopt", between=lambda: go_on(server))
    equal(rows(server), before, "the tables of the original")
    equal(server.rows("SELECT min(position) FROM apus_event"), server.rows("SELECT max(id) + 1 FROM django_etebase_stoken"), "the first position")
    check(server)
    true("already" in server.done("adopt"), "a second history is made")


@test("a hand-back that is killed is done again, and so is an adoption after it")
def and_back(server: Adopted) -> None:
    server.done("adopt")
    with server.serving():
        manager = server.account("anna").get_collection_manager()
        manager.upload(manager.create(TYPE, {"name": "of Apus"}, b"of Apus" * 9000))
        items = manager.get_item_manager(manager.fetch(server.held["collections"]["notes"]))
        items.batch([items.create({"name": str(number)}, bytes([number]) * 20000) for number in range(200)])
    files = {path for path in server.media.rglob("*")}
    killed(server, "hand-back")
    new = [path for path in server.media.rglob("*") if path.is_file() and path not in files]
    true(sum(not path.name.startswith(".new-") for path in new) > 200, "not all contents are in files")
    grow(server, REVISIONS, first=20000)
    before = rows(server)
    killed(server, "adopt")
    equal(rows(server), before, "the tables of the original")
    check(server)


def check(server: Adopted) -> None:
    """All is well, but for the contents that were never there."""
    result = server.apus("verify")
    faults = [line for line in result.stdout.splitlines() if "is missing" not in line]
    true(result.returncode == 1 and not faults and "missing" in result.stdout, f"verify finds {faults[:5]} {result.stderr[-300:]}")


if __name__ == "__main__":
    main(__doc__)
