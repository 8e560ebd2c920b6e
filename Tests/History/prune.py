"""Lets the operator do away with earlier revisions: `apus gc` with a policy."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from typing import Iterator

from common import Client, Server, done, equal, etag, expected, lines, refused, true, uid
import support
from support import offered, person, query, test

NOTES = "notes"


def content(item: str, revision: int) -> bytes:
    return f"content {revision} of {item} ".encode() * 20


def chunk(item: str, revision: int) -> str:
    return uid(item, revision, "chunk")


def write(client: Client, item: str, *revisions: int, deleted: bool = False, shared: bool = False) -> None:
    """Writes revisions of an item, each with a content of its own and, if wanted, one that all of them name."""
    for revision in revisions:
        chunks = [(chunk(item, revision), content(item, revision))]
        if shared:
            chunks.append((uid(item, "shared"), content(item, -1)))
        change = offered(item, uid(NOTES, item, revision), b"meta %d" % revision, chunks)
        change["content"]["deleted"] = deleted
        expected(client.commit(NOTES, [change]), 200)


@contextlib.contextmanager
def given(options: argparse.Namespace, *flags: str) -> Iterator[tuple[Server, Client]]:
    """A server with a collection in which one has five revisions and two has one."""
    with Server(options.apus, "--signup", "open", *flags) as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        write(alice, "one", 0, 1, 2, 3, 4, shared=True)
        write(alice, "two", 0)
        yield server, alice


def kept(client: Client, item: str) -> list[int]:
    """Which revisions an item has, newest first."""
    numbers = {uid(NOTES, item, number): number for number in range(1000)}
    return [numbers[revision["uid"]] for revision in client.revisions(NOTES, item)]


def contents(server: Server) -> set[str]:
    return {row[0] for row in query(server, "SELECT uid FROM apus_chunk")}


def well(server: Server) -> None:
    for command in (["log", "seal"], ["log", "verify"], ["verify"], ["rebuild", "--check"]):
        ended = server.apus(*command)
        equal(ended.returncode, 0, f"{command}: {ended.stdout}{ended.stderr}")


@test("of each item the newest revisions are kept, and clients notice nothing")
def newest(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        proof = done(server, "log", "seal", "--print").strip()
        stoken, items, told = alice.stoken(NOTES), alice.changes(NOTES, None, 50)[0], lines(server, "audit", "--collection", NOTES)
        equal(done(server, "gc").splitlines()[-1], "0 contents in the database and 0 files, 0 bytes, were removed.", "without a policy")
        equal(kept(alice, "one"), [4, 3, 2, 1, 0], "revisions without a policy")
        before = query(server, "SELECT position FROM apus_log")
        said = done(server, "gc", "--keep-revisions", "2", "--dry-run")
        true(f"revisions\t{NOTES}\t3" in said and "3 revisions and 3 contents, would be removed" in said, said)
        equal((kept(alice, "one"), query(server, "SELECT position FROM apus_log")), ([4, 3, 2, 1, 0], before), "after a dry run")
        said = done(server, "gc", "--keep-revisions", "2")
        true("3 revisions and 3 contents, were removed" in said, said)
        equal((kept(alice, "one"), kept(alice, "two")), ([4, 3], [0]), "revisions")
        equal(contents(server), {chunk("one", 3), chunk("one", 4), uid("one", "shared"), chunk("two", 0)}, "contents")
        equal(alice.changes(NOTES, None, 50)[0], items, "the items")
        equal(alice.changes(NOTES, stoken, 50)[0], [], "what there is to fetch")
        equal(lines(server, "audit", "--collection", NOTES)[:len(told)], told, "who did what")
        equal(lines(server, "audit", "--collection", NOTES)[-1]["action"], "revisions_pruned", "what gc did")
        well(server)
        done(server, "log", "verify", "--seal", proof)
        true("0 revisions" in done(server, "gc", "--keep-revisions", "2"), "a second time")
        write(alice, "one", 5, shared=True)
        done(server, "gc", "--keep-revisions", "1")
        equal(kept(alice, "one"), [5], "revisions")
        well(server)


@test("how much goes is told in true numbers, files as well as rows")
def files_too(options: argparse.Namespace) -> None:
    with given(options, "--chunks", "files") as (server, alice):
        def files() -> list:
            return [path for path in (server.folder / "chunks").rglob("*") if path.is_file()]

        before = len(files())
        for dry_run in (["--dry-run"], []):
            said = done(server, "gc", "--keep-revisions", "2", *dry_run)
            true("3 of these contents lie in files, each of which goes when nobody has touched it for 1d" in said, said)
            true("0 contents in the database and 0 files, 0 bytes" in said and len(files()) == before, f"of {len(files())} files: {said}")
        for path in files():
            os.utime(path, (0, 0))
        said = done(server, "gc")
        true("0 contents in the database and 3 files, " in said and len(files()) == before - 3, f"{len(files())} files are left: {said}")
        well(server)


@test("what was current within the time is kept, whatever its age")
def time_span(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        time.sleep(2.2)
        write(alice, "one", 5)
        write(alice, "two", 1)
        said = done(server, "gc", "--keep-for", "2s")
        true("4 revisions" in said, said)
        equal((kept(alice, "one"), kept(alice, "two")), ([5, 4], [1, 0]), "revisions")
        time.sleep(2.2)
        done(server, "gc", "--keep-for", "2s", "--keep-revisions", "2")
        equal((kept(alice, "one"), kept(alice, "two")), ([5, 4], [1, 0]), "revisions that one of two policies keeps")
        done(server, "gc", "--keep-for", "2s")
        equal((kept(alice, "one"), kept(alice, "two")), ([5], [1]), "revisions")
        well(server)


@test("what is deleted comes back for as long as its last revision is kept, and then the operator is told")
def deleted(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        write(alice, "one", 5, deleted=True)
        done(server, "gc", "--keep-revisions", "2")
        equal([line["item"] for line in lines(server, "undelete", "--collection", NOTES, "--list")], ["one"], "what can come back")
        done(server, "undelete", "--collection", NOTES)
        equal((etag(alice, NOTES, "one"), kept(alice, "one")), (uid(NOTES, "one", 4), [5, 4]), "what came back")
        done(server, "gc", "--keep-revisions", "1")
        equal(kept(alice, "one"), [4], "what came back stays")
        write(alice, "one", 6, deleted=True)
        done(server, "gc", "--keep-revisions", "1")
        equal(lines(server, "undelete", "--collection", NOTES, "--list"), [], "what can come back")
        refused(server, "not kept any more", "undelete", "--collection", NOTES, "--item", "one")
        refused(server, "not kept any more", "undelete", "--collection", NOTES, "--item", "one", "--before", "5")
        well(server)


@test("a content that went can be uploaded again")
def again(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        done(server, "gc", "--keep-revisions", "1")
        named = offered("one", uid(NOTES, "one", 7), b"meta")
        named["content"]["chunks"] = [[chunk("one", 0), None]]
        true("chunk_no_content" in str(alice.commit(NOTES, [named]).value), "a revision that names it without bringing it")
        other = b"the same uid, encrypted anew"
        expected(alice.commit(NOTES, [offered("one", uid(NOTES, "one", 8), b"meta", [(chunk("one", 0), other)])]), 200)
        answer = expected(alice.get(f"/api/v1/collection/{NOTES}/item/one/chunk/{chunk('one', 0)}/download/"), 200)
        equal(answer.body, other, "the content")
        well(server)


@test("in files as well, and without a server")
def files(options: argparse.Namespace) -> None:
    with given(options, "--chunks", "files") as (server, alice):
        server.stop()
        time.sleep(1.2)
        done(server, "gc", "--keep-revisions", "1", "--older-than", "1s")
        left = {path.parent.name + path.name for path in server.folder.joinpath("chunks").rglob("*") if path.is_file()}
        equal(left, {chunk("one", 4), uid("one", "shared"), chunk("two", 0)}, "files")
        server.start()
        equal(kept(Client(server, "alice", alice.token), "one"), [4], "revisions")
        well(server)


@test("beside clients that write the same items nothing of theirs is lost")
def beside_writers(options: argparse.Namespace) -> str:
    with given(options) as (server, alice):
        over, numbers = threading.Event(), [4]

        def go_on() -> None:
            writer = alice.another()
            while not over.is_set():
                write(writer, "one", numbers[-1] + 1, shared=True)
                numbers.append(numbers[-1] + 1)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            for _ in range(3):
                done(server, "gc", "--keep-revisions", "3")
        finally:
            over.set()
            thread.join()
        equal(etag(alice, NOTES, "one"), uid(NOTES, "one", numbers[-1]), "the newest")
        found = kept(alice, "one")
        equal(found, list(range(numbers[-1], numbers[-1] - len(found), -1)), "what is kept is the newest")
        true(len(found) >= 3, f"revisions that are kept: {found}")
        item = expected(alice.get(f"/api/v1/collection/{NOTES}/item/one/"), 200).value
        equal([part[1] for part in item["content"]["chunks"] if len(part) > 1], [content("one", numbers[-1]), content("one", -1)], "its content")
        well(server)
        return f"{len(numbers)} revisions, {len(found)} kept"


@test("a policy that makes no sense is refused, and so is what was meddled with")
def refusals(options: argparse.Namespace) -> None:
    with given(options) as (server, alice):
        for arguments in (["--keep-revisions", "0"], ["--keep-revisions", "-1"], ["--keep-revisions", "x"], ["--keep-for", "soon"]):
            refused(server, "keep-revisions|span of time", "gc", *arguments)
        equal(kept(alice, "one"), [4, 3, 2, 1, 0], "revisions")
        done(server, "gc", "--keep-for", "0")
        equal(kept(alice, "one"), [4, 3, 2, 1, 0], "revisions, kept for ever")
        done(server, "log", "seal")
        done(server, "gc", "--keep-revisions", "1")
        position = query(server, "SELECT min(position) FROM apus_redaction")[0][0]
        support.meddle(server, f"UPDATE apus_event SET payload = (SELECT payload FROM apus_event WHERE position = {position + 1})"
                               f" WHERE position = {position}")
        support.refused(server.apus("log", "verify"), "another payload", f"position {position} was changed")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
