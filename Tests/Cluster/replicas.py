"""Reads from another database than that of the log: a read model of its own that a projector keeps, and a streaming standby.

What was acknowledged must be in every answer, whatever database gives it. Where that other database is away, behind or of another
history, the log's own answers; where that is behind too, the answer is a refusal, never the past.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cluster
import support
from cluster import SECRET, Cluster, Database, Node, Postgres, Projector, Standby, compared, member, ready, wait
from support import equal, expected, offered, test, true, uid

SECONDS = 4.0


class Story:
    """A user with a collection, who writes over one front end and reads over both."""

    def __init__(self, stage: Cluster, name: str = "reader") -> None:
        self.stage, self.count = stage, 0
        self.user = member(stage.nodes[0], name)
        self.collection = uid("collection", name)
        expected(self.user.create_collection(self.collection), 201)
        self.clients = [self.user.over(node) for node in stage.nodes]
        self.stoken: str | None = None

    def write(self) -> tuple[str, str, bytes]:
        self.count += 1
        item, revision, content = f"item{self.count % 5}", uid("revision", self.collection, self.count), b"content %d" % self.count
        chunk = uid("chunk", self.collection, self.count)
        expected(self.user.commit(self.collection, [offered(item, revision, b"meta", [(chunk, content)])]), 200)
        return item, revision, content

    def write_and_read(self) -> None:
        """Fails unless each front end answers every question with what was just written."""
        item, revision, content = self.write()
        for client in self.clients:
            path = f"/api/v1/collection/{self.collection}/item/"
            page = expected(client.get(path, **({"stoken": self.stoken} if self.stoken else {})), 200).value
            true([found["content"]["uid"] for found in page["data"] if found["uid"] == item] == [revision],
                 f"the list since {self.stoken} must have revision {self.count}")
            found = expected(client.get(f"{path}{item}/"), 200).value["content"]
            equal((found["uid"], [content for _, content in found["chunks"]]), (revision, [content]), "item")
            collections = expected(client.get("/api/v1/collection/"), 200).value["data"]
            equal([found["item"]["uid"] for found in collections], [self.collection], "collections")
            equal(collections[0]["stoken"], page["stoken"], "the collection's stoken")
        self.stoken = page["stoken"]
        for client in self.clients:
            again = expected(client.get(path, stoken=self.stoken), 200).value
            equal((again["data"], again["stoken"]), ([], self.stoken), "nothing has changed")

    def are_ready(self, words: str = "") -> bool:
        """Whether all front ends are, and say no more of themselves than that."""
        return all(ready(node) == (200, f"ready\n{words}") for node in self.stage.nodes)

    def refused(self) -> None:
        """Fails unless questions are refused, in the protocol's form, and commands are not."""
        self.write()

        def refused(node: Node, path: str) -> None:
            answer = expected(self.user.over(node).call("GET", "/api/v1/collection/" + path), 503)
            equal(support.fault_in_form(answer), None, f"the form of a 503 for {path}")

        paths = (f"{self.collection}/item/", "", f"{self.collection}/", f"{self.collection}/item/?stoken={self.stoken}")
        with ThreadPoolExecutor(len(paths) * len(self.stage.nodes)) as pool:
            list(pool.map(lambda asked: refused(*asked), ((node, path) for node in self.stage.nodes for path in paths)))


def read_model_of_its_own(stage: Cluster, replica: Database) -> None:
    """Fails unless the other database has the rows of the log's own, and the contents of all chunks."""
    stage.caught_up()
    position = stage.log_position()
    wait("the other database has tables", lambda: replica.value("SELECT to_regclass('apus_projection') IS NOT NULL"), 60)
    wait("the other read model is where the log ends",
         lambda: replica.value("SELECT position FROM apus_projection") == position, 60)
    found = [line for line in compared(stage.database, replica) if not line.startswith("myauth_user:")]
    equal(found, [], "differences")
    users = "SELECT id, username, email, is_active FROM myauth_user ORDER BY id"
    equal(replica.rows(users), stage.database.rows(users), "users")
    contents = "SELECT collection, uid, encode(content, 'hex') FROM apus_chunk ORDER BY 1, 2"
    equal(replica.rows(contents), stage.database.rows(contents), "contents")
    true(replica.rows(contents), "there must be some")


