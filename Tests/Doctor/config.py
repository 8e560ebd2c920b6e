#!/usr/bin/env python3
"""`apus config`: what is set and where, files that are looked at, secrets in files, and the lists that must agree with the program's."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Faults"))

import support  # noqa: E402
from support import Server, apus, equal, expected, free_port, person, refused, succeeds, test, true  # noqa: E402

SECRET = "what nobody may ever see anywhere"
# What the other settings of a directory need beside them.
DIRECTORY = {"APUS_LDAP_URL": "ldap://127.0.0.1", "APUS_LDAP_BASE": "dc=test", "APUS_LDAP_BIND_DN": "cn=apus,dc=test"}


def told(options: argparse.Namespace, *arguments: str, code: int = 0, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What `apus config --json` tells, its settings by their names."""
    done = apus(options.apus, "config", "--json", *arguments, environment=(environment or {}))
    equal(done.returncode, code, f"exit code of config {arguments}: {done.stdout[-500:]}{done.stderr}")
    true(SECRET not in done.stdout + done.stderr, "a secret was shown")
    found = json.loads(done.stdout)
    return found | {"settings": {setting["name"]: setting for setting in found["settings"]}}


def place(found: dict[str, Any], name: str) -> tuple:
    setting = found["settings"][name]
    return setting.get("value"), setting["source"], setting.get("path")


class Scratch:
    """A folder for files with settings."""

    def __enter__(self) -> Scratch:
        self.folder = tempfile.TemporaryDirectory(prefix="apus config.")
        return self

    def __exit__(self, *_: Any) -> None:
        self.folder.cleanup()

    def file(self, name: str, text: str, mode: int = 0o600) -> str:
        path = Path(self.folder.name) / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


# --- where it comes from --------------------------------------------------------------------------


@test("each value is told with where it comes from: the command line before the environment, that before a file, that before defaults")
def origins(options: argparse.Namespace) -> None:
    with Scratch() as scratch:
        variables = scratch.file("apus.env", "# a comment\nAPUS_SIGNUP=open\nAPUS_LISTEN=127.0.0.1:1\nAPUS_ROLES='api,projector'\nAPUS_MEMORY=1GiB\n")
        environment = {"APUS_LISTEN": "127.0.0.1:2", "APUS_MEMORY": "2GiB", "APUS_CONFIG": variables}
        found = told(options, "--memory", "3GiB", "--trust-proxy", environment=environment)
        equal(place(found, "APUS_MEMORY"), ("3GiB", "command line", None), "memory")
        equal(place(found, "APUS_TRUST_PROXY"), ("on", "command line", None), "a flag")
        equal(place(found, "APUS_LISTEN"), ("127.0.0.1:2", "environment", None), "listen")
        equal(place(found, "APUS_SIGNUP"), ("open", "file", variables), "signup")
        equal(place(found, "APUS_ROLES"), ("api,projector", "file", variables), "roles, which were quoted")
        equal(place(found, "APUS_DRAIN"), ("5s", "default", None), "drain")
        equal(place(found, "APUS_MEDIA_ROOT"), ("./data/chunks", "default", None), "what follows from another setting")
        # The environment of the tests has APUS_LAME_DUCK=0.
        equal(place(found, "APUS_LAME_DUCK"), ("0", "environment", None), "lame duck")
        ini = scratch.file("etebase-server.ini", "[global]\ndebug = false\nmedia_root = /srv/media\nstatic_root = /x\n[database]\n"
                           f"engine = django.db.backends.postgresql\nname = etebase\npassword = {SECRET}\n[allowed_hosts]\na = one.example.com\n")
        found = told(options, "--config", ini)
        equal(place(found, "APUS_MEDIA_ROOT"), ("/srv/media", "etebase-server.ini", ini), "the original's file")
        equal(place(found, "APUS_DATABASE_URL"), (None, "etebase-server.ini", ini), "a database with a password")
        true(any("static_root" in notice for notice in found["notices"]), found["notices"])
        below = scratch.file("both.env", f"APUS_CONFIG={ini}\nAPUS_ALLOWED_HOSTS=two.example.com\n")
        found = told(options, "--config", below)
        equal(place(found, "APUS_ALLOWED_HOSTS"), ("two.example.com", "file", below), "a file of variables comes before the other")
        equal(place(found, "APUS_MEDIA_ROOT"), ("/srv/media", "etebase-server.ini", ini), "which it names")


