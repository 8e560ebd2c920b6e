"""Sends a server what it does not expect: the recorded requests of the corpus, each spoiled in one way.

A scenario's steps are played in order; before each, mutants of its request are sent: fields dropped, retyped and grown, bytes
cut and flipped, odd queries, paths, headers and methods. Whatever comes, the answer is no 5xx, comes within a bound, has the
protocol's form when it is an error, and what was refused has appended nothing to the log (guarantee G8).

What follows is chosen by the seed and not by time, but for where the time for a scenario ends. A failure prints the request;
put it into REGRESSIONS when it is mended.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import http.client
import importlib.util
import json
import os
import random
import sqlite3
import time
import urllib.parse
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterable, Iterator

import support
from mutations import Message, mutant
from support import Answer, Client, Server, Wire, equal, expected, fault_in_form, person, shown, test, true

SEED = 20_240_607
SECONDS = 40.0
ANSWER_SECONDS = 10.0  # within which every request must be answered
MUTANTS = 2  # for each step and visit
FAMILIES = ("http-", "auth-", "collection-", "item-", "member-", "invitation-")
READING = (b"GET", b"HEAD", b"OPTIONS")  # methods that write nothing
PLAIN_TEXTS = ("Invalid host header", "Disallowed CORS ")

# Requests that once broke something: why, and what is sent. {token} is that of a user with the collection {collection};
# a Content-Length, a Host and a token are added where they are missing.
POST = "POST /api/v1/collection/{collection}/item/batch/ HTTP/1.1"
REGRESSIONS: list[tuple[str, str, bytes]] = [
    ("an unknown transfer coding is the client's fault, not the server's (it was a 503)",
     POST + "\r\nContent-Type: application/msgpack\r\nTransfer-Encoding: gzip", b"abc"),
    ("so is a chunk of the transfer coding whose length is no number (it was a 503)",
     POST + "\r\nContent-Type: application/msgpack\r\nTransfer-Encoding: chunked", b"zz\r\n"),
]


# --- judging --------------------------------------------------------------------------------------


class Judge:
    """Sends requests to a server, and says what is wrong with the answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.wire: Wire | None = None
        self.previous = b""  # what was sent last on the connection
        self.database = sqlite3.connect(f"file:{server.folder / 'apus.sqlite'}?mode=ro", uri=True, isolation_level=None)
        self.sent = 0
        self.statuses: dict[int, int] = {}

    def send(self, message: Message) -> Answer | None:
        """The answer, or nil when the connection was closed instead. A connection is used as long as the server allows."""
        data, previous = bytes(message), self.previous if self.wire else None
        try:
            self.wire = self.wire or self.server.wire(ANSWER_SECONDS)
            try:
                self.wire.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before
            answer = self.wire.receive(message.method.decode("latin-1"))
        except TimeoutError:
            self.close()
            raise AssertionError("no answer in time") from None
        except (ConnectionError, http.client.HTTPException):
            self.close()
            true(previous is None, f"the connection was of no use, either now or already after {shown(previous, 1500)}")
            return None
        self.sent += 1
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        self.previous = data
        # After HEAD a body that must not be there would be taken for the next answer; limits.py looks for that.
        is_last = (answer.header("connection") or "").lower() == "close" or message.header(b"Connection")
        if is_last or not message.is_http or message.method == b"HEAD":
            self.close()
        return answer

    def close(self) -> None:
        if self.wire:
            self.wire.close()
        self.wire = None

    def head(self) -> tuple:
        """Where the log ends, and how many chunks there are: what only a write may change."""
        return self.database.execute("SELECT position, (SELECT MAX(rowid) FROM apus_chunk) FROM apus_log").fetchone()

    def verdict(self, message: Message) -> tuple[Answer | None, str | None]:
        """The answer, and what is wrong with it; nil when nothing is."""
        before = self.head()
        try:
            answer = self.send(message)
        except AssertionError as error:
            return None, str(error)
        fault = judged(message, answer)
        may_write = answer is not None and 200 <= answer.status < 300 and message.method not in READING
        if fault is None and not may_write and self.head() != before:
            fault = "something was written, though the request was refused or does not write"
        if fault is None and answer is None and not self.server.is_alive():
            fault = "the server has ended"
        return answer, fault


