"""Lets the processes of a cluster wake each other through Redis.

That nobody polls meanwhile is not timed here: Redis itself says who listens, and what was told.
"""

from __future__ import annotations

import argparse
import subprocess

import cluster
import support
from cluster import Cluster, Redis, Server, member, wait
from support import equal, expected, offered, test, true, uid


@test("processes listen on the channels of their database, and those of another database on others")
def channels(options: argparse.Namespace) -> None:
    with Redis() as redis, Cluster(options.apus, options.postgres, redis=redis) as one:
        wait("all listen", lambda: sorted(redis.listeners().values()) == [3], 30)
        first = set(redis.listeners())
        equal({channel.split(":")[2] for channel in first}, {"bulletin"}, "channels")
        true(all(one.database.name not in channel for channel in first), "a channel does not tell the database's name")
        with Cluster(options.apus, options.postgres, redis=redis):
            wait("all listen", lambda: sorted(redis.listeners().values()) == [3, 3], 30)
            true(first < set(redis.listeners()), "the first database keeps its channels")


@test("each append and each batch is told with its position, and every read sees the writes before it")
def told(options: argparse.Namespace) -> str:
    with Redis() as redis, Cluster(options.apus, options.postgres, redis=redis) as stage:
        wait("all listen", lambda: sorted(redis.listeners().values()) == [3], 30)
        with subprocess.Popen(
                ["redis-cli", "-p", str(redis.port), "PSUBSCRIBE", "apus:*"], stdout=subprocess.PIPE, text=True) as listener:
            try:
                wait("the test listens too", lambda: redis.ask("PUBSUB", "NUMPAT") == ["1"], 30)
                user = member(stage.nodes[0], "somebody")
                collection = uid("collection")
                expected(user.create_collection(collection), 201)
                others = [user.over(node) for node in stage.nodes]
                for number in range(50):
                    name = uid("item", number)
                    expected(others[number % 2].commit(collection, [offered(name, uid(name), b"meta")]), 200)
                    expected(others[1 - number % 2].get(f"/api/v1/collection/{collection}/item/{name}/"), 200)
                stage.caught_up()
                redis.ask("PUBLISH", "apus:over", "0")
                heard: dict[str, list[int]] = {"appended": [], "projected": []}
                while (words := listener.stdout.readline().split()) != ["apus:over"]:
                    if words and words[0] in heard:
                        heard[words[0]].append(int(words[1]))
            finally:
                listener.kill()
        head = stage.log_position()
        for kind, positions in heard.items():
            equal(positions[-1], head, f"the last position that was {kind}")
            equal(sorted(set(positions)), positions, f"the positions that were {kind}")
        true(len(heard["appended"]) >= 51, f"51 appends were told {len(heard['appended'])} times")
        return f"{len(heard['appended'])} appends and {len(heard['projected'])} batches were told"


@test("what somebody else publishes on the channels wakes, and does no harm")
def nonsense(options: argparse.Namespace) -> None:
    with Redis() as redis, Cluster(options.apus, options.postgres, redis=redis) as stage:
        wait("all listen", lambda: sorted(redis.listeners().values()) == [3], 30)
        user = member(stage.nodes[0], "somebody")
        collection = uid("collection")
        expected(user.create_collection(collection), 201)
        for number, text in enumerate(["", "nonsense", "-1", "9223372036854775807", "from x\nappended 9223372036854775807",
                                      "from x\nprojected 9223372036854775807 x", "from x\nrenamed 5", "\N{SNOWMAN}" * 1000]):
            for channel in redis.listeners():
                redis.ask("PUBLISH", channel, text)
            name = uid("item", number)
            expected(user.commit(collection, [offered(name, uid(name), b"meta")]), 200)
            expected(user.over(stage.nodes[1]).get(f"/api/v1/collection/{collection}/item/{name}/"), 200)
        cluster.equals_a_replay(stage)


@test("an address of Redis that is none ends the program at its start, and is not repeated")
def mistaken(options: argparse.Namespace) -> None:
    for address in ("http://:hunter2@localhost", "redis://:hunter2@localhost/hunter2"):
        server = Server(options.apus, environment={"APUS_REDIS_URL": address})
        try:
            done = support.apus(options.apus, "serve", environment={"APUS_DATA": str(server.folder), "APUS_REDIS_URL": address})
            true(done.returncode != 0, "an address that is none must end the program")
            true("Redis" in done.stderr and "hunter2" not in done.stderr, f"what was said: {done.stderr}")
        finally:
            server.__exit__()


if __name__ == "__main__":
    support.main(__doc__, cluster.postgres_option)
