"""Lets processes of a cluster fail while clients read and write: guarantees G1, G3, G5 and G6.

Front ends and projectors are killed and stopped, PostgreSQL ends at once and comes back, connections are cut, locks are held.
After each of these every acknowledged commit must be there as it was sent, every other one as a whole or not at all, and the
read model must equal a replay of the log.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator

import cluster
import support
from cluster import (
    LEASE_SECONDS, LOG_FAULTS, PATIENCE_SECONDS, READ_MODEL_FAULTS, Cluster, Member, Postgres, Redis, Session, member, wait)
from support import equal, expected, offered, test, true, uid

SEED = 20_240_613
NO_ANSWER = (OSError, http.client.HTTPException)
# What a busy machine may add to any wait.
SLACK_SECONDS = 5.0


# --- clients --------------------------------------------------------------------------------------


class Writer:
    """Commits to items of its own, over the next front end where one does not answer."""

    def __init__(self, clients: list[Member], collection: str, number: int, seed: int) -> None:
        self.clients, self.collection, self.number = clients, collection, number
        self.random = random.Random(f"{seed} {number}")
        self.commits: list[tuple[list[dict], str]] = []  # items and "done", "unknown"
        self.etags: dict[str, str] = {}
        self.turn, self.count, self.refused, self.lost = number, 0, 0, 0
        self.failure: str | None = None
        self.slowest = 0.0

    def run(self, over: threading.Event) -> None:
        try:
            while not over.is_set():
                self.step()
        except Exception as error:
            self.failure = f"writer {self.number}: {error}"

    def step(self) -> None:
        self.count += 1
        known = self.random.sample(sorted(self.etags), min(len(self.etags), self.random.randint(0, 3)))
        names = known + [uid("item", self.number, self.count, index) for index in range(self.random.randint(1, 4))]
        items = []
        for name in names:
            revision = uid("revision", self.number, self.count, name)
            chunks = [(uid("chunk", revision), self.random.randbytes(self.random.choice([10, 5000])))]
            items.append(offered(name, revision, b"meta", chunks[: self.random.randint(0, 1)], self.etags.get(name)))
        client = self.clients[self.turn % len(self.clients)]
        began = time.monotonic()
        try:
            answer = client.commit(self.collection, items, transaction=self.random.random() < 0.5)
        except NO_ANSWER:
            self.lost += 1
            self.unsure(items)
            time.sleep(0.02)
            return
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status == 503:
            equal(support.fault_in_form(answer), None, "the form of a 503")
            self.refused += 1
            self.unsure(items)
            time.sleep(0.05)
            return
        expected(answer, 200)
        self.commits.append((items, "done"))
        self.etags |= {item["uid"]: item["content"]["uid"] for item in items}

    def unsure(self, items: list[dict]) -> None:
        """Whether it was carried out is known later; until then its items are left alone."""
        self.commits.append((items, "unknown"))
        self.turn += 1
        for item in items:
            self.etags.pop(item["uid"], None)


class Reader:
    """Follows a collection by its stokens, over the next front end where one does not answer, and the list of collections."""

    def __init__(self, clients: list[Member], collection: str, number: int) -> None:
        self.clients, self.collection, self.number, self.turn = clients, collection, number, number
        self.stokens: dict[str, str | None] = {"": None, f"{collection}/item/": None}
        self.told: dict[str, list[str]] = {path: [] for path in self.stokens}
        self.refused = 0
        self.slowest = 0.0
        self.failure: str | None = None

    def run(self, over: threading.Event) -> None:
        try:
            while not over.is_set():
                self.step()
                time.sleep(0.02)
        except Exception as error:
            self.failure = f"reader {self.number}: {error}"

    def step(self) -> bool:
        """Takes a page of both; false when there was no answer."""
        for path, stoken in list(self.stokens.items()):
            began = time.monotonic()
            try:
                answer = self.clients[self.turn % len(self.clients)].get(
                    "/api/v1/collection/" + path, limit=20, **({"stoken": stoken} if stoken else {}))
            except NO_ANSWER:
                self.turn += 1
                return False
            finally:
                self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status == 503:
                equal(support.fault_in_form(answer), None, "the form of a 503")
                self.refused += 1
                self.turn += 1
                return False
            page = expected(answer, 200).value
            self.stokens[path] = page["stoken"]
            self.told[path] += [each["content"]["uid"] if path else each["stoken"] for each in page["data"]]
        return True

    def finish(self) -> None:
        before: object = object()
        while before != self.stokens:
            before = dict(self.stokens)
            true(self.step(), "a reader must get an answer in the end")


class Play:
    """A user with a collection, writers and readers over both front ends."""

    def __init__(self, stage: Cluster, seed: int, writers: int = 6, readers: int = 3) -> None:
        self.stage = stage
        self.user = member(stage.nodes[0], "somebody")
        self.collection = uid("collection")
        expected(self.user.create_collection(self.collection), 201)
        self.writers = [Writer(self.clients(), self.collection, number, seed) for number in range(writers)]
        self.readers = [Reader(self.clients(), self.collection, number) for number in range(readers)]
        for writer in self.writers:
            writer.step()

    def clients(self) -> list[Member]:
        return [self.user.over(node) for node in self.stage.nodes]

    @contextlib.contextmanager
    def running(self, before: float = 1.0, after: float = 1.5) -> Iterator[None]:
        """Lets all clients run, some seconds before what is in `with` and some after it."""
        over = threading.Event()
        threads = [threading.Thread(target=worker.run, args=(over,), daemon=True) for worker in [*self.writers, *self.readers]]
        for thread in threads:
            thread.start()
        try:
            time.sleep(before)
            yield
            # It is over for the clients when they have got on again.
            done = self.done()
            wait("clients get on again", lambda: self.done() > done + 2 * len(self.writers) or self.failures(), 30)
            time.sleep(after)
        finally:
            over.set()
            for thread in threads:
                thread.join(40)
        true(not any(thread.is_alive() for thread in threads), "a client waits for an answer that never comes")
        equal(self.failures(), [], "failures of clients")

    def done(self) -> int:
        return sum(state == "done" for writer in self.writers for _, state in list(writer.commits))

    def failures(self) -> list[str]:
        return [worker.failure for worker in [*self.writers, *self.readers] if worker.failure]

    def audit(self) -> str:
        """Fails unless all that was acknowledged is there, and nothing by halves, for every front end and every reader."""
        self.stage.caught_up()
        views = []
        for client in self.clients():
            items, _ = client.changes(self.collection, None, limit=50)
            views.append({item["uid"]: item["content"] for item in items})
        equal(views[0], views[1], "what the second front end has")
        revisions = {row[0] for row in self.stage.database.rows("SELECT uid FROM django_etebase_collectionitemrevision")}
        found = 0
        for writer in self.writers:
            for items, state in writer.commits:
                there = [item["content"]["uid"] in revisions for item in items]
                true(all(there) or not any(there), f"a commit of {len(items)} is there with {sum(there)}")
                true(there[0] or state != "done", "an acknowledged commit is lost")
                found += state == "unknown" and there[0]
                for item, is_there in zip(items, there):
                    if is_there and views[0][item["uid"]]["uid"] == item["content"]["uid"]:
                        sent = {**item["content"], "chunks": [[name, content] for name, content in item["content"]["chunks"]]}
                        equal(views[0][item["uid"]], sent, "a revision as it was sent")
        for reader in self.readers:
            reader.finish()
            equal(reader.failure, None, "failure of a reader")
            for path, told in reader.told.items():
                equal(len(told), len(set(told)), f"what was told of {path or 'the list'}, of which each must be told once")
            last = set(reader.told[f"{self.collection}/item/"])
            equal({content["uid"] for content in views[0].values()} - last, set(), "what a reader was never told")
        cluster.equals_a_replay(self.stage)
        writers = self.writers
        return (f"{self.done()} commits, {sum(writer.refused for writer in writers)} answers of 503 and "
                f"{sum(writer.lost for writer in writers)} of nothing, of which {found} are there")


@contextlib.contextmanager
def playing(options: argparse.Namespace, projectors: int = 1, url: str | None = None,
            redis: Redis | None = None) -> Iterator[tuple[Cluster, Play]]:
    with Cluster(options.apus, url or options.postgres, projectors, redis=redis) as stage:
        yield stage, Play(stage, options.seed)


def active_projector(stage: Cluster) -> tuple[cluster.Projector, list[cluster.Projector]]:
    """The projector that holds the lease, and the others: it is the one that said last that it projects."""
    stage.active()
    active = max(stage.projectors, key=lambda process: process.projecting_since or "")
    true(active.projecting_since, "a projector must say that it is projecting")
    return active, [process for process in stage.projectors if process is not active]


def taken_over(stage: Cluster, fence: int, since: float, seconds: float = 30) -> float:
    """Waits until the lease has another holder, and answers how long after `since` that was, as the holder says."""
    wait("a standby has the lease", lambda: stage.lease()[1] > fence, seconds)
    wait("it says so", lambda: any((process.projecting_since or "") >= stamp(since) for process in stage.projectors), 10)
    said = min(process.projecting_since for process in stage.projectors if (process.projecting_since or "") >= stamp(since))
    return datetime.datetime.fromisoformat(said).timestamp() - since


def stamp(moment: float) -> str:
    """A moment as the logs write it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def insisting(ask: Callable[[], support.Answer]) -> support.Answer:
    """Asks again while the answer is a 503 that comes at once, as it does on connections that have broken meanwhile."""
    for _ in range(20):
        began = time.monotonic()
        answer = ask()
        if answer.status != 503 or time.monotonic() - began > PATIENCE_SECONDS / 2:
            break
    return answer


