#!/usr/bin/env python3
"""`apus doctor` on the machine itself: everything is well, then one thing after the other is broken, and just that is found."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Directory"))

from asking import Told, clean_environment, doctor, equal, listed, options, support, true
from slapd import Directory
from support import Server, expected, free_port, meddle, offered, person, succeeds, test, uid

NOTES = uid("notes")
EXT4 = "EF53"


class Machine:
    """A machine that is other than this one: pretend.c."""

    _library: Path | None = None

    @classmethod
    def pretending(cls, **more: Any) -> dict[str, str]:
        if not cls._library:
            folder = Path(tempfile.mkdtemp(prefix="apus-pretend."))
            cls._library = folder / "pretend.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(cls._library), str(Path(__file__).parent / "pretend.c"), "-ldl"], check=True)
        return {"LD_PRELOAD": str(cls._library)} | {f"PRETEND_{name.upper()}": str(value) for name, value in more.items()}


def look(server: Server, *arguments: str, **pretended: Any) -> Told:
    """The doctor beside a server, on a machine with a disk and much room."""
    pretended = {"type": EXT4, "free": 1 << 40} | pretended
    more = server.__dict__.get("doctor", {})
    return doctor(server.binary, *arguments, environment={
        "APUS_DATA": str(server.folder), "APUS_LISTEN": server.authority, **server.engine, **more, **Machine.pretending(**pretended)})


def only(found: Told, number: int, result: str, *words: str) -> None:
    """Just this check has found something beside what is always told."""
    found.is_(number, result, *words)
    others = (found.numbers("failure") | found.numbers("warning")) - {number} - EXPECTED
    equal(others, set(), f"other checks that found something ({[found.checks[other] for other in others]})")


# What is told of each server of these tests: that there is no backup.
EXPECTED = {15}


@contextlib.contextmanager
def served(arguments: argparse.Namespace, *flags: str) -> Iterator[Server]:
    """A server in which somebody has something; on PostgreSQL the doctor is given its durability for as long."""
    with durable(arguments), Server(arguments.apus, "--signup", "open", *flags) as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        alice.close()
        yield server


@contextlib.contextmanager
def durable(arguments: argparse.Namespace, setting: str | None = None) -> Iterator[None]:
    """A PostgreSQL that keeps what it has said, but for one setting: those of tests are in a hurry."""
    if not arguments.postgres:
        yield
        return
    for name in ("fsync", "full_page_writes"):
        support.psql(arguments.postgres, f"ALTER SYSTEM SET {name} = {'off' if name == setting else 'on'}")
    reload(arguments)
    try:
        yield
    finally:
        for name in ("fsync", "full_page_writes"):
            support.psql(arguments.postgres, f"ALTER SYSTEM RESET {name}")
        support.psql(arguments.postgres, "SELECT pg_reload_conf()")


def reload(arguments: argparse.Namespace) -> None:
    """Until the settings hold."""
    support.psql(arguments.postgres, "SELECT pg_reload_conf()")
    end = time.monotonic() + 20
    while support.psql(arguments.postgres, "SELECT count(*) FROM pg_file_settings f JOIN pg_settings s USING (name) WHERE f.applied AND "
                       "f.name IN ('fsync', 'full_page_writes') AND f.setting <> s.setting") != "0":
        true(time.monotonic() < end, "PostgreSQL takes its settings")


# --- all is well ----------------------------------------------------------------------------------


@test("where all is well nothing is found; the checks are those of ops/docs")
def well(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        succeeds(server.apus("backup", str(server.scratch / "backup")), "backup")
        found = look(server)
        equal(found.numbers("failure") | found.numbers("warning"), set(), f"what was found: {found.checks}")
        equal({number: check["title"] for number, check in found.checks.items()}, {number: title for number, title in listed().items() if number < 30},
              "numbers and titles")
        told = subprocess.run([server.binary, "doctor"], capture_output=True, text=True, timeout=60, env=clean_environment(
            {"APUS_DATA": str(server.folder), "APUS_LISTEN": server.authority, **server.engine, **Machine.pretending(type=EXT4, free=1 << 40)}))
        equal((told.returncode, told.stdout.splitlines()[-1]), (0, f"{len(found.checks)} checks: 0 failed, 0 warned"), told.stdout)
        true(" 1  ok        Settings: all are understood" in told.stdout, told.stdout)
        # Nothing is changed by looking.
        server.stop()
        before = kept(server.folder)
        look(server)
        true(kept(server.folder) == before, "nothing of what is kept was changed")


def kept(folder: Path) -> dict[str, tuple]:
    """Files with their times and contents, but for what SQLite's readers note there."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir() if not path.name.endswith("-shm")}


