"""Cuts the power while clients write: guarantee G1, and what of G4 hangs on it, on SQLite.

The server runs with a library of ours before the C library's (disk.c), which keeps beside the files what a disk would have of
them: of each file the bytes as of its last sync, of each folder the names. A cut ends the server with SIGKILL and puts what
the disk has in the place of the files. So every write that was not synced is lost, which no test can ask of a real disk, and
nothing is needed but a C compiler. Syncs can be made to fail too; what they should have written is then forgotten, as systems
forget it.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
from typing import Any, Callable

import support
from disk import COLLECTION, Disk, item
from support import Client, Server, equal, expected, person, succeeds, test, true, verified

SEED = 20_250_918
ROUNDS = 3
WRITERS = 6
WAL = "apus.sqlite-wal"
NO_ANSWER = (OSError, http.client.HTTPException)


def items(client: Client) -> dict[str, dict]:
    return {found["uid"]: found for found in client.changes(COLLECTION, None, 200)[0]}


def has_all(server: Server, token: str, acknowledged: set[str], what: str) -> None:
    """Everything is there, with its contents."""
    present = items(Client(server, "ada", token))
    lost = acknowledged - present.keys()
    true(not lost, f"{what}: {len(lost)} of {len(acknowledged)} are lost")
    for name in acknowledged:
        true(all(content for _, content in present[name]["content"]["chunks"]), f"{what}: a content is not there")


class Crowd:
    """Clients that write, one that follows them, and what they were told."""

    def __init__(self, server: Disk, token: str, tag: Any) -> None:
        self.server, self.token, self.tag = server, token, tag
        self.acknowledged: set[str] = set()
        self.seen: set[str] = set()
        self.stoken: str | None = None
        self.failure: str | None = None
        self.enough = threading.Semaphore(0)

    def run_until(self, writes: int) -> None:
        """Cuts the power once so many writes are acknowledged."""
        threads = [threading.Thread(target=self.guarded, args=(self.write, n)) for n in range(WRITERS)]
        threads.append(threading.Thread(target=self.guarded, args=(self.follow, 0)))
        for thread in threads:
            thread.start()
        for _ in range(writes):
            true(self.enough.acquire(timeout=60), self.failure or "nothing is acknowledged any more")
        self.server.cut()
        for thread in threads:
            thread.join()
        true(not self.failure, self.failure)

    def guarded(self, body: Callable[[int], None], number: int) -> None:
        try:
            body(number)
        except NO_ANSWER:
            pass
        except Exception as error:
            self.failure = repr(error)

    def write(self, number: int) -> None:
        client = Client(self.server, "ada", self.token)
        for count in itertools.count():
            written = [item((self.tag, number, count, n)) for n in range(1 + count % 3)]
            expected(client.commit(COLLECTION, written), 200)
            self.acknowledged |= {one["uid"] for one in written}
            self.enough.release()

    def follow(self, _number: int) -> None:
        client = Client(self.server, "ada", self.token)
        while True:
            found, stoken = client.changes(COLLECTION, self.stoken, 50)
            self.seen |= {one["uid"] for one in found}
            self.stoken = stoken

    def check(self) -> None:
        """What was acknowledged is there, and the one who followed gets what is new to it, and all of it."""
        has_all(self.server, self.token, self.acknowledged, "acknowledged before the cut")
        client = Client(self.server, "ada", self.token)
        expected(client.commit(COLLECTION, [item((self.tag, "after", n)) for n in range(30)]), 200)
        told = {one["uid"] for one in client.changes(COLLECTION, self.stoken, 50)[0]}
        equal(sorted(items(client).keys() - self.seen - told), [], "items that a client never hears of")
        equal(sorted(self.seen - items(client).keys()), [], "items that a client has seen and that are lost")


def start(arguments: Any, *flags: str) -> tuple[Disk, str]:
    server = Disk(arguments.apus, *flags)
    try:
        server.start()
        ada = person(server, "ada")
        expected(ada.create_collection(COLLECTION), 201)
        return server, ada.token
    except BaseException:
        server.__exit__()
        raise


@test("each write is synced before it is acknowledged")
def counted(arguments: Any) -> None:
    server, token = start(arguments)
    with server:
        client = Client(server, "ada", token)
        for number in range(40):
            before = server.syncs(WAL)
            expected(client.commit(COLLECTION, [item(number)]), 200)
            true(server.syncs(WAL) > before, f"write {number} was acknowledged without a sync")
        succeeds(server.apus("user", "create", "ben"), "user create")
        server.cut()
        server.start()
        has_all(server, token, {item(number)["uid"] for number in range(40)}, "after the cut")
        true("ben" in server.apus("user", "list").stdout, "an account that a command made is lost")


def cuts(arguments: Any, place: str) -> str:
    seeded = random.Random(SEED)
    server, token = start(arguments, "--chunks", place)
    total = 0
    with server:
        for number in range(ROUNDS):
            crowd = Crowd(server, token, (place, number))
            crowd.run_until(seeded.randint(20, 80))
            server.start()
            crowd.check()
            total += len(crowd.acknowledged)
        verified(server)
    return f"{total} items over {ROUNDS} cuts"


@test("a power cut loses nothing that was acknowledged or seen, and nobody misses what comes after it")
def power_cuts(arguments: Any) -> str:
    return cuts(arguments, "database")


@test("a power cut loses no contents in files")
def power_cuts_of_files(arguments: Any) -> str:
    return cuts(arguments, "files")


@test("a server that has just become ready keeps its secret over a power cut")
def first_start(arguments: Any) -> None:
    with Disk(arguments.apus) as server:
        secret = (server.folder / "secret").read_bytes()
        server.cut()
        server.start()
        equal((server.folder / "secret").read_bytes(), secret, "the secret")


@test("a write whose sync fails is not acknowledged, and what comes after it is on the disk")
def failing_syncs(arguments: Any) -> None:
    for place, what in (("database", WAL), ("files", "/chunks/")):
        server, token = start(arguments, "--chunks", place)
        with server:
            client = Client(server, "ada", token)
            acknowledged = set()
            for number in range(30):
                server.fail(what if number % 3 == 1 else None)
                answer = client.commit(COLLECTION, [item(number, chunks=1 + number % 2)])
                equal(answer.status, 503 if number % 3 == 1 else 200, f"status of write {number}")
                if answer.status == 200:
                    acknowledged.add(item(number)["uid"])
                elif number % 2:
                    true(item(number)["uid"] not in items(client), "what was refused is served")
            true(server.syncs("", "failed") >= 10, "syncs have failed")
            server.fail(None)
            # The same write again, whose contents may lie in the system's memory only.
            expected(client.commit(COLLECTION, [item(1, chunks=2)]), 200)
            server.cut()
            server.start()
            has_all(server, token, acknowledged | {item(1)["uid"]}, f"{place}, after the cut")
            verified(server)


@test("what a server finds that was killed after a failed sync is on the disk before anybody sees it")
def killed_after_failing(arguments: Any) -> None:
    server, token = start(arguments)
    with server:
        client = Client(server, "ada", token)
        expected(client.commit(COLLECTION, [item(0)]), 200)
        server.fail(WAL)
        expected(client.commit(COLLECTION, [item(1, chunks=3)]), 503)
        server.kill()
        server.fail(None)
        server.start()
        client = Client(server, "ada", token)
        seen = set(items(client))
        written = {item(number)["uid"] for number in (0, 2, 3)}
        expected(client.commit(COLLECTION, [item(2)]), 200)
        expected(client.commit(COLLECTION, [item(3)]), 200)
        server.cut()
        server.start()
        has_all(server, token, seen | written, "after the cut")
        verified(server)


@test("what a killed server has left, and another has shown, outlives a power cut without another write")
def killed_and_read(arguments: Any) -> None:
    server, token = start(arguments)
    with server:
        server.fail(WAL)
        expected(Client(server, "ada", token).commit(COLLECTION, [item(1, chunks=3)]), 503)
        server.kill()
        server.fail(None)
        server.start()
        seen = set(items(Client(server, "ada", token)))
        server.cut()
        server.start()
        has_all(server, token, seen, "after the cut")


@test("a backup that was taken, and a server that was restored, outlive a power cut")
def backups(arguments: Any) -> None:
    server, token = start(arguments, "--chunks", "files")
    with server:
        expected(Client(server, "ada", token).commit(COLLECTION, [item(number) for number in range(10)]), 200)
        # Beside the data folder, and in a folder that is not the backup's to sync.
        file, restored = server.folder.parent / "backup", server.folder.parent / "below" / "restored"
        succeeds(server.apus("backup", str(file)), "backup")
        server.cut()
        succeeds(server.apus("restore", str(file), "--data", str(restored)), "restore")
        server.cut()
        server.folder = restored
        server.start()
        has_all(server, token, {item(number)["uid"] for number in range(10)}, "restored")


if __name__ == "__main__":
    support.main(__doc__)
