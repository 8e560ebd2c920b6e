#!/usr/bin/env python3
"""What /metrics tells, where, and to whom."""

from __future__ import annotations

import argparse
import re
import subprocess
import time

from common import (
    REDIS, ROOT, Answer, Client, Server, Watched, equal, expected, free_port, metrics_of, offered, options, parsed, person, support, tool,
    true, uid)
from support import meddle, query, refused, test

TOKEN = "a token of theirs/+="
NOTES = uid("notes")


def bearer(token: str, scheme: str = "Bearer") -> list[tuple[str, str]]:
    return [("Authorization", f"{scheme} {token}")]


def item(number: int, revision: int = 0, etag: str | None = None) -> dict:
    return offered(uid("item", number), uid("item", number, revision), b"meta", [(uid("chunk", number, revision), b"secret")], etag)


# --- where and to whom ----------------------------------------------------------------------------


@test("the operators' address has metrics and probes and nothing else, by whatever name it is called")
def operators(options: argparse.Namespace) -> None:
    with Watched(options.apus, "--allowed-hosts", "127.0.0.1", "--signup", "open") as server:
        answer = expected(server.look(), 200)
        equal(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8", "type")
        for target in ("/health", "/live", "/ready"):
            expected(server.look(target), 200)
        equal(expected(server.look(method="HEAD"), 200).body, b"", "body of HEAD")
        expected(server.look(method="POST"), 405)
        for target in ("/", "/openapi.json", "/api/v1/authentication/is_etebase/", "/api/v1/collection/", "/metrics/"):
            expected(server.look(target), 404)
        expected(server.get("/", [("Host", "prometheus")]), 400)


@test("where clients are there are no metrics without a token that is set, and with one only for who has it")
def clients(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        for headers in ([], bearer("")):
            expected(server.get("/metrics", headers), 404, "does_not_exist")
        expected(server.send("POST", "/metrics"), 404, "does_not_exist")
    with Server(options.apus, environment={"APUS_METRICS_TOKEN": TOKEN}) as server:
        for headers in ([], bearer(""), bearer(TOKEN[:-1]), bearer(TOKEN + "x"), bearer(TOKEN, "Token"), [("Authorization", TOKEN)],
                        [("Authorization", "Bearer")]):
            answer = expected(server.get("/metrics", headers), 404, "does_not_exist")
            equal(answer.body, server.get("/nothing").body, f"what {headers} is told")
        for scheme in ("Bearer", "bearer"):
            true(b"# TYPE process_cpu_seconds_total counter\n" in expected(server.get("/metrics", bearer(TOKEN, scheme)), 200).body, "text")
        true(TOKEN not in server.log and "/metrics" not in server.get("/openapi.json").body.decode(), "the token, or the route, is told")


@test("the token may be in a file; an empty one, and addresses that are none or in use, are refused at the start, by their name")
def settings(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        path = server.scratch / "token"
        path.write_text(TOKEN + "\n")
        server.stop()
        server.environment["APUS_METRICS_TOKEN_FILE"] = str(path)
        with server:
            expected(server.get("/metrics", bearer(TOKEN)), 200)
        server.scratch.mkdir()
    with Watched(options.apus) as server:
        for environment, *reasons in (
            ({"APUS_METRICS_TOKEN": ""}, "APUS_METRICS_TOKEN is empty"),
            ({"APUS_METRICS_TOKEN_FILE": "/nowhere"}, "APUS_METRICS_TOKEN_FILE"),
            ({"APUS_OPS_LISTEN": "nonsense"}, "nonsense is no address and port"),
            ({"APUS_OPS_LISTEN": f"127.0.0.1:{server.ops}"}, f"127.0.0.1:{server.ops} is in use", "--ops-listen or APUS_OPS_LISTEN"),
            ({"APUS_OPS_LISTEN": "192.0.2.1:9999"}, "192.0.2.1:9999 is no address of this machine", "APUS_OPS_LISTEN"),
        ):
            refused(server.apus("serve", "--listen", f"127.0.0.1:{free_port()}", environment=environment), str(environment), *reasons)


# --- what -----------------------------------------------------------------------------------------


@test("promtool finds nothing to say about the metrics, and the table of them names each")
def conventions(options: argparse.Namespace) -> None:
    with Watched(options.apus, "--signup", "open") as server:
        expected(person(server, "alice").create_collection(NOTES), 201)
        text = server.text()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "promtool check metrics")
        table = set(re.findall(r"^\| `(\w+)` ", (ROOT / "ops/docs/metrics.md").read_text(), re.MULTILINE))
        equal(metrics_of(text) - table, set(), "metrics that the table lacks")


@test("what happens is counted, and nothing of a user is told")
def counted(options: argparse.Namespace) -> None:
    with Watched(options.apus, "--signup", "open") as server:
        before = server.values()
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        expected(alice.commit(NOTES, [item(1), item(2), item(3)]), 200)
        expected(alice.commit(NOTES, [item(1, 1, "not the etag")], transaction=True), 409)
        expected(alice.get("/api/v1/collection/" + uid("no collection") + "/"), 404)
        expected(Client(server, "x", "not a token").get("/api/v1/collection/"), 401)
        expected(server.get("/nowhere"), 404)
        head = query(server, "SELECT position FROM apus_log")[0][0]
        server.until("the answers are counted, and what the database says is new",
                     lambda found: found.get(requests("none", "GET", 404)) and found["apus_log_head"] == head)
        text = server.text()
        now = parsed(text)
        for series, count in (
            (requests("/api/v1/authentication/signup/", "POST", 200), 1),
            (requests("/api/v1/collection/{collection_uid}/item/batch/", "POST", 200), 1),
            (requests("/api/v1/collection/{collection_uid}/item/transaction/", "POST", 409), 1),
            (requests("/api/v1/collection/{collection_uid}/", "GET", 404), 1),
            (requests("/api/v1/collection/", "GET", 401), 1),
            (requests("none", "GET", 404), 1),
            ('apus_http_request_duration_seconds_count{route="/api/v1/collection/",method="POST"}', 1),
            ("apus_log_head", head), ("apus_log_events_total", head),
        ):
            equal(now.get(series, 0.0) - before.get(series, 0.0), count, series)
        for series in ("apus_http_received_bytes_total", "apus_http_sent_bytes_total", "apus_http_connections_opened_total",
                       'apus_database_round_trips_total{kind="read"}', "apus_log_group_commands_count", "apus_log_appends_total",
                       'apus_http_refusals_total{reason="token"}'):
            true(now[series] > before.get(series, 0), f"{series} does not grow")
        equal([now[f"apus_{name}"] for name in ("log_queue_commands", "log_queue_bytes", "read_model_waiting_readers")], [0, 0, 0], "queues")
        for secret in ("alice", alice.token, NOTES, uid("item", 1), "example.com"):
            true(secret not in text, f"{secret} is told")


def requests(route: str, method: str, status: int) -> str:
    return f'apus_http_requests_total{{route="{route}",method="{method}",status="{status}"}}'


@test("seals, sessions that end soon, the epoch and the process are told")
def state(options: argparse.Namespace) -> None:
    with Watched(options.apus, "--signup", "open", "--seal-interval", "1s") as server:
        alice = person(server, "alice")
        expected(alice.create_collection(NOTES), 201)
        found = server.until("all is sealed", lambda found: found["apus_seal_position"] == found["apus_log_head"] > 0)
        equal((found["apus_seal_lag_events"], found["apus_seal_lag_seconds"], found["apus_log_epoch"]), (0, 0, 1), "seals")
        equal((found["apus_sessions_expiring"], found["apus_users_near_quota"]), (0, 0), "sessions that live for a year, and no quotas")
        true(0 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"], "memory")
        true(0 < found["process_open_fds"] < found["process_max_fds"] and found["process_cpu_seconds_total"] > 0, "descriptors and time")
        true(abs(found["process_start_time_seconds"] - time.time()) < 600, "start")
        engine = "postgres" if server.postgres_database else "sqlite"
        true(any(name.startswith("apus_build_info{") and f'engine="{engine}"' in name for name in found), "build")
        equal('apus_read_model_leased{read_model="main"}' in found, engine == "postgres", "a lease")
    with Watched(options.apus, "--signup", "open", "--token-lifetime", "6d", "--seal-interval", "0") as server:
        expected(person(server, "alice").create_collection(NOTES), 201)
        found = server.values()
        head = query(server, "SELECT position FROM apus_log")[0][0]
        equal((found["apus_sessions_expiring"], found["apus_seal_position"], found["apus_seal_lag_events"]), (1, 0, head), "no seal")
        true(found["apus_seal_lag_seconds"] > 0, "and since when")


# --- when something is away -----------------------------------------------------------------------


@test("a database that does not answer is told, by a look that does not wait for it, and when it does again")
def locked_database(options: argparse.Namespace) -> str | None:
    if not options.postgres:
        return "on PostgreSQL only"
    with Watched(options.apus) as server:
        equal(server.values()['apus_database_up{database="log"}'], 1, "at first")
        with tool("psql", "-XAtq", server.postgres_database.url, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            psql.stdin.write("BEGIN;\nLOCK TABLE apus_log IN ACCESS EXCLUSIVE MODE;\nSELECT 'locked';\n")
            psql.stdin.flush()
            equal(psql.stdout.readline(), "locked\n", "psql")
            found = server.until("it is down", lambda found: not found['apus_database_up{database="log"}'])
            true("apus_log_head" not in found and found["process_open_fds"] > 0, "what is known is told, and nothing else")
            server.values()  # a look does not wait for it
        server.until("it is up", lambda found: found['apus_database_up{database="log"}'] and found["apus_log_head"] == 0)
    return None


@test("a process without the API tells its metrics too: the lag of the tables, while nobody projects and once somebody does")
def projector_alone(options: argparse.Namespace) -> str | None:
    if not options.postgres:
        return "on PostgreSQL only"
    main = '{read_model="main"}'
    with Watched(options.apus, "--signup", "open", environment={"APUS_SECRET": "s" * 32}) as server:
        expected(person(server, "alice").create_collection(NOTES), 201)
        server.until("it projects", lambda found: found["apus_read_model_lag_events" + main] == 0)
        server.stop()
        # As if it had come a minute ago.
        meddle(server, "UPDATE apus_event SET occurred_at = occurred_at - 60000000;"
                       "UPDATE apus_projection SET position = position - 1")
        with WatchedAlone(server, "api") as api:
            found = api.until("nobody has the lease", lambda found: not found["apus_read_model_leased" + main])
            equal((found["apus_read_model_lag_events" + main], found["apus_read_model_position" + main]), (1, found["apus_log_head"] - 1), "lag")
            true(60 <= found["apus_read_model_lag_seconds" + main] < 600, "lag in seconds")
        meddle(server, "UPDATE apus_projection SET position = position + 1")
        with WatchedAlone(server, "projector") as projector:
            found = projector.until("it has the lease", lambda found: found["apus_read_model_leased" + main])
            equal((found["apus_read_model_lag_events" + main], found["apus_read_model_lag_seconds" + main]), (0, 0), "lag")
            equal(found["apus_projection_leader" + main], 1, "leader")
            expected(projector.look("/ready"), 200)
    return None


class WatchedAlone(Watched):
    """Another process, of one role, on the database of a server."""

    def __init__(self, server: Server, role: str) -> None:
        postgres, Server.postgres = Server.postgres, None
        super().__init__(server.binary, "--roles", role, environment=server.engine | server.environment)
        Server.postgres = postgres

    def get(self, target: str, headers: list = ()) -> Answer:
        """A projector has no address for clients."""
        return self.look(target)

    def start(self) -> Server:
        # Whether it is ready is what is looked at, so alive must do.
        look, self.get = self.get, lambda target: self.look("/live")
        try:
            return super().start()
        finally:
            self.get = look


@test("Redis is told when it is there, and when it is lost")
def redis(options: argparse.Namespace) -> str | None:
    with Watched(options.apus) as server:
        true("apus_redis_up" not in server.values(), "no Redis is set")
    if not (options.postgres and REDIS):
        return "needs PostgreSQL and Redis"
    port = free_port()
    command = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
    with tool(*command, stdout=subprocess.DEVNULL), Watched(options.apus, "--redis-url", f"redis://127.0.0.1:{port}") as server:
        server.until("it is connected", lambda found: found["apus_redis_up"] == 1 and found["apus_redis_connects_total"] >= 1)
        subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], check=False)
        server.until("it is lost", lambda found: found["apus_redis_up"] == 0)
        with tool(*command, stdout=subprocess.DEVNULL):
            server.until("it is back", lambda found: found["apus_redis_up"] == 1 and found["apus_redis_connects_total"] >= 2)
    return None


@test("what is no request is answered with an id too, as a request is")
def request_ids(options: argparse.Namespace) -> None:
    with Server(options.apus) as server:
        found = set()
        for sent, status in ((b"GET / HTTP/1.1\r\nno field\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 400),
                             (b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404), (b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404)):
            with server.wire(5) as wire:
                wire.send(sent)
                answer = expected(wire.receive(), status)
            # One process in sixteen has ids of 31 digits, and so on.
            true(re.fullmatch("[0-9a-f]{17,32}", answer.header("x-request-id") or ""), f"{sent!r}: {answer} {answer.header('x-request-id')}")
            found.add(answer.header("x-request-id"))
        equal(len(found), 4, "different ids")


if __name__ == "__main__":
    support.main(__doc__, options)