@test("the words for people have a line for each setting, and never a secret")
def words(options: argparse.Namespace) -> None:
    environment = {
        "APUS_SECRET": SECRET, "APUS_METRICS_TOKEN": SECRET, "APUS_DATABASE_URL": f"postgres://apus:{SECRET.replace(' ', '%20')}@db/apus",
        "APUS_REDIS_URL": f"redis://:{SECRET.replace(' ', '-')}@redis"}
    done = apus(options.apus, "config", environment=environment)
    equal(done.returncode, 0, "exit code")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    equal(set(lines), set(told(options)["settings"]), "names")
    for name in ("nobody", "may"):
        true(name not in done.stdout + done.stderr, "no secret")
    for name in environment:
        true(lines[name].endswith("(not shown)  [environment]"), lines[name])
    true(re.fullmatch(r"APUS_LISTEN +127\.0\.0\.1:3735  \[default\]", lines["APUS_LISTEN"]), lines["APUS_LISTEN"])
    sqlite = told(options, environment={"APUS_DATABASE_URL": "sqlite:/tmp/x.sqlite"})
    equal(place(sqlite, "APUS_DATABASE_URL"), ("sqlite:/tmp/x.sqlite", "environment", None), "SQLite's address, which holds no secret")


# --- what is wrong --------------------------------------------------------------------------------


@test("all mistakes are told at once, each with what is meant, and the exit code is 1")
def mistakes(options: argparse.Namespace) -> None:
    found = told(options, code=1, environment={
        "APUS_LISTN": "x", "APUS_UTTERLY_UNKNOWN_THING": "x", "APUS_SIGNUP": "maybe", "APUS_MEMORY": "much", "APUS_DRAIN": "90s",
        "APUS_READ_DATABASE_URL": f"mysql://{SECRET}", "APUS_SECRET_FILE": "/nowhere/secret", "APUS_TEST_ANYTHING": "x",
        "APUS_API_SERVICE_HOST": "10.0.0.1"})
    for word in ("APUS_LISTN is not a setting of this version of apus; is APUS_LISTEN meant?", "APUS_UTTERLY_UNKNOWN_THING is not a setting",
                 "APUS_SIGNUP is one of closed, invite, open", "APUS_MEMORY is a size", "at most 20 seconds", "APUS_READ_DATABASE_URL begins with",
                 "/nowhere/secret"):
        equal(len([mistake for mistake in found["mistakes"] if word in mistake]), 1, f"'{word}' in {found['mistakes']}")
    equal(len(found["mistakes"]), 7, found["mistakes"])
    done = apus(options.apus, "config", environment={"APUS_LISTN": "x"})
    true(done.returncode == 1 and "mistake: APUS_LISTN is not" in done.stdout, done.stdout)
    for arguments, word in (
        (["--roles", "gateway"], "needs Redis"), (["--roles", "gateway", "--redis-url", "redis://127.0.0.1"], "and PostgreSQL"),
        (["--read-database-url", "postgres://a/b"], "APUS_READ_DATABASE_URL needs APUS_DATABASE_URL"),
        (["--database-url", "postgres://a:p%ss@b/c"], "percent-encoded"), (["--config", "/nowhere/file"], "/nowhere/file cannot be read"),
    ):
        found = told(options, *arguments, code=1)
        true(any(word in mistake for mistake in found["mistakes"]), f"{arguments}: {found['mistakes']}")
    equal(told(options, "--roles", "gateway", "--redis-url", "redis://127.0.0.1", "--database-url", "postgres://a/b")["mistakes"], [],
          "a gateway of its own with all it needs")


