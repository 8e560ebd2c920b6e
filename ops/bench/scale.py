#!/usr/bin/env python3
"""One line of ops/bench/scale: a scenario of the harness against several front ends at once, one harness for each."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

CONNECTIONS = 16
SAMPLE = re.compile(r"^(\w+)(?:\{.*\})? ([-+.\w]+)$", re.MULTILINE)


def metrics(steering: str) -> dict[str, float]:
    """What a process tells, summed over labels."""
    found: dict[str, float] = {}
    with urllib.request.urlopen(f"{steering}/metrics", timeout=10) as answer:
        for name, value in SAMPLE.findall(answer.read().decode()):
            found[name] = found.get(name, 0) + float(value)
    return found


class Watch(threading.Thread):
    """Looks again and again how far the tables are behind, and how many sessions wait for a lock."""

    def __init__(self, postgres: str, projector: str) -> None:
        super().__init__(daemon=True)
        self.postgres, self.projector = postgres, projector
        self.lags: list[float] = []
        self.locked: list[int] = []
        self.ended = threading.Event()

    def run(self) -> None:
        question = """SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock';
            SELECT coalesce(extract(epoch FROM clock_timestamp()) * 1000000 - min(occurred_at), 0) FROM apus_event
            WHERE position > (SELECT position FROM apus_projection);\n"""
        psql = subprocess.Popen(["psql", "-XAtq", self.postgres], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while not self.ended.wait(0.1):
            psql.stdin.write(question)
            psql.stdin.flush()
            self.locked.append(int(psql.stdout.readline()))
            self.lags.append(float(psql.stdout.readline()) / 1000)
        psql.stdin.close()
        psql.wait(timeout=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    parser.add_argument("key")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--front", nargs=4, action="append", metavar=("URL", "STEERING", "PID", "FIXTURE"), required=True)
    parser.add_argument("--projector", nargs=2, metavar=("STEERING", "PID"), required=True)
    parser.add_argument("--postgres", nargs=2, metavar=("URL", "PID"), required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.bench))
    from etebench import procstat

    connections = CONNECTIONS
    loads = []
    for url, _, pid, fixture in arguments.front:
        out = Path(fixture).with_suffix(f".{pid}.json")
        command = [sys.executable, "-B", arguments.bench / "bench.py", url, "--pid", pid, "--fixture", fixture, "--lock", f"{out}.lock",
                   "--connections", connections, "--only", arguments.key, "--seconds", arguments.seconds, "--out", out]
        loads.append((out, subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    # The harness looks and warms up first, some with others' requests between: what all of it takes is counted for all of it.
    before, began = [metrics(steering) for _, steering, *_ in arguments.front], time.monotonic()
    beside = [[int(arguments.projector[1])], [int(arguments.postgres[1])]]
    cpu = [procstat.cpu_seconds(pids) for pids in beside]
    watch = Watch(arguments.postgres[0], arguments.projector[0])
    watch.start()
    told = [load.communicate(timeout=600)[0] for _, load in loads]
    watch.ended.set()
    watch.join()
    for (_, load), text in zip(loads, told):
        if load.returncode:
            raise SystemExit(text)
    cpu = [procstat.cpu_seconds(pids) - earlier for pids, earlier in zip(beside, cpu)]
    after = [metrics(steering) for _, steering, *_ in arguments.front]

    def grown(name: str) -> float:
        return sum(later.get(name, 0) - earlier.get(name, 0) for earlier, later in zip(before, after))

    scenarios = [json.loads(out.read_text())["scenarios"][0] for out, _ in loads]
    rate = sum(scenario["requests_per_s"] for scenario in scenarios)
    fronts = sum(scenario["cpu_us_per_request"] * scenario["requests_per_s"] for scenario in scenarios) / rate
    requests = grown("apus_http_requests_total")
    groups = grown("apus_log_group_commands_count")
    writes = "| | | | |"
    if groups > 1:
        lags = sorted(watch.lags)
        writes = (f"| {grown('apus_log_group_commands_sum') / groups:.1f} | {grown('apus_log_conflicts_total') / groups:.2f} "
                  f"| {lags[len(lags) * 95 // 100]:.0f} | {sum(watch.locked) / len(watch.locked):.1f} |")
    print(f"| {arguments.key} | {len(arguments.front)} | {rate:,.0f} | {fronts:,.0f} | {cpu[0] / requests * 1e6:,.0f} | {cpu[1] / requests * 1e6:,.0f} {writes}",
          flush=True)


if __name__ == "__main__":
    main()
