"""Looks at the order of what many clients write at the same time over two front ends: guarantees G2, G3, G4 and G6.

Writers commit batches and transactions to collections that some of them share, each over one front end, and read what was
acknowledged over the other one. Meanwhile readers follow the collections, and the lists of collections, by stokens. In the
end positions say what each of them should have been told, and when; and what clients did and saw is judged by itself (Tests/Histories).

The same checks are then pointed at a database whose append is not safe, and must fail.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Histories"))

import checker
import cluster
import support
from cluster import LOG_FAULTS, READ_MODEL_FAULTS, Cluster, Database, Member, Pooler, faults, member, psql, wait
from support import equal, expected, offered, test, true, uid

SEED = 20_240_611
USERS = 8
WRITERS_OF_A_USER = 4  # two over each front end
SECONDS = 12.0
SHARED = {0: range(1, USERS), 1: (2, 3, 4), 2: (5,)}  # whose collection is shared with whom
HOT = 3  # items of each collection that everybody revises


class NoAnswer(Exception):
    """The server said that it cannot do it right now."""


def answered(answer: support.Answer, status: int) -> support.Answer:
    if answer.status == 503:
        equal(support.fault_in_form(answer), None, "the form of a 503")
        raise NoAnswer
    return expected(answer, status)


# --- clients --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Commit:
    collection: str
    revisions: list[tuple[str, str]]  # items and what they were given
    after: list[str | None]  # of each item the revision that was asked for
    begin: float
    outcome: str = "unknown"  # or "done", or "refused"
    end: float = float("inf")

    @classmethod
    def of(cls, collection: str, items: list[dict], asks: bool) -> Commit:
        return cls(collection, [(item["uid"], item["content"]["uid"]) for item in items],
                   [item["etag"] if asks else None for item in items], time.monotonic())

    def done(self) -> None:
        self.outcome, self.end = "done", time.monotonic()

    def record(self, session: str) -> checker.Record:
        items = [[item, revision, after] for (item, revision), after in zip(self.revisions, self.after)]
        return {"kind": "write", "session": session, "collection": self.collection, "items": items, "outcome": self.outcome,
                "begin": self.begin, "end": self.end}


@dataclasses.dataclass
class Seen:
    """What a page told: the stoken to go on from, and who is at which revision, or which collection at which stoken."""

    stoken: str | None
    told: list[tuple[str, str]]
    is_last: bool


class Worker:
    """A client in a thread of its own, and what it found wrong."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.unanswered = 0

    def run(self, until: threading.Event) -> None:
        while not until.is_set():
            try:
                self.step()
            except NoAnswer:
                self.unanswered += 1
                time.sleep(0.05)
            except Exception as error:
                self.complaints.append(f"{type(self).__name__.lower()} {self.name}: {error}")
                return

    def step(self) -> None:
        raise NotImplementedError


