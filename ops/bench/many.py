#!/usr/bin/env python3
"""What a user with many collections costs beside one with few.

    many.py HARNESS URL [COLLECTIONS]

HARNESS is the folder of the load harness, whose client is used. Makes a user with 3 collections and one with COLLECTIONS (default 1,000)
of one item each. Then both ask in turns, 200 times each, on a connection each: prints the median time of each request, and the ratio.
"""

import random
import secrets
import statistics
import sys
import time

TURNS = 200


def main() -> None:
    harness, url, collections = sys.argv[1], sys.argv[2].rstrip("/"), int((sys.argv[3:] or ["1000"])[0])
    sys.path.insert(0, harness)
    from etebench import client

    rng = random.Random(1)

    class Person:
        def __init__(self, count: int) -> None:
            self.session = client.Session(url)
            self.session.token = client.User("many" + secrets.token_hex(6)).signup(self.session)
            self.kind = secrets.token_bytes(40)
            self.collections = [client.create_collection(self.session, rng, self.kind) for _ in range(count)]
            for uid in self.collections:
                client.put_items(self.session, uid, [client.new_item(rng)])
            self.one = self.collections[count // 2]
            item = client.new_item(rng)
            client.put_items(self.session, self.one, [item])
            self.item = item["uid"]
            self.follow()

        def follow(self) -> None:
            """Reads to the end: of all collections, and of one."""
            self.stoken = None
            while True:
                page = self.list(self.stoken, 500)
                self.stoken = page["stoken"]
                if page["done"]:
                    break
            for page in client.pages(self.session, f"/collection/{self.one}/item/"):
                self.item_stoken = page["stoken"]

        def list(self, stoken: str | None, limit: int) -> dict:
            query = f"limit={limit}" + (f"&stoken={stoken}" if stoken else "")
            return self.session.call("POST", f"/collection/list_multi/?{query}", {"collectionTypes": [self.kind]})

    people = {3: Person(3), collections: Person(collections)}
    requests = {
        "all collections, nothing changed": lambda person: person.list(person.stoken, 50),
        "all collections, the first 3": lambda person: person.list(None, 3),
        "one collection, nothing changed": lambda person: person.session.call(
            "GET", f"/collection/{person.one}/item/?stoken={person.item_stoken}"),
        "one collection": lambda person: person.session.call("GET", f"/collection/{person.one}/"),
        "one item": lambda person: person.session.call("GET", f"/collection/{person.one}/item/{person.item}/"),
        "a ticket": lambda person: person.session.call("POST", f"/collection/{person.one}/item/subscription-ticket/", {}, expect=(200, 503)),
        "one new item": lambda person: client.put_items(person.session, person.one, [client.new_item(rng)]),
        "all collections, one changed": lambda person: person.list(person.stoken, 50),
    }
    print(f"| | 3 collections, ms | {collections:,}, ms | ratio |\n|---|---|---|---|")
    for name, ask in requests.items():
        times: dict[int, list[float]] = {count: [] for count in people}
        for _ in range(TURNS):
            for count, person in people.items():
                began = time.perf_counter()
                ask(person)
                times[count].append((time.perf_counter() - began) * 1000)
        few, many = (statistics.median(found) for found in times.values())
        print(f"| {name} | {few:.2f} | {many:.2f} | {many / few:.2f} x |", flush=True)


if __name__ == "__main__":
    main()