@test("a file is looked at alone: its lines, its values, and who may read it; serve takes the same file")
def files(options: argparse.Namespace) -> None:
    def check(path: str, code: int) -> str:
        # The environment says nothing of the file.
        done = apus(options.apus, "config", "--check", path, environment={"APUS_SIGNUP": "maybe", "APUS_LISTN": "x"})
        equal(done.returncode, code, f"exit code for {path}: {done.stdout}{done.stderr}")
        true(SECRET not in done.stdout + done.stderr, "a secret was shown")
        return done.stdout

    with Scratch() as scratch:
        good = scratch.file("good.env", f'APUS_SIGNUP=open\n; a comment\nAPUS_SECRET="{SECRET}"\nLD_LIBRARY_PATH=/x\n')
        told_of = check(good, 0)
        equal([line.split()[0] for line in told_of.splitlines()], ["APUS_SECRET", "APUS_SIGNUP", "notice:"], "only what the file says")
        true("LD_LIBRARY_PATH is no setting of apus" in told_of, told_of)
        true("chmod 600" in check(scratch.file("open.env", f"APUS_SECRET={SECRET}\n", 0o644), 0), "others may read a secret")
        true("chmod" not in check(scratch.file("other.env", "APUS_SECRET_FILE=/dev/null\n", 0o644), 1), "the name of its file is none")
        bad = check(scratch.file("bad.env", "APUS_SIGNUP=closed\nexport APUS_DRAIN=5s\nAPUS_LISTN=x\nAPUS_MEMORY=1\\\n\nAPUS_SIGNUP=open\n"), 1)
        for word in ("line 2: there is no name", "line 3: APUS_LISTN is not", "line 4: a value stands on one line", "line 6: APUS_SIGNUP stands there twice"):
            true(word in bad, f"'{word}' in {bad}")
        true("maybe" in check(scratch.file("value.env", "APUS_SIGNUP=maybe\n"), 1), "a wrong value")
        true("2 MiB" not in check(scratch.file("empty.env", "\n# nothing\n"), 0), "an empty file")
        true("[surprise] is no section" in check(scratch.file("bad.ini", "[surprise]\nx = 1\n"), 1), "the original's file")
        check(scratch.file("good.ini", "[global]\ndebug = true\n"), 0)
        loop = scratch.file("loop.env", "x")
        Path(loop).write_text(f"APUS_CONFIG={good}\n")
        true("one of the two is enough" in check(loop, 1), "a file of variables that names another")
        with Server(options.apus, "--config", good) as server:
            expected(person(server, "alice").create_collection("notes"), 201)  # sign-up is open
        refused(apus(options.apus, "serve", "--config", scratch.file("x.env", "APUS_LISTN=x\n")), "serve", "line 1: APUS_LISTN is not")


# Secrets that are no addresses.
WORDS = {"APUS_SECRET", "APUS_METRICS_TOKEN", "APUS_S3_ACCESS_KEY", "APUS_S3_SECRET_KEY", "APUS_LDAP_PASSWORD"}


# --- secrets in files -----------------------------------------------------------------------------


@test("every secret can be in a file, whose path is told and whose content is not")
def secrets_in_files(options: argparse.Namespace) -> None:
    good = {"APUS_DATABASE_URL": f"postgres://apus:{SECRET.replace(' ', '')}@db/apus", "APUS_READ_DATABASE_URL": "postgres://db/other",
            "APUS_REDIS_URL": "redis://:word@redis/0"}
    names = [name for name, setting in told(options)["settings"].items() if setting["isSecret"]]
    equal(set(names) - WORDS, set(good), "addresses that may have a password")
    with Scratch() as scratch:
        for name in names:
            path = scratch.file(name, good.get(name, SECRET) + "\n")
            needed = {"APUS_READ_DATABASE_URL": {"APUS_DATABASE_URL": good["APUS_DATABASE_URL"]}, "APUS_LDAP_PASSWORD": DIRECTORY}.get(name, {})
            found = told(options, environment={f"{name}_FILE": path, **needed})
            equal(place(found, name), (None, "file", path), name)
            empty = scratch.file("empty", "\n")
            for wrong, word in (({f"{name}_FILE": "/nowhere/x"}, "/nowhere/x"), ({f"{name}_FILE": empty}, f"{name} is empty"),
                                ({name: ""}, f"{name} is empty")):
                found = told(options, code=1, environment=wrong)
                true(any(word in mistake for mistake in found["mistakes"]), f"{wrong}: {found['mistakes']}")
            found = told(options, environment={f"{name}_FILE": path, name: good.get(name, "x"), **needed})
            equal(found["settings"][name]["source"], "environment", f"{name} and {name}_FILE")
            true(any("the first one counts" in notice for notice in found["notices"]), found["notices"])


@test("a server takes the token of metrics, its secret and its database's address from files")
def files_used(options: argparse.Namespace) -> None:
    with Scratch() as scratch, Server(options.apus) as other:
        other.stop()
        path = other.folder / "elsewhere.sqlite"
        environment = {
            "APUS_METRICS_TOKEN_FILE": scratch.file("token", "a-token\n"), "APUS_SECRET_FILE": scratch.file("secret", SECRET + "\n"),
            "APUS_DATABASE_URL_FILE": scratch.file("url", f"sqlite:{path}\n")}
        other.environment = environment
        for name in os.listdir(other.folder):
            (other.folder / name).unlink()
        other.start()
        equal(other.get("/metrics", [("Authorization", "Bearer a-token")]).status, 200, "metrics for their token")
        true(path.exists() and not (other.folder / "secret").exists(), "the database is where the file says, and no secret was made")
        other.stop()
        true(SECRET not in other.log and "a-token" not in other.log, "no secret in the log")


