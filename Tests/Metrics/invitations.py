#!/usr/bin/env python3
"""`apus user invite`: an operator invites people by links, and people open them, beside a running server."""

from __future__ import annotations

import argparse
import base64
import hashlib
import html.parser
import json
import re
import threading
import time
import urllib.parse

from common import PATIENCE_SECONDS, Answer, Server, equal, expected, options, support, true
from support import Client, head, meddle, query, refused, succeeds, test

PUBLIC = "https://sync.example.com/etebase"
NOWHERE = "/join/" + "x" * 43


def served(options: argparse.Namespace, *flags: str) -> Server:
    """A server whose operator has said what people call it, in the environment of its commands too."""
    server = Server(options.apus, *flags)
    server.engine = server.engine | {"APUS_SIGNUP": "invite", "APUS_PUBLIC_URL": PUBLIC}
    return server


def invite(server: Server, *arguments: str) -> str:
    """The path of a new link, as a proxy passes it on that takes the prefix off."""
    said = succeeds(server.apus("user", "invite", *arguments), "user invite")
    link = said.splitlines()[0]
    true(re.fullmatch(re.escape(PUBLIC) + "/join/[A-Za-z0-9]{43}", link), said)
    return link.removeprefix(PUBLIC)


def pending(server: Server) -> list[dict]:
    lines = succeeds(server.apus("user", "invitations", "--json"), "user invitations").splitlines()
    return [json.loads(line) for line in lines]


def post(server: Server, path: str, name: str, *headers: tuple[str, str]) -> Answer:
    body = urllib.parse.urlencode({"name": name}).encode()
    return server.send("POST", path, [("Content-Type", "application/x-www-form-urlencoded"), *headers], body)


