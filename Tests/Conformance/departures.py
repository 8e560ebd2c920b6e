#!/usr/bin/env python3
"""Copies the recordings and marks what follows from a mend but bears no mark: departures.py CORPUS COPY

Where Apus departs from a marked step, later steps on the same socket cannot be as recorded either. And `ws-refused` has a
ticket survive a logout, and `ws-live` a frame without a chunk's content, which QUIRKS.md 3 and 9 mend.
"""

import json
import shutil
import sys
from pathlib import Path

# Scenario, a field of its steps, the values that make a step depart, and the quirk that stands behind it.
DEPARTING = [
    ("ws-refused", "socket", {"stoken"}, "ws-bad-stoken"),
    ("ws-refused", "socket", {"late"}, "ws-after-revoke"),
    ("ws-live", "name", {"comes as sent: no content for known chunks", "to the other as well"}, "ws-content-as-sent"),
]


def main() -> None:
    corpus, copy = map(Path, sys.argv[1:])
    shutil.copytree(corpus, copy, dirs_exist_ok=True)
    for name, field, values, quirk in DEPARTING:
        path = copy / f"{name}.json"
        scenario = json.loads(path.read_text())
        for step in scenario["steps"]:
            if step.get(field) in values:
                step.setdefault("quirk", quirk)
        path.write_text(json.dumps(scenario))


if __name__ == "__main__":
    main()