@test("a server finds its Redis and PostgreSQL by addresses in files")
def services_in_files(options: argparse.Namespace) -> str | None:
    if not options.postgres or not options.redis:
        return "with PostgreSQL and Redis only"
    with Scratch() as scratch, support.Database(options.postgres) as database, support.Database(options.postgres) as readable:
        server = Server(options.apus, environment={
            "APUS_DATABASE_URL_FILE": scratch.file("url", database.url), "APUS_READ_DATABASE_URL_FILE": scratch.file("read", readable.url + "\n"),
            "APUS_REDIS_URL_FILE": scratch.file("redis", options.redis + "\n"), "APUS_SECRET": SECRET})
        with server:
            equal(database.value("SELECT count(*) FROM apus_log"), 1, "the log")
            equal(readable.value("SELECT count(*) FROM apus_projection"), 1, "the read model")
            true('redis="up"' in server.log or server.get("/ready").status == 200, "ready")
    return None


# --- lists that must agree ------------------------------------------------------------------------


@test("ops/apus.env is what the program prints: every setting and every file of a secret, commented out, with a value that is good")
def template(options: argparse.Namespace) -> None:
    text = (ROOT / "ops" / "apus.env").read_text()
    equal(text, succeeds(apus(options.apus, "config", "--template"), "template"), "ops/apus.env and apus config --template")
    lines = [line for line in text.splitlines() if line]
    true(all(line.startswith("#") and len(line) <= 130 for line in lines), "comments only")
    given = [line[1:] for line in lines if re.match(r"#APUS_\w+=", line)]
    settings = told(options)["settings"]
    names = set(settings) | {f"{name}_FILE" for name, setting in settings.items() if setting["isSecret"]}
    equal({line.split("=")[0] for line in given}, names, "names in the file")
    with Scratch() as scratch:
        for line in given:
            name, value = line.split("=", 1)
            if name in WORDS | {"APUS_CONFIG"} or name.endswith("_FILE"):
                continue  # of what must be somewhere else
            more = "APUS_DATABASE_URL=postgres://a/b\n" if name == "APUS_READ_DATABASE_URL" else ""
            if name.startswith("APUS_LDAP_"):
                needed = {**DIRECTORY, "APUS_LDAP_PASSWORD": "a-word"}
                more = "".join(f"{other}={text}\n" for other, text in needed.items() if other != name)
            succeeds(apus(options.apus, "config", "--check", scratch.file("one.env", more + line + "\n")), line)


@test("the options of serve, the page of options and the list of settings name the same things")
def lists(options: argparse.Namespace) -> None:
    settings = told(options)["settings"]
    dump = json.loads(subprocess.run([options.apus, "--experimental-dump-help"], capture_output=True, check=True).stdout)
    commands = {command["commandName"]: command for command in dump["command"]["subcommands"]}
    flags = {f"--{name['name']}": argument.get("abstract", "") for argument in commands["serve"]["arguments"]
             for name in argument.get("names") or [] if name["kind"] == "long" and name["name"] not in ("help", "version")}
    bare = {f"--{name['name']}" for argument in commands["serve"]["arguments"] if argument["kind"] == "flag"
            for name in argument.get("names") or []}
    equal(set(flags), {setting["flag"] for setting in settings.values() if "flag" in setting}, "options of serve")
    for setting in settings.values():
        if flag := setting.get("flag"):
            true(f"({setting['name']}, default {setting['fallback']})" in flags[flag], f"{flag}: {flags[flag]}")
            # Each option reaches its setting.
            value = [] if flag in bare else [good_value(setting)]
            found = json.loads(apus(options.apus, "config", "--json", flag, *value).stdout)
            source, = [other["source"] for other in found["settings"] if other["name"] == setting["name"]]
            equal(source, "command line", flag)
    page = subprocess.run([options.apus, "config", "--markdown"], capture_output=True, check=True, text=True).stdout
    equal((ROOT / "ops" / "docs" / "options.md").read_text(), page, "ops/docs/options.md")
    missing = [name for name, setting in settings.items() if f"`{name}`" not in page or f"`{setting.get('flag', name)}`" not in page]
    equal(missing, [], "settings that the page does not name")


def good_value(setting: dict[str, Any]) -> str:
    line, = re.findall(rf"(?m)^#{setting['name']}=(.*)$", (ROOT / "ops" / "apus.env").read_text())
    return line


def more_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--postgres", help="a PostgreSQL whose role may make databases")
    parser.add_argument("--redis", help="a Redis")


if __name__ == "__main__":
    support.main(__doc__, more_options)