class Writer(Worker):
    """Commits over one front end, and looks over the other one whether it is there."""

    def __init__(self, name: str, here: Member, there: Member, writable: list[str], seed: int) -> None:
        super().__init__()
        self.name, self.here, self.there, self.writable = name, here, there, writable
        self.random = random.Random(f"{seed} {name}")
        self.own: dict[str, list[str]] = {collection: [] for collection in writable}
        self.etags: dict[tuple[str, str], str] = {}
        self.commits: list[Commit] = []
        self.count = 0

    def step(self) -> None:
        self.count += 1
        collection = self.random.choice(self.writable)
        is_transaction = self.random.random() < 0.5
        names = [uid("item", self.name, self.count, index) for index in range(self.random.randint(0, 4))]
        names += self.random.sample(self.own[collection], min(len(self.own[collection]), self.random.randint(0, 2)))
        if not names or (not is_transaction and self.random.random() < 0.5):
            names.append(uid("hot", collection, self.random.randrange(HOT)))
            is_transaction = False  # others revise it all the time, so only a batch, which takes no etag amiss, gets through
        items = [self.item(collection, name) for name in names]
        commit = Commit.of(collection, items, asks=is_transaction)
        self.commits.append(commit)
        answered(self.here.commit(collection, items, transaction=is_transaction), 200)
        commit.done()
        for item, revision in commit.revisions:
            if (collection, item) not in self.etags and item != uid("hot", collection, 0):
                self.own[collection].append(item)
            self.etags[collection, item] = revision
        self.own[collection] = [item for item in self.own[collection] if item not in hot(collection)]
        if self.random.random() < 0.4:
            self.look(collection, *self.random.choice(commit.revisions))

    def item(self, collection: str, name: str) -> dict:
        revision = uid("revision", self.name, self.count, name)
        chunks = [(uid("chunk", revision), self.random.randbytes(200))] if self.random.random() < 0.3 else []
        return offered(name, revision, b"meta", chunks, self.etags.get((collection, name)))

    def look(self, collection: str, item: str, revision: str) -> None:
        """Fails unless what was acknowledged is there for a read that begins now, over the other front end."""
        if item in hot(collection):  # others may have revised it since
            page = answered(self.there.get(f"/api/v1/collection/{collection}/item/{item}/revision/", limit=200), 200).value
            found = {old["uid"] for old in page["data"]}
        else:
            answer = self.there.get(f"/api/v1/collection/{collection}/item/{item}/")
            found = {answered(answer, 200).value["content"]["uid"]} if answer.status != 404 else set()
        if revision not in found:
            self.complaints.append(f"a read does not see what was acknowledged before it (item {item})")


def hot(collection: str) -> set[str]:
    return {uid("hot", collection, index) for index in range(HOT)}


class Follower(Worker):
    """Follows something by stokens."""

    def __init__(self, name: str, client: Member) -> None:
        super().__init__()
        self.name, self.client = name, client
        self.stoken: str | None = None
        self.pages: list[Seen] = []
        self.records: list[checker.Record] = []

    def step(self) -> None:
        query: dict[str, Any] = {"limit": 15, **({"stoken": self.stoken} if self.stoken else {})}
        since, begin = self.stoken, time.monotonic()
        page = self.page(query)
        end = time.monotonic()
        told = [self.told(each) for each in page["data"]]
        if told:
            self.stoken = page["stoken"]
            self.pages.append(Seen(self.stoken, told, page["done"]))
        self.records.append({"kind": "page", "reader": self.name, "user": self.client.name, "since": since, "told": told,
                             "stoken": self.stoken, "last": page["done"], "begin": begin, "end": end})
        if page["done"]:
            time.sleep(0.05)

    def run(self, until: threading.Event) -> None:
        """Follows until nobody writes any more, then takes all that is left."""
        super().run(until)
        try:
            while True:
                before = self.stoken
                self.step()
                if self.stoken == before:
                    return
        except NoAnswer:
            self.complaints.append(f"{self.name} gets no answer in the end")
        except Exception as error:
            self.complaints.append(f"{self.name}: {error}")

    def page(self, query: dict[str, Any]) -> dict:
        raise NotImplementedError

    def told(self, element: dict) -> tuple[str, str]:
        raise NotImplementedError


class ItemFollower(Follower):
    def __init__(self, name: str, client: Member, collection: str) -> None:
        super().__init__(name, client)
        self.collection = collection

    def page(self, query: dict[str, Any]) -> dict:
        path = f"/api/v1/collection/{self.collection}/item/"
        return answered(self.client.get(path, prefetch="medium", withCollection="true", **query), 200).value

    def told(self, element: dict) -> tuple[str, str]:
        return element["uid"], element["content"]["uid"]


class ListFollower(Follower):
    def page(self, query: dict[str, Any]) -> dict:
        return answered(self.client.get("/api/v1/collection/", prefetch="medium", **{**query, "limit": 3}), 200).value

    def told(self, element: dict) -> tuple[str, str]:
        return element["item"]["uid"], element["stoken"]


