#!/usr/bin/env python3
"""Fails when a module of the package is used against the arrows: arrows.py [PACKAGE FOLDER]

Package.swift lists its targets in the order of their dependencies. A target may depend on, and import, only modules that stand above it there,
and it may import only those of them that it declares. Modules of other packages are the compiler's business.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*"  # @testable, @preconcurrency, @_spi(…)
    r"(?:(?:public|package|internal|fileprivate|private)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var|actor)\s+)?(\w+)"
)


def swift_package(folder: Path, *arguments: str) -> dict[str, Any]:
    command = ["swift", "package", "--package-path", str(folder), *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def imports(source: Path) -> Iterator[tuple[int, str]]:
    """Line number and module of each import in a Swift file."""
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        if found := IMPORT.match(line):
            yield number, found.group(1)


def faults(folder: Path) -> Iterator[str]:
    # `describe` knows folders and sources but sorts the targets; `dump-package` keeps the order of Package.swift.
    order = [target["name"] for target in swift_package(folder, "dump-package")["targets"]]
    targets = {target["name"]: target for target in swift_package(folder, "describe", "--type", "json")["targets"]}
    position = {name: index for index, name in enumerate(order)}
    target_of = {target["c99name"]: name for name, target in targets.items()}  # by the name of its module
    for name in order:
        if name not in targets:
            yield f"Package.swift: {name} has no sources"
            continue
        declared = set(targets[name].get("target_dependencies", []))
        for other in sorted(declared):
            if position[other] >= position[name]:
                yield f"Package.swift: {name} depends on {other}, which does not stand above it"
        for source in targets[name]["sources"]:
            path = Path(targets[name]["path"]) / source
            if path.suffix != ".swift":
                continue
            for line, module in imports(folder / path):
                other = target_of.get(module)
                if other is None:
                    continue
                if position[other] >= position[name]:
                    yield f"{path}:{line}: {name} imports {module}, which does not stand above it in Package.swift"
                elif other not in declared:
                    yield f"{path}:{line}: {name} imports {module}, which it does not declare as a dependency"


def main() -> None:
    found = list(faults(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
    for fault in found:
        print(fault)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
