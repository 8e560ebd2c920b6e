#!/usr/bin/env python3
"""Finds where texts from outside would be compared as Swift compares strings: equal when they only look alike. Names, uids,
types, tokens and paths are bytes: dictionaries and sets are keyed by types that compare them so (`Identifier`, `ExactText`).

A line whose strings are all ours, such as names of tables, says so: `// names of ours`. Exit code 1 when there is another.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# Where nothing comes from outside that is looked up: options, drivers, formats, names of tables.
APART = {"Apus", "Backup", "Database", "Redis", "MessagePack", "Sodium", "System"}
# A list that stands there.
LITERAL = re.compile(r"static let \w+: Set<String> = \[")
KEYED = re.compile(r"\[String: |Set<String>|Set<Substring>|Dictionary<String|\[Substring: ")


def main() -> int:
    found = []
    for top in ("Sources", "Projections", "Schemas"):
        for file in sorted(Path(top).rglob("*.swift")):
            if top == "Sources" and file.parts[1] in APART:
                continue
            for number, line in enumerate(file.read_text().splitlines(), 1):
                code, _, comment = line.partition("//")
                if "names of ours" not in comment and KEYED.search(code) and not LITERAL.search(code):
                    found.append(f"{file}:{number}: {line.strip()}")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