@test("a read model in a second database answers with everything that was acknowledged, and is kept by its own projector")
def second_database(options: argparse.Namespace) -> str:
    with Database(options.postgres) as replica, Cluster(options.apus, options.postgres, projectors=2, read_url=replica.url) as stage:
        story, end = Story(stage), time.monotonic() + SECONDS
        while time.monotonic() < end:
            story.write_and_read()
        guest = member(stage.nodes[1], "guest")
        story.user.let_in(guest, story.collection)
        for node in stage.nodes:
            expected(guest.over(node).collection(story.collection), 200)
        expected(story.user.call("DELETE", f"/api/v1/collection/{story.collection}/member/guest/"), 204)
        for node in stage.nodes:
            expected(guest.over(node).collection(story.collection), 404)
        read_model_of_its_own(stage, replica)
        return f"{story.count} commits"


@test("what is erased, and what is not kept, goes from a second database too, contents and all")
def erased(options: argparse.Namespace) -> None:
    with Database(options.postgres) as replica, Cluster(options.apus, options.postgres, projectors=1, read_url=replica.url) as stage:
        leaver, stayer = Story(stage, "leaver"), Story(stage, "stayer")
        for _ in range(12):
            leaver.write_and_read()
            stayer.write_and_read()
        for command, said in ((("user", "erase", "leaver", "--yes"), "is erased"), (("gc", "--keep-revisions", "1"), "7 revisions and 7 contents")):
            done = cluster.command(options.apus, stage.database, *command)
            equal(done.returncode, 0, f"exit code of {command}, which said {done.stderr[-500:]}")
            true(said in done.stdout, f"what {command} says: {done.stdout}")
        stayer.write_and_read()
        again = offered("item0", uid("another"), b"meta", [(uid("chunk", stayer.collection, 1), b"encrypted anew")])
        expected(stayer.user.commit(stayer.collection, [again]), 200)
        read_model_of_its_own(stage, replica)
        equal(replica.rows("SELECT username FROM myauth_user ORDER BY id")[0][0][:7], "erased:", "the name")
        for node in stage.nodes:
            expected(leaver.user.over(node).get("/api/v1/collection/"), 401)


def is_read(story: Story, replica: Database) -> bool:
    """Whether reads go to a database."""
    def looks() -> int:
        return int(replica.value("SELECT sum(idx_scan) + sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'django_etebase_collectionitem'"))

    before = looks()
    for _ in range(20):
        story.write_and_read()
    time.sleep(1.2)  # PostgreSQL's statistics come once a second
    return looks() - before >= 40


@test("without its projector what was read from a second database is read from the log's, and from there again with it; without any, refused")
def standing_still(options: argparse.Namespace) -> None:
    with Database(options.postgres) as replica, Cluster(options.apus, options.postgres, read_url=replica.url) as stage:
        story = Story(stage)
        story.write_and_read()
        true(is_read(story, replica), "the second database is read from")
        stage.projectors[0].kill()
        with Projector(options.apus, stage.database) as own:  # keeps the log's own read model only
            stage.active()
            story.write_and_read()
            true(not is_read(story, replica), "the second database is left alone")
            wait("all are ready, and say what is wrong", lambda: story.are_ready("no projector keeps the read database\n"), 30)
            own.kill()
            story.refused()
            with Projector(options.apus, stage.database, read_url=replica.url):
                wait("a projector is at work", story.are_ready, 60)
                time.sleep(2.5)  # it is looked for once a second
                story.write_and_read()
                true(is_read(story, replica), "the second database is read from again")
                read_model_of_its_own(stage, replica)


