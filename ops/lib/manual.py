#!/usr/bin/env python3
"""Prints the manual page apus(1), made from what the program tells of itself: manual.py PROGRAM SECONDS

SECONDS since 1970 are the date on the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any, Iterator

FILES = [
    ("/etc/apus/apus.env", "The settings of the service that the package installs, one variable a line."),
    ("/var/lib/apus", "What that service keeps: the database, the secret, chunks in files."),
]


def escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...").replace("–", "\\(en")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.splitlines())


def written(argument: dict[str, Any]) -> str:
    """An option or argument as it is typed."""
    names = [("--" if name["kind"] == "long" else "-") + name["name"] for name in argument.get("names") or []]
    value = argument.get("valueName") or "value"
    if argument["kind"] == "positional":
        return f"\\fI{escaped(value)}\\fR" + (" ..." if argument["isRepeating"] else "")
    said = ", ".join(f"\\fB{escaped(name)}\\fR" for name in names)
    return said if argument["kind"] == "flag" else f"{said} \\fI{escaped(value)}\\fR"


def shown(command: dict[str, Any]) -> list[dict[str, Any]]:
    """What is worth a line: help and version are told once."""
    return [
        argument for argument in command.get("arguments") or []
        if argument.get("shouldDisplay", True) and not {"help", "version"} & {name["name"] for name in argument.get("names") or []}
    ]


def part(command: dict[str, Any], path: list[str]) -> Iterator[str]:
    """A command and those below it."""
    path = path + [command["commandName"]]
    children = [child for child in command.get("subcommands") or [] if child["commandName"] != "help"]
    if len(path) > 1:
        positional = [written(argument) for argument in shown(command) if argument["kind"] == "positional"]
        yield ".SS " + " ".join([f"\\fB{escaped(' '.join(path))}\\fR", "[\\fIoption\\fR ...]" if not children else "\\fIsubcommand\\fR"] + positional)
        for text in (command.get("abstract"), command.get("discussion")):
            if text:
                yield escaped(text) + "\n.PP"
        for argument in shown(command):
            yield ".TP\n" + written(argument)
            yield escaped(argument.get("abstract") or "")
            choices = argument.get("allValues")
            if choices and not all(choice in (argument.get("abstract") or "") for choice in choices):
                yield "One of " + escaped(", ".join(choices)) + "."
    for child in children:
        yield from part(child, path)


def page(program: str, seconds: int) -> Iterator[str]:
    told = json.loads(subprocess.run([program, "--experimental-dump-help"], stdout=subprocess.PIPE, check=True).stdout)
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[0]
    root = told["command"]
    yield f'.TH APUS 1 "{time.strftime("%Y-%m-%d", time.gmtime(seconds))}" "Apus {version}" "User commands"'
    yield ".SH NAME\napus \\- " + escaped(root["abstract"][0].lower() + root["abstract"][1:].rstrip("."))
    yield ".SH SYNOPSIS\n.B apus\n\\fIsubcommand\\fR [\\fIoption\\fR ...]\n.br\n.B apus \\-\\-version\n.br\n.B apus help\n\\fIsubcommand\\fR"
    yield (".SH DESCRIPTION\nOptions come first, then the environment, in the variable that an option's description names, then the "
           "file of \\fB\\-\\-config\\fR.")
    yield ".SH COMMANDS"
    yield from part(root, [])
    yield ".SH EXIT STATUS\n0 when what was asked for was done; another number, and a sentence on the standard error, when it was not."
    yield ".SH FILES"
    for name, text in FILES:
        yield f".TP\n.I {escaped(name)}\n{escaped(text)}"
    yield ".SH SEE ALSO\n.BR apusctl (8),\n.BR systemctl (1)"


if __name__ == "__main__":
    sys.stdout.write("\n".join(page(sys.argv[1], int(sys.argv[2]))) + "\n")
