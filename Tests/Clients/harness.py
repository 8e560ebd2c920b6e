"""What the programs in this folder share: a list of tests, each named by a sentence, and a runner for them.

The client is the official one (`pip install etebase`), so these programs run on the Pythons that can load it:
Tests/Clients/run prepares one. Each test signs up users of its own, so nothing has to be reset between runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import os
import re
import secrets
import subprocess
import sys
import time
import traceback
from typing import Any, Callable

# The native part of the client prints a stack for each of its own panics; the test's own trace says enough.
os.environ.setdefault("RUST_BACKTRACE", "0")

from etebase import Account, Client, FetchOptions, User  # noqa: E402
from etebase.etebase_python import Error  # noqa: E402

TESTS: list[tuple[str, Callable[[Server], None]]] = []
LIMIT_SECONDS = 600  # a run that takes longer is stuck: the traces are printed and it ends


@dataclasses.dataclass
class Person:
    """A user of the server, with one session of theirs."""

    name: str
    password: str
    account: Account

    @property
    def collections(self) -> Any:
        return self.account.get_collection_manager()

    @property
    def invitations(self) -> Any:
        return self.account.get_invitation_manager()


class Server:
    """The server under test, as its clients know it, by its address, and as its operator does, by its program."""

    def __init__(self, url: str, program: str | None = None) -> None:
        self.url, self.program = url, program

    def client(self) -> Client:
        return Client("apus-tests", self.url)

    def person(self, name: str | None = None, password: str | None = None) -> Person:
        """Signs up somebody new, or into an account that is there without keys."""
        name, password = name or "test_user" + secrets.token_hex(6), password or secrets.token_urlsafe(12)
        account = Account.signup(self.client(), User(name, name + "@example.com"), password)
        return Person(name, password, account)

    def another_session(self, person: Person) -> Person:
        """Logs a known person in once more, as from a second device."""
        return Person(person.name, person.password, Account.login(self.client(), person.name, person.password))

    def apus(self, *arguments: str) -> str:
        """What a command of the server's operator says. It must succeed."""
        true(self.program, "--apus says which program the operator uses")
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=60)
        true(done.returncode == 0, f"apus {' '.join(arguments)}: exit code {done.returncode}, {done.stderr.strip()}")
        return done.stdout


def test(sentence: str) -> Callable[[Callable[[Server], None]], Callable[[Server], None]]:
    """Adds a function to the tests of this program."""

    def add(function: Callable[[Server], None]) -> Callable[[Server], None]:
        TESTS.append((sentence, function))
        return function

    return add


def equal(found: Any, expected: Any, what: str = "value") -> None:
    if found != expected:
        raise AssertionError(f"{what}: {shown(found)} where {shown(expected)} was expected")


def true(condition: Any, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def refused(action: Callable[[], Any], like: str) -> None:
    """Fails unless the server refuses the action with a message that `like` (a pattern) is found in."""
    try:
        action()
    except Error as error:
        true(re.search(like, str(error), re.IGNORECASE), f"refused with {error!s}, expected something like {like!r}")
    else:
        raise AssertionError(f"not refused, though a refusal like {like!r} was expected")


def pages(list_page: Callable[[FetchOptions], Any], limit: int, stoken: str | None = None) -> list[Any]:
    """All answers of a paged list that goes on from stoken to stoken, until the server says that it is done."""
    answers = []
    while True:
        answers.append(list_page(FetchOptions().limit(limit).stoken(stoken)))
        if answers[-1].done:
            return answers
        true(answers[-1].stoken != stoken, "a page that is not the last one must move the stoken")
        stoken = answers[-1].stoken


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def main(about: str) -> None:
    """Runs the tests against the server named on the command line; exit code 1 when one failed."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("url", help="the server, as http://127.0.0.1:3735")
    parser.add_argument("--apus", help="the program, for what its operator does; the environment says where the database is")
    parser.add_argument("--only", default="", help="run only the tests whose sentence contains this text")
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
    passed = failed = 0
    for sentence, function in TESTS:
        if arguments.only not in sentence:
            continue
        began = time.monotonic()
        try:
            function(Server(arguments.url, arguments.apus))
            passed += 1
            print(f"ok      {sentence} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:  # the client's own panics included
            failed += 1
            print(f"FAILED  {sentence}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