# --- what they did together -----------------------------------------------------------------------


class Play:
    """Users, their collections, writers and followers."""

    def __init__(self, stage: Cluster, seed: int) -> None:
        self.stage = stage
        first, second = stage.nodes
        self.users = [member(stage.nodes[number % 2], f"user{number}") for number in range(USERS)]
        self.collections = [uid("collection", number) for number in range(USERS)]
        self.readable = {number: [self.collections[number]] for number in range(USERS)}
        self.commits: list[Commit] = []     # what is there before anybody writes
        for number, user in enumerate(self.users):
            collection = self.collections[number]
            self.commits.append(Commit(collection, [(collection, uid(collection, "first"))], [None], time.monotonic()))
            expected(user.create_collection(collection), 201)
            self.commits[-1].done()
            items = [offered(item, uid("first", item), b"meta") for item in sorted(hot(collection))]
            self.commits.append(Commit.of(collection, items, asks=False))
            expected(user.commit(collection, items), 200)
            self.commits[-1].done()
            for other in SHARED.get(number, ()):
                user.let_in(self.users[other], collection)
                self.readable[other].append(collection)
        self.writers = [
            Writer(f"{number}.{place}", user.over((first, second)[place % 2]), user.over((second, first)[place % 2]),
                self.readable[number], seed)
            for number, user in enumerate(self.users) for place in range(WRITERS_OF_A_USER)]
        self.item_followers = [
            ItemFollower(f"collection {number}, node {place}", user.over(node), self.collections[number])
            for number, user in enumerate(self.users) for place, node in enumerate(stage.nodes)]
        self.list_followers = [
            ListFollower(f"list of {user.name}, node {place}", user.over(node))
            for user in self.users for place, node in enumerate(stage.nodes)]
        self.followers: list[Follower] = [*self.item_followers, *self.list_followers]

    def run(self, seconds: float) -> None:
        """Lets all of them run."""
        over, written = threading.Event(), threading.Event()
        writing = [threading.Thread(target=writer.run, args=(over,), daemon=True) for writer in self.writers]
        reading = [threading.Thread(target=follower.run, args=(written,), daemon=True) for follower in self.followers]
        for thread in reading + writing:
            thread.start()
        time.sleep(seconds)
        over.set()
        for thread in writing:
            thread.join(60)
        written.set()
        for thread in reading:
            thread.join(60)
        true(not any(thread.is_alive() for thread in writing + reading), "a client waits for an answer that never comes")
        for worker in [*self.writers, *self.followers]:
            for client in (getattr(worker, name, None) for name in ("here", "there", "client")):
                if client:
                    client.close()

    def history(self) -> list[checker.Record]:
        """What they did and saw, without what the lists of collections told, and all revisions that there are now."""
        records = [commit.record("") for commit in self.commits]
        records += [commit.record(writer.name) for writer in self.writers for commit in writer.commits if commit.revisions]
        records += [{**record, "collection": follower.collection} for follower in self.item_followers for record in follower.records]
        for user, collection in zip(self.users, self.collections):
            for item in [collection, *(item["uid"] for item in user.changes(collection, None, 200)[0])]:
                told = [revision["uid"] for revision in reversed(user.revisions(collection, item))]
                records.append({"kind": "revisions", "collection": collection, "item": item, "told": told})
        return records

    def summary(self) -> str:
        done = sum(commit.outcome == "done" for writer in self.writers for commit in writer.commits)
        unanswered = sum(worker.unanswered for worker in [*self.writers, *self.followers])
        pages = sum(len(follower.pages) for follower in self.followers)
        return f"{len(self.writers)} writers, {done} commits, {pages} pages, {unanswered} answers of 503"


# --- what must hold -------------------------------------------------------------------------------