# --- what the checks notice -----------------------------------------------------------------------

DAMAGES = {
    "apus_item is not what": "UPDATE apus_item SET stoken = stoken + 1000 WHERE id = (SELECT max(id) FROM apus_item)",
    "apus_collection is not what": "UPDATE apus_collection SET revision_stoken = revision_stoken - 1",
    "has not one current revision":
        "UPDATE django_etebase_collectionitemrevision SET current = NULL"
        " WHERE id = (SELECT max(id) FROM django_etebase_collectionitemrevision)",
    "django_etebase_collectionitemrevision: ":
        "UPDATE django_etebase_collectionitemrevision SET meta = 'x'"
        " WHERE id = (SELECT min(id) FROM django_etebase_collectionitemrevision)",
    "a chunk has no content": "DELETE FROM apus_chunk WHERE uid = (SELECT min(uid) FROM apus_chunk)",
    "a foreign key leads nowhere":
        "SET session_replication_role = replica; DELETE FROM django_etebase_collectionitemchunk WHERE id ="
        " (SELECT min(chunk_id) FROM django_etebase_revisionchunkrelation)",
    "a claim is of no event": "UPDATE apus_claim SET position = 0 WHERE key = (SELECT min(key) FROM apus_claim)",
    "positions are not dense": "DELETE FROM apus_event WHERE position = (SELECT max(position) - 1 FROM apus_event)",
}


