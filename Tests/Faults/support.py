"""What the programs in this folder share: a server that is started and ended, bytes over a socket, a minimal client of the
protocol, and a list of tests, each named by a sentence.

Each program starts servers of its own, each with its own folder and a free port, and stops them; nothing is left behind.
Keys and salts are fixed and nothing is encrypted, since the server never looks into what clients encrypt.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import faulthandler
import hashlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterable

import msgpack
import nacl.signing

MSGPACK = "application/msgpack"
SALT, PUBKEY, CONTENT = b"s" * 32, b"p" * 32, b"encrypted account content"
START_SECONDS = 60.0  # how long a server may take until it is ready
STOP_SECONDS = 40.0  # and until it has ended after SIGTERM, which waits for requests for 30 seconds
LIMIT_SECONDS = 600  # a program that runs longer is stuck: the traces are printed and it ends

Headers = Iterable[tuple[str, str]]


# --- values ---------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    return msgpack.packb(value, use_bin_type=True)


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


def uid(*parts: Any) -> str:
    """A uid that follows from what it is made of, so that a run with the same seed sends the same bytes."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


# --- answers --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Answer:
    """What came back: names of headers in lower case, the body as it is."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name.lower()), None)

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").split(";")[0]

    @property
    def value(self) -> Any:
        return unpack(self.body) if self.body else None

    @property
    def code(self) -> Any:
        """The code of an error, or the type of the first fault that a 422 tells."""
        value = self.value if self.media_type == MSGPACK else None
        if not isinstance(value, dict):
            return None
        return value.get("code") or (value["detail"][0]["type"] if isinstance(value.get("detail"), list) else None)

    def __str__(self) -> str:
        return f"{self.status} {self.header('content-type')} {shown(self.body)}"


def fault_in_form(answer: Answer, plain_texts: tuple[str, ...] = ()) -> str | None:
    """What is wrong with the form of an error: nil when it is MessagePack with code and detail, MessagePack with a list of
    faults as detail, JSON with a detail, or one of the texts."""
    try:
        if answer.media_type == MSGPACK:
            value = unpack(answer.body)
            if not isinstance(value, dict):
                return "no map"
            if isinstance(value.get("code"), str) and isinstance(value.get("detail"), str):
                return None if value["code"] and value["detail"] else "an empty code or detail"
            faults = value.get("detail")
            if isinstance(faults, list) and faults and all({"type", "loc", "msg", "input"} <= set(fault) for fault in faults):
                return None
            return "neither code and detail nor a list of faults"
        if answer.media_type == "application/json":
            value = json.loads(answer.body)
            return None if isinstance(value, dict) and isinstance(value.get("detail"), str) else "JSON without a detail"
        if answer.media_type == "text/plain":
            return None if answer.body.decode().startswith(plain_texts) else "an unknown text"
    except ValueError as error:
        return f"not what its type says: {error}"
    return f"no form of the protocol: {answer.header('content-type')}"


# --- bytes over a socket --------------------------------------------------------------------------


class Wire:
    """One connection, on which any bytes can be sent and answers be read."""

    def __init__(self, port: int, timeout: float = 15.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, method: str = "GET") -> Answer:
        """The next answer, without informational ones before it.

        Raises `http.client.HTTPException` or `OSError` when none comes; `BadStatusLine` when the connection was closed.
        """
        response = http.client.HTTPResponse(_Kept(self.file), method=method)
        response.begin()
        body = response.read()
        return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], body)

    def is_closed(self) -> bool:
        """Waits for the end of the connection; false when bytes come, or nothing within the timeout."""
        try:
            return self.file.read(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Kept:
    """Lets an HTTPResponse read from a file that stays open after it, for the next answer of the connection."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def makefile(self, _mode: str) -> Any:
        return self

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def request_bytes(method: str, target: str, headers: Headers = (), body: bytes | None = None, version: str = "1.1") -> bytes:
    """A request as it goes over the wire, with a Host and a Content-Length unless `headers` has them."""
    given = [(name, value) for name, value in headers]
    names = {name.lower() for name, _ in given}
    if "host" not in names:
        given.insert(0, ("Host", "127.0.0.1"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/{version}"] + [f"{name}: {value}" for name, value in given]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + (body or b"")


# --- databases ------------------------------------------------------------------------------------


class Database:
    """A database of its own on a PostgreSQL, dropped when `with` is left."""

    _numbers = itertools.count(1)

    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self.name = f"apus_test_{os.getpid()}_{next(self._numbers)}"
        self.url = urllib.parse.urlsplit(server_url)._replace(path="/" + self.name).geturl()
        psql(server_url, f"CREATE DATABASE {self.name}")

    def rows(self, query: str) -> list[list]:
        """The rows of a query, as JSON has them."""
        return json.loads(psql(self.url, f"SELECT COALESCE(json_agg(to_json(array(SELECT value FROM json_each(to_json(found))"
                                         f"))), '[]') FROM ({query}) AS found"))

    def value(self, query: str) -> Any:
        rows = self.rows(query)
        return rows[0][0] if rows else None

    def run(self, script: str) -> None:
        psql(self.url, script)

    def drop(self) -> None:
        psql(self.server_url, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: Any) -> None:
        self.drop()


def psql(url: str, script: str) -> str:
    done = subprocess.run(
        ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", url], input=script, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"psql: {done.stderr.strip()[:500]}")
    return done.stdout.strip()


# --- the server -----------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Beside:
    """A program that runs beside the tests: `with` starts it, and clears it away also where the start has failed."""

    process: subprocess.Popen | None = None

    def start(self) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: Any) -> None:
        raise NotImplementedError


def ended(process: subprocess.Popen, patience_seconds: float = 20) -> None:
    """Asks a program to end, and lets it have no longer than this."""
    process.terminate()
    try:
        process.wait(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """An Apus with a folder and a port of its own. It can be ended and started again; leaving `with` ends it for good.

    Its database is SQLite in its folder, or one of its own on the server of `postgres`, dropped at the end.
    """

    postgres: str | None = None

    def __init__(self, binary: str, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.binary, self.flags, self.environment = binary, list(flags), environment or {}
        self.scratch = Path(tempfile.mkdtemp(prefix="apus über faults."))
        self.folder, self.log_path = self.scratch / "data", self.scratch / "log"
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.postgres_database = Database(self.postgres) if self.postgres else None
        self.engine = {"APUS_DATABASE_URL": self.postgres_database.url} if self.postgres_database else {}

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def awaited(self) -> str:
        """What answers once it has started. One of several processes is not ready before a projector is at work."""
        return "/live" if "--roles" in self.flags else "/ready"

    def start(self) -> Server:
        """Starts the server and waits until it is ready, as far as it depends on itself."""
        command = [self.binary, "serve", "--listen", self.authority, "--data", str(self.folder), *self.flags]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(self.engine | self.environment))
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode} at its start: {self.log[-800:]}")
            try:
                if self.get(self.awaited).status == 200:
                    return self
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.03)
        raise AssertionError("the server is not ready in time")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once the server has ended."""
        code = self.process.wait(timeout=STOP_SECONDS)
        self.process = None
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def apus(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Runs another command of the program on the server's folder, through the environment."""
        return apus(
            self.binary, *arguments, environment={"APUS_DATA": str(self.folder), **self.engine, **(environment or {})})

    def wire(self, timeout: float = 15.0) -> Wire:
        return Wire(self.port, timeout)

    def get(self, target: str, headers: Headers = ()) -> Answer:
        return self.send("GET", target, headers)

    def send(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> Answer:
        """One request on a connection of its own."""
        with self.wire() as wire:
            wire.send(request_bytes(method, target, [("Host", self.authority), *headers], body))
            return wire.receive(method)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def __enter__(self) -> Server:
        try:
            return self if self.process else self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: Any) -> None:
        if self.is_alive():
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.scratch)
        if self.postgres_database:
            self.postgres_database.drop()


