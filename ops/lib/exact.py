#!/usr/bin/env python3
"""Finds where texts from outside would be compared as Swift compares strings: equal when they only look alike. Names, uids,
types, tokens and paths are bytes: dictionaries and sets are keyed by types that compare them so (`Identifier`, `ExactText`).

A line whose strings are all ours, such as names of tables, says so: `// names of ours`. Exit code 1 when there is another.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# Where nothing comes from outside that is looked up: options, drivers, formats.
APART = {"Apus", "Server", "Database", "Redis", "MessagePack", "Sodium", "System"}
# Where texts that are looked up are names of tables.
TABLES = {"Backup"}
# A list that stands there.
LITERAL = re.compile(r"static let \w+: Set<String> = \[")
KEYED = re.compile(r"\[String: |Set<String>|Set<Substring>|Dictionary<String|\[Substring: ")

# A key made of several parts, one of them a string; it is hashed and nothing else.
COMPOSED = re.compile(r"struct \w+: Hashable \{[^}]*\b(?:let|var) \w+: \[?String\b")


def main() -> int:
    found = []
    for top in ("Sources", "Projections", "Schemas"):
        for file in sorted(Path(top).rglob("*.swift")):
            module = file.parts[1] if top == "Sources" else top
            if module in APART:
                continue
            text = file.read_text()
            for key in COMPOSED.finditer(text):
                if "names of ours" in key.group():
                    continue
                found.append(f"{file}:{text.count(chr(10), 0, key.end()) + 1}: a key that is made of a string")
            for number, line in enumerate(text.splitlines(), 1):
                code, _, comment = line.partition("//")
                if module not in TABLES and "names of ours" not in comment and KEYED.search(code) and not LITERAL.search(code):
                    found.append(f"{file}:{number}: {line.strip()}")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
