"""Runs a server as its operator does: first start, accounts, settings, log, secrets, sessions, and mistakes in all of them."""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import time
from pathlib import Path

import nacl.signing

import support
from support import (
    Client, Server, apus, equal, expected, fault_in_form, free_port, offered, person, request_bytes, shown, succeeds, test, true, uid)

NOTES = "/api/v1/collection/notes"
NOTHING = "0 bytes, 0 items, 0 collections"  # in use
FIELD = r' ([\w.-]+)=("(?:[^"\\]|\\.)*"|\S+)'  # of a line of the log


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def works(client: Client) -> bool:
    return client.get("/api/v1/collection/").status == 200


# --- accounts -------------------------------------------------------------------------------------


@test("the first start with closed sign-up tells at once how to make an account")
def welcome(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        end = time.monotonic() + 3
        while "apus user create NAME" not in server.log and time.monotonic() < end:
            time.sleep(0.05)
        true(f"apus user create NAME --data {server.folder}" in server.log,
             f"the command must stand in the output while the server runs: {shown(server.log)}")


@test("it is not told where there are accounts, or where sign-up is open")
def no_welcome(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        person(server, "alice").close()
        equal(server.stop(), 0, "exit code")
        true("user create" not in server.log, "no hint with open sign-up")
        server.flags.clear()
        server.start()
        equal(server.stop(), 0, "exit code")
        true("user create" not in server.log, "no hint with an account")


@test("sign-up is closed unless it is opened")
def closed(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        answer = expected(Client(server, "stranger").sign_up(), 400, "generic")
        equal(fault_in_form(answer), None, "fault in the form")
        expected(Client(server, "stranger").challenge(), 401, "user_not_found")


@test("an account made beside the running server is initialized by a sign-up and can then log in")
def user_create(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        done = server.apus("user", "create", "Alice", "--email", "alice@Example.com")
        equal((done.returncode, done.stderr), (0, ""), "outcome")
        true("alice" in done.stdout, "it tells the name")
        client = Client(server, "alice")
        expected(client.challenge(), 401, "user_not_init")
        equal(server.apus("user", "list").stdout, f"alice\talice@example.com\tnot initialized\t{NOTHING}\n", "the list")
        expected(client.sign_up("other@example.com"), 200)
        equal(server.apus("user", "list").stdout, f"alice\talice@example.com\tactive\t{NOTHING}\n", "the list")
        expected(client.log_in(), 200)
        expected(Client(server, "alice").sign_up(), 409, "user_exists")
        expected(Client(server, "bob").sign_up(), 400, "generic")


@test("an account can be made before the first start, and with a flag instead of the environment")
def create_before(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        server.stop()
        shutil.rmtree(server.folder)
        done = apus(options.apus, "user", "create", "alice", "--data", str(server.folder))
        equal(done.returncode, 0, done.stderr)
        server.start()
        expected(Client(server, "alice").sign_up(), 200)


@test("a disabled user is out at once, and in again when enabled")
def disable(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client, other = person(server, "alice"), person(server, "bob")
        challenge = client.challenge().value["challenge"]
        equal(server.apus("user", "disable", "alice").returncode, 0, "exit code")
        expected(client.get("/api/v1/collection/"), 401, "authentication_failed")
        expected(client.challenge(), 401)
        expected(client.another().answer_challenge(challenge), 401)
        expected(client.another().sign_up(), 409, "user_exists")
        true(works(other), "others are not concerned")
        true(f"alice\talice@example.com\tdisabled\t{NOTHING}\n" in server.apus("user", "list").stdout, "the list")
        equal(server.apus("user", "enable", "alice").returncode, 0, "exit code")
        true(works(client), "the old session is good again")
        expected(client.another().log_in(), 200)


@test("mistakes with accounts are refused with a reason and change nothing")
def bad_accounts(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        equal(server.apus("user", "create", "alice").returncode, 0, "exit code")
        listed = server.apus("user", "list").stdout
        for arguments, reason in (
            (["create", "alice"], "exists"),
            (["create", "ALICE"], "exists"),
            (["create", "al ice"], "letters, numbers"),
            (["create", "a/b"], "letters, numbers"),
            (["create", ""], "username|name"),
            (["create", "x" * 200], "at most 150"),
            (["create", "bob", "--email", "nowhere"], "email"),
            (["create", "bob", "--email", "a@b@c"], "email"),
            (["create"], "name"),
            (["create", "bob", "--unknown"], "unknown"),
            (["disable", "nobody"], "not|no "),
            (["enable", "nobody"], "not|no "),
            (["disable"], "name"),
            (["remove", "alice"], "unexpected|subcommand"),
        ):
            fails(server.apus("user", *arguments), f"user {arguments}", reason)
        equal(server.apus("user", "list").stdout, listed, "the list")


def fault(done: subprocess.CompletedProcess, what: str, reason: str) -> str | None:
    """Nil when a command has ended with an exit code that is not 0 and a reason for people."""
    text = (done.stdout + done.stderr).strip()
    is_told = re.search(reason, text, re.IGNORECASE | re.DOTALL) and "rror Domain" not in text and len(text) < 600
    if done.returncode > 0 and is_told:
        return None
    return f"{what}: exit code {done.returncode}, {text[:160]!r} where something like {reason!r} was expected"


def fails(done: subprocess.CompletedProcess, what: str, reason: str) -> None:
    text = fault(done, what, reason)
    true(text is None, text or "")


# --- settings -------------------------------------------------------------------------------------


@test("what strangers wrote reaches the operator's terminal as text on its line, and as nothing else")
def strangers_texts(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        mallory = Client(server, "mallory")
        # Django's rules let controls into the quoted part of an address.
        expected(mallory.sign_up(email='"a\x1b[2Jb"@example.com'), 200)
        device = "phone\u202e\u009b2J".encode().decode("latin-1")
        expected(mallory.log_in(headers=[("User-Agent", device)]), 200)
        expected(mallory.create_collection("notes"), 201)
        listed = succeeds(server.apus("user", "list"), "user list")
        true(r"a\u{1b}[2J" in listed, f"the address is to be seen in {listed!r}")
        for command in (("user", "list"), ("log", "tail"), ("audit", "--user", "mallory"), ("audit", "--user", "mallory", "--json"),
                        ("user", "erase", "mallory", "--dry-run"), ("verify",)):
            said = succeeds(server.apus(*command), " ".join(command))
            odd = [character for character in said if character not in "\n\t" and not character.isprintable()]
            equal(odd, [], f"what {command} prints that is not seen")
            if command == ("user", "list"):
                equal(said.count("\t"), 3, "columns")


@test("what is no setting, or not a value of one, keeps the server from starting, and it says why")
def bad_settings(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:  # its port is taken
        folder = str(server.scratch / "other")
        good = ["serve", "--data", folder, "--listen", f"127.0.0.1:{free_port()}"]
        faults = []
        for flags, reason in (
            (["--listen", "nonsense"], "nonsense.*address"), (["--listen", "127.0.0.1:99999"], "99999.*address"),
            (["--listen", "127.0.0.1:"], "address"), (["--listen", server.authority], "use|bind"),
            (["--signup", "maybe"], "closed.*open"), (["--token-lifetime", "1w"], "1w.*365d"),
            (["--token-lifetime", "-1d"], "365d|missing"),
            (["--token-lifetime", "99999999999999999999d"], "365d"), (["--token-lifetime", "9223372036854775807d"], "365d"),
            (["--token-lifetime", "1000000000000d"], "365d"), (["--challenge-lifetime", "0"], "for ever"),
            (["--challenge-lifetime", ""], "365d"), (["--body-limit", "0"], "above 0"), (["--body-limit=-1"], "above 0"),
            (["--chunk-limit", "0"], "above 0"), (["--batch-limit", "0"], "above 0"),
            (["--batch-limit", "many"], "batch-limit"),
            (["--log-format", "xml"], "text.*json"), (["--log-level", "loud"], "loud"),
            (["--public-url", "sync.example.com"], "https://"),
            (["--public-url", ""], "address"), (["--public-url", "ftp://sync.example.com"], "https://"), (["--data", "/dev/null/x"], "/dev/null"), (["--unknown"], "unknown"),
        ):
            faults.append(fault(started(options, [*good, *flags]), f"{flags}", reason))
        for name, value, reason in (
            ("APUS_LISTN", "127.0.0.1:1", "APUS_LISTN"), ("APUS_SIGNUP", "maybe", "APUS_SIGNUP.*closed"),
            ("APUS_DEBUG", "perhaps", "APUS_DEBUG"), ("APUS_BODY_LIMIT", "x", "APUS_BODY_LIMIT"),
            ("APUS_BATCH_LIMIT", "-5", "APUS_BATCH_LIMIT"), ("APUS_LOG_FORMAT", "xml", "APUS_LOG_FORMAT"),
            ("APUS_TOKEN_LIFETIME", "soon", "soon"), ("APUS_SECRET_FILE", "/nowhere/secret", "/nowhere/secret"),
            ("APUS_SECRET", "", "APUS_SECRET"),
        ):
            faults.append(fault(started(options, good, {name: value}), f"{name}={value}", reason))
        faults.append(fault(server.apus("user", "list", environment={"APUS_DATE": "x"}), "user list with APUS_DATE",
            "APUS_DATE"))
    equal([text for text in faults if text], [], "faults")


def started(
    options: argparse.Namespace, arguments: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """The outcome of a start that must fail; one that goes on is ended after a few seconds."""
    process = subprocess.Popen(
        [options.apus, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=support.clean_environment(environment or {}))
    try:
        text, _ = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return subprocess.CompletedProcess(arguments, 0, "it has started", "")
    return subprocess.CompletedProcess(arguments, process.returncode, text, "")


@test("flags come before the environment, and the environment before the defaults")
def precedence(options: argparse.Namespace) -> None:
    other = free_port()
    environment = {
        "APUS_SIGNUP": "closed", "APUS_LISTEN": f"127.0.0.1:{other}", "APUS_DATA": "/nowhere", "APUS_BATCH_LIMIT": "3",
        "APUS_TEST_ANYTHING": "is not a setting"}
    with Server(options.apus, "--signup", "open", environment=environment) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        items = [offered(uid(number), uid("r", number), b"") for number in range(4)]
        expected(client.commit("notes", items), 400, "too_many_items")
        expected(client.commit("notes", items[:3]), 200)
    with Server(options.apus, "--batch-limit", "1", environment={"APUS_SIGNUP": "open", "APUS_BATCH_LIMIT": "3"}) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        expected(client.commit("notes", items[:2]), 400, "too_many_items")


@test("a secret comes from the environment, or from the file that it names, and is the same with both")
def secret_settings(options: argparse.Namespace) -> None:
    given = "correct horse battery staple"
    with Server(options.apus, "--signup", "open", environment={"APUS_SECRET": given}) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        true(not (server.folder / "secret").exists(), "no secret must be made where one is given")
        stoken, challenge = client.stoken("notes"), client.challenge().value["challenge"]
        server.stop()
        file = server.scratch / "given"
        file.write_text(given + "\n")
        server.environment = {"APUS_SECRET_FILE": str(file)}
        server.start()
        client.close()
        expected(client.another().answer_challenge(challenge), 200)
        expected(client.get("/api/v1/collection/", stoken=stoken), 200)
        server.stop()
        server.environment = {"APUS_SECRET": "another"}
        fails(server.apus("user", "list", environment=server.environment), "another secret", "secret is not the one")
        true(not (server.folder / "secret").exists(), "no secret must be made where there is a database")


@test("what is kept is for the operator's eyes only, and the secret stays the same")
def modes(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        equal(mode(server.folder), "0o700", "the mode of the folder")
        equal(mode(server.folder / "secret"), "0o600", "the mode of the secret")
        kept = (server.folder / "secret").read_bytes()
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        challenge = client.challenge().value["challenge"]
        server.stop()
        server.start()
        client.close()
        equal((server.folder / "secret").read_bytes(), kept, "the secret")
        expected(client.another().answer_challenge(challenge), 200)
        server.stop()
        (server.folder / "secret").write_bytes(b"")
        fails(started(options, ["serve", "--data", str(server.folder), "--listen", server.authority]), "an empty secret",
            "secret.*empty")


COMMANDS = (
    ("user", "list"), ("user", "disable", "alice"), ("user", "erase", "alice", "--yes"), ("log", "tail"), ("log", "seal"),
    ("log", "verify"), ("verify",), ("rebuild",), ("gc",), ("audit", "--user", "alice"), ("undelete", "--collection", "notes"),
    ("backup", "/dev/shm/apus-no-backup"), ("hand-back",), ("secret", "check"))


@test("with another secret, or without the one that is there, nothing is done, and it is said what to do")
def wrong_secret(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        stoken = client.stoken("notes")
        server.stop()
        kept = (server.folder / "secret").read_bytes()
        serve = ("serve", "--listen", server.authority)
        for command in (*COMMANDS, serve):
            fails(server.apus(*command, environment={"APUS_SECRET": "x" * 50}), f"{command} with another secret", "secret is not the one.*APUS_SECRET")
        (server.folder / "secret").unlink()
        for command in (*COMMANDS, serve):
            fails(server.apus(*command), f"{command} without the secret", "secret of this database is missing.*APUS_SECRET")
            true(not (server.folder / "secret").exists(), f"{command} makes a secret")
        other = server.scratch / "other"
        if server.postgres_database:
            for command in (*COMMANDS, serve, ("user", "create", "bob")):
                fails(server.apus(*command, environment={"APUS_DATA": str(other)}), f"{command} in another folder", "secret of this database is missing")
                true(not (other / "secret").exists(), f"{command} makes a secret")
        (server.folder / "secret").write_bytes(kept + b"\r\n")
        server.start()
        client.close()
        expected(client.get("/api/v1/collection/", stoken=stoken), 200)
        support.verified(server)


@test("a secret that is lost, or that others know, gives way to another, and what was made with it is made anew")
def renewed_secret(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        expected(client.commit("notes", [offered("item", uid("item"), b"meta")]), 200)
        stoken = client.stoken("notes")
        support.succeeds(server.apus("log", "seal"), "log seal")
        fails(server.apus("secret", "renew"), "a renewal beside a server", "another program has this database open.*stop")
        server.stop()
        support.succeeds(server.apus("secret", "check"), "secret check")
        (server.folder / "secret").unlink()
        said = support.succeeds(server.apus("secret", "renew"), "secret renew")
        true(" 0 signatures" not in said and " 0 stokens" not in said, f"what was made anew: {said}")
        equal(mode(server.folder / "secret"), "0o600", "the mode of the secret")
        support.succeeds(server.apus("secret", "check"), "secret check")
        support.verified(server)
        support.succeeds(server.apus("log", "verify"), "log verify")
        server.start()
        client.close()
        expected(client.get("/api/v1/collection/", stoken=stoken), 400, "bad_stoken")
        equal(len(client.changes("notes", None, 10)[0]), 1, "items")
        expected(client.another().log_in(), 200)


@test("a command that asks makes nothing where there is nothing, and says where it has looked")
def nothing_made(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        empty, missing = server.scratch / "empty", server.scratch / "missing"
        empty.mkdir()
        for command in COMMANDS:
            for folder in (empty, missing):
                done = apus(options.apus, *command, environment={"APUS_DATA": str(folder)})
                fails(done, f"{command} on {folder.name}", f"{folder}.*--data")
                equal((list(empty.iterdir()), missing.exists()), ([], False), f"what {command} has made")
            done = subprocess.run(
                [options.apus, *command], cwd=empty, capture_output=True, text=True, env=support.clean_environment({}), timeout=60)
            fails(done, f"{command} in another working directory", f"./data.*working directory.*{empty}")
            equal(list(empty.iterdir()), [], f"what {command} has made")
        if server.postgres_database:
            with support.Database(Server.postgres) as database:
                for command in COMMANDS:
                    fails(apus(options.apus, *command, "--database-url", database.url, "--data", str(missing)), f"{command} on nothing", "database is empty")
                equal(database.rows("SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'"), [], "tables")
                true(not missing.exists(), "a folder was made")


@test("an address that is taken and a folder that is none are told in a sentence")
def places(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        file = server.scratch / "file"
        file.write_text("")
        address = f"127.0.0.1:{free_port()}"
        for arguments, reason in (
            (["--listen", server.authority, "--data", str(server.scratch / "one")], f"{server.authority} is in use.*--listen"),
            (["--listen", "192.0.2.1:3735", "--data", str(server.scratch / "two")], "192.0.2.1:3735 is no address of this machine"),
            (["--listen", address, "--data", str(file)], f"{file} is a file"),
            (["--listen", address, "--data", f"{file}/below"], f"{file}/below cannot be made: .*Not a directory"),
        ):
            done = started(options, ["serve", *arguments])
            fails(done, f"{arguments}", reason)
            equal([line.startswith("Error: ") for line in done.stdout.splitlines()[-1:]], [True], "the last line")
        if os.geteuid() == 0:
            shut = server.scratch / "shut"
            shut.mkdir()
            os.chmod(server.scratch, 0o755)
            shut.chmod(0o755)
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", options.apus, "serve", "--listen", address, "--data", str(shut)],
                capture_output=True, text=True, env=support.clean_environment({}), timeout=20)
            fails(done, "a folder of another user", f"{shut} cannot be read and written by this user: Permission denied")
    said = apus(options.apus, "--version")
    true(said.returncode == 0 and re.fullmatch(r"\d+\.\d+\.\d+.*\n", said.stdout), f"apus --version: {said.stdout}")


@test("sizes have units")
def sizes(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        for text in ("75m", "MB", "-1MB", "0MB", "1.5MB", "9223372036854775807GiB"):
            fails(started(options, ["serve", "--data", str(server.scratch / "other"), f"--body-limit={text}"]), f"--body-limit={text}",
                "APUS_BODY_LIMIT is (a size|too large)")
    with Server(options.apus, "--signup", "open", "--chunk-limit", "2KiB", environment={"APUS_BODY_LIMIT": "10 kB"}) as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        chunk = "/api/v1/collection/notes/item/item/chunk"
        for number, (bytes_, status) in enumerate(((2048, 201), (2049, 400), (10_000, 400), (10_001, 413))):
            found = client.call("PUT", f"{chunk}/c{number}/", body=b"x" * bytes_).status
            true(found == status or (status == 400 and 400 <= found < 500), f"{bytes_} bytes: {found}, not {status}")
            client.close()


@test("the variables that Kubernetes makes for Services are no settings; what is misspelt is an error")
def service_links(options: argparse.Namespace) -> None:
    def links(name: str, address: str = "10.96.12.7", port: str = "3735", transport: str = "tcp") -> dict[str, str]:
        place = f"{transport}://{f'[{address}]' if ':' in address else address}:{port}"
        each = f"{name}_PORT_{port}_{transport.upper()}"
        return {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": port, f"{name}_SERVICE_PORT_HTTP_API": port, f"{name}_PORT": place,
                each: place, f"{each}_PROTO": transport, f"{each}_PORT": port, f"{each}_ADDR": address}

    with Server(options.apus) as server:
        for environment in (links("APUS"), links("APUS_API"), links("APUS_DATA", "fd00::17", "5353", "udp")):
            equal(server.apus("user", "list", environment=environment).returncode, 0, f"exit code with {environment}")
        for name, value in {"APUS_PORT": "3735", "APUS_SERVICE_HOST": "sync.example.com", "APUS_SERVICE_PORT": "http", "APUS_SERVICE_PORT_": "1",
                            "APUS_PORT_X_TCP": "tcp://10.0.0.1:1", "APUS_PORT_80_TCP": "udp://10.0.0.1:80", "APUS_PORT_80_TCP_NAME": "x",
                            "APUS_SINGUP": "open", "APUS_API_PORT": "tcp://db:1"}.items():
            fails(server.apus("user", "list", environment={name: value}), f"{name}={value}", f"{name} is not a setting")


# --- sessions -------------------------------------------------------------------------------------


@test("sessions, stokens and data survive a restart")
def restart(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        client = person(server, "alice")
        expected(client.create_collection("notes"), 201)
        expected(client.commit("notes", [offered(uid(1), uid(2), b"meta", [(uid(3), b"content")])]), 200)
        listed = client.changes("notes", None, 10)
        server.stop()
        server.start()
        client.close()
        equal(client.changes("notes", None, 10), listed, "what is listed")
        equal(client.changes("notes", listed[1], 10)[0], [], "changes since")


@test("a session ends when it is not used for the lifetime of tokens")
def expiry(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--token-lifetime", "2s") as server:
        client = person(server, "alice")
        true(works(client), "a fresh session is good")
        time.sleep(3)
        answer = expected(client.get("/api/v1/collection/"), 401, "authentication_failed")
        equal(fault_in_form(answer), None, "fault in the form")
        expected(client.log_in(), 200)
        true(works(client), "a new session is good")


@test("use prolongs a session")
def prolonged(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--token-lifetime", "2s") as server:
        client = person(server, "alice")
        for number in range(8):
            time.sleep(0.5)
            true(works(client), f"the session has ended {0.5 * (number + 1):.1f} s after its start, though it was in use")


@test("use prolongs a session at the latest when the server ends")
def prolonged_at_end(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--token-lifetime", "6s") as server:
        client = person(server, "alice")
        began = time.monotonic()
        time.sleep(4)
        true(works(client), "the session is good")
        server.stop()
        server.start()
        client.close()
        time.sleep(max(0.0, 7.5 - (time.monotonic() - began)))
        true(works(client), "the session must live for six seconds from its last use")


@test("sessions without end live on, and log-out ends one of them")
def logout(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--token-lifetime", "0") as server:
        client = person(server, "alice")
        second = client.another()
        expected(second.log_in(), 200)
        expected(client.post("/api/v1/authentication/logout/", {}), 204)
        expected(client.get("/api/v1/collection/"), 401, "authentication_failed")
        true(works(second), "the other session is good")


@test("a challenge is good for its lifetime only")
def challenge_lifetime(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--challenge-lifetime", "2s") as server:
        client = person(server, "alice")
        challenge = client.challenge().value["challenge"]
        expected(client.answer_challenge(challenge), 200)
        time.sleep(4)
        expected(client.answer_challenge(challenge), 400, "challenge_expired")
        expected(client.log_in(), 200)


@test("a login is good when it is signed for the request's Host or for the public address, and for no other")
def signed_for(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--public-url", "https://sync.example.com/") as server:
        client = person(server, "alice")
        expected(client.log_in(), 200)
        expected(client.log_in(host="sync.example.com"), 200)
        expected(client.log_in(host="www.example.org", headers=[("Host", "www.example.org")]), 200)
        answer = expected(client.log_in(host="evil.example.com"), 400, "wrong_host")
        equal(fault_in_form(answer), None, "fault in the form")
    with Server(options.apus, "--signup", "open") as server:
        expected(person(server, "alice").log_in(host="sync.example.com"), 400, "wrong_host")


@test("only the allowed hosts are served")
def allowed_hosts(options: argparse.Namespace) -> None:
    with Server(options.apus, "--allowed-hosts", "127.0.0.1, sync.example.com, .example.org, www.single.net") as server:
        for host, status in (
            ("sync.example.com", 200), ("sync.example.com:443", 200), ("example.org", 200), ("a.b.example.org", 200),
            ("evil.com", 400), ("xsync.example.com", 400), ("sync.example.com.evil.com", 400), ("xexample.org", 400), ("", 400),
            ("single.net", 307),
        ):
            answer = expected(from_host(server, "/", host), status)
            if status == 400:
                equal(answer.body, b"Invalid host header", f"the text for {host!r}")
        for probe in ("/live", "/ready", "/health"):
            expected(from_host(server, probe, "10.0.0.1:3735"), 200)


def from_host(server: Server, target: str, host: str) -> support.Answer:
    with server.wire() as wire:
        wire.send(request_bytes("GET", target, [("Host", host)]))
        return wire.receive()


# --- pages and log --------------------------------------------------------------------------------


@test("the addresses for operators are answered, and all others are not found")
def pages(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        for path, text in (("/health", b"ok\n"), ("/live", b"ok\n"), ("/ready", b"ready\n")):
            answer = expected(server.get(path), 200)
            equal((answer.body, answer.media_type), (text, "text/plain"), path)
        for path in ("/healthz", "/health/", "/ready/x", "/admin/nothing/", "/api/v1/", "/api/v2/collection/", "/static/x",
            "/api/v1/test/authentication/reset/"):
            answer = expected(server.get(path), 404)
            equal(fault_in_form(answer), None, f"fault in the form of {path}")
        answer = server.send("POST", "/api/v1/test/authentication/reset/", body=b"")
        expected(answer, 404)  # it is there in debug mode only


@test("the front page tells the address, and takes no markup from the Host header")
def front_page(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        answer = expected(server.get("/"), 200)
        equal(answer.media_type, "text/html", "the type")
        true(f"http://{server.authority}".encode() in answer.body, "the address must stand in it")
        for hostile in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a&lt;b"):
            body = from_host(server, "/", hostile).body
            true(hostile.encode() not in body, f"{hostile} must be escaped in {shown(body)}")
    with Server(options.apus, "--public-url", "https://sync.example.com") as server:
        true(b"https://sync.example.com<" in from_host(server, "/", "evil.com").body, "the public address must stand in it")
    with Server(options.apus, "--public-url", "http://nas.local:8080/") as server:
        true(b"<code>http://nas.local:8080<" in from_host(server, "/", "evil.com").body, "also one of a network at home")


@test("the log has a line for each request, and nothing of what is secret")
def log_lines(options: argparse.Namespace) -> None:
    for form in ("text", "json"):
        with Server(options.apus, "--signup", "open", "--log-format", form, "--log-level", "debug") as server:
            told = scene(server)
            equal(server.stop(), 0, "exit code")
            lines = [parsed(line, form) for line in server.log.splitlines()]
            # The pollings at the start are lines of their own.
            requests = [line for line in lines if line.get("message") == "request" and line["route"] != "/ready"]
            equal([(line["method"], line["route"], int(line["status"])) for line in requests], told["requests"],
                f"requests in the {form} log")
            ids = [line["request_id"] for line in requests]
            equal(len(set(ids)), len(ids), "request ids")
            for line in requests:
                true(0 <= float(line["ms"]) < 10_000 and line["level"] == "info", f"the duration and level in {line}")
                true(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z)?", line["time"]), f"the time in {line}")
            for what, text in told["secrets"].items():
                true(text not in server.log, f"the {what} {text} stands in the {form} log")


def scene(server: Server) -> dict:
    """A few requests, what the log must say of them, and what it must not say."""
    name, mark = "name" + secrets.token_hex(6), "mark" + secrets.token_hex(6)
    client = person(server, name)
    expected(client.create_collection("notes"), 201)
    expected(client.commit("notes", [offered("item" + mark, uid(mark), mark.encode(), [("chunk" + mark, mark.encode())])]), 200)
    expected(client.get(f"{NOTES}/item/", stoken=mark, limit=5), 400, "bad_stoken")
    expected(client.call("POST", f"{NOTES}/item/batch/", body=mark.encode()), 400)
    expected(client.get(f"{NOTES}/item/item{mark}/"), 200)
    expected(client.get(f"/{mark}%0A2026-01-01 injected".replace(" ", "%20")), 404)
    expected(client.get(f"{NOTES}/member/{name}/"), 405)
    expected(client.call("GET", f"{NOTES}/", headers=[("Authorization", f"Token bad{mark}"), ("X-Request-ID", mark),
        ("User-Agent", mark)]), 401)
    expected(client.log_in(), 200)
    expected(client.log_in(host=mark), 400)
    second = client.token
    secret = (server.folder / "secret").read_text()
    challenge = ("POST", "/api/v1/authentication/login_challenge/", 200)
    return {
        "requests": [
            ("POST", "/api/v1/authentication/signup/", 200), ("POST", "/api/v1/collection/", 201),
            ("POST", "/api/v1/collection/{collection_uid}/item/batch/", 200),
            ("GET", "/api/v1/collection/{collection_uid}/item/", 400),
            ("POST", "/api/v1/collection/{collection_uid}/item/batch/", 400),
            ("GET", "/api/v1/collection/{collection_uid}/item/{item_uid}/", 200), ("GET", "-", 404), ("GET", "-", 405),
            ("GET", "/api/v1/collection/{collection_uid}/", 401), challenge, ("POST", "/api/v1/authentication/login/", 200),
            challenge, ("POST", "/api/v1/authentication/login/", 400),
        ],
        "secrets": {"name": name, "mark": mark, "token": second, "secret": secret, "blank line": "\n\n", "word": "injected"},
    }


def parsed(line: str, form: str) -> dict:
    """A line of the log as a map. Fails when it is not in its form."""
    try:
        if form == "json":
            return json.loads(line)
        time_, level, rest = line.split(" ", 2)
        message, fields = re.fullmatch(rf"(.*?)((?:{FIELD})*)", rest).group(1, 2)
        return {"time": time_, "level": level, "message": message, **dict(re.findall(FIELD, fields))}
    except (ValueError, AttributeError):
        raise AssertionError(f"a line that is no {form}: {shown(line)}") from None


@test("the log begins with what runs where, and nothing of the server's keys is in it at any level")
def first_line(options: argparse.Namespace) -> None:
    given = "a secret " + secrets.token_hex(8)
    for form in ("text", "json"):
        with Server(options.apus, "--signup", "open", "--log-format", form, "--log-level", "trace", environment={"APUS_SECRET": given}) as server:
            client = person(server, "alice")
            expected(client.create_collection("notes"), 201)
            expected(client.log_in(), 200)
            equal(server.stop(), 0, "exit code")
            lines = [parsed(line, form) for line in server.log.splitlines()]
            line = next(line for line in lines if line["message"] == "serving")
            line = {key: value.strip('"') if isinstance(value, str) else value for key, value in line.items()}
            equal((line["address"], line["data"], line["roles"], str(line["epoch"])), (server.authority, str(server.folder), "api,gateway,projector", "1"), "the line")
            true(line["engine"].startswith("SQLite 3") and line["database"].endswith("apus.sqlite") and line["version"], f"the line: {line}")
            def derived(person_: bytes) -> bytes:
                return hashlib.blake2b(given.encode(), digest_size=32, person=person_).digest()
            seed = derived(b"apus-seal-key")
            for name, key in {"secret": given.encode(), "seals": seed, "signing": bytes(nacl.signing.SigningKey(seed)),
                              "challenges": derived(b"apus-challenge"), "stokens": derived(b"apus-stoken-tag"), "mask": derived(b"apus-stoken-mask"),
                              "token": client.token.encode()}.items():
                for shape in (key.hex(), ", ".join(str(byte) for byte in key), base64.b64encode(key).decode(), key.decode("latin-1")):
                    true(shape not in server.log, f"the {name} stands in the log")
            true(not re.search(r"(\d+, ){15}", server.log), "bytes stand in the log")


@test("in JSON every line is JSON, numbers are numbers, and who looks whether the server is well is seen at debug only")
def json_lines(options: argparse.Namespace) -> None:
    ini = "[global]\ndebug = no\ntime_zone = UTC\n"
    for level, routes in (("info", {"-"}), ("debug", {"-", "/ready", "/live", "/health"})):
        with Server(options.apus, "--log-format", "json", "--log-level", level) as server:
            server.stop()
            server.log_path.unlink()
            (server.scratch / "etebase-server.ini").write_text(ini)
            server.flags += ["--config", str(server.scratch / "etebase-server.ini")]
            server.start()
            for path in ("/live", "/health", "/nowhere"):
                server.get(path)
            server.stop()
            lines = [json.loads(line) for line in server.log.splitlines()]
            true(any("time_zone" in line["message"] for line in lines) and any("apus user create" in line.get("command", "") for line in lines), "the hints")
            requests = [line for line in lines if line["message"] == "request"]
            equal({line["route"] for line in requests}, routes, f"routes at {level}")
            for line in requests:
                true(isinstance(line["status"], int) and isinstance(line["ms"], (int, float)), f"the numbers in {line}")


@test("a log that nobody reads stops nobody; it goes on, and says what is missing, once somebody does")
def unread_log(options: argparse.Namespace) -> None:
    with Server(options.apus, "--log-format", "json", "--log-level", "debug") as server:
        server.stop()
        read, write = os.pipe()
        server.process = subprocess.Popen(
            [options.apus, "serve", "--listen", server.authority, "--data", str(server.folder), *server.flags], stdin=subprocess.DEVNULL,
            stdout=write, stderr=write, env=support.clean_environment(server.engine))
        os.close(write)
        while True:
            with contextlib.suppress(OSError):
                if server.get("/ready").status == 200:
                    break
        # The pipe takes 64 KiB and the server keeps 1 MiB, in lines of some 180 bytes.
        count = 12_000
        with server.wire() as wire:
            for _ in range(count // 100):
                wire.send(request_bytes("GET", "/live") * 100)
                for _ in range(100):
                    equal(wire.receive().status, 200, "status")
        lines, rest = [], b""
        while not any(line["message"].startswith("lines of the log were dropped") for line in lines):
            rest += os.read(read, 1 << 16)
            *whole, rest = rest.split(b"\n")
            lines += [json.loads(line) for line in whole]
        dropped = next(line["count"] for line in lines if line["message"].startswith("lines of the log were dropped"))
        true(0 < dropped < count, f"{dropped} were dropped")
        seen = sum(line.get("route") == "/live" for line in lines)
        true(seen + dropped >= count, f"{seen} were written and {dropped} dropped of {count}")
        os.close(read)
        equal(server.get("/live").status, 200, "status without a reader")
        equal(server.stop(), 0, "exit code")


@test("the log's level leaves out what is less important")
def log_level(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--log-level", "error") as server:
        person(server, "alice").close()
        equal(server.stop(), 0, "exit code")
        equal(server.log, "", "the log")


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