def violations(play: Play, seconds: float = 60) -> list[str]:
    """What is wrong with the order, in words: of the log, of what is in the read model, of what clients were told."""
    found = [complaint for worker in [*play.writers, *play.followers] for complaint in worker.complaints]
    database = play.stage.database
    try:
        play.stage.caught_up(seconds)
    except AssertionError as error:
        found.append(str(error))
    found += faults(database, LOG_FAULTS | READ_MODEL_FAULTS)
    positions: dict[str, int] = {}
    changes: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)  # of each collection: position and item
    for collection, item, revision, position in database.rows(
            "SELECT collection.uid AS collection, item.uid AS item, revision.uid AS revision, revision.id AS position"
            " FROM django_etebase_collectionitemrevision revision"
            " JOIN django_etebase_collectionitem item ON item.id = revision.item_id"
            " JOIN django_etebase_collection collection ON collection.id = item.collection_id ORDER BY revision.id"):
        positions[revision] = position
        changes[collection].append((position, item))
    stokens = dict(database.rows("SELECT uid, id FROM django_etebase_stoken"))
    for writer in play.writers:
        for commit in writer.commits:
            found += commit_violations(commit, positions)
    for follower in play.item_followers:
        found += follower_violations(follower, positions.get, stokens, changes[follower.collection])
    for follower in play.list_followers:
        mine = play.readable[play.users.index(next(user for user in play.users if user.name == follower.client.name))]
        merged = sorted((position, collection) for collection in mine for position, _ in changes[collection])
        found += follower_violations(follower, stokens.get, stokens, merged)
    return found


def commit_violations(commit: Commit, positions: dict[str, int]) -> Iterator[str]:
    there = [positions.get(revision) for _, revision in commit.revisions]
    if commit.outcome == "done" and None in there:
        yield "what was acknowledged is not in the read model"
    elif None in there and set(there) != {None}:
        yield "a commit is there by halves"
    elif None not in there and there != list(range(there[0], there[0] + len(there))):
        yield f"the positions of a commit are not adjacent: {there}"


def follower_violations(
    follower: Follower, position_of: Callable[[str], int | None], stokens: dict[str, int], changes: list[tuple[int, str]]
) -> Iterator[str]:
    """Compares what a follower was told with the changes of what it follows, each a position and a name.

    After a page up to position p it must know of every name the last change up to p, or a later one. (Where more pages
    follow, what has changed again by then is in one of those.) And it must never be told the same twice, or an older one
    after a newer one.
    """
    known: dict[str, int] = {}
    wanted: dict[str, int] = {}  # what it must know of some names
    last = {name: position for position, name in changes}
    reached = at = 0
    for page in follower.pages + [None]:
        if page:
            for name, what in page.told:
                position = position_of(what)
                if position is None:
                    yield f"{follower.name} was told what is not there"
                elif position <= known.get(name, 0):
                    yield f"{follower.name} was told position {position} of {name} after {known[name]}"
                else:
                    known[name] = position
            if page.stoken not in stokens or stokens[page.stoken] <= reached:
                yield f"{follower.name}: a stoken does not move on"
            reached = stokens.get(page.stoken, reached)
        while at < len(changes) and (page is None or changes[at][0] <= reached):
            wanted[changes[at][1]] = changes[at][0]
            at += 1
        for name, position in list(wanted.items()):
            if known.get(name, 0) >= position:
                del wanted[name]
            elif page is None or page.is_last or last[name] == position:
                del wanted[name]
                yield f"{follower.name} was not told position {position} of {name}" + (
                    f" by the page that ends at {reached}" if page else "")


# --- the tests ------------------------------------------------------------------------------------


@test("with many writers over two front ends no reader misses or repeats a change, and each sees what was acknowledged")
def safe(options: argparse.Namespace) -> str:
    with Cluster(options.apus, options.postgres) as stage:
        play = Play(stage, options.seed)
        play.run(options.seconds)
        found = violations(play) + checker.check(play.history())
        true(not found, f"{play.summary()}; {len(found)} violations: " + "; ".join(found[:12]))
        logged = [fault for process in [*stage.nodes, *stage.projectors] for fault in process.faults]
        equal(logged, [], f"faults in the logs ({play.summary()})")
        cluster.equals_a_replay(stage)
        return play.summary()


