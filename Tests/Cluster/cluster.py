"""What the programs in this folder share: databases on a PostgreSQL, processes that serve one of them together, and the
checks of what they leave in it.

The server, the answers and the minimal client are those of Tests/Faults. SQL goes through psql, so nothing is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Faults"))

import support  # noqa: E402
from support import Client, Database, Server, equal, expected, free_port, psql, true, uid  # noqa: E402, F401

BIN = "/usr/lib/postgresql/15/bin"
SECRET = "the-same-on-every-node"
LEASE_SECONDS = 3.0  # how long a projector's lease is good (Projections/Projector.swift)
PATIENCE_SECONDS = 5.0  # how long a read waits for the projector (Sources/ReadModel/ReadModel.swift)
support.LIMIT_SECONDS = 1800  # a busy machine needs its time


# --- PostgreSQL -----------------------------------------------------------------------------------


class Session:
    """A session that stays open between statements, for locks that are held."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, statement: str) -> None:
        """Runs a statement and waits until it is done."""
        self.process.stdin.write(f"{statement};\n\\echo done\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line == "done\n":
                return
        raise RuntimeError("psql ended")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=20)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Postgres(support.Beside):
    """A PostgreSQL of its own, which can be ended and started again. (The same as ops/lib/services.sh starts.)"""

    def __init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="apus-postgres."))
        self.scratch.chmod(0o755)
        self.folder, self.port = self.scratch / "postgres", free_port()
        self.folder.mkdir()
        self.switch: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
            self.switch = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"]
        subprocess.run([*self.switch, *self.make()], check=True, capture_output=True, cwd=self.folder)
        self.process: subprocess.Popen | None = None

    def make(self) -> list[str]:
        """The command that makes the data folder."""
        return [f"{BIN}/initdb", "-D", str(self.folder / "data"), "-U", "apus", "-A", "trust", "-E", "UTF8",
                "--locale=C.UTF-8", "--no-sync"]

    @property
    def url(self) -> str:
        return f"postgres://apus@127.0.0.1:{self.port}/postgres"

    def value(self, query: str) -> str:
        return psql(self.url, query)

    def start(self) -> Postgres:
        """Starts it and waits until it answers."""
        with (self.scratch / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.switch, f"{BIN}/postgres", "-D", self.folder / "data", "-k", self.folder, "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-c", "fsync=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        end = time.monotonic() + support.START_SECONDS
        while time.monotonic() < end:
            true(self.process.poll() is None, "PostgreSQL ended at its start")
            with contextlib.suppress(RuntimeError):
                psql(self.url, "SELECT 1")
                return self
            time.sleep(0.05)
        raise AssertionError("PostgreSQL is not ready in time")

    def end(self) -> None:
        """Ends it as its operator does: whoever is in a session is put out, and the disk has everything."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)

    def end_at_once(self) -> None:
        """Ends it without a last word to the disk: what is found at the next start is what a crash leaves."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=30)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all of its processes: the kernel goes on acknowledging what they are sent."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        pids = [self.process.pid, *map(int, children.stdout.split())]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # a session that has just ended
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def __exit__(self, *_: Any) -> None:
        if self.process and self.process.poll() is None:
            self.end_at_once()
        shutil.rmtree(self.scratch)


class Redis(support.Beside):
    """A Redis of its own, which keeps nothing and can be ended and started again."""

    def __init__(self) -> None:
        self.scratch, self.port = Path(tempfile.mkdtemp(prefix="apus-redis.")), free_port()
        self.process: subprocess.Popen | None = None
        self.url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> Redis:
        """Starts it and waits until it answers."""
        with (self.scratch / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
                 "--dir", self.scratch], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait("Redis answers", lambda: self.ask("PING") == ["PONG"], support.START_SECONDS)
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    def ask(self, *words: str) -> list[str]:
        """The lines of the answer to a command."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, timeout=30)
        return done.stdout.splitlines()

    def listeners(self) -> dict[str, int]:
        """How many listen on each channel of Apus."""
        channels = self.ask("PUBSUB", "CHANNELS", "apus:*")
        answer = self.ask("PUBSUB", "NUMSUB", *channels)
        return {channel: int(count) for channel, count in zip(answer[::2], answer[1::2])}

    def published(self) -> int:
        """How many messages have been published since it started."""
        lines = [line for line in self.ask("INFO", "commandstats") if line.startswith("cmdstat_publish:")]
        return int(lines[0].split("calls=")[1].split(",")[0]) if lines else 0

    def __exit__(self, *_: Any) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.scratch)


class Standby(Postgres):
    """A streaming standby, which can be read from, cut off and promoted."""

    def __init__(self, primary: Postgres) -> None:
        self.primary = primary
        super().__init__()

    def make(self) -> list[str]:
        return [f"{BIN}/pg_basebackup", "-D", str(self.folder / "data"), "-d", self.primary.url, "-R", "-c", "fast", "--no-sync"]

    def caught_up(self) -> None:
        """Waits until it has what the primary has now."""
        position = self.primary.value("SELECT pg_current_wal_lsn()")
        wait("the standby has what the primary has",
             lambda: self.value(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t", 60)

    def cut(self) -> None:
        """Lets it receive nothing any more."""
        self.value("ALTER SYSTEM SET primary_conninfo = ''")
        self.value("SELECT pg_reload_conf()")
        wait("nothing is received", lambda: self.value("SELECT count(*) FROM pg_stat_wal_receiver") == "0", 30)

    def take_over(self) -> None:
        """Promotes it, at the address of the primary, which has ended."""
        self.end_at_once()
        self.port = self.primary.port
        self.start()
        equal(self.value("SELECT pg_promote()"), "t", "promotion")


class Pooler:
    """pgbouncer in transaction mode: each transaction runs in any of a few sessions with the server."""

    SESSIONS = 4

    def __init__(self, server_url: str) -> None:
        server = urllib.parse.urlsplit(server_url)
        self.scratch, self.port = Path(tempfile.mkdtemp(prefix="apus-pooler.")), free_port()
        (self.scratch / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.hostname} port={server.port} user={server.username}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {self.SESSIONS}\nmax_client_conn = 200\n")
        switch: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            self.scratch.chmod(0o755)
            switch = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"]
        with (self.scratch / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*switch, shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", self.scratch / "pgbouncer.ini"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def url(self, database: Database) -> str:
        return f"postgres://apus@127.0.0.1:{self.port}/{database.name}"

    def answers(self, database: Database) -> bool:
        with contextlib.suppress(RuntimeError):
            return psql(self.url(database), "SELECT 1") == "1"
        return False

    def __enter__(self) -> Pooler:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        shutil.rmtree(self.scratch)


# --- processes ------------------------------------------------------------------------------------


class Node(Server):
    """A front end."""

    role, level = "api", "warning"

    def __init__(self, binary: str, database: Database, redis: Redis | None = None, read_url: str | None = None) -> None:
        super().__init__(
            binary, "--database-url", database.url, "--roles", self.role, "--signup", "open",
            "--log-level", self.level, *(["--redis-url", redis.url] if redis else []),
            *(["--read-database-url", read_url] if read_url else []),
            environment={"APUS_SECRET": SECRET})
        self.database = database

    @property
    def faults(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.split(" ")[1:2] in (["error"], ["critical"])]

    def stopped(self) -> contextlib.AbstractContextManager:
        """SIGSTOP now, SIGCONT at the end."""
        stack = contextlib.ExitStack()
        self.signal(signal.SIGSTOP)
        stack.callback(self.signal, signal.SIGCONT)
        return stack


def ready(server: Server) -> tuple[int, str]:
    answer = server.get("/ready")
    return answer.status, answer.body.decode()


class Projector(Node):
    """A process that only projects, and so has no port."""

    role, level = "projector", "info"  # which says when it has the lease

    def start(self) -> Projector:
        command = [self.binary, "serve", "--data", str(self.folder), *self.flags]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=support.clean_environment(self.environment))
        return self

    @property
    def projecting_since(self) -> str | None:
        """When it got the lease for the last time, as the log writes moments."""
        said = [line.split(" ")[0] for line in self.log.splitlines() if line.endswith(" projecting")]
        return said[-1] if said else None


class Cluster:
    """Two front ends and a number of projectors on a database of their own, or on one that is there."""

    def __init__(
        self, binary: str, server_url: str, projectors: int = 1, database: Database | None = None, redis: Redis | None = None,
        read_url: str | None = None,
    ) -> None:
        self.stack = contextlib.ExitStack()
        self.binary = binary
        self.database = database or self.stack.enter_context(Database(server_url))
        try:
            self.nodes = [self.stack.enter_context(Node(binary, self.database, redis, read_url)) for _ in range(2)]
            self.projectors = [
                self.stack.enter_context(Projector(binary, self.database, redis, read_url)) for _ in range(projectors)]
            self.active()
        except BaseException:
            self.stack.close()
            raise

    def active(self) -> tuple[str, int]:
        """Waits until a projector holds the lease; its name and fence."""
        wait("a projector holds the lease", lambda: self.lease()[2], 60)
        return self.lease()[:2]

    def lease(self) -> list:
        return self.database.rows("SELECT holder, fence, lease_until > clock_timestamp() FROM apus_projection")[0]

    def log_position(self) -> int:
        return self.database.value("SELECT position FROM apus_log")

    def caught_up(self, seconds: float = 60) -> None:
        """Waits until the read model is where the log ends."""
        wait("the read model is where the log ends", lambda: self.database.value(
            "SELECT projected.position = log.position FROM apus_projection projected, apus_log log"), seconds)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: Any) -> None:
        for process in [*self.nodes, *self.projectors]:
            if process.is_alive():
                process.signal(signal.SIGCONT)
        self.stack.close()


def wait(what: str, condition: Callable[[], Any], seconds: float) -> float:
    """Waits until the condition is true, and answers how long that took."""
    began = time.monotonic()
    while not condition():
        true(time.monotonic() - began < seconds, f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


# --- clients --------------------------------------------------------------------------------------


class Member(Client):
    """A user, over one of the front ends."""

    def over(self, node: Server) -> Member:
        """The same session over another front end."""
        return Member(node, self.name, self.token)

    def let_in(self, other: Member, collection: str) -> None:
        """Makes the other user a member who may write."""
        invitation = uid("invitation", collection, other.name)
        expected(self.post("/api/v1/invitation/outgoing/", {
            "uid": invitation, "version": 1, "username": other.name, "collection": collection, "accessLevel": 2,
            "signedEncryptionKey": b"signed key"}), 201)
        expected(other.post(f"/api/v1/invitation/incoming/{invitation}/accept/", {
            "collectionType": b"type of " + other.name.encode(), "encryptionKey": b"key"}), 201)


def member(node: Server, name: str) -> Member:
    client = Member(node, name)
    expected(client.sign_up(), 200)
    return client


# --- what must hold of a database -----------------------------------------------------------------

# Each finds rows that must not be there.
LOG_FAULTS = {
    "positions are not dense from 1":
        "SELECT position FROM (SELECT position, row_number() OVER (ORDER BY position) AS number FROM apus_event) AS event"
        " WHERE position <> number",
    "the log's head is not its last position":
        "SELECT position FROM apus_log WHERE position <> (SELECT COALESCE(max(position), 0) FROM apus_event)",
    "`previous` is not the last event that touched the stream":
        "SELECT event.position, event.previous FROM apus_event event WHERE previous <> COALESCE((SELECT max(touched.position)"
        " FROM apus_stream_event touched WHERE touched.stream = event.stream AND touched.position < event.position), 0)",
    "a stream's head is not the last event that touched it":
        "SELECT name, head FROM apus_stream stream"
        " WHERE head IS DISTINCT FROM (SELECT max(position) FROM apus_stream_event touched WHERE touched.stream = stream.name)",
    "an event does not touch its own stream":
        "SELECT position FROM apus_event event WHERE NOT EXISTS (SELECT FROM apus_stream_event touched"
        " WHERE touched.stream = event.stream AND touched.position = event.position)",
    "a touch is of no event":
        "SELECT position FROM apus_stream_event touched"
        " WHERE NOT EXISTS (SELECT FROM apus_event event WHERE event.position = touched.position)",
}

_REVISIONS = "('CollectionCreated', 'ItemCreated', 'ItemRevised')"
READ_MODEL_FAULTS = {
    "the read model is not where the log ends":
        "SELECT position FROM apus_projection WHERE position <> (SELECT position FROM apus_log)",
    "an event has no revision":
        f"SELECT position FROM apus_event event WHERE type IN {_REVISIONS} AND NOT EXISTS (SELECT FROM"
        " django_etebase_collectionitemrevision WHERE id = event.position AND stoken_id = event.position)",
    "a revision has no event":
        "SELECT id FROM django_etebase_collectionitemrevision revision WHERE NOT EXISTS (SELECT FROM apus_event event"
        f" WHERE event.position = revision.id AND type IN {_REVISIONS})",
    "an item has not one current revision":
        "SELECT item.id, count(revision.id) FROM django_etebase_collectionitem item LEFT JOIN"
        " django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current"
        " GROUP BY item.id HAVING count(revision.id) <> 1",
    "the current revision is not the newest":
        "SELECT item_id FROM django_etebase_collectionitemrevision GROUP BY item_id"
        " HAVING max(id) <> COALESCE(max(id) FILTER (WHERE current), 0)",
    "current is neither true nor null": "SELECT id FROM django_etebase_collectionitemrevision WHERE NOT current",
    "apus_item is not what the current revisions say":
        "SELECT COALESCE(known.id, wanted.id), known.stoken, wanted.stoken FROM apus_item known FULL JOIN ("
        " SELECT item.id, item.collection_id, revision.stoken_id AS stoken,"
        "  CASE WHEN collection.main_item_id = item.id THEN 1 ELSE 0 END AS is_main"
        " FROM django_etebase_collectionitem item"
        " JOIN django_etebase_collection collection ON collection.id = item.collection_id"
        " JOIN django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current) AS wanted"
        " ON wanted.id = known.id WHERE (known.collection_id, known.stoken, known.is_main)"
        " IS DISTINCT FROM (wanted.collection_id, wanted.stoken, wanted.is_main)",
    "apus_collection is not what revisions and members say":
        "SELECT COALESCE(known.id, wanted.id) FROM apus_collection known FULL JOIN (SELECT collection.id,"
        "  (SELECT max(stoken_id) FROM django_etebase_collectionitemrevision revision"
        "   JOIN django_etebase_collectionitem item ON item.id = revision.item_id"
        "   WHERE item.collection_id = collection.id) AS revision_stoken,"
        "  (SELECT COALESCE(max(stoken_id), 0) FROM django_etebase_collectionmember member"
        "   WHERE member.collection_id = collection.id) AS member_stoken"
        " FROM django_etebase_collection collection) AS wanted ON wanted.id = known.id"
        " WHERE (known.revision_stoken, known.member_stoken) IS DISTINCT FROM (wanted.revision_stoken, wanted.member_stoken)",
    "a chunk has no content, or a content no chunk":
        "SELECT COALESCE(chunk.uid, content.uid) FROM (SELECT chunk.uid, collection.uid AS collection"
        "  FROM django_etebase_collectionitemchunk chunk"
        "  JOIN django_etebase_collection collection ON collection.id = chunk.collection_id) AS chunk"
        " FULL JOIN apus_chunk content USING (collection, uid) WHERE chunk.uid IS NULL OR content.uid IS NULL",
    "a claim is of no event":
        "SELECT key FROM apus_claim claim WHERE NOT EXISTS (SELECT FROM apus_event WHERE position = claim.position)",
}


def verified(binary: str, database: Database) -> None:
    """Fails unless `apus verify` says that all is well."""
    done = command(binary, database, "verify")
    equal((done.returncode, done.stderr), (0, ""), f"apus verify, which says {done.stdout[-500:]}")


def command(binary: str, database: Database, *arguments: str) -> subprocess.CompletedProcess:
    """Runs another command of the program on the database."""
    with tempfile.TemporaryDirectory(prefix="apus-command.") as folder:
        return support.apus(
            binary, *arguments, "--database-url", database.url, environment={"APUS_SECRET": SECRET, "APUS_DATA": folder})


def faults(database: Database, checks: dict[str, str]) -> list[str]:
    """What of `checks` does not hold, in words."""
    found = []
    for what, query in checks.items():
        rows = database.rows(query)
        if rows:
            found.append(f"{what}: {len(rows)} times, such as {rows[:5]}")
    foreign_keys = database.rows(
        "SELECT key.conrelid::regclass::text, key.confrelid::regclass::text, mine.attname, theirs.attname"
        " FROM pg_constraint key"
        " JOIN pg_attribute mine ON mine.attrelid = key.conrelid AND mine.attnum = key.conkey[1]"
        " JOIN pg_attribute theirs ON theirs.attrelid = key.confrelid AND theirs.attnum = key.confkey[1]"
        " WHERE key.contype = 'f'")
    true(foreign_keys, "the tables must have foreign keys")
    unions = " UNION ALL ".join(
        f"""SELECT '{child}.{column}' AS name FROM {child} child WHERE "{column}" IS NOT NULL AND NOT EXISTS"""
        f""" (SELECT FROM {parent} parent WHERE parent."{key}" = child."{column}")"""
        for child, parent, column, key in foreign_keys)
    return found + [f"a foreign key leads nowhere: {row[0]}" for row in database.rows(unions)]


# --- replaying the log ----------------------------------------------------------------------------

LOG_TABLES = ["apus_log", "apus_epoch", "apus_event", "apus_stream", "apus_stream_event", "apus_claim", "apus_chunk", "apus_seal",
              "apus_redaction", "apus_resigned"]
COMPARED = {"apus_projection": "position, last_chunk_id, last_relation_id"}
# Sessions and what else is not in the log.
NOT_PROJECTED = {"apus_schema", "apus_secret", "apus_adopted", "apus_session", "apus_process", "apus_last_backup", "apus_signup_link",
                 "apus_signup_use", "apus_quota", "apus_page_key", "apus_admin_act", "apus_listing", "apus_job", "token_auth_authtoken",
                 *LOG_TABLES}


@contextlib.contextmanager
def replayed(binary: str, database: Database) -> Iterator[Database]:
    """Another database with the same log, which a projector has projected from its first position."""
    with Database(database.server_url) as copy:
        with Projector(binary, copy) as maker:  # who asks about a database makes none
            wait("there are tables", lambda: copy.value("SELECT to_regclass('apus_projection') IS NOT NULL") or maker.faults, 60)
            equal(maker.faults, [], "faults of the projector that makes the tables")
            maker.kill()
        tables = [option for table in LOG_TABLES for option in ("--table", table)]
        dump = subprocess.run(
            [f"{BIN}/pg_dump", "--data-only", *tables, database.url], capture_output=True, text=True, check=True, timeout=120)
        copy.run("TRUNCATE " + ", ".join(LOG_TABLES) + ";\n" + dump.stdout)
        with Projector(binary, copy) as projector:
            wait("the copied log is projected", lambda: copy.value(
                "SELECT projected.position = log.position FROM apus_projection projected, apus_log log")
                or projector.faults, 120)
            equal(projector.faults, [], "faults of the projector that replays")
        yield copy


def compared(one: Database, other: Database) -> list[str]:
    """In which tables of the read model the databases differ."""
    tables = [row[0] for row in one.rows(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")]
    # Rows as text, so that bytes are compared too.
    query = " UNION ALL ".join(
        f"SELECT '{table}' AS name, line::text AS row FROM (SELECT {COMPARED.get(table, '*')} FROM {table}) AS line"
        for table in tables if table not in NOT_PROJECTED)
    mine, theirs = ({(table, row) for table, row in database.rows(query)} for database in (one, other))
    differing = []
    for table in sorted({table for table, _ in mine ^ theirs}):
        only = [sorted(row for name, row in rows if name == table) for rows in (mine - theirs, theirs - mine)]
        differing.append(f"{table}: {len(only[0])} and {len(only[1])} rows differ, such as {support.shown([rows[:2] for rows in only], 600)}")
    return differing


def equals_a_replay(cluster: Cluster) -> None:
    """Fails unless log and read model hold together, and the read model is what a replay of the log comes to."""
    cluster.caught_up()
    found = faults(cluster.database, LOG_FAULTS | READ_MODEL_FAULTS)
    with replayed(cluster.binary, cluster.database) as copy:
        found += compared(cluster.database, copy)
    true(not found, "; ".join(found))


def postgres_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--postgres", required=True, help="postgres://…, whose role may make databases")
