"""The Debian package in a bare Debian 12 with no Swift on it: installed, served from, upgraded, removed, purged and installed again,
with dpkg in a root of its own (`--root`, an archive that mmdebstrap has made). Wants to be root.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from common import (
    ROOT, Client, Server, attempt, equal, expected, run, support, test, true, uid, until,
    what_is_missing)
from blocks import blocks, pages  # common says where


class Debian:
    """The root, and the package in two versions."""

    scratch = Path(tempfile.mkdtemp(prefix="apus-package."))
    root = scratch / "root"
    first: Path
    second: Path
    # A program of Swift finds its arguments in /proc.
    INSIDE = ("unshare", "--mount", "sh", "-c", 'mount --bind /proc "$1/proc" && exec chroot "$@"', "-")

    @classmethod
    def prepare(cls, arguments: Any) -> None:
        cls.root.mkdir()
        run("tar", "--extract", "--file", arguments.root, "--directory", cls.root)
        compression = {} if arguments.release else {"APUS_PACKAGE_COMPRESSION": "gzip"}
        made = [run(ROOT / "ops" / "package", arguments.apus, cls.scratch, env={**os.environ, **compression, **more}).split()[-1]
                for more in ({}, {"APUS_PACKAGE_VERSION": "99.0", "APUS_PACKAGE_COMPRESSION": "gzip"})]
        cls.first, cls.second = map(Path, made)

    @classmethod
    def chroot(cls, *command: Any, **more: Any) -> subprocess.CompletedProcess:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return attempt(*cls.INSIDE, cls.root, *command, env=environment, **more)

    @classmethod
    def succeeds(cls, *command: Any) -> str:
        done = cls.chroot(*command)
        equal(done.returncode, 0, f"outcome of {command}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout

    @classmethod
    def dpkg(cls, *command: Any) -> str:
        """dpkg with a package that lies outside of the root; no word of it is a complaint."""
        done = cls.chroot("dpkg", *command)
        equal(done.returncode, 0, f"outcome of dpkg {command}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        complaints = [line for line in done.stderr.splitlines() if "is kept" not in line and "Reading database" not in line]
        equal(complaints, [], f"complaints of dpkg {command}")
        return done.stdout + done.stderr

    @classmethod
    def install(cls, package: Path) -> None:
        shutil.copy(package, cls.root / "tmp" / "apus.deb")
        cls.dpkg("--install", "/tmp/apus.deb")

    @classmethod
    def path(cls, name: str) -> Path:
        return cls.root / name.lstrip("/")

    @classmethod
    def owner(cls, name: str) -> tuple[str, str, str]:
        """User, group and mode, as the root names them."""
        user, group, mode = cls.succeeds("stat", "--format=%U %G %a", name).split()
        return user, group, mode


class Installed(Server):
    """The server as the unit starts it, in the root: as its user, with its settings."""

    def __init__(self) -> None:
        super().__init__("apusctl")

    def start(self) -> Installed:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*Debian.INSIDE, str(Debian.root), "apusctl", "serve", "--listen", self.authority], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

        def is_ready() -> bool:
            true(self.is_alive(), f"the server has ended: {self.log[-1500:]}")
            return self.get("/ready").status == 200

        until("the server is ready", is_ready)
        return self


@test("it installs without a complaint: the program, its user, the units enabled, and a folder that is its user's alone")
def installs(arguments: Any) -> None:
    Debian.prepare(arguments)
    true(not Debian.path("/usr/bin/swift").exists(), "no Swift")
    Debian.install(Debian.first)
    equal(Debian.succeeds("dpkg-query", "-W", "-f", "${Status}", "apus"), "install ok installed", "the package's state")
    equal(Debian.succeeds("dpkg", "--verify", "apus"), "", "files that differ from the package's")
    equal(Debian.owner("/var/lib/apus"), ("apus", "apus", "700"), "owner of the data")
    equal(Debian.owner("/etc/apus/apus.env"), ("root", "root", "600"), "owner of the settings, which may hold passwords")
    entry = Debian.succeeds("getent", "passwd", "apus").strip().split(":")
    equal((entry[5], entry[6]), ("/var/lib/apus", "/usr/sbin/nologin"), "home and shell of the user")
    wanted = Debian.path("/etc/systemd/system/multi-user.target.wants/apus.service")
    equal(os.readlink(wanted), "/lib/systemd/system/apus.service", "the unit is enabled")
    true(re.match(r"\d+\.\d+\.\d+", Debian.succeeds("apus", "--version")), "the version")
    for file in Debian.succeeds("dpkg", "--listfiles", "apus").split():
        mode = Debian.path(file).lstat().st_mode
        true(stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), f"mode of {file}")


@test("somebody new installs it as the documents say, makes an account and syncs, all of it within a minute")
def first_sync(_: Any) -> str:
    Debian.dpkg("--purge", "apus")
    shutil.rmtree(Debian.path("/var/lib/apus"), ignore_errors=True)
    folder = Debian.path("/root/beside")
    folder.mkdir()
    shutil.move(Debian.path("/tmp/apus.deb"), folder / Debian.first.name)
    found = [block for page in pages() for block in blocks(page) if "package" in block.marks]
    true(found, "commands for a package in the documents")
    began = time.monotonic()
    for block in found:
        Debian.succeeds("sh", "-euc", f"cd /root/beside; {block.text}")
    true(Debian.succeeds("apusctl", "user", "list").startswith("alice\t"), "alice has an account")
    with Installed() as server:
        alice = Client(server, "alice")
        expected(alice.sign_up(), 200)
        expected(alice.create_collection(uid("packaged")), 201)
        took = time.monotonic() - began
        true(took < 60, f"it took {took:.1f} s")
        equal(server.stop(), 0, "exit code")
    for file in Debian.path("/var/lib/apus").iterdir():
        equal(Debian.owner(f"/var/lib/apus/{file.name}"), ("apus", "apus", "600"), f"owner of {file.name}")
    return f"from the package to the first sync in {took:.1f} s"


def still_there() -> None:
    """What alice has stored is served."""
    with Installed() as server:
        alice = Client(server, "alice")
        expected(alice.log_in(), 200)
        expected(alice.collection(uid("packaged")), 200)
        equal(server.stop(), 0, "exit code")


@test("apusctl wants root, and reads the settings as systemd does")
def settings(_: Any) -> None:
    done = Debian.chroot("setpriv", "--reuid=apus", "--regid=apus", "--clear-groups", "apusctl", "user", "list")
    true(done.returncode == 1 and "root only" in done.stderr, done.stderr)
    file = Debian.path("/etc/apus/apus.env")
    kept = file.read_text()
    try:
        file.write_text(kept + "; a comment\n\nAPUS_DATA='/var/lib/else where'\nAPUS_LOG_LEVEL=\"info\"\n")
        done = Debian.chroot("apusctl", "user", "list")
        true(done.returncode != 0 and "/var/lib/else where" in done.stderr, done.stderr)
        file.write_text(kept + "APUS_MISSPELT=$(touch /tmp/expanded)")
        done = Debian.chroot("apusctl", "user", "list")
        true(done.returncode != 0 and "APUS_MISSPELT" in done.stderr, done.stderr)
        true(not Debian.path("/tmp/expanded").exists(), "nothing is expanded")
    finally:
        file.write_text(kept)


@test("an upgrade keeps the settings that were changed, the data, and what was disabled")
def upgrades(_: Any) -> None:
    file = Debian.path("/etc/apus/apus.env")
    changed = file.read_text() + "\nAPUS_SEAL_INTERVAL=30s\n"
    file.write_text(changed)
    file.chmod(0o640)
    Debian.path("/etc/systemd/system/multi-user.target.wants/apus.service").unlink()  # as systemctl disables it
    Debian.install(Debian.second)
    equal(Debian.succeeds("dpkg-query", "-W", "-f", "${Version}", "apus"), "99.0", "version")
    equal(file.read_text(), changed, "the settings")
    equal(Debian.owner("/etc/apus/apus.env")[2], "640", "their mode, which was changed too")
    true(not os.path.lexists(Debian.path("/etc/systemd/system/multi-user.target.wants/apus.service")), "the unit stays disabled")
    still_there()


@test("removed, it leaves settings and data; purged, the data, and says so; installed again, it serves them")
def goes(_: Any) -> None:
    Debian.dpkg("--remove", "apus")
    for file in ("/usr/bin/apus", "/usr/sbin/apusctl", "/lib/systemd/system/apus.service", "/usr/share/doc/apus"):
        true(not Debian.path(file).exists(), f"{file} is gone")
    true(Debian.path("/etc/apus/apus.env").exists(), "the settings stay")
    told = Debian.dpkg("--purge", "apus")
    true("/var/lib/apus is kept" in told, told)
    true(not Debian.path("/etc/apus").exists(), "the settings are gone")
    left = [file for file in ("/etc", "/usr", "/lib") for file in run("find", Debian.path(file), "-name", "*apus*").split()]
    equal(left, [], "what is left of it")
    Debian.install(Debian.first)
    still_there()


@test("where nobody has stored anything, a purge leaves nothing")
def goes_empty(_: Any) -> None:
    shutil.rmtree(Debian.path("/var/lib/apus"))
    Debian.install(Debian.second)
    true(Debian.path("/var/lib/apus").exists(), "the folder is made again")
    Debian.dpkg("--purge", "apus")
    true(not Debian.path("/var/lib/apus").exists(), "the folder is gone")


@test("lintian finds no error, and no warning")
def lintian(_: Any) -> str | None:
    if missing := what_is_missing("lintian"):
        return f"left out: no {missing}"
    done = attempt("lintian", "--allow-root", "--fail-on", "error,warning", "--no-tag-display-limit", Debian.first)
    equal(done.returncode, 0, f"lintian's code: {done.stdout[-2500:]}{done.stderr[-500:]}")
    return None


def options(parser: Any) -> None:
    parser.add_argument("--root", required=True, help="an archive of a bare Debian 12 with what the package depends on")
    parser.add_argument("--release", action="store_true", help="the program is one of ops/release, not a debug program linked alike")


if __name__ == "__main__":
    try:
        support.main(__doc__, options)
    finally:
        shutil.rmtree(Debian.scratch, ignore_errors=True)
