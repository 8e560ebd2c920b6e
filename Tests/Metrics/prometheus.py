#!/usr/bin/env python3
"""A real Prometheus looks at an Apus: the rules for alerts, and every query of the dashboard."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from common import PATIENCE_SECONDS, REDIS, ROOT, Watched, equal, expected, free_port, metrics_of, offered, options, person, support, tool, true, uid
from support import test

RULES = ROOT / "ops/prometheus"
DASHBOARD = ROOT / "ops/grafana/apus.json"
NOTES = uid("notes")
# What Grafana puts in place of its variables. Scrapes come every second.
VARIABLES = {"$__rate_interval": "10s", "$job": ".*", "$instance": ".*"}


@test("the rules for alerts are rules, and each says when something is wrong and when it is well again")
def rules(options: argparse.Namespace) -> None:
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, timeout=120)
        true(done.returncode == 0, f"promtool {' '.join(command)}: {done.stdout}{done.stderr}")
    names = set(re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text()))
    equal(names - set(re.findall(r"alertname: (\w+)", (RULES / "alerts_test.yml").read_text())), set(), "alerts without a test")


@test("every query of the dashboard is answered, and the dashboard shows every metric")
def dashboard(options: argparse.Namespace) -> str:
    flags = ["--signup", "open"] + (["--redis-url", REDIS[0]] if options.postgres and REDIS else [])
    with Watched(options.apus, *flags) as server:
        with Prometheus(server) as prometheus:
            alice = person(server, "alice")
            expected(alice.create_collection(NOTES), 201)
            end = time.monotonic() + PATIENCE_SECONDS
            number = 0
            # What is shown as a rate must have grown between two looks.
            while not prometheus.ask('rate(apus_log_events_total[10s]) > 0 and rate(process_cpu_seconds_total[10s]) > 0'):
                true(time.monotonic() < end, f"Prometheus has looked twice: {prometheus.log[-500:]}")
                number += 1
                expected(alice.commit(NOTES, [offered(uid(number), uid(number, "a"), b"meta")]), 200)
                expected(server.get("/nowhere"), 404)
                time.sleep(0.2)
            # A busy machine misses looks; a query that has no answer then has one after the next.
            while missing := unanswered(prometheus, server.text()):
                true(time.monotonic() < end, f"queries without an answer: {missing}")
                time.sleep(0.5)
            shown = {name for _, query in queries() for name in re.findall(r"\b(?:apus|process)_\w+", query)}
            bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | shown
            equal(metrics_of(server.text()) - bare, set(), "metrics that are not shown")
            for rule in re.findall(r"alert: (\w+)\n\s+expr: (?:\|\n)?((?:.(?!\n      \w|\n        for:|\n        labels:))+.)",
                                   (RULES / "alerts.yml").read_text(), re.DOTALL):
                prometheus.ask(rule[1].strip())
            firing = [alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"]
            equal(firing, [], "alerts of a server that is well")
            return f"{len(queries())} queries"


def queries() -> list[tuple[str, str]]:
    """The dashboard's, each with the title of its panel."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


def unanswered(prometheus: Prometheus, text: str) -> list[str]:
    return [f"{title}: {query}" for title, query in queries()
            if not prometheus.ask(filled(query)) and not may_be_empty(query, text)]


def filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def may_be_empty(query: str, text: str) -> bool:
    """Whether the query is about errors, of which there were none, or about what this server does not have."""
    return 'status=~"5.."' in query or not any(name in metrics_of(text) for name in metrics_in(query))


def metrics_in(query: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\b(?:up|(?:apus|process)_\w+)\b", query)}


class Prometheus:
    """A Prometheus that looks at servers every second, and judges them by the rules."""

    def __init__(self, *servers: Watched) -> None:
        self.folder: Path = servers[0].scratch / "prometheus"
        self.folder.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        (self.folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "alerts.yml")],
            "scrape_configs": [{"job_name": "apus", "static_configs": [{"targets": [f"127.0.0.1:{server.ops}" for server in servers]}]}]}))
        self.output = (self.folder / "log").open("w")
        self.process = tool(
            "prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}", stdout=self.output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def get(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            value = json.load(answer)
        equal(value["status"], "success", str(parameters))
        return value["data"]

    def ask(self, query: str) -> list:
        try:
            return self.get("query", query=query)["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def __enter__(self) -> Prometheus:
        self.process.__enter__()
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                urllib.request.urlopen(self.url + "/-/ready", timeout=5).close()
                return self
            except OSError:
                true(time.monotonic() < end, f"Prometheus is ready: {self.log[-500:]}")
                time.sleep(0.1)

    def __exit__(self, *error: Any) -> None:
        self.process.__exit__(*error)
        self.output.close()


if __name__ == "__main__":
    support.main(__doc__, options)
