"""Fills a running server with a history through its API: fill.py URL EVENTS
Two users with four collections each; every other event is a new item, with a chunk of its own, the others change an item that is
there, half of them its content. Prints how many events were acknowledged.
"""

from __future__ import annotations

import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Faults"))

from support import Client, Wire, expected, offered, uid  # noqa: E402

BATCH = 100
CHUNK = b"c" * 200
META = b"m" * 120


class There:
    """A server that somebody else has started."""

    def __init__(self, url: str) -> None:
        self.authority = urllib.parse.urlsplit(url).netloc

    def wire(self) -> Wire:
        return Wire(int(self.authority.split(":")[1]), timeout=60)


def fill(url: str, events: int) -> int:
    server, done = There(url), 0
    clients = [Client(server, f"user{number}") for number in range(2)]
    places = []
    for client in clients:
        expected(client.sign_up(), 200)
        for number in range(4):
            collection = uid(client.name, "collection", number)
            expected(client.create_collection(collection), 201)
            places.append((client, collection, []))
    turn = 0
    while done < events:
        client, collection, items = places[turn % len(places)]
        turn += 1
        known, batch = len(items), []
        for number in range(BATCH):
            serial = (turn, number)
            revision = uid("revision", serial)
            chunks = [(uid("chunk", serial), CHUNK)]
            if number % 2 == 0 or not known:
                item = uid("item", serial)
                batch.append(offered(item, revision, META, chunks))
                items.append((item, revision))
            else:
                place = (turn * 7919 + number) % known
                item, etag = items[place]
                if any(each["uid"] == item for each in batch):
                    continue
                batch.append(offered(item, revision, META, chunks if number % 4 == 1 else [], etag))
                items[place] = (item, revision)
        expected(client.commit(collection, batch), 200)
        done += len(batch)
    return done


if __name__ == "__main__":
    print(fill(sys.argv[1], int(sys.argv[2])))