def judged(message: Message, answer: Answer | None) -> str | None:
    """What is wrong with an answer to a request."""
    if answer is None:
        return "the connection was closed without an answer" if message.is_http else None
    if answer.status >= 500:
        return "an answer that says the server is at fault"
    if answer.status >= 400:
        if message.method == b"HEAD" or is_below_http(message, answer):
            return None
        is_page = answer.media_type == "text/html" and b"/admin/" in urllib.parse.unquote_to_bytes(message.target)
        return None if is_page else fault_in_form(answer, PLAIN_TEXTS)
    if answer.status >= 300:
        return "a redirection"
    if answer.media_type == support.MSGPACK and answer.body:
        try:
            support.unpack(answer.body)
        except ValueError as error:
            return f"the answer is no MessagePack: {error}"
    return None


def is_below_http(message: Message, answer: Answer) -> bool:
    """Whether a request that breaks the rules of HTTP is answered as such: with an empty 4xx and the end of the connection."""
    return not message.is_http and answer.body == b"" and (answer.header("connection") or "").lower() == "close"


# --- playing the corpus ---------------------------------------------------------------------------


class Stage:
    """A scenario of the corpus that is played against a server, with the variables of this play."""

    def __init__(self, replay: ModuleType, judge: Judge, scenario: dict, chance: random.Random) -> None:
        self.replay, self.judge, self.scenario, self.chance = replay, judge, scenario, chance
        self.steps = [step for step in scenario["steps"] if step["step"] in ("http", "hook")]
        self.begin()

    def begin(self) -> None:
        self.variables: dict[str, Any] = {"authority": self.judge.server.authority, "hostname": "127.0.0.1"}
        for name, spec in self.scenario.get("generate", {}).items():
            self.variables[name] = self.generated(spec)

    def generated(self, spec: dict) -> Any:
        if spec["kind"] == "bytes":
            return self.chance.randbytes(spec.get("length", 32))
        if spec["kind"] == "username":
            return spec.get("prefix", "test_user") + self.chance.randbytes(6).hex()
        if spec["kind"] == "str":
            return spec.get("prefix", "") + self.chance.randbytes(spec.get("length", 8)).hex()
        return base64.urlsafe_b64encode(self.chance.randbytes(16)).decode().rstrip("=")

    def message(self, step: dict) -> Message | None:
        """The request of a step; nil when it needs something that was not captured."""
        request, variables, replay = step["request"], self.variables, self.replay
        try:
            target = replay.Target(f"http://{self.judge.server.authority}").path(request, variables)
            fields = {name: replay.interpolate(value, variables) for name, value in (request.get("headers") or {}).items()}
            fields.setdefault("Host", self.judge.server.authority)
            message = Message(
                request["method"].encode(), target.encode(),
                [(name.encode(), value.encode()) for name, value in fields.items()])
            if request.get("body"):
                message.body = replay.encode_body(request["body"], variables)
                if request["body"]["type"] in ("msgpack", "json"):
                    message.value = replay.resolve(request["body"].get("value"), variables)
                message.seed = self.seed(request["body"].get("value"))
        except KeyError:
            return None
        return message

    def seed(self, value: Any) -> bytes | None:
        try:
            return self.replay.resolve(value["signature"]["$sign"]["seed"], self.variables)
        except (KeyError, TypeError):
            return None

    def play(self, step: dict) -> bool:
        """Plays a step as it was recorded; whether it went as recorded."""
        if step["step"] == "hook":
            if step["hook"] == "create_user":
                names = self.replay.resolve(step["args"], self.variables)
                self.judge.server.apus("user", "create", names["username"], "--email", names["email"])
            return True
        message = self.message(step)
        answer = self.judge.send(message) if message else None
        if answer is None:
            return False
        with contextlib.suppress(self.replay.Mismatch, KeyError):
            self.replay.check_body(step["response"]["body"], answer.body, self.variables, False)
        return answer.status == step["response"]["status"]

    def again(self, count: int) -> None:
        """Begins anew, and plays the first steps."""
        self.begin()
        for step in self.steps[:count]:
            self.play(step)


