"""Rows 42 to 45: what lies in the tables that the original reads too."""

from __future__ import annotations

import contextlib
import hashlib
import time
from datetime import datetime, timedelta, timezone

from common import (Person, Server, database, equal, expected, field_errors, item, mend, new_uid, nothing_changes, rows,
                    somebody, true)


def user_id(person: Person) -> int:
    return rows(person.server, "SELECT id FROM myauth_user WHERE username = ?", person.name)[0][0]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def token_times(person: Person) -> tuple[datetime, datetime | None]:
    """When the person's token was made, and when it ends."""
    created, expiry = rows(person.server, "SELECT created, expiry FROM token_auth_authtoken WHERE key = ?", person.token)[0]
    return moment(created), moment(expiry) if expiry else None


def wait_until(end: datetime) -> None:
    while datetime.now(timezone.utc) <= end:
        time.sleep(0.02)


@mend(42, "chunk files are named as the original names them, by the owner and not by the writer")
def chunk_files(server: Server) -> None:
    alice, bob = somebody(server), somebody(server)
    first, later, uploaded = "Abc_def-0", "x", "0123456789" * 6
    collection = alice.made(chunks=[[first, b"one"], [first, b"one"]])
    alice.let_in(bob, collection)
    expected(bob.batch(collection, item(new_uid(), chunks=[[later, b"two"], [first, None]])), 200)
    expected(bob.put(f"/api/v1/collection/{collection}/item/x/chunk/{uploaded}/", b"three"), 201)
    found = rows(server, """
        SELECT chunk.uid, "chunkFile" FROM django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        WHERE  collection.uid = ? ORDER BY chunk.id""", collection)
    folder = f"user_{user_id(alice)}/{collection}"
    # There is no name left for the file of a short one, and the original has none.
    short = hashlib.blake2b(later.encode(), digest_size=24, person=b"apus-chunk-path").hexdigest()
    places = [(first, f"{first[:2]}/{first[2:]}"), (later, f"~/{short}"), (uploaded, f"{uploaded[:2]}/{uploaded[2:]}")]
    equal(found, [(uid, f"{folder}/{place}") for uid, place in places], "chunk files")


@mend(43, "a token lives for 365 days from its last use when nothing else is set")
def default_lifetime(server: Server) -> None:
    created, expiry = token_times(somebody(server))
    equal(expiry - created, timedelta(days=365), "lifetime")


@mend(43, "a token can live for ever", "--token-lifetime", "0")
def no_end(server: Server) -> None:
    person = somebody(server)
    expected(person.log_in(), 200)
    true(person.is_in(), "the token is good")
    equal(token_times(person)[1], None, "expiry")


@mend(43, "a token that is not used for its lifetime ends", "--token-lifetime", "1s")
def lifetime_ends(server: Server) -> None:
    person = somebody(server)
    created, expiry = token_times(person)
    equal(expiry - created, timedelta(seconds=1), "lifetime")
    wait_until(expiry)
    expected(person.get("/api/v1/collection/"), 401, "authentication_failed")
    expected(person.log_in(), 200)
    true(person.is_in(), "a new token is good")


@mend(43, "reads write nothing while a token is young", "--token-lifetime", "365d", sqlite_only=True)
def reads_write_nothing(server: Server) -> None:
    person = somebody(server)
    times = token_times(person)
    with contextlib.closing(database(server)) as beside:
        def version() -> int:
            return beside.execute("PRAGMA data_version").fetchone()[0]

        before = version()
        for _ in range(300):
            expected(person.get("/api/v1/collection/"), 200)
        equal(version(), before, "the database's version after 300 reads")
        person.made()
        true(version() != before, "a write moves the database's version")
    equal(token_times(person), times, "the token's times")


@mend(43, "use prolongs a token's life, in one write for many requests", "--token-lifetime", "60s", sqlite_only=True)
def use_prolongs(server: Server) -> None:
    person, idle = somebody(server), somebody(server)
    (created, expiry), untouched = token_times(person), token_times(idle)
    wait_until(created + timedelta(seconds=0.7))  # one percent of the lifetime is over
    with contextlib.closing(database(server)) as beside:
        before = beside.execute("PRAGMA data_version").fetchone()
        for _ in range(100):
            expected(person.get("/api/v1/collection/"), 200)
        equal(beside.execute("PRAGMA data_version").fetchone(), before, "the database's version after 100 reads")
    person.close()
    idle.close()
    server.stop()
    prolonged = token_times(person)[1]
    true(prolonged > expiry + timedelta(seconds=0.5), f"from {expiry} the expiry went to {prolonged}")
    equal(token_times(idle), untouched, "the times of a token that was not used")
    server.start()
    true(person.is_in(), "the token is good after the restart")


