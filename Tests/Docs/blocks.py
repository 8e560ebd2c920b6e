"""The commands in the documents: README.md and ops/docs, their blocks of shell, and the commands in their lines.

A block that is run begins with ```sh. What follows on that line says where its commands belong:

    (nothing)    on a machine with the package, whose service runs
    serves       the last command goes on running until the page's end
    stopped      what the page has started is ended before
    etesync      in a folder with the database of an EteSync server, without the package
    nginx        with a proxy and a certificate for sync.example.com before the server
    docker, kubernetes   in a checkout, with a pretended docker, kubectl
    source       in a checkout, with a pretended swift
    package      on a bare Debian with the package beside it
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README, FOLDER = ROOT / "README.md", ROOT / "ops" / "docs"
MARKS = {"serves", "stopped", "etesync", "nginx", "docker", "kubernetes", "source", "package"}


@dataclasses.dataclass
class Block:
    page: Path
    line: int
    marks: list[str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    return [README, *sorted(FOLDER.glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The page's blocks of shell, in order. A block of another kind is for reading, and says so: ```text or a picture."""
    found: list[Block] = []
    info: list[str] | None = None
    lines: list[str] = []
    began = 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r"\s*```(.*)$", line)
        if not fence:
            lines.append(line)
        elif info is None:
            info, lines, began = fence[1].split(), [], number
        else:
            if info[:1] == ["sh"]:
                found.append(Block(page, began, info[1:], "\n".join(lines) + "\n"))
            info = None
    return found


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"(?ms)^\s*```.*?^\s*```\s*$", "", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands between single backticks, on one line."""
    return re.findall(r"`([^`\n]+)`", prose(page))