class Fuzz:
    """The server, the scenarios, and what was found."""

    def __init__(self, options: argparse.Namespace, server: Server, replay: ModuleType, scenarios: list[dict]) -> None:
        self.options, self.server, self.replay = options, server, replay
        self.weights = {scenario["scenario"]: len(scenario["steps"]) + 5 for scenario in scenarios}
        self.began = time.monotonic()
        self.judge = Judge(server)
        self.spent = 0.0  # of the weights

    def scenario(self, scenario: dict) -> str:
        """Plays a scenario with mutants until its share of the time is over, but to its end once."""
        name = scenario["scenario"]
        self.spent += self.weights[name]
        end = self.began + self.options.seconds * self.spent / sum(self.weights.values())
        judge, findings, sent = self.judge, [], self.judge.sent
        visit = 0
        while not visit or time.monotonic() < end:
            stage = Stage(self.replay, judge, scenario, random.Random(f"{self.options.seed} {name} {visit}"))
            for number, step in enumerate(stage.steps):
                findings += self.mutants(stage, number, step)
                if visit and time.monotonic() > end:
                    break
                true(len(findings) < 5, "\n        ".join(findings))
            visit += 1
        true(not findings, "\n        ".join(findings))
        return f"{judge.sent - sent} requests"

    def mutants(self, stage: Stage, number: int, step: dict) -> list[str]:
        """Sends mutants of a step's request, then the request itself; what was found."""
        findings, is_spoiled = [], False
        message = stage.message(step) if step["step"] == "http" else None
        if message:
            is_watched = stage.chance.random() < 0.3  # now and then, since it is two requests more
            stoken = self.stoken(stage) if is_watched else None
            for _ in range(MUTANTS):
                kind, other = mutant(message, stage.chance)
                answer, fault = self.judge.verdict(other)
                if fault:
                    findings.append(finding(stage, number, step, kind, other, answer, fault))
                is_spoiled |= answer is not None and answer.status < 300 and other.method not in READING
            if is_watched and not is_spoiled:
                after = self.stoken(stage)
                if stoken != after:
                    where = f"{stage.scenario['scenario']}, step {number + 1}"
                    findings.append(f"{where}: the collection's stoken is {after}, was {stoken}")
        if not stage.play(step) and is_spoiled:  # a mutant was good enough to change what follows
            stage.again(number + 1)
        return findings

    def stoken(self, stage: Stage) -> Any:
        """The stoken of the scenario's first collection, as its owner sees it."""
        variables = stage.variables
        if not {"alice_token", "col"} <= set(variables):
            return None
        client = Client(self.server, "alice", variables["alice_token"])
        answer = client.collection(variables["col"])
        client.close()
        return answer.value["stoken"] if answer.status == 200 else None


def finding(stage: Stage, number: int, step: dict, kind: str, message: Message, answer: Answer | None, fault: str) -> str:
    return (f"{fault}: {stage.scenario['scenario']}, step {number + 1} ({step.get('name')}), mutant by {kind}:"
            f" {shown(bytes(message), 1500)} was answered with {answer}")


def scenarios_of(corpus: Path) -> list[dict]:
    scenarios = [json.loads(file.read_text()) for file in sorted(corpus.glob("*.json")) if file.name.startswith(FAMILIES)]
    return [scenario for scenario in scenarios if any(step["step"] == "http" for step in scenario["steps"])]


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the tests ------------------------------------------------------------------------------------


