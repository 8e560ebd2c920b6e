"""Upgrades on PostgreSQL: what is planned, what an older program says of newer tables, and, with a program of before (`--before`), both
serving one database under load while the processes are exchanged, in either order.
"""

from __future__ import annotations

import argparse
import threading

import cluster
import schema
from cluster import Database, Node, Projector, command
from support import Client, equal, expected, offered, test, true, uid

del schema.support.TESTS[:]  # those of schema.py are run there


@test("a plan names each step and who may run beside, and changes nothing; the upgrade does it")
def planned(options: argparse.Namespace) -> None:
    with Database(options.postgres) as old:
        old.run(schema.OLDEST)
        before = schema.catalogue(old)
        plan = command(options.apus, old, "upgrade", "--plan")
        equal((plan.returncode, plan.stderr), (0, ""), "outcome of the plan")
        for word in ("The tables have schema 1", "  2  ", "older processes may run beside", "projectors first"):
            true(word in plan.stdout, f"'{word}' in {plan.stdout}")
        equal((schema.catalogue(old), old.value("SELECT version FROM apus_schema")), (before, 1), "what is there after the plan")
        done = command(options.apus, old, "upgrade")
        true(done.returncode == 0 and "before, it was 1" in done.stdout, done.stdout + done.stderr)
        plan = command(options.apus, old, "upgrade", "--plan")
        true("nothing is to be done to them" in plan.stdout and "No process serves" in plan.stdout, plan.stdout)


@test("an older program refuses newer tables in one sentence, and so does the plan")
def refuses(options: argparse.Namespace) -> None:
    with Database(options.postgres) as database:
        equal(command(options.apus, database, "user", "create", "somebody").returncode, 0, "exit code of user create")
        database.run("UPDATE apus_schema SET version = version + 1")
        version = database.value("SELECT version FROM apus_schema")
        for arguments in (("serve",), ("user", "list"), ("upgrade", "--plan"), ("upgrade",)):
            done = command(options.apus, database, *arguments)
            true(done.returncode != 0, f"exit code of {arguments}")
            true(f"the database has schema {version}, this program knows {version - 1}: use a newer apus" in done.stderr, done.stderr)


class Load:
    """Somebody who writes item after item, each time at another of the front ends that there are."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = list(nodes)
        self.acknowledged: list[str] = []
        self.faults: list[str] = []
        self.user = cluster.member(nodes[0], "somebody")
        expected(self.user.create_collection("notes"), 201)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self) -> None:
        number = 0
        while not self.ending.is_set():
            number += 1
            item = uid("upgraded", number)
            node = self.nodes[number % len(self.nodes)]
            client = Client(node, "somebody", self.user.token)
            try:
                answer = client.commit("notes", [offered(item, uid(item), b"meta")])
                if answer.status == 200:
                    self.acknowledged.append(item)
                    # What was written is read at another front end.
                    read = Client(self.nodes[(number + 1) % len(self.nodes)], "somebody", self.user.token)
                    expected(read.get(f"/api/v1/collection/notes/item/{item}/"), 200)
                    read.close()
                else:
                    self.faults.append(f"{answer}")
            except Exception as error:  # told at the end
                self.faults.append(repr(error))
            client.close()

    def goes_on(self) -> None:
        """More is acknowledged than was."""
        before = len(self.acknowledged)
        cluster.wait("more is acknowledged", lambda: len(self.acknowledged) >= before + 20 or self.faults, 60)
        equal(self.faults[:3], [], "requests that failed")

    def end(self) -> list[str]:
        self.ending.set()
        self.thread.join(60)
        return self.acknowledged


def exchanged(options: argparse.Namespace, projectors_first: bool) -> str | None:
    if not options.before:
        return "left out: no program of before"
    with Database(options.postgres) as database, cluster.contextlib.ExitStack() as stack:
        old = [stack.enter_context(Node(options.before, database)) for _ in range(2)]
        old_projector = stack.enter_context(Projector(options.before, database))
        load = Load(old)
        stack.callback(load.end)
        load.goes_on()
        found = database.value("SELECT version FROM apus_schema")
        upgrade = command(options.apus, database, "upgrade")
        equal(upgrade.returncode, 0, f"outcome of the upgrade: {upgrade.stderr}")
        load.goes_on()

        def exchange_projector() -> None:
            stack.enter_context(Projector(options.apus, database))
            load.goes_on()  # both are there
            old_projector.stop()
            load.goes_on()

        def exchange_front_ends() -> None:
            for node in old:
                load.nodes.append(stack.enter_context(Node(options.apus, database)))
                load.goes_on()  # old and new ones side by side
                load.nodes.remove(node)
                load.goes_on()
                node.stop()

        for step in (exchange_projector, exchange_front_ends)[::1 if projectors_first else -1]:
            step()
        acknowledged = load.end()
        equal(load.faults[:3], [], "requests that failed")
        user = Client(load.nodes[0], "somebody", load.user.token)
        there = {item["uid"] for item in user.changes("notes", None, 1000)[0]}
        equal(set(acknowledged) - there, set(), "acknowledged items that are missing")
        version = database.value("SELECT version FROM apus_schema")
        if version != found:
            late = command(options.before, database, "serve")
            true(late.returncode != 0 and "use a newer apus" in late.stderr, f"an old process that starts now: {late.stderr}")
        cluster.verified(options.apus, database)
        return f"schema {found} to {version}, {len(acknowledged)} writes, none failed"


@test("old and new processes serve side by side under load: projectors are exchanged first")
def projectors_first(options: argparse.Namespace) -> str | None:
    return exchanged(options, projectors_first=True)


@test("old and new processes serve side by side under load: front ends are exchanged first")
def front_ends_first(options: argparse.Namespace) -> str | None:
    return exchanged(options, projectors_first=False)


def options(parser: argparse.ArgumentParser) -> None:
    cluster.postgres_option(parser)
    parser.add_argument("--before", help="the program of an earlier version")


if __name__ == "__main__":
    cluster.support.main(__doc__, options)