@test("projectors of a second database that are killed while clients write leave it whole")
def killed(options: argparse.Namespace) -> str:
    with Database(options.postgres) as replica, Cluster(options.apus, options.postgres, projectors=1, read_url=replica.url) as stage:
        stories = [Story(stage, f"writer{number}") for number in range(3)]
        stop = threading.Event()

        def write(story: Story) -> None:
            while not stop.is_set():
                story.write()

        threads = [threading.Thread(target=write, args=(story,)) for story in stories]
        for thread in threads:
            thread.start()
        for _ in range(3):
            with Projector(options.apus, stage.database, read_url=replica.url) as projector:
                time.sleep(1.0)
                projector.kill()
        stop.set()
        for thread in threads:
            thread.join()
        for story in stories:
            story.write_and_read()
        read_model_of_its_own(stage, replica)
        return f"{sum(story.count for story in stories)} commits"


@test("a standby answers with everything that was acknowledged; while it stands still, is frozen or gone, the log's database answers")
def standby(options: argparse.Namespace) -> str:
    with Postgres() as primary, Standby(primary) as copy, Cluster(options.apus, primary.url, projectors=1) as first:
        name = first.database.name
        copy.caught_up()
        wait("the standby has the database", lambda: copy.value(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == "1", 30)
        read_url = copy.url.replace("/postgres", f"/{name}")
        with Cluster(options.apus, primary.url, projectors=0, database=first.database, read_url=read_url) as stage:
            story, end = Story(stage), time.monotonic() + SECONDS
            while time.monotonic() < end:
                story.write_and_read()
            copy.value("SELECT pg_wal_replay_pause()")
            for _ in range(3):
                story.write_and_read()
            copy.value("SELECT pg_wal_replay_resume()")
            time.sleep(2.5)  # it is looked for once a second
            story.write_and_read()
            with copy.frozen():
                for _ in range(3):
                    story.write_and_read()
            story.write_and_read()
            copy.end_at_once()
            for _ in range(3):
                story.write_and_read()
            wait("all are ready, and say what is wrong", lambda: story.are_ready("the read database does not answer\n"), 30)
            return f"{story.count} commits"


@test("what is no read model of this log is refused: the log's own database, another log, another server's read model")
def others(options: argparse.Namespace) -> None:
    with Cluster(options.apus, options.postgres) as stage, Database(options.postgres) as other, Database(options.postgres) as replica:
        def attempt(read_url: str) -> str:
            with tempfile.TemporaryDirectory(prefix="apus-replica.") as folder:
                done = support.apus(
                    options.apus, "serve", "--roles", "projector", "--database-url", stage.database.url, "--read-database-url", read_url,
                    environment={"APUS_SECRET": SECRET, "APUS_DATA": folder})
                true(done.returncode != 0, "it must not start")
                return done.stderr

        true("another database" in attempt(stage.database.url), "the log's own database")
        with Cluster(options.apus, options.postgres, database=other) as second:
            Story(second).write()
        true("has a log of its own" in attempt(other.url), "a database with a log")
        true("postgres://" in attempt("mysql://somewhere/"), "another kind of database")
        Story(stage).write()
        with Projector(options.apus, stage.database, read_url=replica.url):
            read_model_of_its_own(stage, replica)
        replica.run("UPDATE apus_log SET epoch = 7")
        with Projector(options.apus, stage.database, read_url=replica.url) as projector:
            wait("the projector says what is wrong", lambda: "a history that was lost" in projector.log, 30)
        with contextlib.ExitStack() as stack:
            front_end = stack.enter_context(Node(options.apus, stage.database, read_url=replica.url))
            client = member(front_end, "somebody")
            expected(client.get("/api/v1/collection/"), 200)
            equal(ready(front_end), (200, "ready\nthe read database is none of this log\n"), "what is told of it")


if __name__ == "__main__":
    support.main(__doc__, cluster.postgres_option)