@test("behind a pooler in transaction mode many writers and readers over two front ends are served as without one")
def pooled(options: argparse.Namespace) -> str:
    with Pooler(options.postgres) as pooler, Database(options.postgres) as database:
        direct, database.url = database.url, pooler.url(database)
        wait("the pooler answers", lambda: pooler.answers(database), 30)
        with Cluster(options.apus, options.postgres, database=database) as stage:
            play = Play(stage, options.seed)
            play.run(min(options.seconds, 6.0))
            found = violations(play) + checker.check(play.history())
            true(not found, f"{play.summary()}; {len(found)} violations: " + "; ".join(found[:12]))
            logged = [fault for process in [*stage.nodes, *stage.projectors] for fault in process.faults]
            equal(logged, [], f"faults in the logs ({play.summary()})")
            sessions = int(psql(direct, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                        " AND application_name = 'apus'"))
            true(0 < sessions <= Pooler.SESSIONS, f"{sessions} sessions with PostgreSQL")
            database.url = direct
            cluster.equals_a_replay(stage)
            return play.summary()


@test("the same checks notice an append that is not safe: positions drawn before the lock")
def unsafe(options: argparse.Namespace) -> str:
    with Cluster(options.apus, options.postgres) as stage:
        play = Play(stage, options.seed)
        make_unsafe(stage.database)
        play.run(min(options.seconds, 6.0))
        found = violations(play, seconds=5)
        true(found, f"nothing was noticed ({play.summary()})")
        kinds = collections.Counter(kind for each in found for kind in KINDS if kind in each)
        true(set(kinds) & set(KINDS_OF_READERS), f"no reader noticed anything, only {found[:6]}")
        return ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())


KINDS_OF_READERS = [
    "a read does not see what was acknowledged", "is not in the read model", "was not told", "after", "by halves",
    "gets no answer", "where 200  was expected",
]
KINDS = KINDS_OF_READERS + ["not dense", "log's head", "`previous`", "stream's head", "not within", "an event has no revision"]


def make_unsafe(database: cluster.Database) -> None:
    """Replaces the append by one that draws its positions first, as from a sequence, and then stands in line."""
    definition = database.value("SELECT pg_get_functiondef('apus_append'::regproc)")
    draw = """
    PERFORM pg_advisory_lock(7);
    base := nextval('unsafe') - 1;
    PERFORM setval('unsafe', base + cardinality(streams));
    PERFORM pg_advisory_unlock(7);
    PERFORM pg_sleep(random() * 0.05);
    SELECT epoch INTO present FROM apus_log WHERE id = 1;"""
    for safe_text, unsafe_text in (
        ("SELECT position, epoch INTO base, present FROM apus_log WHERE id = 1 FOR UPDATE;", draw),
        ("UPDATE apus_log SET position = base + cardinality(streams) WHERE id = 1;",
         "UPDATE apus_log SET position = greatest(position, base + cardinality(streams)) WHERE id = 1;"),
    ):
        equal(definition.count(safe_text), 1, f"places of {safe_text!r}")
        definition = definition.replace(safe_text, unsafe_text)
    database.run(
        f"BEGIN; LOCK TABLE apus_log IN ACCESS EXCLUSIVE MODE; CREATE SEQUENCE unsafe;"
        f" SELECT setval('unsafe', position) FROM apus_log; {definition}; COMMIT;")


def more_options(parser: argparse.ArgumentParser) -> None:
    cluster.postgres_option(parser)
    parser.add_argument("--seed", type=int, default=SEED, help="what the contents and the order of each writer follow from")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the writers write")


if __name__ == "__main__":
    support.main(__doc__, more_options)
