#!/usr/bin/env python3
"""Prints the bill of materials of a program as CycloneDX 1.5 JSON: sbom.py PROGRAM RESOLVED SECONDS LIBRARY...

RESOLVED is the Package.resolved that it was built with, SECONDS since 1970 are the time on the bill, each LIBRARY a Debian package of
which something is inside the program. What the program loads when it starts is found in it, and named with the Debian package that it
was built and tested with; elsewhere the distribution's own takes its place.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

LICENSES = {
    "grdb.swift": "MIT", "libhiredis-dev": "BSD-3-Clause", "libsodium-dev": "ISC", "libpq5": "PostgreSQL", "libc6": "LGPL-2.1-or-later",
}
SQLITE = "blessing"
APACHE = "Apache-2.0"


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def component(kind: str, name: str, version: str, purl: str, licence: str | None, **more: Any) -> dict[str, Any]:
    found = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl, **more}
    if licence:
        found["licenses"] = [{"license": {"id": licence}}]
    return found


def swift_packages(resolved: Path) -> list[dict[str, Any]]:
    found = []
    for pin in json.loads(resolved.read_text())["pins"]:
        place = re.sub(r"^https://|\.git$", "", pin["location"])
        version = pin["state"].get("version") or pin["state"]["revision"]
        found.append(component(
            "library", pin["identity"], version, f"pkg:swift/{place}@{version}", LICENSES.get(pin["identity"], APACHE),
            externalReferences=[{"type": "vcs", "url": pin["location"], "comment": pin["state"]["revision"]}]))
    return found


def debian_package(package: str, scope: str) -> dict[str, Any]:
    version, architecture = output("dpkg-query", "-W", "-f", "${Version} ${Architecture}", package).split()
    name = package.split(":")[0]
    licence = SQLITE if name.startswith("libsqlite") else LICENSES.get(name)
    return component("library", name, version, f"pkg:deb/debian/{name}@{version}?arch={architecture}", licence, properties=[
        {"name": "apus:linkage", "value": scope}])


def loaded(program: str) -> list[str]:
    """The Debian packages of the libraries that the program names."""
    paths = [match.group(1) for match in re.finditer(r"=> (/\S+)", output("ldd", program))]
    direct = set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", output("readelf", "-d", program)))
    packages = set()
    for path in paths:
        if Path(path).name in direct:
            # Where /lib is a link, dpkg knows the file under either name.
            for known in (path, str(Path(path).resolve()), re.sub(r"^/usr(?=/lib)", "", str(Path(path).resolve())), "/usr" + path):
                done = subprocess.run(["dpkg-query", "-S", known], capture_output=True, text=True)
                if done.returncode == 0:
                    packages.add(done.stdout.split(": ")[0].split(",")[0])
                    break
    return sorted(packages)


def bill(program: str, resolved: Path, seconds: int, inside: list[str]) -> dict[str, Any]:
    digest = hashlib.sha256(Path(program).read_bytes()).hexdigest()
    version = output(program, "--version")
    swift = re.search(r"Swift version (\S+)", output("swift", "--version")).group(1)
    components = (
        swift_packages(resolved)
        + [component("framework", "swift-runtime", swift, f"pkg:swift/github.com/swiftlang/swift@{swift}", APACHE)]
        + [debian_package(name, "inside") for name in inside]
        + [debian_package(name, "loaded") for name in loaded(program)])
    main = component("application", "apus", version, f"pkg:generic/apus@{version.split()[0]}", APACHE, hashes=[
        {"alg": "SHA-256", "content": digest}])
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",  # follows from the program
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)), "component": main},
        "components": sorted(components, key=lambda found: found["bom-ref"]),
        "dependencies": [{"ref": main["bom-ref"], "dependsOn": sorted(found["bom-ref"] for found in components)}],
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]), indent=2, sort_keys=True))
