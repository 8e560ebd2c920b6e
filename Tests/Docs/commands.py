"""Runs the commands of README.md and ops/docs, page by page, each on a machine of its own; and looks whether what the pages name is there:
subcommands, options, settings, routes, alerts, texts of errors, other pages.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

from blocks import FOLDER, MARKS, README, ROOT, Block, blocks, pages, prose, spans
from machine import Machine, support
from support import Server, apus, equal, succeeds, test, true


# --- what is run ----------------------------------------------------------------------------------


def runs(page: Path, number: int) -> Any:
    def body(arguments: Any) -> str:
        found = [block for block in blocks(page) if "package" not in block.marks]
        with Machine(arguments, number) as machine:
            machine.made = re.findall(r"createdb .*", page.read_text())
            for block in found:
                machine.run(block)
        left = len(blocks(page)) - len(found)
        return f"{len(found)} blocks" + (f", {left} left to the package's own test" if left else "")

    return body


def every_page(_: Any) -> Iterator[tuple[str, Any]]:
    for number, page in enumerate(pages()):
        if any("package" not in block.marks for block in blocks(page)):
            yield f"{page.name}: its commands do what they should", runs(page, number)


@test("each block of commands says by a known word where it is run")
def marks(_: Any) -> None:
    for page in pages():
        for block in blocks(page):
            equal(set(block.marks) - MARKS, set(), f"unknown marks of {block}")
            true(block.text.strip(), f"{block} is empty")
        fences = re.findall(r"(?m)^```(.*)$", page.read_text())
        equal(len(fences) % 2, 0, f"fences of {page.name}")
        # A block for reading says so, or is a picture: nothing is left out by a slip.
        kinds = {fence.split()[0] for fence in fences[::2] if fence.strip()} - {"sh", "text"}
        equal(kinds, set(), f"kinds of blocks in {page.name}")
        true(not re.search(r"(?m)^ {4,}(apus|apusctl|ops/|systemctl|docker)", page.read_text()), f"{page.name} has an indented block")


@test("the package's test runs the blocks that are left to it")
def left_to_the_package(_: Any) -> None:
    true("from blocks import" in (ROOT / "Tests/Shipping/package.py").read_text(), "package.py runs them")


# --- what is named --------------------------------------------------------------------------------


class Program:
    """What the program says of itself."""

    def __init__(self, binary: str) -> None:
        command = json.loads(succeeds(apus(binary, "--experimental-dump-help"), "help"))["command"]
        self.commands: dict[tuple[str, ...], set[str]] = {}
        self._walk(command, ())
        settings = json.loads(succeeds(apus(binary, "config", "--json"), "config"))["settings"]
        self.settings = {setting["name"]: setting for setting in settings}
        self.variables = set(self.settings) | {f"{name}_FILE" for name, setting in self.settings.items() if setting["isSecret"]}

    def _walk(self, command: dict, above: tuple[str, ...]) -> None:
        path = (*above, command["commandName"])
        names = [name for argument in command.get("arguments", []) for name in argument.get("names", [])]
        self.commands[path] = {("--" if name["kind"] == "long" else "-") + name["name"] for name in names}
        for inner in command.get("subcommands", []):
            self._walk(inner, path)

    def fault(self, span: str) -> str | None:
        """What is wrong with a command that stands in a line."""
        words = span.replace("apusctl", "apus", 1).split()
        path = tuple(words[:1])
        while len(path) < len(words) and (*path, words[len(path)]) in self.commands:
            path = (*path, words[len(path)])
        rest = words[len(path):]
        is_group = any(known[:len(path)] == path and len(known) > len(path) for known in self.commands if known[-1] != "help")
        if is_group and rest and not rest[0].startswith("-") and rest[0][0].islower() and path == ("apus",):
            return f"no subcommand {rest[0]}"
        flags = {word.split("=")[0] for word in rest if word.startswith("--")}
        return None if flags <= self.commands[path] else f"no options {flags - self.commands[path]}"


@test("subcommands, their options and settings that the pages name are the program's")
def named(arguments: Any) -> str:
    program = Program(arguments.apus)
    count = 0
    for page in pages():
        for span in spans(page):
            if re.match(r"apus(ctl)? [a-z-]", span):
                count += 1
                true(not (fault := program.fault(span)), f"`{span}` in {page.name}: {fault}")
        for name in re.findall(r"\bAPUS_[A-Z_]+[A-Z]\b", page.read_text()):
            count += 1
            # Of the tests, of Compose, of ops/package.
            true(name in program.variables or name.startswith(("APUS_TEST_", "APUS_PACKAGE_")) or name == "APUS_HOST",
                 f"{name} in {page.name}")
    return f"{count} of them"


@test("the page of options is what the program prints: apus config --markdown")
def options_page(arguments: Any) -> None:
    equal((FOLDER / "options.md").read_text(), succeeds(apus(arguments.apus, "config", "--markdown"), "config"), "ops/docs/options.md")


@test("the page of scale has what its program computes")
def scale_page(_: Any) -> None:
    program = FOLDER.parent / "bench" / "model.py"
    told = subprocess.run([sys.executable, "-B", program], capture_output=True, text=True, check=True).stdout
    true(told.strip() in (FOLDER / "scale.md").read_text(), f"ops/docs/scale.md has what ops/bench/model.py prints:\n{told}")
    # Twice as many people need twice as much, and half the cores where all of a core is used.
    other = subprocess.run([sys.executable, "-B", program, "full=1.2"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(" | ") for text in (told, other) for line in text.splitlines() if line.startswith("| 1,000,000 ")]
    for column in (3, 4, 5, 6):
        usual, half = (float(row[column].replace(",", "")) for row in rows)
        true(abs(usual - 2 * half) <= 0.02, f"cores {usual} and {half}")


@test("links lead to pages and their headings, and the README to every page")
def links(_: Any) -> None:
    def anchors(page: Path) -> set[str]:
        headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    led_to = set()
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"https?:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            true(file.exists(), f"{target} in {page.name}")
            true(not anchor or anchor in anchors(file), f"{target} in {page.name}: headings are {sorted(anchors(file))}")
            if page == README:
                led_to.add(file)
    equal({page.name for page in pages() if page != README and page not in led_to}, set(), "pages that the README does not name")


@test("files of the repository that the pages name are there")
def files(_: Any) -> None:
    for page in pages():
        for span in spans(page):
            if found := re.match(r"(?:ops|Sources|Tests|Schemas|Projections|\.ci)/[\w./-]*", span):
                true((ROOT / found[0]).exists(), f"`{span}` in {page.name}")


@test("each alert has a part in the runbooks, and each part about an alert has one")
def alerts(_: Any) -> None:
    rules = re.findall(r"- alert: (\w+)", (ROOT / "ops/prometheus/alerts.yml").read_text())
    text = (FOLDER / "runbooks.md").read_text()
    table = re.findall(r"(?m)^\| `(Apus\w+)` \|", text)
    equal(sorted(table), sorted(rules), "alerts in the runbooks")


@test("the texts that troubleshooting goes by are the program's")
def texts(_: Any) -> str:
    """Each stands in quotation marks in a heading; … stands for what differs."""
    sources = "\n".join(file.read_text() for folder in ("Sources", "Schemas", "Projections", "ops/docs") for file in sorted(
        (ROOT / folder).rglob("*.swift")))
    joined = re.sub(r'"\s*\+\s*"', "", re.sub(r"\\\n\s*", "", sources))
    found = re.findall(r"(?m)^### `(.+)`$", (FOLDER / "troubleshooting.md").read_text())
    for text in found:
        for part in text.split("…"):
            part = part.strip()
            true(not part or part in joined, f"'{part}' is in no text of the program")
    true(len(found) > 10, "texts")
    return f"{len(found)} texts"


@test("the page of the protocol has every route, and no other")
def routes(arguments: Any) -> str:
    with Server(arguments.apus) as server:
        document = json.loads(server.get("/openapi.json").body)
    served = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
              if method != "parameters"}
    served = {found for found in served if " /api/" in found and not found.split()[1].startswith("/api/v1/doctor/")}
    written = re.findall(r"(?m)^\| `([A-Z]+ /api/[^`]*)` \|", (FOLDER / "protocol.md").read_text())
    equal((set(written) - served, served - set(written)), (set(), set()), "routes that are not, and routes that are missing")
    return f"{len(written)} routes"


@test("the list of changes has the program's version")
def changes(arguments: Any) -> None:
    version = succeeds(apus(arguments.apus, "--version"), "version").split()[0]
    true(re.search(rf"(?m)^## {re.escape(version)}\b", (FOLDER / "CHANGELOG.md").read_text()), f"a part on {version}")


def options(parser: Any) -> None:
    parser.add_argument("--postgres", required=True, help="postgres://…, whose role may make databases")
    parser.add_argument("--redis", required=True, help="redis://…")


if __name__ == "__main__":
    support.main(__doc__, options, every_page)
