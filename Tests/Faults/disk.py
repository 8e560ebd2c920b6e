"""A server on a disk that forgets what was not synced: disk.c, loaded into the program, keeps what such a disk would have."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from support import Server, offered, true, uid

COLLECTION = uid("collection")


class Disk(Server):
    """A server on a disk that forgets."""

    _library: Path | None = None

    def __init__(self, binary: str, *flags: str) -> None:
        super().__init__(binary, *flags, "--signup", "open")
        self.root, self.states = self.scratch / "disk", itertools.count()
        self.root.mkdir()
        self.folder = self.root / "kept" / "data"
        self.new_state()

    def new_state(self) -> None:
        """What is there now is on the disk."""
        self.state = self.scratch / f"state{next(self.states)}"
        for kind in ("files", "folders", "written"):
            (self.state / kind).mkdir(parents=True)
        for top, folders, files in os.walk(self.root):
            entries = [(Path(top, name).stat().st_ino, kind, name) for kind, names in (("d", folders), ("f", files)) for name in names]
            listing = "".join(f"{inode} {kind} {name}\n" for inode, kind, name in entries)
            (self.state / "folders" / str(Path(top).stat().st_ino)).write_text(listing)
            for name in files:
                shutil.copyfile(Path(top, name), self.state / "files" / str(Path(top, name).stat().st_ino))
        self.environment = self.environment | self.preloaded

    @property
    def preloaded(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(library()), "DISK_ROOT": str(self.root), "DISK_STATE": str(self.state)}

    def cut(self) -> None:
        """Ends the server; what was not on the disk is gone."""
        if self.is_alive():
            self.kill()
        after = self.scratch / "after"
        self.bring_back(self.root.stat().st_ino, after)
        shutil.rmtree(self.root)
        after.rename(self.root)
        self.new_state()

    def bring_back(self, inode: int, folder: Path) -> None:
        folder.mkdir()
        names = self.state / "folders" / str(inode)
        for line in names.read_text().splitlines() if names.exists() else []:
            number, kind, name = line.split(" ", 2)
            if kind == "d":
                self.bring_back(int(number), folder / name)
            elif (content := self.state / "files" / number).exists():
                shutil.copyfile(content, folder / name)
                (folder / name).chmod(0o600)
            else:
                (folder / name).touch(0o600)

    def syncs(self, what: str, answer: str = "synced") -> int:
        """How many syncs of files whose path ends so there were since the last cut."""
        told = self.state / "syncs"
        return sum(line.startswith(answer + " ") and line.endswith(what) for line in told.read_text().splitlines()) if told.exists() else 0

    def fail(self, what: str | None) -> None:
        """Makes syncs of files fail whose path contains the text, or none any more."""
        (self.state / "fail").unlink(missing_ok=True)
        if what:
            (self.state / "fail").write_text(what)

    def apus(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        return super().apus(*arguments, environment=self.preloaded | (environment or {}))


def library() -> Path:
    """Makes the library once for all tests."""
    if not Disk._library:
        Disk._library = Path(tempfile.mkdtemp(prefix="apus-disk.")) / "disk.so"
        atexit.register(shutil.rmtree, Disk._library.parent)
        source = Path(__file__).with_name("disk.c")
        subprocess.run([compiler(), "-O1", "-shared", "-fPIC", "-o", Disk._library, source, "-ldl", "-lpthread"], check=True)
    return Disk._library


def compiler() -> str:
    found = next((found for found in map(shutil.which, ("cc", "gcc", "clang", "/opt/swift/usr/bin/clang")) if found), None)
    true(found, "there is no C compiler, and without one the power cannot be cut")
    return found


def item(number: Any, chunks: int = 1) -> dict:
    name = uid("item", number)
    return offered(name, uid("revision", number), b"meta", [(uid("chunk", number, n), b"%d" % n * 3000) for n in range(chunks)])