def names(server: Server) -> list[str]:
    """The accounts that there are, once the tables are where the log ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while query(server, "SELECT log.position - projected.position FROM apus_log log, apus_projection projected") != [[0]]:
        true(time.monotonic() < end, "the projector catches up")
        time.sleep(0.02)
    return [row[0] for row in query(server, "SELECT username FROM myauth_user ORDER BY id")]


def at_once(server: Server, path: str, given: list[str]) -> list[int]:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda name=name: statuses.append(post(server, path, name).status)) for name in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


class Labels(html.parser.HTMLParser):
    """Which inputs there are, and which have a label."""

    def __init__(self, page: Answer) -> None:
        super().__init__()
        self.inputs: set[str] = set()
        self.labelled: set[str] = set()
        equal(page.media_type, "text/html", "the type")
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attributes: list) -> None:
        named = dict(attributes)
        if tag == "input":
            self.inputs.add(named["id"])
        if tag == "label":
            self.labelled.add(named["for"])
        true(tag not in ("script", "link", "img") and not any(name.startswith("on") or name == "style" for name in named),
             f"{tag} runs, loads or styles something")


def has_policy(page: Answer) -> None:
    """The page may use its own style, and nothing else; it is kept nowhere and tells nobody its address."""
    style = re.search("<style>(.*?)</style>", page.body.decode(), re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    equal(page.header("content-security-policy"),
          f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'", "the policy")
    equal([page.header(name) for name in ("referrer-policy", "cache-control", "x-content-type-options")],
          ["no-referrer", "no-store", "nosniff"], "headers")


@test("a page that nobody keeps asks for a name, makes the account that apus user create makes, and tells what to enter where")
def flow(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite", "--public-url", PUBLIC) as server:
        path = invite(server)
        for page in (server.get(path), server.get("/"), server.get(NOWHERE)):
            has_policy(page)
        equal(server.send("HEAD", path).status, 200, "a look at the link, as programs for messages take")
        page = server.get(path)
        equal(page.status, 200, "the form")
        found = Labels(page)
        equal((found.inputs, found.labelled), ({"name"}, {"name"}), "what has a label")
        true('name="viewport"' in page.body.decode(), "the head")
        made = post(server, path, " Ada ")
        equal(made.status, 200, "the answer")
        has_policy(made)
        text = made.body.decode()
        for word in ("<code>ada</code>", f"<code>{PUBLIC}</code>", "Android", "iPhone", "on the web", "DAV bridge", "Tasks.org", "Notes"):
            true(word in text, f"{word} on the page")
        equal(post(server, path, "ada").body, made.body, "the page when it is loaded again")
        equal(names(server), ["ada"], "the accounts")
        expected(Client(server, "ada").challenge(), 401, "user_not_init")
        expected(Client(server, "Ada").sign_up(), 200)
        expected(Client(server, "eve").sign_up(), 400, "generic")
        secret = path.split("/")[2]
        stored = str(query(server, "SELECT * FROM apus_signup_link")) + str(query(server, "SELECT * FROM apus_signup_use"))
        true(secret not in server.log + stored, "the secret in the log or the database")


@test("links that were used, withdrawn, have expired or never were are answered alike, and change nothing")
def gone(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        used, expired, withdrawn = invite(server), invite(server, "--expires", "1h"), invite(server)
        nowhere = server.get(NOWHERE)
        equal(nowhere.status, 404, "a link that never was")
        equal(post(server, used, "ada").status, 200, "the first use")
        chosen = pending(server)[-1]["invitation"]
        said = succeeds(server.apus("user", "invitations", "--withdraw", chosen), "user invitations")
        true("1 of" in said, said)
        refused(server.apus("user", "invitations", "--withdraw", chosen), "what is withdrawn", "there is no invitation")
        meddle(server, "UPDATE apus_signup_link SET expires_at = 1 WHERE used = 0")
        before = head(server)
        for path in (used, withdrawn, expired):
            answers = [server.get(path), post(server, path, "eve")]
            equal([(answer.status, answer.body) for answer in answers], [(404, nowhere.body)] * 2, path)
        equal((names(server), head(server)), (["ada"], before), "the accounts and the log")
        for path in ("/join/", "/join/x", "/join", NOWHERE + "/"):
            equal(server.get(path).status, 404, path)
        invite(server), invite(server, "--uses", "5", "--expires", "0")
        succeeds(server.apus("user", "invitations", "--all"), "user invitations --all")
        equal(pending(server), [], "what is open")


@test("names are looked at as at a sign-up, and one that is refused does not use the link up")
def refusals(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        path = invite(server)
        succeeds(server.apus("user", "create", "taken"), "user create")
        before = head(server)
        for name, status in (("Taken", 409), ("", 400), ("a b", 400), ("x" * 151, 400), ("<script>alert('x')</script>\"&", 400),
                             ("\N{GRINNING FACE}", 400), ("\0", 400)):
            answer = post(server, path, name)
            equal(answer.status, status, repr(name))
            true(b'role="alert"' in answer.body, f"the page about {name!r}")
            Labels(answer)
        equal(server.send("POST", path, [("Content-Type", "text/plain")], b"\xff\x00&=&name").status, 400, "rubbish")
        equal(server.send("POST", path, [("Content-Type", "x")], b"x" * 1_000_000).status, 413, "much rubbish")
        equal(head(server), before, "the log")
        (link,) = pending(server)
        equal((link["uses"], link["used"]), (1, 0), "the uses")
        equal(post(server, path, "free").status, 200, "a name that is free")
        refused(server.apus("user", "invite", "--name", "taken"), "a name that is taken", "already exists")
        refused(server.apus("user", "invite", "--name", "a b"), "what is no name", "valid username")
        refused(server.apus("user", "invite", "--uses", "0"), "no use", "uses")
        refused(server.apus("user", "invite", "--expires", "soon"), "no time", "no span of time")
        refused(server.apus("user", "invite", "--url", "sync"), "no address", "no address such as https://")
        del server.engine["APUS_PUBLIC_URL"]
        refused(server.apus("user", "invite"), "no address at all", "--url", "APUS_PUBLIC_URL")


@test("a name that was set is the account's, whatever is sent, and is held by one link")
def fixed(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        path = invite(server, "--name", "Grace")
        refused(server.apus("user", "invite", "--name", "grace"), "a second link for a name", "open already")
        page = server.get(path).body.decode()
        true("<code>grace</code>" in page and "<input" not in page, page)
        equal(post(server, path, "other").status, 200, "the answer")
        equal(names(server), ["grace"], "the accounts")
        path = invite(server, "--name", "late")
        succeeds(server.apus("user", "create", "late"), "user create")
        answer = post(server, path, "")
        true(answer.status == 409 and b"Ask whoever sent the link" in answer.body, str(answer))


@test("of many who open a link at once no more get an account than it has uses, and one who sends the form often counts once")
def uses(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        equal(at_once(server, invite(server, "--uses", "3"), [f"user{number}" for number in range(24)]), [200] * 3 + [404] * 21, "of three uses")
        equal(len(names(server)), 3, "the accounts")
        path = invite(server, "--uses", "2")
        equal(at_once(server, path, ["ada"] * 12), [200] * 12, "the same again and again")
        equal([link["used"] for link in pending(server)], [1], "what is used")
        equal(at_once(server, path, ["bob", "eve"]), [200, 404], "the last use")
        equal(len(names(server)), 5, "the accounts")


@test("an account whose link was taken when the server was killed is made when its form is sent again")
def killed(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        path = invite(server)
        secret = path.split("/")[2]
        # As it is found after a crash between the two: the use is taken, the account is not there.
        link = query(server, "SELECT link FROM apus_signup_link")[0][0]
        account = hashlib.blake2b(b"ada", digest_size=32, key=secret.encode(), person=b"apus-signup-use").hexdigest()
        literal = f"'\\x{account}'" if server.postgres_database else f"x'{account}'"
        server.kill()
        meddle(server, f"UPDATE apus_signup_link SET used = 1; INSERT INTO apus_signup_use VALUES ('{link}', {literal}, 'held')")
        server.start()
        equal(post(server, path, "eve").status, 404, "another name")
        equal(post(server, path, "ada").status, 200, "the name that it was taken for")
        equal(names(server), ["ada"], "the accounts")


@test("too many who make accounts from one address are told so with a page, and a database that is away too")
def limited(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite", "--trust-proxy", "--signup-limit", "2/1h") as server:
        path = invite(server, "--uses", "5")
        stranger = ("X-Forwarded-For", "192.0.2.7")
        equal([post(server, path, f"user{number}", stranger).status for number in range(3)], [200, 200, 503], "one address")
        answer = post(server, path, "more", stranger)
        true(answer.header("retry-after") and b"Try again in" in answer.body, answer.body.decode())
        has_policy(answer)
        equal(post(server, path, "other", ("X-Forwarded-For", "192.0.2.8")).status, 200, "another address")
        meddle(server, "ALTER TABLE apus_signup_link RENAME TO apus_signup_away")
        answer = server.get(path)
        equal((answer.status, answer.media_type), (503, "text/html"), "without its table")
        meddle(server, "ALTER TABLE apus_signup_away RENAME TO apus_signup_link")


@test("a backup has them, a closed server knows no links, and an open one takes them too")
def kept(options: argparse.Namespace) -> None:
    with served(options, "--signup", "invite") as server:
        path = invite(server)
        file = server.scratch / "backup"
        succeeds(server.apus("backup", str(file)), "backup")
        restored = {"APUS_DATA": str(server.scratch / "restored")}
        ended = support.apus(options.apus, "restore", str(file), environment=restored)
        equal(ended.returncode, 0, ended.stderr)
        listed = support.apus(options.apus, "user", "invitations", "--json", environment=restored)
        equal(len(listed.stdout.splitlines()), 1, "invitations after a restore")
        said = server.apus("user", "invite", environment={"APUS_SIGNUP": "closed"})
        true(said.returncode == 0 and "APUS_SIGNUP is closed" in said.stderr, said.stderr)
        for policy, status in (("closed", 404), ("open", 200)):
            server.stop()
            server.flags[1] = policy
            server.start()
            equal(server.get(path).status, status, policy)
            true(policy == "open" or post(server, path, "eve").status == 404, "a form that is sent to a closed server")
        equal(names(server), [], "the accounts")


if __name__ == "__main__":
    support.main(__doc__, options)
