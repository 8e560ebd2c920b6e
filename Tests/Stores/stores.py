"""Contents of chunks in an S3 store: what is acknowledged is there, whatever happens between; what fails is told; and contents move
between stores beside a running server. On SQLite, or on PostgreSQL with --postgres."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import botocore.exceptions

from store import BUCKET, Store, server as serving

sys.path.append(str(Path(__file__).resolve().parent.parent / "Metrics"))

from common import Watched
from support import (
    Client, Server, apus, clean_environment, equal, expected, fault_in_form, head, meddle, offered, on_either_engine, person, query, refused,
    succeeds, test, true, uid, verified)
import support

STORE: Store
PREFIXES = (f"apus/{number}" for number in itertools.count())


def chunk_path(collection: str, chunk: str) -> str:
    return f"/api/v1/collection/{collection}/item/any/chunk/{chunk}/"


def put(client: Client, collection: str, chunk: str, content: bytes) -> Any:
    return client.call("PUT", chunk_path(collection, chunk), body=content)


def download(client: Client, collection: str, chunk: str) -> Any:
    return client.get(chunk_path(collection, chunk) + "download/")


class Writer:
    """Somebody with a collection, who remembers what was acknowledged."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.client, self.collection = server, person(server, name), uid(name, "collection")
        expected(self.client.create_collection(self.collection), 201)
        self.kept: dict[str, bytes] = {}

    def write(self, number: int, size: int = 10_000) -> int:
        """Stores a chunk of its own, and every other time one with an item; gives the status."""
        content = hashlib.sha512(f"{self.collection} {number}".encode()).digest() * (size // 64 + 1)
        chunk = uid(self.collection, number, "chunk")
        if number % 2:
            answer = put(self.client, self.collection, chunk, content)
        else:
            item = uid(self.collection, number)
            answer = self.client.commit(self.collection, [offered(item, uid(item), b"m", [(chunk, content)])])
        if answer.status in (200, 201):
            self.kept[chunk] = content
        elif answer.status != 409:  # an earlier attempt got through, and its answer did not
            expected(answer, 503)
            equal(fault_in_form(answer), None, "the form of the fault")
        return answer.status

    def stores(self, *numbers: int, size: int = 10_000) -> None:
        """Writes that must succeed."""
        for number in numbers:
            equal(self.write(number, size) // 100, 2, "the status")

    def all_there(self) -> None:
        for chunk, content in self.kept.items():
            answer = expected(download(self.client, self.collection, chunk), 200)
            true(answer.body == content, f"the content of {chunk}")


def logged(server: Server, text: str) -> None:
    """Waits until the log says so: its lines are written behind what they tell of."""
    end = time.monotonic() + 20
    while text not in server.log:
        true(time.monotonic() < end, f"the log does not say {text}: {server.log[-500:]}")
        time.sleep(0.05)


@contextlib.contextmanager
def kept_in_store(arguments: Any, *flags: str, **more: Any) -> Iterator[tuple[Server, str]]:
    """A server with a prefix of its own in the store, and that prefix."""
    STORE.proxy.fault = lambda _: None
    prefix = next(PREFIXES)
    with serving(arguments, STORE, prefix, *flags, **more) as server:
        try:
            yield server, prefix
        finally:
            STORE.proxy.fault = lambda _: None


def command(server: Server, prefix: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess:
    return server.apus(*arguments, environment=more.pop("environment", STORE.environment(prefix)), **more)


def is_verified(server: Server, prefix: str) -> None:
    true("All is well" in succeeds(command(server, prefix, "verify"), "verify"), "apus verify")


@test("the store of these tests takes no wrong signature")
def signatures(_: Any) -> None:
    wrong = STORE.client("s3", STORE.access, STORE.secret[:-1] + ("x" if STORE.secret[-1] != "x" else "y"))
    try:
        wrong.put_object(Bucket=BUCKET, Key="wrong", Body=b"x")
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], "SignatureDoesNotMatch", "what the store says")
        return
    raise AssertionError("the store takes a wrong signature")


@test("contents lie in the store under their hashes, and come back from there")
def kept(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        for number, size in enumerate((1, 10, 100_000, 3_000_000, 5_000_000)):
            writer.stores(number, size=size)
        empty = uid("empty")
        expected(put(writer.client, writer.collection, empty, b""), 201)
        writer.kept[empty] = b""
        wanted = {f"{writer.collection}/{chunk}/{hashlib.sha256(content).hexdigest()}": len(content) for chunk, content in writer.kept.items()}
        equal(STORE.objects(prefix), {**wanted}, "objects")
        equal(query(server, "SELECT SUM(LENGTH(content)) FROM apus_chunk"), [[0]], "bytes in the database")
        writer.all_there()
        expected(put(writer.client, writer.collection, empty, b"other"), 409, "chunk_exists")
        equal(STORE.objects(prefix), wanted, "objects after one was refused")
        server.stop()
        server.start()
        writer.client.close()
        writer.all_there()
        is_verified(server, prefix)
        refused(server.apus("gc"), "gc without the store", "APUS_CHUNKS_ALSO")


@test("with a wrong key nothing is written, and that is told")
def wrong_key(arguments: Any) -> None:
    prefix = next(PREFIXES)
    server = Server(arguments.apus, "--signup", "open", environment=STORE.environment(prefix, secret="wrong" * 8))
    with contextlib.ExitStack() as stack:
        stack.callback(server.__exit__)
        process = server
        # It is not ready, so it is only waited for until it lives.
        type(process).awaited, awaited = property(lambda self: "/live"), Server.awaited
        try:
            process.start()
        finally:
            type(process).awaited = awaited
        ready = server.get("/ready")
        equal((ready.status, b"the store of contents does not answer" in ready.body), (503, True), "readiness")
        client = person(server, "ada")
        collection = uid("refused")
        answer = client.create_collection(collection)
        if answer.status == 201:  # a collection without contents needs no store
            before = head(server)
            answer = put(client, collection, uid("x"), b"content")
            equal(head(server), before, "the end of the log")
        expected(answer, 503)
        equal(fault_in_form(answer), None, "the form of the fault")
        logged(server, "secret key is wrong")
        true(STORE.secret not in server.log and "wrongwrong" not in server.log, "no key in the log")
        equal(STORE.objects(prefix), {}, "objects")


@test("connections that are cut, errors, and a store that wants less lose nothing that was acknowledged")
def faults(arguments: Any) -> str:
    with kept_in_store(arguments) as (server, prefix):
        writers = [Writer(server, f"writer{number}") for number in range(4)]
        STORE.proxy.told = []
        STORE.proxy.sometimes(seed=7)

        def write(writer: Writer) -> None:
            for number in range(12):
                writer.write(number, 40_000)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        STORE.proxy.fault = lambda _: None
        told, acknowledged = STORE.proxy.told, sum(len(writer.kept) for writer in writers)
        equal(set(told), set(STORE.proxy.FAULTS), "the faults that came")
        true(acknowledged >= 24, f"only {acknowledged} writes were acknowledged")
        for writer in writers:
            writer.all_there()
        is_verified(server, prefix)
        return f"{len(told)} faults, {acknowledged} of 48 acknowledged"


@test("a process that is killed while it writes has lost nothing that was acknowledged")
def killed(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        stopping = threading.Event()

        def write() -> None:
            with contextlib.suppress(Exception):
                for number in itertools.count():
                    if stopping.is_set():
                        return
                    writer.write(number, 200_000)

        thread = threading.Thread(target=write)
        thread.start()
        while len(writer.kept) < 5:
            time.sleep(0.01)
        server.kill()
        stopping.set()
        thread.join()
        server.start()
        writer.client.close()
        writer.all_there()
        is_verified(server, prefix)


@test("while the store is away writes and reads of contents are told to come again, and the rest goes on")
def away(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        writer.stores(*range(2))
        before = head(server)
        STORE.proxy.close()
        try:
            equal(writer.write(2), 503, "a batch")
            equal(writer.write(3), 503, "an upload")
            answer = expected(download(writer.client, writer.collection, next(iter(writer.kept))), 503)
            equal(fault_in_form(answer), None, "the form of the fault")
            ready = server.get("/ready")
            equal((ready.status, b"the store of contents does not answer" in ready.body), (503, True), "readiness")
            expected(writer.client.get(f"/api/v1/collection/{writer.collection}/item/", prefetch="medium"), 200)
            equal(head(server), before, "the end of the log")
        finally:
            STORE.proxy.open()
        equal(server.get("/ready").status, 200, "readiness once it is back")
        writer.stores(2, 3)
        writer.all_there()


@test("requests to the store, their attempts and whether it answers are in the metrics; readiness and status say that it is away, and of what")
def seen(arguments: Any) -> None:
    def warnings(**more: Any) -> list[str]:
        return [found for found in json.loads(succeeds(command(server, prefix, "status", "--json", **more), "status"))["warnings"] if "S3" in found]

    prefix = next(PREFIXES)
    STORE.proxy.fault = lambda _: None
    with Watched(arguments.apus, "--signup", "open", environment=STORE.environment(prefix)) as server:
        writer = Writer(server, "ada")
        found = server.until("it is up", lambda found: found["apus_s3_up"] == 1)
        equal((found['apus_s3_requests_total{kind="put",outcome="done"}'], warnings()), (0, []), "puts, and what is warned of")
        writer.stores(*range(2))
        writer.all_there()
        # A put that fails once, and one that is cut once.
        faults = ["cut", "503"]
        STORE.proxy.fault = lambda request: faults.pop() if request.method == "PUT" and faults else None
        writer.stores(2)
        STORE.proxy.fault = lambda _: None
        found = server.values()
        for kind, outcome, count in (("put", "done", 3), ("put", "failed", 1), ("put", "unreachable", 1), ("get", "done", 2), ("delete", "done", 0)):
            equal(found[f'apus_s3_requests_total{{kind="{kind}",outcome="{outcome}"}}'], count, f"{outcome} {kind}s")
        equal((found['apus_s3_retries_total{kind="put"}'], found['apus_s3_request_duration_seconds_count{kind="put"}']), (2, 5), "retries and durations")
        true(found['apus_s3_request_duration_seconds_sum{kind="put"}'] > 0, "a duration")
        true(prefix not in server.text() and STORE.access not in server.text(), "nothing of the store, and no key, is told")
        STORE.proxy.close()
        try:
            server.until("it is away", lambda found: found["apus_s3_up"] == 0 and found['apus_s3_requests_total{kind="list",outcome="unreachable"}'])
            true(any("check 19" in warning for warning in warnings()), "status warns")
            equal(server.get("/ready").status, 503, "readiness where new contents go there")
            # Where only earlier contents lie there the server is ready, and says so all the same.
            server.stop()
            server.environment = STORE.environment(prefix, also=True) | {"APUS_CHUNKS": "database"}
            server.start()
            ready = server.get("/ready")
            equal((ready.status, b"the store of contents does not answer" in ready.body), (200, True), "readiness where earlier contents lie there")
            true(warnings(environment=server.environment), "status warns")
        finally:
            STORE.proxy.open()
        equal(server.get("/ready").body, b"ready\n", "readiness once it is back")


@test("a clock that is wrong, and a store that stands still, are told")
def slow(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        STORE.proxy.fault = lambda _: "skew"
        equal(writer.write(1), 503, "the status")
        logged(server, "clocks here and there")
        STORE.proxy.fault = lambda _: "frozen"
        ready = server.get("/ready")
        equal((ready.status, b"the store of contents does not answer" in ready.body), (503, True), "readiness")


@test("what is not what was stored is never given out whole")
def changed(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        for number, size in ((1, 1_000), (3, 3_000_000)):
            writer.stores(number, size=size)
        small, large = writer.kept
        # On its way
        STORE.proxy.fault = lambda request: "flipped" if request.is_of_object else None
        expected(download(writer.client, writer.collection, small), 503)
        STORE.proxy.fault = lambda request: "short" if request.is_of_object else None
        expected(download(writer.client, writer.collection, small), 503)
        STORE.proxy.fault = lambda _: None
        writer.all_there()
        # And where it lies.
        for chunk, content in writer.kept.items():
            STORE.put(f"{writer.collection}/{chunk}/{hashlib.sha256(content).hexdigest()}", content[:-1] + b"?", prefix)
        expected(download(writer.client, writer.collection, small), 503)
        with contextlib.suppress(OSError, support.http.client.HTTPException):
            answer = download(writer.client, writer.collection, large)
            true(len(answer.body) < len(writer.kept[large]), "a changed content came whole")
        refused(command(server, prefix, "verify"), "verify", "was changed", small, large)


@test("gc removes what no event names once it has lain for a while, and nothing else")
def collected(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        writer.stores(*range(3))
        named = STORE.objects(prefix)
        content = b"an append that failed"
        waste = f"{writer.collection}/{uid('waste')}/{hashlib.sha256(content).hexdigest()}"
        STORE.put(waste, content, prefix)
        STORE.put("readme.txt", b"not ours", prefix)
        true("0 objects" in succeeds(command(server, prefix, "gc"), "gc"), "what is new stays")
        time.sleep(2.1)
        told = succeeds(command(server, prefix, "gc", "--older-than", "1s", "--dry-run"), "gc --dry-run")
        true(f"object\t{waste}" in told and "1 objects" in told, told)
        true(waste in STORE.objects(prefix), "a dry run removes nothing")
        told = succeeds(command(server, prefix, "gc", "--older-than", "1s"), "gc")
        true(f"object\t{waste}" in told, told)
        equal(STORE.objects(prefix), {**named, "readme.txt": 8}, "objects")
        # What was removed may come again.
        expected(put(writer.client, writer.collection, uid("waste"), content), 201)
        equal(expected(download(writer.client, writer.collection, uid("waste")), 200).body, content, "what came again")
        is_verified(server, prefix)


@test("nobody names an object that gc is just removing")
def marked(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        content, chunk = b"comes again", uid("again")
        name = f"{writer.collection}/{chunk}/{hashlib.sha256(content).hexdigest()}"
        STORE.put(name, content, prefix)
        time.sleep(2.1)
        answers: list[int] = []

        def meanwhile(request: Any) -> None:
            # While it is removed, a client stores it: that waits for nobody, and must not be acknowledged and lost.
            if request.method == "DELETE" and not answers:
                answers.append(0)
                other = writer.client.another()
                answers[0] = put(other, writer.collection, chunk, content).status
                other.close()
            return None

        STORE.proxy.fault = meanwhile
        succeeds(command(server, prefix, "gc", "--older-than", "1s"), "gc")
        STORE.proxy.fault = lambda _: None
        equal(answers, [503], "what the client was answered")
        expected(put(writer.client, writer.collection, chunk, content), 201)
        equal(expected(download(writer.client, writer.collection, chunk), 200).body, content, "the content")
        is_verified(server, prefix)


@test("contents move into the store, into files and back beside a running server, also after a move was killed")
def moved(arguments: Any) -> None:
    with kept_in_store(arguments, environment={}) as (server, prefix):
        folder = server.folder / "chunks"
        writer = Writer(server, "ada")
        writer.stores(*range(30), size=50_000)
        refused(server.apus("chunks", "move", "--to", STORE.address(prefix), environment={}), "a move to what no server knows", "APUS_CHUNKS_ALSO")

        def restart(**environment: str) -> None:
            server.stop()
            server.environment = environment
            server.start()
            writer.client.close()

        here = {name: value for name, value in STORE.environment(prefix).items() if name.startswith("APUS_S3")}
        to_store = STORE.environment(prefix)
        restart(**to_store)
        # New contents go there, those of before are read where they lie.
        writer.stores(31)
        equal(len(STORE.objects(prefix)), 1, "objects")
        writer.all_there()
        # One that is killed, then another beside somebody who writes and reads.
        slow = threading.Event()

        def delay(request: Any) -> None:
            if request.method == "PUT":
                slow.set()
                time.sleep(0.05)
            return None

        STORE.proxy.fault = delay
        process = subprocess.Popen(
            [server.binary, "chunks", "move"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=clean_environment({"APUS_DATA": str(server.folder), **server.engine, **to_store}))
        true(slow.wait(60), "the move has begun")
        time.sleep(0.5)
        process.kill()
        process.wait()
        STORE.proxy.fault = lambda _: None
        writer.all_there()
        is_verified(server, prefix)
        stopping = threading.Event()
        errors: list[Exception] = []

        def busy() -> None:
            try:
                for number in itertools.count(40):
                    if stopping.is_set():
                        return
                    equal(writer.write(number) // 100, 2, "a write beside the move")
                    writer.all_there()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=busy)
        thread.start()
        try:
            told = succeeds(command(server, prefix, "chunks", "move"), "move")
            true("contents were moved" in told, told)
        finally:
            stopping.set()
            thread.join()
        equal(errors, [], "what went wrong beside the move")
        equal(query(server, "SELECT SUM(LENGTH(content)) FROM apus_chunk"), [[0]], "bytes in the database")
        equal(len(STORE.objects(prefix)), len(writer.kept), "objects")
        writer.all_there()
        is_verified(server, prefix)
        true(" 0 contents were moved" in " " + succeeds(command(server, prefix, "chunks", "move"), "a move again"), "nothing is left to move")
        # Into files, with the store still known.
        also = {**here, "APUS_CHUNKS": "files", "APUS_CHUNKS_ALSO": STORE.address(prefix)}
        restart(**also)
        succeeds(command(server, prefix, "chunks", "move", environment=also), "move to files")
        equal(len([path for path in folder.rglob("*") if path.is_file()]), len(writer.kept), "files")
        equal(query(server, "SELECT COUNT(*) FROM apus_chunk"), [[0]], "rows")
        writer.all_there()
        # And back, one of which was changed meanwhile.
        restart(**to_store)
        chunk = next(iter(writer.kept))
        [file] = [path for path in folder.rglob(chunk[2:]) if path.is_file()]
        file.write_bytes(b"changed")
        refused(command(server, prefix, "chunks", "move"), "a move of what was changed", "was changed", chunk)
        file.write_bytes(writer.kept[chunk])
        succeeds(command(server, prefix, "chunks", "move"), "move")
        writer.all_there()
        # Into the database, after which nothing needs the store.
        database = {**here, "APUS_CHUNKS": "database", "APUS_CHUNKS_ALSO": STORE.address(prefix)}
        restart(**database)
        succeeds(command(server, prefix, "chunks", "move", environment=database), "move to the database")
        restart()
        writer.all_there()
        verified(server)
        # What was left behind is waste.
        time.sleep(2.1)
        succeeds(command(server, prefix, "gc", "--older-than", "1s", environment=database), "gc")
        equal(STORE.objects(prefix), {}, "objects")
        writer.all_there()


@test("backups hold what lies in the store, and are restored without it")
def backed_up(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        writer.stores(*range(6), size=30_000)
        backup = server.scratch / "backup"
        told = succeeds(command(server, prefix, "backup", str(backup)), "backup")
        true("6 contents of an S3 store" in told, told)
        postgres, Server.postgres = Server.postgres, None
        try:
            restored = Server(arguments.apus, environment={})
        finally:
            Server.postgres = postgres
        succeeds(apus(arguments.apus, "restore", str(backup), environment={"APUS_DATA": str(restored.folder)}), "restore")
        with restored:
            again = Client(restored, "ada", writer.client.token)
            for chunk, content in writer.kept.items():
                true(expected(download(again, writer.collection, chunk), 200).body == content, "a restored content")
            again.close()
            verified(restored)


@test("an erasure takes the objects with it, and an export has them")
def erased(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writers = [Writer(server, name) for name in ("ada", "bob")]
        for writer, number in itertools.product(writers, range(3)):
            equal(writer.write(number, 2_000_000 if number == 1 else 1_000) // 100, 2, "the status")
        folder = server.scratch / "export"
        succeeds(command(server, prefix, "user", "export", "ada", "--to", str(folder)), "export")
        found = {path.name: path.read_bytes() for path in (folder / "chunks").rglob("*") if path.is_file()}
        equal(found, writers[0].kept, "what was exported")
        refused(server.apus("user", "erase", "ada", "--yes"), "an erasure without the store", "APUS_CHUNKS_ALSO")
        told = command(server, prefix, "user", "erase", "ada", "--yes")
        equal(told.returncode, 0, f"the erasure: {told.stdout} {told.stderr}")
        true(all(name.startswith(writers[1].collection + "/") for name in STORE.objects(prefix)), "objects of the erased are gone")
        equal(len(STORE.objects(prefix)), 3, "objects")
        writers[1].all_there()
        is_verified(server, prefix)


@test("handing back writes what lies in the store into files")
def handed_back(arguments: Any) -> None:
    with kept_in_store(arguments) as (server, prefix):
        writer = Writer(server, "ada")
        writer.stores(*range(4), size=30_000)
        server.stop()
        told = succeeds(command(server, prefix, "hand-back"), "hand-back")
        true("4 contents of chunks were written into files" in told, told)
        found = sorted(path.read_bytes() for path in (server.folder / "chunks").rglob("*") if path.is_file())
        equal(found, sorted(writer.kept.values()), "files")


if __name__ == "__main__":
    STORE = Store()
    try:
        support.main(__doc__, on_either_engine)
    finally:
        STORE.stop()