@test("settings that are none keep everything else from being looked at")
def settings(arguments: argparse.Namespace) -> None:
    found = doctor(arguments.apus, environment={"APUS_LISTN": "x", "APUS_SIGNUP": "maybe"})
    equal(set(found.checks), {1}, "checks")
    found.is_(1, "failure", "APUS_LISTN", "APUS_SIGNUP", "apus config")


# --- files and disks ------------------------------------------------------------------------------


@test("files of another user are found, and given back with --fix; a folder that is not there is named")
def owners(arguments: argparse.Namespace) -> str | None:
    if os.geteuid() != 0:
        return "as root only"
    with served(arguments) as server:
        secret = server.folder / "secret"
        os.chown(secret, 65534, 65534)
        only(look(server), 2, "failure", str(secret), "belongs to nobody", "chown")
        found = look(server, "--fix")
        true("given to root" in found.is_(2, "ok")["mended"], found.checks[2])
        equal((secret.stat().st_uid, secret.stat().st_gid), (0, 0), "owner")
        server.stop()
        for path in [server.folder, *server.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        found = look(server)
        found.is_(2, "warning", "this runs as root", "apusctl doctor")
        os.chmod(server.scratch, 0o755)
        told = subprocess.run(["setpriv", "--reuid=65533", "--clear-groups", server.binary, "doctor", "--json"], capture_output=True, text=True,
                              env=clean_environment({"APUS_DATA": str(server.folder), **server.engine}))
        if told.stdout.startswith("{"):  # the program may lie where only root gets
            Told(told).is_(2, "failure", "belongs to nobody", "sudo -u nobody")
        missing = look(server, "--data", str(server.scratch / "missing"), "--database-url", f"sqlite:{server.scratch}/missing/x")
        missing.is_(2, "failure", "there is no folder", "APUS_DATA")
    return None


@test("files that others can read are found, and closed with --fix")
def rights(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        for name, mode in (("secret", 0o640), ("apus.sqlite", 0o604), ("", 0o770)):
            path = server.folder / name
            if not path.exists():
                continue  # with PostgreSQL
            path.chmod(mode)
            only(look(server), 3, "failure", f"has mode {mode:o}", str(path) if name else str(server.folder))
            equal(stat.S_IMODE(path.stat().st_mode), mode, "the mode after looking")
            true("closed to others" in look(server, "--fix").is_(3, "ok")["mended"], "mended")
            equal(stat.S_IMODE(path.stat().st_mode), mode & 0o700, "the mode after mending")


@test("a disk that is nearly full, or can have no more files, is found")
def space(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        expected_results = [(500 << 20, "warning", "500 MiB"), (10 << 20, "failure", "10 MiB left")]
        if arguments.postgres:
            look(server, free=0).is_(4, "not applicable")
            server.doctor = {"APUS_CHUNKS": "files"}
            (server.folder / "chunks").mkdir(mode=0o700)
        for free, result, words in expected_results:
            only(look(server, free=free), 4, result, words, "apus gc")
        only(look(server, files=10), 4, "failure", "10 files left")


@test("a file system on which SQLite breaks, or which forgets, is found; files of chunks may lie on a network's")
def file_systems(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        if arguments.postgres:
            look(server, type="6969").is_(5, "not applicable")
            server.doctor = {"APUS_CHUNKS": "files"}
            (server.folder / "chunks").mkdir(mode=0o700)
            look(server, type="6969").is_(5, "ok", "NFS")
            only(look(server, type="1021994"), 5, "failure", "tmpfs")
            return
        for number, name in (("6969", "NFS"), ("FF534D42", "CIFS"), ("1021997", "9p")):
            only(look(server, type=number), 5, "failure", name, "PostgreSQL")
        only(look(server, type="1021994"), 5, "failure", "tmpfs")
        only(look(server, type="794C7630"), 5, "warning", "overlayfs", "volume")


# --- the database ---------------------------------------------------------------------------------


@test("a database that is not there, or does not answer, or can only be read, is found")
def database(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        if arguments.postgres:
            good = server.engine
            server.engine = {"APUS_DATABASE_URL": f"postgres://apus@127.0.0.1:{free_port()}/apus"}
            look(server).is_(6, "failure", "does not answer", "pg_hba.conf")
            server.engine = good
            support.psql(arguments.postgres, f"ALTER DATABASE {server.postgres_database.name} SET default_transaction_read_only = on")
            only(look(server), 6, "failure", "can only be read")
        else:
            found = look(server, "--database-url", f"sqlite:{server.folder}/other.sqlite")
            found.is_(6, "failure", "there is no file")
            equal(found.checks[7]["result"], "not applicable", "what cannot be looked at")


@test("an older schema is found, and upgraded with --fix where no server runs; a newer one is left")
def schema(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        version = support.query(server, "SELECT version FROM apus_schema")[0][0]
        meddle(server, "DROP TABLE apus_signup_link; DROP TABLE apus_signup_use; DROP TABLE apus_quota; DROP TABLE apus_usage; "
                        "DROP TABLE apus_chunk_size; DROP TABLE apus_counted; ALTER TABLE apus_chunk DROP COLUMN digest; "
                        "ALTER TABLE apus_chunk DROP COLUMN bytes; DROP TABLE apus_page_key; DROP TABLE apus_admin_act; DROP TABLE apus_listing; "
                        "DROP TABLE apus_job; "
                        "UPDATE apus_schema SET version = 6")
        server.stop()
        found = look(server)
        found.is_(7, "warning", f"version 6, and this program knows {version}", "--fix")
        equal(support.query(server, "SELECT version FROM apus_schema"), [[6]], "the version after looking")
        true(f"upgraded to version {version}" in look(server, "--fix").is_(7, "ok")["mended"], "mended")
        equal(support.query(server, "SELECT version FROM apus_schema"), [[version]], "the version after mending")
        meddle(server, f"UPDATE apus_schema SET version = {version + 1}")
        look(server, "--fix").is_(7, "failure", "use a newer apus")
        equal(support.query(server, "SELECT version FROM apus_schema"), [[version + 1]], "the version")
        meddle(server, f"UPDATE apus_schema SET version = {version}")


@test("a secret that is not the database's, is missing, or is short, is found")
def secret(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        server.doctor = {"APUS_SECRET": "another secret, which is long enough to be one"}
        only(look(server), 8, "failure", "not the one that this database was made with")
        server.doctor = {"APUS_SECRET_FILE": str(server.scratch / "short")}
        (server.scratch / "short").write_text("short\n")
        meddle(server, f"UPDATE apus_secret SET mark = {blob(support.secret_mark('short'), arguments)}")
        only(look(server), 8, "warning", "it has 5 bytes")
        server.doctor = {}
        text = (server.folder / "secret").read_text()
        (server.folder / "secret").unlink()
        only(look(server), 8, "failure", "there is none", "apus secret renew")
        (server.folder / "secret").write_text(text)
        (server.folder / "secret").chmod(0o600)


def blob(digits: str, arguments: argparse.Namespace) -> str:
    return f"'\\x{digits}'::bytea" if arguments.postgres else f"x'{digits}'"


@test("a clock that is not the database's, or is before what has happened, is found")
def clock(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        if arguments.postgres:
            look(server, seconds=5).is_(9, "warning", "behind this machine's")
            look(server, seconds=-90).is_(9, "failure")
        look(server, seconds=-3600).is_(9, "failure", "timedatectl")
        meddle(server, "UPDATE apus_event SET occurred_at = occurred_at + 3600000000")
        look(server).is_(9, "failure", "before the newest event")


@test("settings that lose what was acknowledged are found")
def durability(arguments: argparse.Namespace) -> str | None:
    with served(arguments) as server:
        if not arguments.postgres:
            look(server).is_(10, "ok", "SQLite")
            return None
        for name in ("fsync", "full_page_writes"):
            with durable(arguments, name):
                only(look(server), 10, "failure", f"{name} = off", "ALTER SYSTEM")
    with served(arguments) as server:
        support.psql(arguments.postgres, f"ALTER DATABASE {server.postgres_database.name} SET synchronous_commit = off")
        only(look(server), 10, "warning", "synchronous_commit is off for the database")
    return None


@test("processes of another version are found")
def versions(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        now = int(time.time() * 1_000_000)
        meddle(server, f"INSERT INTO apus_process VALUES ('other', 'api', NULL, '0.0.1', 0, {now}, {now}, {now + 60_000_000})")
        only(look(server), 11, "warning", "0.0.1 serves too")


@test("too few connections are found, whatever limits them")
def connections(arguments: argparse.Namespace) -> str | None:
    if not arguments.postgres:
        return "on PostgreSQL only"
    with served(arguments) as server:
        name = server.postgres_database.name
        used = int(support.psql(arguments.postgres, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"))
        support.psql(arguments.postgres, f"ALTER DATABASE {name} CONNECTION LIMIT {used + 8}")
        only(look(server), 12, "warning", "left of those for this database")
        support.psql(arguments.postgres, f"ALTER DATABASE {name} CONNECTION LIMIT {used}")
        only(look(server), 12, "failure", "left of those for this database", "max_connections")
    return None


# --- what is beside it ----------------------------------------------------------------------------


@contextlib.contextmanager
def redis(*flags: str) -> Iterator[str]:
    """A Redis of one's own."""
    port = free_port()
    process = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", tempfile.gettempdir(), *flags],
                               stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, text=True).stdout.strip()[:4] not in ("PONG", "NOAU"):
            true(time.monotonic() < end, "Redis answers")
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@test("a Redis that is away, a replica, full, or throws tickets away, is found")
def redises(arguments: argparse.Namespace) -> str | None:
    if shutil.which("redis-server") is None:
        return "without a redis-server"
    with served(arguments) as server:
        look(server).is_(13, "not applicable")
        server.doctor = {"APUS_REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
        only(look(server), 13, "failure", "no connection")
        with redis() as url:
            server.doctor = {"APUS_REDIS_URL": url}
            look(server).is_(13, "ok", "is a primary")
        with redis("--replicaof", "127.0.0.1", "1") as url:
            server.doctor = {"APUS_REDIS_URL": url}
            only(look(server), 13, "failure", "slave", "primary")
        with redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as url:
            server.doctor = {"APUS_REDIS_URL": url}
            only(look(server), 13, "warning", "allkeys-lru", "noeviction")
        with redis("--maxmemory", "1", "--maxmemory-policy", "noeviction") as url:
            server.doctor = {"APUS_REDIS_URL": url}
            only(look(server), 13, "failure", "OOM")
        with redis("--requirepass", "a password") as url:
            server.doctor = {"APUS_REDIS_URL": url}
            only(look(server), 13, "failure", "NOAUTH")
    return None


@test("a directory (LDAP) that is away, does not know us, has another certificate or not what is named, is found; one of several too")
def directories(arguments: argparse.Namespace) -> None:
    with served(arguments) as server, Directory("alice") as directory, Directory("alice", certificate="elsewhere") as other:
        look(server).is_(18, "not applicable")
        away = f"ldap://127.0.0.1:{free_port()}"
        good = directory.settings
        server.doctor = good
        look(server).is_(18, "ok", "it answers")
        for more, words in (
            ({"APUS_LDAP_URL": away}, "Can't contact"), ({"APUS_LDAP_PASSWORD": "wrong"}, "name or password is wrong"),
            ({"APUS_LDAP_BASE": "dc=nowhere"}, "there is no dc=nowhere"), ({"APUS_LDAP_GROUP": "cn=nobody,dc=test"}, "there is no cn=nobody,dc=test"),
            (other.settings, other.secure_url), ({"APUS_LDAP_AUTHORITIES": directory.certificates.stranger}, directory.secure_url),
        ):
            server.doctor = good | more
            only(look(server), 18, "failure", words)
        server.doctor = good | {"APUS_LDAP_URL": f"{away} {directory.secure_url}"}
        only(look(server), 18, "warning", away, "Another server")


def with_store(arguments: argparse.Namespace, name: str = "APUS_CHUNKS", **more: str) -> dict[str, str]:
    access, secret = arguments.store_keys.split(" ")
    return {name: arguments.store, "APUS_S3_ACCESS_KEY": access, "APUS_S3_SECRET_KEY": secret, **more}


@test("an S3 store that is away, has no such bucket, does not know the keys, or whose clock is another, is found; so is that it is set nowhere")
def stores(arguments: argparse.Namespace) -> str | None:
    if not arguments.store:
        return "needs a store"
    with served(arguments) as server:
        look(server).is_(19, "not applicable")
        server.doctor = with_store(arguments)
        only(look(server), 19, "ok")
        place, options = arguments.store.split("?")
        away = f"{place}?endpoint=http%3A%2F%2F127.0.0.1:{free_port()}"
        for more, words in (
            ({"APUS_CHUNKS": away}, "cannot be reached"), ({"APUS_CHUNKS": f"s3://no-such-bucket/x?{options}"}, "there is no such bucket"),
            ({"APUS_S3_SECRET_KEY": "wrong" * 8}, "the secret key is wrong"), ({"APUS_S3_ACCESS_KEY": "AKIAWRONGWRONGWRONG0"}, "access key is not known"),
        ):
            server.doctor = with_store(arguments, **more)
            only(look(server), 19, "failure", words)
        server.doctor = with_store(arguments)
        for seconds, result, words in ((300, "warning", "behind this machine's"), (3600, "failure", "timedatectl"), (-300, "warning", "ahead of")):
            look(server, seconds=seconds).is_(19, result, words)
        server.doctor = with_store(arguments, "APUS_CHUNKS_ALSO")
        only(look(server), 19, "ok")
        server.stop()
        server.environment = with_store(arguments)
        server.start()
        bob = person(server, "bob")
        expected(bob.create_collection(uid("stored")), 201)
        expected(bob.call("PUT", f"/api/v1/collection/{uid('stored')}/item/any/chunk/{uid('chunk')}/", body=b"content"), 201)
        server.doctor = {}
        only(look(server), 19, "failure", "none is set", "APUS_CHUNKS_ALSO")
    return None


def certificate(folder: Path, name: str, days: int) -> Path:
    path = folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=authority", "-days", str(days), "-keyout",
                    str(folder / "key"), "-out", str(path)], check=True, capture_output=True)
    return path


@test("a certificate in a file that has ended, ends soon, or is none, is found")
def certificates(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        server.doctor = {}
        for name, days, result in (("good", 90, "ok"), ("soon", 7, "warning"), ("gone", -1, "failure")):
            if days < 0:
                # openssl makes none that has ended: this machine is a year ahead.
                path = certificate(server.scratch, name, 30)
                found = look(server, "--redis-url", f"rediss://127.0.0.1:1?sslrootcert={escaped(path)}", seconds=365 * 86400)
                found.is_(14, "failure", "was good until")
                continue
            path = certificate(server.scratch, name, days)
            look(server, "--redis-url", f"rediss://127.0.0.1:1?sslrootcert={escaped(path)}").is_(14, result, path.name)
        path.write_text("no certificate")
        look(server, "--redis-url", f"rediss://127.0.0.1:1?sslrootcert={escaped(path)}").is_(14, "failure", "cannot be read")
        if arguments.postgres:
            url = server.engine["APUS_DATABASE_URL"]
            server.engine = {"APUS_DATABASE_URL": f"{url}?sslmode=disable&sslrootcert={escaped(path)}"}
            only(look(server), 14, "failure", "cannot be read")


def escaped(path: Path) -> str:
    return support.urllib.parse.quote(str(path))


@test("no backup, or an old one, is found")
def backups(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        look(server).is_(15, "warning", "never", "apus backup FILE")
        succeeds(server.apus("backup", str(server.scratch / "backup")), "backup")
        look(server).is_(15, "ok")
        meddle(server, f"UPDATE apus_last_backup SET made_at = made_at - {8 * 86_400_000_000}, position = position - 1")
        only(look(server), 15, "warning", "8 days")


@test("another program that writes into the database is found")
def foreign(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        server.stop()
        meddle(server, "INSERT INTO django_etebase_stoken (id, uid) VALUES (100000, 'foreign')")
        found = look(server)
        found.is_(16, "failure", "another program writes", "apus adopt")


@test("a server that is not there, or not ready, is found")
def server_here(arguments: argparse.Namespace) -> None:
    with served(arguments) as server:
        look(server).is_(17, "ok", "is ready", "1 process serves this database")
        # Another process serves at the same database.
        look(server, "--listen", f"127.0.0.1:{free_port()}").is_(17, "ok", "none at")
        meddle(server, "INSERT INTO django_etebase_stoken (id, uid) VALUES (100000, 'foreign')")
        end = time.monotonic() + 30
        while look(server).checks[17]["result"] != "failure":
            true(time.monotonic() < end, "the server notices")
        look(server).is_(17, "failure", "is not ready", "another program")
        server.stop()
        look(server).is_(17, "warning", "nobody listens", "apus serve")


def with_a_store(parser: argparse.ArgumentParser) -> None:
    options(parser)
    support.with_a_store(parser)


if __name__ == "__main__":
    support.main(__doc__, with_a_store)
