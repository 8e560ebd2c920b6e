"""What the programs in this folder share: what the doctor says, and how it is asked."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Faults"))

import support  # noqa: E402
from support import clean_environment, equal, true  # noqa: E402


class Told:
    """What the doctor has told of each check, by its number."""

    def __init__(self, done: subprocess.CompletedProcess) -> None:
        true(done.stdout.startswith("{"), f"the doctor broke off: {done.stdout[-500:]}{done.stderr[-1000:]}")
        found = json.loads(done.stdout)
        self.checks = {check["number"]: check for check in found["checks"]}
        failed = self.numbers("failure")
        equal((done.returncode, found["failures"], found["warnings"]), (1 if failed else 0, len(failed), len(self.numbers("warning"))), "exit code")
        for check in found["checks"]:
            wants_more = check["result"] in ("failure", "warning")
            true(("meaning" in check and "remedy" in check) == wants_more, f"what it means and how to mend it, of {check}")

    def numbers(self, result: str) -> set[int]:
        return {number for number, check in self.checks.items() if check["result"] == result}

    def is_(self, number: int, result: str, *words: str) -> dict[str, Any]:
        check = self.checks[number]
        equal(check["result"], result, f"result of check {number} ({check})")
        for word in words:
            true(word in json.dumps(check, ensure_ascii=False), f"'{word}' in {check}")
        return check


def doctor(binary: str, *arguments: str, environment: dict[str, str] | None = None, **more: Any) -> Told:
    """Asks the doctor."""
    return Told(subprocess.run(
        [binary, "doctor", "--json", *arguments], capture_output=True, text=True, timeout=180, env=clean_environment(environment or {}), **more))


def options(parser: argparse.ArgumentParser) -> None:
    support.on_either_engine(parser)
    parser.add_argument("--redis", help="a Redis")


def listed() -> dict[int, str]:
    """Numbers and titles of the checks, as they are told of in ops/docs."""
    rows = re.findall(r"(?m)^\| (\d+) \| ([^|]+) \|", (ROOT / "ops" / "docs" / "doctor.md").read_text())
    return {int(number): title.strip() for number, title in rows}
