"""The container image: built with ops/Containerfile as it is published, but that its first stage, which compiles, is a folder that is
here; then run without an engine: its root read-only, as its own user, with its own variables and command. Wants to be root.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, Client, Server, attempt, equal, expected, run, support, test, true, uid, until

LARGEST_IMAGE_MB = 75
# Mounts as an engine with --read-only --tmpfs /tmp -v FOLDER:/data does, then becomes the image's user with its variables alone.
CONTAIN = """set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount --bind "$2" "$1/data"
mount --bind /proc "$1/proc"
shift 2
exec "$@"
"""


class Image:
    scratch = Path(tempfile.mkdtemp(prefix="apus-image."))
    root: Path
    config: dict
    _container: str | None = None

    @classmethod
    def buildah(cls, *arguments: Any) -> str:
        store = ("--root", cls.scratch / "store", "--runroot", cls.scratch / "run", "--storage-driver", "vfs")
        return run("buildah", *store, *arguments, cwd=ROOT).strip()

    @classmethod
    def build(cls, arguments: Any) -> None:
        built = cls.scratch / "built"
        run(ROOT / "ops" / "lib" / "image-root", arguments.apus, built / "image")
        cls.buildah("bud", "--isolation", "chroot", "--format", "docker", "--build-context", f"build={built}",
                    "--file", "ops/Containerfile", "--tag", "apus", ROOT)
        cls.config = json.loads(cls.buildah("inspect", "--type", "image", "apus"))["Docker"]["config"]
        cls._container = cls.buildah("from", "apus")
        cls.root = Path(cls.buildah("mount", cls._container))
        shutil.rmtree(built)

    @classmethod
    def remove(cls) -> None:
        if cls._container:
            cls.buildah("umount", cls._container)
        shutil.rmtree(cls.scratch, ignore_errors=True)

    @classmethod
    def contained(cls, folder: Path, *command: str) -> list[str]:
        """A command in the image's root, with `folder` as /data."""
        values = [f"{name}" for name in cls.config["Env"]]
        user, group = cls.config["User"].split(":")
        # The program of the image itself, which has no shell: all that is told to it is told from outside.
        return ["unshare", "--mount", "sh", "-c", CONTAIN, "-", str(cls.root), str(folder),
                "env", "--ignore-environment", *values,
                "/usr/sbin/chroot", f"--userspec={user}:{group}", "--groups=", str(cls.root), *command]


class Container(Server):
    """The image's own command, at a free port."""

    def __init__(self) -> None:
        super().__init__("image")
        self.folder.mkdir()
        os.chown(self.folder, *map(int, Image.config["User"].split(":")))
        self.scratch.chmod(0o755)

    def start(self) -> Container:
        command = Image.config["Entrypoint"] + Image.config["Cmd"] + ["--listen", self.authority, "--signup", "open"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                Image.contained(self.folder, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def is_ready() -> bool:
            true(self.is_alive(), f"the server has ended: {self.log[-1500:]}")
            return self.get("/ready").status == 200

        until("the server is ready", is_ready)
        return self


@test("it is built from the file that is published, and is small")
def small(arguments: Any) -> str:
    Image.build(arguments)
    found = list(Image.root.rglob("*"))
    size = sum(file.lstat().st_size for file in found if not file.is_dir()) / 1e6
    program = (Image.root / "usr/bin/apus").stat().st_size / 1e6
    if arguments.release:
        true(size < LARGEST_IMAGE_MB, f"the image has {size:.1f} MB")
    else:  # the rest leaves enough for a program of a release
        true(size - program < LARGEST_IMAGE_MB - 50, f"what is beside the program has {size - program:.1f} MB")
    return f"{size:.1f} MB, {program:.1f} of them the program"


@test("it holds one program, no shell, and nothing that anybody may change or that gives rights")
def bare(_: Any) -> None:
    programs = [file.name for folder in ("bin", "sbin", "usr/bin", "usr/sbin") for file in Image.root.glob(f"{folder}/*")]
    equal(programs, ["apus"], "programs")
    for file in Image.root.rglob("*"):
        mode = file.lstat().st_mode
        may_be_written = file.name == "tmp" or file.is_symlink()
        true(not mode & (stat.S_ISUID | stat.S_ISGID) and (may_be_written or not mode & stat.S_IWOTH), f"mode of {file}")


@test("it is not root's, keeps everything in /data, listens to the network, and is stopped as the server wants it")
def configured(_: Any) -> None:
    config = Image.config
    equal(config["User"], "65532:65532", "user")
    true({"APUS_DATA=/data", "APUS_LISTEN=0.0.0.0:3735"} <= set(config["Env"]), config["Env"])
    equal(list(config["Volumes"]), ["/data"], "volumes")
    equal(list(config["ExposedPorts"]), ["3735/tcp"], "ports")
    equal(config["StopSignal"], "SIGTERM", "signal")
    equal((Image.root / "data").stat().st_uid, 65532, "owner of /data")


@test("it serves with a read-only root, keeps what it is told in /data, and its health check knows")
def serves(_: Any) -> None:
    check = Image.config["Healthcheck"]["Test"]
    equal(check[0], "CMD", "a check that wants no shell")
    with Container() as server:
        alice = Client(server, "alice")
        expected(alice.sign_up(), 200)
        expected(alice.create_collection(uid("contained")), 201)

        def checked() -> subprocess.CompletedProcess:
            return attempt(*Image.contained(server.folder, *check[1:], "--listen", server.authority))

        done = checked()
        equal((done.returncode, done.stdout), (0, "ready\n"), f"the health check: {done.stderr}")
        listed = attempt(*Image.contained(server.folder, "/usr/bin/apus", "user", "list"))
        true(listed.stdout.startswith("alice\t"), listed.stdout + listed.stderr)
        equal(server.stop(), 0, "exit code")
        true(checked().returncode != 0, "the health check of a server that has ended")
        server.start()
        expected(Client(server, "alice").log_in(), 200)
        equal({file.lstat().st_uid for file in server.folder.iterdir()}, {65532}, "owner of the files")


def options(parser: Any) -> None:
    parser.add_argument("--release", action="store_true", help="the program is one of ops/release, not a debug program linked alike")


if __name__ == "__main__":
    try:
        support.main(__doc__, options)
    finally:
        Image.remove()
