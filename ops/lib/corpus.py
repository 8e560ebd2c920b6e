#!/usr/bin/env python3
"""Inputs of fuzzing as they are kept, and as libFuzzer has them: corpus.py unpack FILE FOLDER | corpus.py pack FOLDER FILE

A kept file has a line for each input: its bytes in hexadecimal digits, and behind a blank, where it has broken something once, what it is.
libFuzzer has a folder with a file for each. `pack` keeps all that bear a name, and of the others the shortest ones.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

KEPT_BYTES = 4_000  # of all inputs of a subject that bear no name


def lines(path: Path) -> list[tuple[bytes, str]]:
    kept = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(bytes.fromhex(line.partition(" ")[0]), line.partition(" ")[2]) for line in kept]


def unpack(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for content, _ in lines(path):
        (folder / hashlib.sha1(content).hexdigest()).write_bytes(content)


def pack(folder: Path, path: Path) -> None:
    named = [(content, name) for content, name in lines(path) if name]
    left, found = KEPT_BYTES, []
    for content in sorted({entry.read_bytes() for entry in folder.iterdir()}, key=lambda content: (len(content), content)):
        left -= len(content)
        if content and left >= 0:
            found.append((content, ""))
    path.write_text("".join(f"{content.hex()} {name}".rstrip() + "\n" for content, name in named + found), encoding="utf-8")
    print(f"{path}: {len(named)} with a name, {len(found)} without")


if __name__ == "__main__":
    {"unpack": unpack, "pack": pack}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
