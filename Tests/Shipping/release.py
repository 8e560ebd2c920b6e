"""What ops/release makes of a program: the archive, the Debian package, the bill of materials, the sums; that it says what it is,
runs without Swift, needs no more of a machine than it should, and comes out the same twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from common import ROOT, Server, attempt, equal, run, support, test, true, what_is_missing

# What the program may load when it starts; all else is inside.
LOADED = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libpq.so.5", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
INSIDE = {"hiredis", "libsodium", "libsqlite3"}  # how their Debian packages begin
LOCALES = ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8", "TZ": "Pacific/Auckland"}, {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"})


class Release:
    """What was made, once for all tests."""

    scratch = Path(tempfile.mkdtemp(prefix="apus-release."))
    folder = scratch / "first"
    _made: str | None = None

    @classmethod
    def of(cls, arguments: Any) -> Path:
        if cls._made is None:
            cls._made = make(arguments, cls.folder)
        return cls.folder

    @classmethod
    def unpacked(cls, arguments: Any) -> Path:
        """The folder that is in the archive."""
        where = cls.scratch / "unpacked"
        if not where.exists():
            with tarfile.open(one(cls.of(arguments), "*.tar.xz")) as archive:
                archive.extractall(where)
        return one(where, "*")


def make(arguments: Any, folder: Path) -> str:
    trial = [] if arguments.release else ["--trial"]  # a debug program is large
    return run(ROOT / "ops" / "release", "--program", arguments.apus, *trial, folder)


def one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    equal(len(found), 1, f"files {pattern} in {folder}: {sorted(file.name for file in folder.iterdir())}")
    return found[0]


@test("there are an archive, a package, a bill of materials, what it was built from, and sums that are right")
def sums(arguments: Any) -> str:
    folder = Release.of(arguments)
    told = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.name != "SHA256SUMS"}
    equal(told, found, "sums")
    for pattern in ("apus-*-linux-*.tar.xz", "apus_*.deb", "apus-*.cdx.json", "Package.resolved"):
        one(folder, pattern)
    return ", ".join(f"{name} {(folder / name).stat().st_size / 1e6:.1f} MB" for name in sorted(found) if name.endswith(("xz", "deb")))


@test("the same program packed again gives the same bytes")
def again(arguments: Any) -> str | None:
    if not arguments.release:
        return "left out: with --all"
    first = (Release.of(arguments) / "SHA256SUMS").read_text()
    # At another time, for another user's umask and in another place.
    second = Release.scratch / "at another place" / "second"
    old = os.umask(0o077)
    try:
        make(arguments, second)
    finally:
        os.umask(old)
    equal((second / "SHA256SUMS").read_text(), first, "sums")
    return None


@test("the program says its version, which the names of the files bear; a release says its commit too")
def version(arguments: Any) -> None:
    program = Release.unpacked(arguments) / "bin" / "apus"
    said = run(program, "--version").strip()
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?: \(([0-9a-f]{12})(-changed)?\))?", said)
    true(found, f"a version: {said}")
    if arguments.release:
        true(found.group(2), f"a commit in {said}")
    true(Release.unpacked(arguments).name.startswith(f"apus-{found.group(1)}-linux-"), "the folder's name")


@test("the program loads the distribution's libpq and C libraries, and nothing else")
def loads(arguments: Any) -> None:
    dynamic = run("readelf", "-d", Release.unpacked(arguments) / "bin" / "apus")
    needed = set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", dynamic))
    true(needed <= LOADED, f"libraries beyond those: {needed - LOADED}")
    true("libpq.so.5" in needed, "libpq")
    equal(run("nm", "--dynamic", "--defined-only", Release.unpacked(arguments) / "bin" / "apus"), "", "names that it exports")
    true("RUNPATH" not in dynamic and "RPATH" not in dynamic, "no folder of the builder's")


@test("the program bears no name of a folder of the builder's")
def no_paths(arguments: Any) -> str | None:
    if not arguments.release:
        return "left out: a debug program has them"
    found = set(re.findall(re.escape(str(ROOT)) + r"/[^\s\0]*", run("strings", Release.unpacked(arguments) / "bin" / "apus")))
    equal(sorted(found)[:5], [], "paths")
    return None


@test("ICU's data is left out")
def no_icu(arguments: Any) -> None:
    # The names of locales in it.
    content = (Release.unpacked(arguments) / "bin" / "apus").read_bytes()
    true(b"zoneinfo64.res" not in content and b"en_US_POSIX.res" not in content, "no table of contents of ICU's data")


@test("nothing needs a locale: names, times, addresses and errors are the same in each")
def locales(arguments: Any) -> None:
    program = str(Release.unpacked(arguments) / "bin" / "apus")
    names = ["Ångström", "ﬁne", "ΟΔΥΣΣΕΥΣ", "ＦＵＬＬ", "straße", "JOSE\u0301", "名前", "ISI"]
    for number, locale in enumerate(LOCALES):
        folder = Release.scratch / f"locale {number}"
        environment = {**support.clean_environment({}), **locale, "APUS_DATA": str(folder)}
        for name in names:
            wanted = unicodedata.normalize("NFKC", name).lower()
            told = attempt(program, "user", "create", name, env=environment)
            equal((told.returncode, told.stdout.split(" ")[0]), (0, wanted), f"the name that is made of {name} in {locale}: {told.stderr}")
        listed = [line.split("\t")[0] for line in run(program, "user", "list", env=environment).splitlines()]
        equal(sorted(listed), sorted(unicodedata.normalize("NFKC", name).lower() for name in names), "names")
        told = attempt(program, "audit", "--user", names[0], "--since", "2020-02-29T23:59:59.5+01:00", env=environment)
        equal((told.returncode, told.stderr), (0, ""), "audit since a time")
        true(re.search(r"\b20\d\d-\d\d-\d\d", told.stdout), f"times in digits that all can read: {told.stdout[:200]}")
        told = attempt(program, "audit", "--user", names[0], "--since", "2021-02-29T00:00:00Z", env=environment)
        true(told.returncode != 0 and "no time that there is" in told.stderr, told.stderr)
        told = attempt(program, "serve", "--listen", "256.0.0.1:99999", env=environment)
        true(told.returncode != 0 and "256.0.0.1:99999" in told.stderr, told.stderr)
        with Server(program, "--public-url", "https://Bücher.example/", environment=locale) as server:
            equal(server.get("/ready").status, 200, "status")


@test("the bill of materials is what CycloneDX's schema says, and names every package, library and the runtime")
def bill(arguments: Any) -> str | None:
    text = one(Release.of(arguments), "*.cdx.json").read_text()
    note = None
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        note = "left out: its schema, which comes with --all"
    else:
        fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
        true(fault is None, f"{fault}")
    document = json.loads(text)
    names = {component["name"] for component in document["components"]}
    pins = {pin["identity"] for pin in json.loads((ROOT / "Package.resolved").read_text())["pins"]}
    equal(pins - names, set(), "packages that it does not name")
    for start in INSIDE | {"swift-runtime", "libpq5", "libc6"}:
        true(any(start in name for name in names), f"{start} in {sorted(names)}")
    program = Release.unpacked(arguments) / "bin" / "apus"
    equal(document["metadata"]["component"]["hashes"][0]["content"], hashlib.sha256(program.read_bytes()).hexdigest(), "the program's sum")
    return note


@test("the completions are scripts that their shells take")
def completions(arguments: Any) -> str | None:
    share = Release.unpacked(arguments) / "share"
    run("bash", "-n", share / "bash-completion" / "completions" / "apus")
    told = run("bash", "-c", 'source "$1"; complete -p apus', "-", share / "bash-completion" / "completions" / "apus")
    true("apus" in told, told)
    left_out = []
    for shell, file in (("zsh", "zsh/vendor-completions/_apus"), ("fish", "fish/vendor_completions.d/apus.fish")):
        true((share / file).stat().st_size > 1000, file)
        if what_is_missing(shell):
            left_out.append(shell)
        else:
            run(shell, "-n", share / file)
    return f"left out: {', '.join(left_out)}" if left_out else None


@test("the manual names every subcommand and option, and man has nothing to say against it")
def manual(arguments: Any) -> str | None:
    if missing := what_is_missing("man"):
        return f"left out: no {missing}"
    share = Release.unpacked(arguments) / "share" / "man"
    environment = {**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    for page in ("man1/apus.1.gz", "man8/apusctl.8.gz"):
        done = attempt("man", "--warnings", "-E", "UTF-8", "-l", share / page, env=environment)
        equal((done.returncode, done.stderr), (0, ""), page)
    shown = attempt("man", "-E", "ascii", "-l", share / "man1/apus.1.gz", env=environment).stdout

    def visit(command: dict, path: str) -> None:
        for argument in command.get("arguments") or []:
            for name in argument.get("names") or []:
                if name["kind"] == "long" and argument.get("shouldDisplay", True):
                    true("--" + name["name"] in shown or name["name"] == "help", f"{path} --{name['name']}")
        for child in command.get("subcommands") or []:
            if child["commandName"] != "help":
                true(f"{path} {child['commandName']}" in shown, f"{path} {child['commandName']}")
                visit(child, f"{path} {child['commandName']}")

    visit(json.loads(run(arguments.apus, "--experimental-dump-help"))["command"], "apus")
    return None


def options(parser: Any) -> None:
    parser.add_argument("--release", action="store_true", help="the program is one of ops/release, not a debug program linked alike")


if __name__ == "__main__":
    try:
        support.main(__doc__, options)
    finally:
        shutil.rmtree(Release.scratch, ignore_errors=True)
