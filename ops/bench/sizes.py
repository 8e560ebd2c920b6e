#!/usr/bin/env python3
"""Whether "nothing changed" costs the same in a small and a large collection.

    sizes.py HARNESS URL [ITEMS]

HARNESS is the folder of the load harness, whose client is used. Makes a user with a collection of 50 items and one of ITEMS
(default 100,000) and asks each in turn, three times, for what has changed since its newest stoken.
"""

import random
import secrets
import subprocess
import sys


def main() -> None:
    harness, url, items = sys.argv[1], sys.argv[2].rstrip("/"), int((sys.argv[3:] or ["100000"])[0])
    sys.path.insert(0, harness)
    from etebench import client

    rng = random.Random(1)
    user, session = client.User("sizes" + secrets.token_hex(6)), client.Session(url)
    session.token = user.signup(session)
    kind = secrets.token_bytes(40)

    def collection(count: int) -> tuple[str, str]:
        uid, stoken = client.create_collection(session, rng, kind), None
        for at in range(0, count, 500):
            client.put_items(session, uid, [client.new_item(rng) for _ in range(min(500, count - at))])
        for page in client.pages(session, f"/collection/{uid}/item/", stoken):
            stoken = page["stoken"]
        return uid, stoken

    collections = {count: collection(count) for count in (50, items)}
    for _ in range(3):
        for count, (uid, stoken) in collections.items():
            out = subprocess.run(
                ["wrk", "-t2", "-c16", "-d5s", "-H", f"Authorization: Token {session.token}", "-H", "Accept: application/msgpack",
                 f"{url}/api/v1/collection/{uid}/item/?stoken={stoken}"], capture_output=True, text=True, check=True).stdout
            if "Non-2xx" in out:
                sys.exit(out)
            (rate,) = [line.split()[1] for line in out.splitlines() if line.startswith("Requests/sec")]
            print(f"{count:>7} items: {float(rate):8.0f} requests/s", flush=True)


if __name__ == "__main__":
    main()
