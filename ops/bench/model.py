#!/usr/bin/env python3
"""How large an installation must be for how many people: model.py prints the tables of ops/docs/scale.md, from what was measured.

MEASURED is what one operation costs, of a run of ops/bench/scale and of the tables in ops/bench/README.md; USE is what is taken for what people
do. Who has other machines or other people changes them here, or gives them: model.py [NAME=VALUE...]
"""

from __future__ import annotations

import sys

MEASURED = {
    # Microseconds of a core: of the front ends, and of PostgreSQL.
    "list_front": 94, "list_postgres": 63,      # R2, R3: has anything changed?
    "item_front": 234, "item_postgres": 231,      # R5: one item
    "write_front": 730, "write_postgres": 1_215, "write_projector": 361,   # W1: one new item
    "socket_kib": 12,                            # an open socket, of a gateway's memory
    "frame_gateway": 45,                         # a change that is brought to one socket
    "appended_items": 4_684,                        # a second that one PostgreSQL took in batches of 50, with two cores for everything
    "stored_bytes": 5_000,                          # of the database, for an item of 1 KB: log, tables, indexes, contents
}
USE = {
    "devices": 3,                # of a person
    "open": 0.5,                 # part of the devices that hold a socket
    "looks": 96,                 # a day, of a device: has anything changed?
    "writes": 10,                # items a day, of a person
    "peak": 5,                   # the busiest minutes have so many times the mean
    "full": 0.6,                 # of a core is used then, and no more
}
PEOPLE = (100, 1_000, 10_000, 100_000, 1_000_000)
DAY = 86_400


def needs(people: int, measured: dict[str, float], use: dict[str, float]) -> dict[str, float]:
    """What so many people need at the busiest time; rates are for a second, memory is in GiB, room in GB for a year."""
    looks = people * use["devices"] * use["looks"] / DAY * use["peak"]
    writes = people * use["writes"] / DAY * use["peak"]
    # What one device writes the others fetch.
    fetched = writes * (use["devices"] - 1)
    sockets = people * use["devices"] * use["open"]
    cores = {
        "front": looks * measured["list_front"] + fetched * measured["item_front"] + writes * measured["write_front"],
        "postgres": looks * measured["list_postgres"] + fetched * measured["item_postgres"] + writes * measured["write_postgres"],
        "projector": writes * measured["write_projector"],
        "gateway": writes * (use["devices"] - 1) * use["open"] * measured["frame_gateway"],
    }
    return {
        "looks": looks, "writes": writes, "sockets": sockets, "memory": sockets * measured["socket_kib"] / (1 << 20),
        "room": people * use["writes"] * 365 * measured["stored_bytes"] / 1e9,
        **{name: microseconds / 1e6 / use["full"] for name, microseconds in cores.items()}}


def ends(measured: dict[str, float], use: dict[str, float]) -> float:
    """For how many people one log takes all that they write at the busiest time."""
    return measured["appended_items"] * use["full"] / (use["writes"] / DAY * use["peak"])


def table(measured: dict[str, float], use: dict[str, float]) -> str:
    lines = [
        "| people | looks/s | items written/s | cores: front ends | PostgreSQL | projector | gateways | sockets | their memory | room for a year |",
        "|" + "---|" * 10]
    for people in PEOPLE:
        need = needs(people, measured, use)
        lines.append(
            f"| {people:,} | {need['looks']:,.1f} | {need['writes']:,.1f} | {need['front']:,.2f} | {need['postgres']:,.2f} | {need['projector']:,.2f} "
            f"| {need['gateway']:,.2f} | {need['sockets']:,.0f} | {need['memory']:,.2f} GiB | {need['room']:,.0f} GB |")
    lines += ["", f"One log takes what {round(ends(measured, use), -4):,.0f} people write at the busiest time."]
    return "\n".join(lines)


def main() -> None:
    measured, use = dict(MEASURED), dict(USE)
    for word in sys.argv[1:]:
        name, _, value = word.partition("=")
        if name not in measured and name not in use:
            sys.exit(f"{name} is none of {', '.join([*measured, *use])}")
        (measured if name in measured else use)[name] = float(value)
    print(table(measured, use))


if __name__ == "__main__":
    main()