@mend(43, "a token in use lives on past its first lifetime", "--token-lifetime", "3s")
def use_keeps_alive(server: Server) -> None:
    person = somebody(server)
    end = token_times(person)[1] + timedelta(seconds=1)
    while datetime.now(timezone.utc) <= end:
        expected(person.get("/api/v1/collection/"), 200)
        time.sleep(0.05)


@mend(44, "each item has one current revision, and the older ones have NULL")
def current_revisions(server: Server) -> None:
    person = somebody(server)
    collection, name = person.made(), new_uid()
    for number in range(3):
        expected(person.batch(collection, item(name), item(collection)), 200)
    found = rows(server, """
        SELECT item.uid, revision.current FROM django_etebase_collectionitemrevision revision
        JOIN   django_etebase_collectionitem item ON item.id = revision.item_id
        WHERE  item.uid IN (?, ?) ORDER BY revision.id""", collection, name)
    for uid, count in ((name, 3), (collection, 4)):
        equal([current for each, current in found if each == uid], [None] * (count - 1) + [1], f"current of {uid}")
    equal(rows(server, """
        SELECT item_id FROM django_etebase_collectionitemrevision GROUP BY item_id
        HAVING COUNT(CASE WHEN current THEN 1 END) <> 1 OR COUNT(current) <> 1"""), [], "items without one current revision")


@mend(44, "a past revision's uid again is told as an error of content.uid")
def past_revision(server: Server) -> None:
    person = somebody(server)
    collection, name, old = person.made(), new_uid(), new_uid()
    expected(person.batch(collection, item(name, old)), 200)
    now = item(name)
    expected(person.batch(collection, now), 200)
    other, elsewhere = item(new_uid(), old), person.made()
    changed = dict(meta=b"changed")  # as it was it would be a success (row 46)
    with nothing_changes(server):
        for kind in ("batch", "transaction"):
            again = item(name, old, now["content"]["uid"], **changed)
            for place, offered in ((collection, again), (collection, other), (elsewhere, other)):
                equal(field_errors(person.batch(place, offered, kind=kind), "content.uid"), ["unique"], "codes")
            twice = new_uid()
            answer = person.batch(collection, item(new_uid(), twice), item(new_uid(), twice), kind=kind)
            equal(field_errors(answer, "content.uid"), ["unique"], "codes")


@mend(44, "a batch changes neither an item's version nor its key")
def fixed_at_creation(server: Server) -> None:
    person = somebody(server)
    collection, name = person.made(), new_uid()
    expected(person.batch(collection, item(name, key=b"first", version=1)), 200)
    expected(person.batch(collection, item(name, key=b"second", version=2)), 200)
    found = person.items(collection)[0]
    equal((found["version"], found["encryptionKey"]), (1, b"first"), "version and key")


@mend(45, "a login sets last_login, a sign-up and a use of the token do not")
def last_login(server: Server) -> None:
    person = somebody(server)
    question = "SELECT last_login FROM myauth_user WHERE username = ?"
    true(person.is_in(), "the token is good")
    equal(rows(server, question, person.name), [(None,)], "last_login after the sign-up")
    before = datetime.now(timezone.utc)
    expected(person.log_in(), 200)
    stored = moment(rows(server, question, person.name)[0][0])
    true(before - timedelta(seconds=1) <= stored <= datetime.now(timezone.utc), f"last_login is {stored}")


@mend(45, "first_name keeps the case of the name, and the password is unusable")
def account_columns(server: Server) -> None:
    somebody(server, "Dora_Mixed", "Dora@Example.COM")
    found = rows(server, """
        SELECT first_name, last_name, email, is_active, is_staff, is_superuser, password
        FROM   myauth_user WHERE username = 'dora_mixed'""")
    equal(found[0][:-1], ("Dora_Mixed", "", "Dora@example.com", 1, 0, 0), "columns")
    true(found[0][-1].startswith("!") and len(found[0][-1]) == 41, "a password of ! and 40 characters")