@test("the checks notice damage to the log and to the read model")
def damage_is_noticed(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        while not any(item["content"]["chunks"] for writer in play.writers for items, _ in writer.commits for item in items):
            play.writers[0].step()
        stage.caught_up()
        with cluster.replayed(options.apus, stage.database) as copy:
            found = cluster.compared(stage.database, copy)
            equal(found + cluster.faults(stage.database, LOG_FAULTS | READ_MODEL_FAULTS), [], "faults before the damage")
            for what, damage in DAMAGES.items():
                stage.database.run(damage)
                found = cluster.compared(stage.database, copy) + cluster.faults(stage.database, LOG_FAULTS | READ_MODEL_FAULTS)
                true(any(what in each for each in found), f"{what!r} is not among what was noticed: {found}")
        return f"{len(DAMAGES)} damages"


@test("the checks notice an acknowledged commit that is lost")
def loss_is_noticed(options: argparse.Namespace) -> None:
    with playing(options) as (_, play):
        play.writers[0].commits.append(([offered("never", uid("never"), b"meta")], "done"))
        try:
            play.audit()
        except AssertionError as error:
            equal(str(error), "an acknowledged commit is lost", "what was noticed")
        else:
            raise AssertionError("nothing was noticed")


# --- front ends -----------------------------------------------------------------------------------


@test("a front end that is killed takes nothing with it, and clients go on over the other one")
def killed_front_end(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        for victim in stage.nodes:
            with play.running():
                victim.kill()
                done = play.done()
                wait("clients get on over the other front end", lambda: play.done() > done + 20 or play.failures(), 30)
                victim.start()
        return play.audit()


@test("a front end that stands still holds nobody up")
def stopped_front_end(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        others = [Writer([play.user.over(stage.nodes[1])], play.collection, 100 + number, options.seed) for number in range(4)]
        with play.running():
            play.writers += others
            for _ in range(options.rounds):
                time.sleep(random.Random(options.seed).uniform(0.1, 0.3))
                with stage.nodes[0].stopped():
                    for writer in others:
                        began = time.monotonic()
                        writer.step()
                        true(time.monotonic() - began < SLACK_SECONDS, "a commit over the other front end must not wait")
            equal([writer.refused + writer.lost for writer in others], [0] * len(others), "commits that were held up")
        return play.audit()


@test("two front ends that store the same chunk at the same time both answer as the protocol does")
def same_chunk(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        clients = [client for client in play.clients() for _ in range(4)]
        clients = [client.over(client.server) for client in clients]
        statuses: dict[tuple, int] = {}
        with ThreadPoolExecutor(len(clients)) as pool:
            for number in range(20):
                barrier = threading.Barrier(len(clients))

                def put(client: Member) -> Any:
                    barrier.wait()
                    answer = client.call(
                        "PUT", f"/api/v1/collection/{play.collection}/item/any/chunk/{uid('same', number)}/", body=bytes(50_000))
                    return answer.status, answer.code

                answers = list(pool.map(put, clients))
                for answer in answers:
                    statuses[answer] = statuses.get(answer, 0) + 1
                equal(answers.count((201, None)), 1, f"of {answers} those that stored the chunk")
        equal(set(statuses), {(201, None), (409, "chunk_exists")}, f"answers {statuses}")
        return play.audit()


# --- projectors -----------------------------------------------------------------------------------


@test("a standby takes over from a projector that is killed, before any reader loses patience")
def killed_projector(options: argparse.Namespace) -> str:
    with playing(options, projectors=2) as (stage, play):
        took = []
        with play.running():
            for _ in range(2):
                active, _ = active_projector(stage)
                _, fence = stage.active()
                since = time.time()
                active.kill()
                stage.projectors.remove(active)
                took.append(taken_over(stage, fence, since))
                stage.projectors.append(stage.stack.enter_context(cluster.Projector(options.apus, stage.database)))
        true(max(took) < LEASE_SECONDS + 1 + SLACK_SECONDS / 2, f"taking over took {took}")
        equal(sum(reader.refused for reader in play.readers), 0, f"reads that were not answered (taking over took {took})")
        return f"taken over within {max(took):.1f} s; {play.audit()}"


@test("a projector that stood still for longer than its lease writes nothing any more")
def zombie(options: argparse.Namespace) -> str:
    with playing(options, projectors=2) as (stage, play):
        with play.running():
            active, (standby,) = active_projector(stage)
            with idle(stage, active):
                holder, fence = stage.lease()[:2]
                took = taken_over(stage, fence, time.time())
                time.sleep(LEASE_SECONDS)
            lease = stage.lease()
            time.sleep(2 * LEASE_SECONDS)
            equal(stage.lease()[:2], lease[:2], "who holds the lease after the zombie woke up")
            true(lease[0] != holder, "the standby must hold the lease")
        true(took < LEASE_SECONDS + 1 + SLACK_SECONDS / 2, f"taking over took {took:.1f} s")
        summary = play.audit()
        standby.kill()
        # It is a good standby again.
        wait("the former zombie takes over", lambda: stage.lease()[1] > lease[1], 30)
        return f"taken over within {took:.1f} s; {summary}"


@test("a commit that is on no standby, because somebody called off the wait for one, is not acknowledged")
def unreplicated(options: argparse.Namespace) -> None:
    with Postgres() as primary, Cluster(options.apus, primary.url) as stage:
        user, collection = member(stage.nodes[0], "somebody"), uid("collection")
        expected(user.create_collection(collection), 201)
        stage.caught_up()

        def wants(standbys: str) -> None:
            primary.value(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
            primary.value("SELECT pg_reload_conf()")
            wait("it is so", lambda: primary.value("SHOW synchronous_standby_names") == standbys, 30)

        wants("nobody")
        waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%apus_append%'"
        try:
            with ThreadPoolExecutor(1) as pool:
                commit = pool.submit(lambda: user.commit(collection, [offered(uid("item"), uid("revision"), b"meta")]))
                wait("the commit waits for a standby", lambda: primary.value(f"SELECT count(*) {waiting}") == "1", 30)
                primary.value(f"SELECT pg_cancel_backend(pid) {waiting}")
                answer = expected(commit.result(60), 503)
            equal(support.fault_in_form(answer), None, "the form of a 503")
        finally:
            wants("")
        # What was on the primary's disk is there, as after any answer that was lost; the app tries it again.
        wait("commits are acknowledged again", lambda: user.commit(
            collection, [offered(uid("another"), uid("another revision"), b"meta")]).status == 200, 30)
        cluster.equals_a_replay(stage)


@test("what is committed at once becomes visible at once, also when the database has been away")
def at_once(options: argparse.Namespace) -> None:
    with Postgres() as primary, Cluster(options.apus, primary.url) as stage:
        user, collection = member(stage.nodes[0], "somebody"), uid("collection")
        expected(user.create_collection(collection), 201)
        stage.caught_up()
        primary.end_at_once()
        time.sleep(6)  # the projector tries it every half a second
        primary.start()
        items = [offered(uid("item", number), uid("revision", number), b"meta") for number in range(5)]
        wait("commits are acknowledged again", lambda: user.commit(collection, items, transaction=True).status == 200, 60)
        stage.caught_up()
        equal(stage.database.value("SELECT count(DISTINCT xmin::text) FROM django_etebase_collectionitemrevision WHERE uid IN ("
                                   + ", ".join(f"'{item['content']['uid']}'" for item in items) + ")"), 1, "transactions that show it")


@test("a lease of a clock that was set back since keeps no projector out")
def clock_set_back(options: argparse.Namespace) -> None:
    with Cluster(options.apus, options.postgres, projectors=2) as stage:
        user = member(stage.nodes[0], "somebody")
        active, _ = active_projector(stage)
        fence = stage.lease()[1]
        active.kill()
        # As the clock that has been set back by an hour sees the lease of the one that is gone.
        stage.database.run("UPDATE apus_projection SET lease_until = clock_timestamp() + interval '1 hour'")
        wait("a standby has the lease", lambda: stage.lease()[1] > fence, 30)
        collection = uid("collection")
        expected(user.create_collection(collection), 201)
        expected(user.over(stage.nodes[1]).collection(collection), 200)


@contextlib.contextmanager
def idle(stage: Cluster, process: cluster.Projector) -> Iterator[None]:
    """Stops a projector at a moment at which it is in no transaction."""
    while True:
        process.signal(signal.SIGSTOP)
        if not stage.database.rows(
                "SELECT lease_until FROM apus_projection FOR UPDATE SKIP LOCKED") == []:
            break
        process.signal(signal.SIGCONT)
        time.sleep(0.01)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@test("a standby takes over also from a projector that stands still within a transaction")
def stopped_within(options: argparse.Namespace) -> str:
    with playing(options, projectors=2) as (stage, play):
        active, _ = active_projector(stage)
        _, fence = stage.active()
        with Session(stage.database.url) as session:
            session.run("BEGIN")
            session.run("LOCK TABLE django_etebase_collectionitemrevision IN ROW EXCLUSIVE MODE")
            session.run("LOCK TABLE apus_collection IN EXCLUSIVE MODE")
            expected(play.user.commit(play.collection, [offered(uid("within"), uid("within", 1), b"meta")]), 200)
            wait("the projector waits for the lock", lambda: stage.database.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'apus_collection'::regclass"), 10)
            active.signal(signal.SIGSTOP)
            since = time.time()
            session.run("COMMIT")
        try:
            took = taken_over(stage, fence, since, 90)
        finally:
            active.signal(signal.SIGCONT)
        true(took < LEASE_SECONDS + 1 + SLACK_SECONDS, f"taking over took {took:.1f} s")
        return f"taken over within {took:.1f} s; {play.audit()}"


@test("without a projector writes go on, and reads that need what is not projected are refused, not answered from the past")
def no_projector(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        stranger = member(stage.nodes[1], "stranger")
        expected(stranger.create_collection("elsewhere"), 201)
        expected(stranger.collection("elsewhere"), 200)
        stage.caught_up()
        old = play.user.stoken(play.collection)
        (projector,) = stage.projectors
        equal(projector.stop(), 0, "exit code")
        revision = ""
        for number, client in enumerate(play.clients() * 3):  # each must know what the others wrote: the etag moves on
            before, revision = revision, uid("alone", number)
            expected(client.commit(play.collection, [offered("alone", revision, b"meta", etag=before or None)], transaction=True), 200)
        stale = [offered("alone", uid("stale"), b"meta", etag=uid("alone", 0))]
        expected(play.clients()[1].commit(play.collection, stale, transaction=True), 409)
        reads = ["", f"{play.collection}/", f"{play.collection}/item/", f"{play.collection}/item/?stoken={old}",
            f"{play.collection}/item/alone/", f"?stoken={old}", f"{play.collection}/item/alone/revision/",
            f"{play.collection}/member/"]
        slowest = 0.0
        asked = [(client.over(client.server), path) for client in play.clients() for path in reads]

        def refused(question: tuple[Member, str]) -> float:
            client, path = question
            began = time.monotonic()
            answer = expected(client.get("/api/v1/collection/" + path) if "?" not in path
                              else client.call("GET", "/api/v1/collection/" + path), 503)
            equal(support.fault_in_form(answer), None, f"the form of a 503 for {path}")
            true(answer.header("retry-after"), f"a 503 for {path} must say when to come again")
            return time.monotonic() - began

        with ThreadPoolExecutor(len(asked)) as pool:
            slowest = max(pool.map(refused, asked))
        true(slowest < PATIENCE_SECONDS + SLACK_SECONDS, f"a refusal took {slowest:.1f} s")
        for node in stage.nodes:
            answer = node.get("/ready")
            true(answer.status == 503 and answer.body.startswith(b"no projector is at work"), f"readiness, which is {answer}")
            expected(stranger.over(node).collection("elsewhere"), 200)  # nothing has happened there
        with cluster.Projector(options.apus, stage.database):
            stage.caught_up()
            for client in play.clients():
                got = expected(client.get(f"/api/v1/collection/{play.collection}/item/alone/"), 200).value
                equal(got["content"]["uid"], revision, "revision")
            return f"refused within {slowest:.1f} s; {play.audit()}"


# --- PostgreSQL -----------------------------------------------------------------------------------


@test("PostgreSQL ends at once while clients write: all processes live on, and nothing that was acknowledged is lost")
def postgres_restarts(options: argparse.Namespace) -> str:
    with Postgres() as postgres, playing(options, projectors=2, url=postgres.url) as (stage, play):
        pids = [process.process.pid for process in [*stage.nodes, *stage.projectors]]
        for number in range(options.rounds):
            with play.running(before=0.7, after=0.5):
                postgres.end_at_once()
                time.sleep((0.0, 3.0)[number % 2])
                postgres.start()
        for process, pid in zip([*stage.nodes, *stage.projectors], pids):
            true(process.is_alive() and process.process.pid == pid, "a process has ended")
        return play.audit()


@test("PostgreSQL is restarted on purpose while clients read and write: they wait, nobody is refused, and everything is there once")
def postgres_is_restarted(options: argparse.Namespace) -> str:
    with Postgres() as postgres, playing(options, projectors=2, url=postgres.url) as (stage, play):
        for _ in range(options.rounds):
            with play.running(before=0.7, after=0.5):
                postgres.end()
                time.sleep(2.0)
                postgres.start()
        equal([worker.refused for worker in [*play.writers, *play.readers]] + [writer.lost for writer in play.writers],
              [0] * (2 * len(play.writers) + len(play.readers)), "what was refused or lost")
        return play.audit()


@test("a stoken stays good while the read model comes back after a crash of PostgreSQL")
def stoken_after_crash(options: argparse.Namespace) -> str:
    with Postgres() as postgres, playing(options, url=postgres.url) as (stage, play):
        lost = 0
        for number in range(2 * options.rounds):
            stage.caught_up()
            client = play.clients()[number % 2]
            name = uid("crash", number)
            commit = [offered(name, uid(name), b"meta")]
            expected(insisting(lambda: client.commit(play.collection, commit)), 200)
            good = expected(insisting(lambda: client.get("/api/v1/collection/")), 200).value["stoken"]
            postgres.end_at_once()  # what was projected since the last commit to the log may be gone; the log is not
            for projector in stage.projectors:
                projector.signal(signal.SIGSTOP)
            postgres.start()
            try:
                is_behind = stage.database.value(
                    "SELECT projected.position < log.position FROM apus_projection projected, apus_log log")
                lost += is_behind
                answers = [insisting(lambda: client.get(path, stoken=good)) for client in play.clients() for path in (
                    "/api/v1/collection/", f"/api/v1/collection/{play.collection}/item/")] if is_behind else []
            finally:
                for projector in stage.projectors:
                    projector.signal(signal.SIGCONT)
            for answer in answers:
                equal((answer.status, answer.code), (503, "unavailable"), "answer to a good stoken, of which the read model knows nothing yet")
        return f"{lost} of {2 * options.rounds} crashes lost a projection; {play.audit()}"


@test("connections that are cut while clients write are opened again")
def cut_connections(options: argparse.Namespace) -> str:
    with playing(options, projectors=2) as (stage, play):
        with play.running():
            for _ in range(10 * options.rounds):
                stage.database.value(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()")
                time.sleep(0.1)
        return play.audit()


@test("while all connections wait for a lock requests are refused in time, and afterwards all is well")
def full_pool(options: argparse.Namespace) -> str:
    with playing(options) as (stage, play):
        node = stage.nodes[0]
        clients = [play.user.over(node) for _ in range(40)]
        lock_seconds = 5.0  # `lock_timeout` of a session (Sources/Database/PostgresConnection.swift)

        def ask(question: tuple[int, Member]) -> tuple[int, float]:
            number, client = question
            client.wire = node.wire(120)
            began = time.monotonic()
            if number % 2:
                answer = client.collection(play.collection)
            else:
                answer = client.commit(play.collection, [offered(uid("pool", number), uid("pool", number, 1), b"meta")])
            true(answer.status in (200, 503), f"{answer}")
            equal(support.fault_in_form(answer) if answer.status == 503 else None, None, "the form of a 503")
            return answer.status, time.monotonic() - began

        with Session(stage.database.url) as session, ThreadPoolExecutor(len(clients)) as pool:
            session.run("BEGIN")
            session.run("LOCK TABLE django_etebase_collectionmember IN ACCESS EXCLUSIVE MODE")
            answers = [pool.submit(ask, question) for question in enumerate(clients)]
            time.sleep(lock_seconds + PATIENCE_SECONDS + SLACK_SECONDS)
            waiting = sum(not answer.done() for answer in answers)
            session.run("COMMIT")
            done = [answer.result() for answer in answers]
        for client in clients:
            client.close()
        for client in play.clients():
            expected(client.collection(play.collection), 200)
        for writer in play.writers:
            writer.step()
        equal([writer.refused for writer in play.writers], [0] * len(play.writers), "commits that were refused afterwards")
        summary = play.audit()
        equal(waiting, 0, f"requests without an answer after {lock_seconds + PATIENCE_SECONDS + SLACK_SECONDS} s"
            f" (of {len(done)}, of which {sum(status == 503 for status, _ in done)} got 503 at last)")
        return summary


# --- Redis ----------------------------------------------------------------------------------------


@test("Redis is killed and comes back while clients read and write: nobody notices, and processes wake each other again")
def redis_restarts(options: argparse.Namespace) -> str:
    with Redis() as redis, playing(options, projectors=2, redis=redis) as (stage, play):
        processes = [*stage.nodes, *stage.projectors]
        for number in range(options.rounds):
            everybody_listens(redis, len(processes))
            with play.running():
                redis.kill()
                done = play.done()
                wait("clients get on without Redis", lambda: play.done() > done + 20 or play.failures(), 30)
                time.sleep((0.0, 3.0)[number % 2])
                redis.start()
                everybody_listens(redis, len(processes))
                published = redis.published()
                wait("appends and batches are told again", lambda: redis.published() > published + 10 or play.failures(), 30)
        equal([worker.refused for worker in [*play.writers, *play.readers]] + [writer.lost for writer in play.writers],
              [0] * (2 * len(play.writers) + len(play.readers)), "what was refused or lost")
        for process in processes:
            away = process.log.count("Redis is away")
            true(away <= options.rounds, f"an outage must be told once, not {away} times in {options.rounds} of them")
            equal(process.faults, [], "faults of a process")
        return play.audit()


def everybody_listens(redis: Redis, processes: int) -> None:
    wait("all processes listen", lambda: sorted(redis.listeners().values()) == [processes], 30)


def more_options(parser: argparse.ArgumentParser) -> None:
    cluster.postgres_option(parser)
    parser.add_argument("--seed", type=int, default=SEED, help="what the moments and contents follow from")
    parser.add_argument("--rounds", type=int, default=2, help="how often a failure is repeated")


if __name__ == "__main__":
    support.main(__doc__, more_options)