@test("requests that once broke something are answered as they should be")
def regressions(options: argparse.Namespace) -> None:
    with fuzzed(options) as server:
        judge = Judge(server)
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        names = {"{token}": client.token, "{collection}": "notes"}
        for why, text, body in REGRESSIONS:
            for name, value in names.items():
                text, body = text.replace(name, value), body.replace(name.encode(), value.encode())
            first, *lines = text.encode().split(b"\r\n")
            verb, target, _ = first.split(b" ")
            message = Message(verb, target, [tuple(line.split(b": ", 1)) for line in lines], body or None)
            if not message.header(b"Host"):
                message.headers.insert(0, (b"Host", server.authority.encode()))
            if not message.header(b"Authorization"):
                message.headers.append((b"Authorization", f"Token {client.token}".encode()))
            message.is_http = not message.header(b"Transfer-Encoding")
            answer, fault = judge.verdict(message)
            true(fault is None, f"{why}: {fault}: {answer}")


@test("answers that are wrong are noticed")
def noticed(_: argparse.Namespace) -> None:
    good = support.pack({"code": "x", "detail": "y"})
    kinds = [("content-type", support.MSGPACK)], [("content-type", "application/json")], [("content-type", "text/plain")]
    message, broken = Message(b"POST", b"/", []), Message(b"POST", b"/", [], is_http=False)
    for answer, what in (
        (Answer(503, kinds[0], good), "a 503"), (Answer(400, kinds[0], b""), "an empty body"),
        (Answer(400, kinds[0], good[:-1]), "bytes that are cut"),
        (Answer(400, kinds[0], support.pack({"detail": []})), "an empty list"),
        (Answer(400, kinds[0], support.pack({"detail": "y"})), "no code"),
        (Answer(400, kinds[1], b"{}"), "JSON without a detail"), (Answer(400, kinds[2], b"Oops"), "an unknown text"),
        (Answer(400, [], b""), "no type"),
        (Answer(302, kinds[0], b""), "a redirection"), (Answer(200, kinds[0], b"\xc1"), "no MessagePack"), (None, "silence"),
    ):
        true(judged(message, answer), f"{what} must be noticed")
    equal([judged(message, Answer(409, kinds[0], good)), judged(broken, None),
        judged(broken, Answer(400, [("connection", "close")], b""))], [None] * 3)


@contextlib.contextmanager
def fuzzed(options: argparse.Namespace) -> Iterator[Server]:
    with Server(options.apus, "--debug", "--signup", "open") as server:
        yield server
        true(server.is_alive(), "the server must live")
        equal(expected(server.get("/ready"), 200).body, b"ready\n", "readiness")
        equal(server.stop(), 0, "exit code")


def more_tests(options: argparse.Namespace) -> Iterable[tuple[str, Callable]]:
    """A test for each scenario, all on one server."""
    shared = Path(os.environ.get("APUS_TEST_SHARED", "../shared")) / "conformance"
    if not shared.is_dir():
        print(f"        left out, for want of recordings in {shared}: requests made hostile")
        return
    replay = loaded(shared / "replay.py")
    scenarios = scenarios_of(shared / "corpus")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(options.apus, "--debug", "--signup", "open"))
        fuzz = Fuzz(options, server, replay, scenarios)
        for scenario in scenarios:
            sentence = f"whatever comes in place of the requests of {scenario['scenario']} is answered as it should be"
            yield sentence, functools.partial(lambda scenario, _: fuzz.scenario(scenario), scenario)
        yield "after all of that the server is alive, and ends as it should", lambda _: alive(fuzz)


def alive(fuzz: Fuzz) -> str:
    true(fuzz.server.is_alive(), "it has ended")
    expected(fuzz.server.get("/ready"), 200)
    equal(fuzz.server.stop(), 0, "exit code")
    return f"{fuzz.judge.sent} requests, by status {dict(sorted(fuzz.judge.statuses.items()))}"


def more_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=SEED, help="what the requests follow from")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long requests are sent (default {SECONDS:.0f})")


if __name__ == "__main__":
    support.main(__doc__, more_options, more_tests)
