"""What the tests in this folder share: users who check the form of every answer, and the list of mends.

A mend is a row of QUIRKS.md where Apus gives a better answer than the original, which the recorded exchanges therefore
cannot show. The server, the answers and the minimal client are those of Tests/Faults.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Callable, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Faults"))

import support  # noqa: E402
from support import Answer, Server, equal, expected, fault_in_form, pack, request_bytes, true, uid  # noqa: E402

Test = Callable[[Server], None]

MENDS: list[tuple[str, Test, tuple[str, ...] | None, bool]] = []
_numbers = itertools.count(1)

ADMIN, READER, WRITER = 1, 0, 2
ALONE = ("--log-level", "info")  # the default: for a test that wants a server of its own and no flags


def mend(row: int, sentence: str, *flags: str, sqlite_only: bool = False) -> Callable[[Test], Test]:
    """Adds a function to the tests. With `flags` it gets a server of its own that is started with them; `sqlite_only` says
    that it looks at something which only SQLite has."""

    def add(function: Test) -> Test:
        MENDS.append((f"{row} {sentence}", function, flags or None, sqlite_only))
        return function

    return add


def main(about: str) -> None:
    """Runs the mends against one server, which all those share that need no flags of their own."""
    with contextlib.ExitStack() as stack:

        def tests(arguments: Any) -> Iterator[tuple[str, Callable]]:
            shared = stack.enter_context(Server(arguments.apus, "--signup", "open"))
            for sentence, function, flags, sqlite_only in MENDS:
                if sqlite_only and Server.postgres:
                    continue
                yield sentence, _on_own(arguments.apus, function, flags) if flags else _on(shared, function)
            yield "no request made the server log a fault", _on(shared, logs_no_fault)

        support.main(about, support.on_either_engine, tests)


def _on(server: Server, test: Test) -> Callable:
    return lambda _: test(server)


def _on_own(binary: str, test: Test, flags: tuple[str, ...]) -> Callable:
    def run(_: Any) -> None:
        with Server(binary, "--signup", "open", *flags) as server:
            test(server)

    return run


def logs_no_fault(server: Server) -> None:
    # The PostgreSQL of the tests runs without fsync, which is warned of.
    faults = [line for line in server.log.splitlines() if re.match(r"\S+ (warning|error|critical) (?!PostgreSQL runs with fsync = off)", line)]
    equal(faults, [], "lines in the log")


# --- users ----------------------------------------------------------------------------------------


class Person(support.Client):
    """A user who takes no answer that is a 500 or has no form of the protocol."""

    def call(self, method: str, path: str, value: Any = None, **more: Any) -> Answer:
        answer = super().call(method, path, value, **more)
        fault = fault_in_form(answer) if answer.status >= 400 else None
        if answer.status == 500 or fault:
            raise AssertionError(f"{method} {path}: {answer}, {fault}")
        return answer

    def another(self) -> Person:
        return Person(self.server, self.name, self.token)

    def stranger(self) -> Person:
        """The same, not logged in."""
        return Person(self.server, self.name)

    def put(self, path: str, body: bytes) -> Answer:
        return self.call("PUT", path, body=body)

    def create(self, collection: str, **more: Any) -> Answer:
        """Asks for a collection; `more` replaces parts of its main item, `type` its type."""
        kind = more.pop("type", b"type of " + self.name.encode())
        return self.post("/api/v1/collection/", {
            "collectionType": kind, "collectionKey": b"collection key", "item": item(collection, **more)})

    def made(self, **more: Any) -> str:
        """A new collection of this user."""
        collection = new_uid()
        expected(self.create(collection, **more), 201)
        return collection

    def batch(self, collection: str, *items: dict, kind: str = "batch", deps: list | None = None, **query: Any) -> Answer:
        return self.post(f"/api/v1/collection/{collection}/item/{kind}/", {"items": list(items), "deps": deps}, query=query)

    def transaction(self, collection: str, *items: dict, **more: Any) -> Answer:
        return self.batch(collection, *items, kind="transaction", **more)

    def items(self, collection: str, **query: Any) -> list[dict]:
        return expected(self.get(f"/api/v1/collection/{collection}/item/", **query), 200).value["data"]

    def revision(self, collection: str, name: str) -> str:
        """The uid of an item's current revision."""
        return expected(self.get(f"/api/v1/collection/{collection}/item/{name}/"), 200).value["content"]["uid"]

    def invite(self, other: str, collection: str, invitation: str | None = None, level: int = WRITER, **more: Any) -> Answer:
        return self.post("/api/v1/invitation/outgoing/", {
            "uid": new_uid() if invitation is None else invitation, "version": 1, "username": other, "collection": collection,
            "accessLevel": level, "signedEncryptionKey": b"signed key", **more})

    def accept(self, invitation: str, kind: bytes | None = None) -> Answer:
        return self.post(f"/api/v1/invitation/incoming/{invitation}/accept/", {
            "collectionType": kind or b"type of " + self.name.encode(), "encryptionKey": b"key"})

    def incoming(self) -> list[dict]:
        return expected(self.get("/api/v1/invitation/incoming/"), 200).value["data"]

    def let_in(self, other: Person, collection: str, level: int = WRITER) -> None:
        invitation = new_uid()
        expected(self.invite(other.name, collection, invitation, level), 201)
        expected(other.accept(invitation), 201)

    def signed(self, path: str, response: dict | bytes, signature: bytes | None = None) -> Answer:
        """Sends what is signed with this user's key, or comes with the given signature."""
        message = response if isinstance(response, bytes) else pack(response)
        given = self.key.sign(message).signature if signature is None else signature
        return self.post(f"/api/v1/authentication/{path}/", {"response": message, "signature": given})

    def login_response(self, **more: Any) -> dict:
        """What a client signs to log in; None takes a key away."""
        known = {"username": self.name, "challenge": expected(self.challenge(), 200).value["challenge"],
                 "host": self.server.authority, "action": "login"}
        return {key: value for key, value in (known | more).items() if value is not None}

    def is_in(self) -> bool:
        return self.get("/api/v1/collection/").status == 200