def clean_environment(more: dict[str, str]) -> dict[str, str]:
    """The environment without settings of Apus, but for those named. Servers end at once: nobody looks at `/ready` then."""
    return {name: value for name, value in os.environ.items() if not name.startswith("APUS_")} | {"APUS_LAME_DUCK": "0"} | more


def apus(binary: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Runs the program to its end, which must come within a minute."""
    return subprocess.run(
        [binary, *arguments], capture_output=True, text=True, timeout=60, env=clean_environment(environment or {}))


# --- what an operator does -----------------------------------------------------------------------


def secret_mark(secret: str) -> str:
    """What a database knows a secret by, in hexadecimal digits."""
    key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"apus-secret-mark").digest()
    return hashlib.blake2b(b"apus-secret-mark-1", digest_size=32, key=key).hexdigest()


def query(server: Server, statement: str) -> list[list]:
    """The rows of a question to the server's database."""
    if server.postgres_database:
        return server.postgres_database.rows(statement)
    with contextlib.closing(sqlite3.connect(server.folder / "apus.sqlite", timeout=20)) as database:
        return [list(row) for row in database.execute(statement).fetchall()]


def meddle(server: Server, script: str) -> None:
    """Changes the server's database behind its back."""
    if server.postgres_database:
        server.postgres_database.run(script)
        return
    with contextlib.closing(sqlite3.connect(server.folder / "apus.sqlite", timeout=20)) as database:
        database.executescript(script)


def head(server: Server) -> int:
    return query(server, "SELECT position FROM apus_log")[0][0]


def succeeds(done: subprocess.CompletedProcess, what: str) -> str:
    equal((done.returncode, done.stderr), (0, ""), f"outcome of {what} ({done.stdout[-300:]})")
    return done.stdout


def refused(done: subprocess.CompletedProcess, what: str, *reasons: str) -> None:
    text = done.stdout + done.stderr
    true(done.returncode != 0, f"{what} must fail: {shown(text)}")
    for reason in reasons:
        true(reason in text, f"{what} must say '{reason}': {shown(text)}")


def verified(server: Server) -> None:
    true("All is well" in succeeds(server.apus("verify"), "verify"), "apus verify")


# --- a minimal client -----------------------------------------------------------------------------


class Client:
    """A user of a server, over one connection that is opened again when it was lost."""

    def __init__(self, server: Server, name: str, token: str | None = None) -> None:
        self.server, self.name, self.token = server, name, token
        self.key = nacl.signing.SigningKey(hashlib.sha256(name.encode()).digest())
        self.wire: Wire | None = None

    def another(self) -> Client:
        """The same session on another connection."""
        return Client(self.server, self.name, self.token)

    def close(self) -> None:
        if self.wire:
            self.wire.close()
        self.wire = None

    def call(self, method: str, path: str, value: Any = None, *, query: dict[str, Any] | None = None, headers: Headers = (),
             body: bytes | None = None) -> Answer:
        """One request. Raises `OSError` or `HTTPException` when no answer came; whether it was carried out is then unknown."""
        body = pack(value) if value is not None else body
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        known = [("Host", self.server.authority), ("Accept", MSGPACK)]
        if body is not None:
            known.append(("Content-Type", MSGPACK))
        if self.token:
            known.append(("Authorization", f"Token {self.token}"))
        given = {name.lower() for name, _ in headers}
        fields = [(name, text) for name, text in known if name.lower() not in given] + list(headers)
        try:
            self.wire = self.wire or self.server.wire()
            self.wire.send(request_bytes(method, target, fields, body))
            answer = self.wire.receive(method)
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    def post(self, path: str, value: Any, **more: Any) -> Answer:
        return self.call("POST", path, value, **more)

    def get(self, path: str, **query: Any) -> Answer:
        return self.call("GET", path, query=query)

    # accounts

    def sign_up(self, email: str | None = None) -> Answer:
        answer = self.post("/api/v1/authentication/signup/", {
            "user": {"username": self.name, "email": email or f"{self.name}@example.com"}, "salt": SALT,
            "loginPubkey": bytes(self.key.verify_key), "pubkey": PUBKEY, "encryptedContent": CONTENT})
        if answer.status == 200:
            self.token = answer.value["token"]
        return answer

    def challenge(self) -> Answer:
        return self.post("/api/v1/authentication/login_challenge/", {"username": self.name})

    def answer_challenge(self, challenge: bytes, host: str | None = None, headers: Headers = ()) -> Answer:
        """Logs in with a challenge that was got before; `host` is what the signature is made for."""
        response = pack({
            "username": self.name, "challenge": challenge, "host": host or self.server.authority, "action": "login"})
        answer = self.post("/api/v1/authentication/login/", {
            "response": response, "signature": self.key.sign(response).signature}, headers=headers)
        if answer.status == 200:
            self.token = answer.value["token"]
        return answer

    def log_in(self, host: str | None = None, headers: Headers = ()) -> Answer:
        challenge = self.challenge()
        return self.answer_challenge(challenge.value["challenge"], host, headers) if challenge.status == 200 else challenge

    # collections

    def create_collection(self, collection: str) -> Answer:
        return self.post("/api/v1/collection/", {
            "collectionType": b"type of " + self.name.encode(), "collectionKey": b"collection key",
            "item": offered(collection, uid(collection, "first"), b"meta")})

    def collection(self, collection: str) -> Answer:
        return self.get(f"/api/v1/collection/{collection}/")

    def stoken(self, collection: str) -> str:
        return expected(self.collection(collection), 200).value["stoken"]

    def commit(self, collection: str, items: list[dict], *, transaction: bool = False) -> Answer:
        kind = "transaction" if transaction else "batch"
        return self.post(f"/api/v1/collection/{collection}/item/{kind}/", {"items": items, "deps": None})

    def changes(self, collection: str, stoken: str | None, limit: int) -> tuple[list[dict], str | None]:
        """All items that changed after the stoken, page by page, and the stoken to go on from."""
        items: list[dict] = []
        while True:
            query = {"limit": limit, "prefetch": "auto", **({"stoken": stoken} if stoken else {})}
            page = expected(self.get(f"/api/v1/collection/{collection}/item/", **query), 200).value
            items += page["data"]
            if page["done"]:
                return items, page["stoken"]
            true(page["stoken"] != stoken, "a page that is not the last one must move the stoken")
            stoken = page["stoken"]

    def revisions(self, collection: str, item: str) -> list[dict]:
        """All revisions of an item, the newest first."""
        found: list[dict] = []
        iterator = None
        while True:
            query = {"limit": 50, "prefetch": "auto", **({"iterator": iterator} if iterator else {})}
            page = expected(self.get(f"/api/v1/collection/{collection}/item/{item}/revision/", **query), 200).value
            found += page["data"]
            if page["done"]:
                return found
            iterator = page["iterator"]


def offered(item: str, revision: str, meta: bytes, chunks: list[tuple[str, bytes]] = (), etag: str | None = None) -> dict:
    """An item as requests carry it."""
    return {"uid": item, "version": 1, "encryptionKey": None, "etag": etag, "content": {
        "uid": revision, "meta": meta, "deleted": False, "chunks": [[name, content] for name, content in chunks]}}


def person(server: Server, name: str) -> Client:
    """Signs up somebody new."""
    client = Client(server, name)
    expected(client.sign_up(), 200)
    return client


# --- tests ----------------------------------------------------------------------------------------

TESTS: list[tuple[str, Callable[[argparse.Namespace], None]]] = []


def test(sentence: str) -> Callable[[Callable], Callable]:
    """Adds a function, which gets the program's options, to the tests of this program."""

    def add(function: Callable[[argparse.Namespace], None]) -> Callable:
        TESTS.append((sentence, function))
        return function

    return add


def true(condition: Any, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def equal(found: Any, wanted: Any, what: str = "value") -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {shown(found, 2000)} where {shown(wanted, 500)} was expected")


def expected(answer: Answer, status: int, code: str | None = None) -> Answer:
    """The answer, when it has the status and the code."""
    if answer.status != status or (code and answer.code != code):
        raise AssertionError(f"{answer} where {status} {code or ''} was expected")
    return answer


def shown(value: Any, length: int = 300) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


def on_either_engine(parser: argparse.ArgumentParser) -> None:
    """The option with which all servers of a program are on PostgreSQL."""

    def use(url: str) -> str:
        Server.postgres = url
        return url

    parser.add_argument("--postgres", type=use, help="postgres://…, whose role may make databases; without it SQLite")


def with_a_store(parser: argparse.ArgumentParser) -> None:
    """The options that name an S3 store."""
    parser.add_argument("--store", help="s3://…, an S3 store")
    parser.add_argument("--store-keys", help="the name of its key, and the key")


AT_ONCE = 4
WAITING: set[Callable] = set()


def waiting(function: Callable) -> Callable:
    """Says of a test that it does little but wait, and disturbs no other: some are run at once."""
    WAITING.add(function)
    return function


def outcome(sentence: str, function: Callable, arguments: argparse.Namespace) -> tuple[bool, str]:
    """Runs a test: whether it passed, and what is told of it."""
    began = time.monotonic()
    try:
        note = function(arguments)
        return True, f"ok      {sentence} ({note + ', ' if note else ''}{time.monotonic() - began:.1f} s)"
    except Exception as error:  # a test that breaks off has failed, whatever the reason
        trace = "" if isinstance(error, AssertionError) and error.args else traceback.format_exc()
        return False, f"FAILED  {sentence}\n        {error}\n{trace}".rstrip()


def main(about: str, options: Callable[[argparse.ArgumentParser], None] | None = None,
         more: Callable[[argparse.Namespace], Iterable[tuple[str, Callable]]] | None = None) -> None:
    """Runs the tests with the program named on the command line; exit code 1 when one failed.

    `options` adds options of this program; `more` gives tests that are known only at run time, one after the other. What these
    use stays until `arguments.kept`, a stack of contexts, ends.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("apus", type=os.path.abspath, help="the program under test, as .build/debug/apus")
    parser.add_argument("--only", default="", help="run only the tests whose sentence contains this text")
    if options:
        options(parser)
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
    # A shell that runs us in the background has it ignored, and what we start would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    passed = failed = 0
    with contextlib.ExitStack() as arguments.kept:
        chosen = ((sentence, function) for sentence, function in itertools.chain(TESTS, more(arguments) if more else ())
                  if arguments.only in sentence)
        for is_waiting, tests in itertools.groupby(chosen, lambda test: test[1] in WAITING):
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                run = pool.map if is_waiting else map
                for is_good, told in run(lambda test: outcome(*test, arguments), tests):
                    passed, failed = passed + is_good, failed + (not is_good)
                    print(told, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