def somebody(server: Server, name: str | None = None, email: str | None = None) -> Person:
    """Signs up somebody new."""
    person = Person(server, name or f"user{next(_numbers)}")
    expected(person.sign_up(email), 200)
    return person


def new_uid() -> str:
    return uid("mends", next(_numbers))


def item(name: str, revision: str | None = None, etag: str | None = None, **more: Any) -> dict:
    """An item as requests carry it, with a new revision unless one is named."""
    return {"uid": name, "version": more.pop("version", 1), "encryptionKey": more.pop("key", None), "etag": etag, "content": {
        "uid": new_uid() if revision is None else revision, "meta": b"meta", "deleted": False, "chunks": [], **more}}


# --- answers and what lies behind them ------------------------------------------------------------


def field_errors(answer: Answer, field: str, status: int = 400, code: str = "field_errors") -> list[str]:
    """The codes of the errors told for the field, when there are such."""
    expected(answer, status, code)
    found = [error["code"] for error in answer.value["errors"] or [] if error["field"] == field and error["detail"]]
    true(found, f"no error for {field} in {answer}")
    return found


def rows(server: Server, sql: str, *values: Any) -> list[tuple]:
    """Reads the server's database beside it. Moments are texts on either engine, truths are as good as numbers."""
    if server.postgres_database:
        for value in values:
            sql = sql.replace("?", "'" + str(value).replace("'", "''") + "'", 1)
        return [tuple(row) for row in server.postgres_database.rows(sql)]
    with contextlib.closing(database(server)) as connection:
        return connection.execute(sql, values).fetchall()


def database(server: Server) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{server.folder}/apus.sqlite?mode=ro", uri=True)


@contextlib.contextmanager
def nothing_changes(server: Server) -> Iterator[None]:
    """Fails when an event or a chunk was stored meanwhile."""
    question = "SELECT (SELECT position FROM apus_log), (SELECT COUNT(*) FROM apus_chunk)"
    before = rows(server, question)
    yield
    equal(rows(server, question), before, "events and chunks")


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    """The answers to calls that are made at the same time; each needs a connection of its own."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def outcomes(answers: list[Answer]) -> dict[tuple[int, Any], int]:
    """How often each status and code was answered."""
    found: dict[tuple[int, Any], int] = {}
    for answer in answers:
        key = (answer.status, answer.code)
        found[key] = found.get(key, 0) + 1
    return found
