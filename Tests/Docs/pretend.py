#!/usr/bin/env python3
"""What the documents' commands call that a test cannot have: called by the name of a program, it looks whether what it is asked for is
there, and does what can be done here. What it does not know it refuses, so that a misspelt command fails.

The machine that it belongs to is in $PRETENDED: a folder with etc, var, usr, run and log below it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MACHINE = Path(os.environ["PRETENDED"])


def no(words: str) -> None:
    sys.exit(f"{Path(sys.argv[0]).name}: {words}")


def run(*command: str, **more: object) -> None:
    done = subprocess.run(command, **more)
    if done.returncode:
        sys.exit(done.returncode)


# --- systemd --------------------------------------------------------------------------------------


def unit(name: str) -> tuple[str, str]:
    """The template or the unit, and the instance."""
    name = name.removesuffix(".service")
    kind, _, instance = name.partition("@")
    file = ROOT / "ops" / "units" / (f"{kind}@.service" if instance else f"{kind}.service")
    if not file.exists():
        no(f"there is no unit {name}")
    if instance not in ("", "api", "projector", "gateway"):
        no(f"{instance} is no role")
    return kind, instance


def variables(file: Path) -> dict[str, str]:
    """As systemd reads it."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in lines) if re.fullmatch(r"[A-Z_]+", name)}


def pid(name: str) -> int | None:
    file = MACHINE / "run" / f"{name}.pid"
    if not file.exists():
        return None
    number = int(file.read_text())
    try:
        # One that has ended and that nobody has asked about yet is not there.
        return number if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z" else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def stop(name: str) -> None:
    number = pid(name)
    if number is None:
        return
    os.kill(number, signal.SIGTERM)
    for _ in range(400):
        if pid(name) is None:
            break
        time.sleep(0.05)
    else:
        no(f"{name} does not end")
    (MACHINE / "run" / f"{name}.pid").unlink()


def start(name: str) -> None:
    """The unit's own command, with the settings that the unit reads, until it is there."""
    _, instance = unit(name)
    if pid(name) is not None:
        return
    own = variables(MACHINE / "etc/apus" / f"{instance}.env") if instance else {}
    said = own.get("APUS_LISTEN") or variables(MACHINE / "etc/apus/apus.env").get("APUS_LISTEN")
    # What stands for the default; a process that only projects listens where it is told to.
    listen = said or (None if instance == "projector" else os.environ["APUS_LISTEN"])
    (MACHINE / "run/apus").mkdir(exist_ok=True)
    log = MACHINE / "log" / name
    began = log.stat().st_size if log.exists() else 0
    environment = {name: value for name, value in os.environ.items() if name != "APUS_LISTEN"} | own | {"LOG": str(log)}
    arguments = ["serve", *(["--roles", instance] if instance else []), *(["--listen", listen] if listen else [])]
    # The server is nobody's child, so that its end leaves nothing behind.
    launched = subprocess.run(
        ["sh", "-c", 'apusctl "$@" >>"$LOG" 2>&1 </dev/null & echo $!', "-", *arguments], env=environment, capture_output=True, text=True,
        check=True)
    (MACHINE / "run" / f"{name}.pid").write_text(launched.stdout.strip())
    for _ in range(1200):
        told = log.read_text()[began:]
        if pid(name) is None:
            no(f"{name} has ended: {told[-1500:]}")
        if answers(listen) if listen else "serving" in told:
            return
        time.sleep(0.05)
    no(f"{name} is not there: {told[-1500:]}")


def answers(listen: str) -> bool:
    """Whether somebody listens there."""
    try:
        if listen.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(listen.removeprefix("unix:"))
        else:
            urllib.request.urlopen(f"http://{listen}/ready", timeout=5).close()
        return True
    except OSError as error:
        # One that answers that it is not ready may wait for a projector that comes next.
        return isinstance(error, urllib.error.HTTPError)


def systemctl(verb: str, *names: str) -> None:
    now = "--now" in names
    names = tuple(name for name in names if not name.startswith("-"))
    for name in names:
        if name in ("nginx", "caddy", "apache2", "haproxy", "lighttpd"):
            if verb not in ("reload", "restart"):
                no(f"{verb} {name}?")
            continue
        unit(name)
    ours = [name for name in names if name.split("@")[0] == "apus"]
    if verb in ("stop", "restart") or verb == "disable" and now:
        for name in ours:
            stop(name)
    if verb in ("start", "restart") or verb == "enable" and now:
        for name in ours:
            start(name)
    if verb not in ("start", "stop", "restart", "reload", "enable", "disable"):
        no(f"{verb}?")


def journalctl(*arguments: str) -> None:
    text = " ".join(arguments)
    found = re.fullmatch(r"--unit (\S+)(?: --lines (\d+))?", text) or no(f"{text}?")
    unit(found[1])
    print("".join((MACHINE / "log" / found[1]).read_text().splitlines(True)[-int(found[2] or 10):]), end="")


# --- what root does -------------------------------------------------------------------------------


def chown(*arguments: str) -> None:
    owner, *files = [argument for argument in arguments if argument != "-R"]
    if owner not in ("apus:", "root:apus") or not files or not all(Path(file).exists() for file in files):
        no(f"{arguments}?")


def nginx(*arguments: str) -> None:
    """The file must be the one that the proxies' test runs."""
    if arguments != ("-t",):
        no(f"{arguments}?")
    file = MACHINE / "etc/nginx/conf.d/apus.conf"
    if not file.exists() or file.read_text() != (ROOT / "ops/proxies/nginx.conf").read_text():
        no("the configuration is not that of ops/proxies")


def sudo(*arguments: str) -> None:
    """`sudo -u postgres` and a command of PostgreSQL."""
    if arguments[:2] != ("-u", "postgres") or arguments[2] not in ("createuser", "createdb", "psql"):
        no(f"{arguments}?")
    if arguments[2] == "createuser":
        # The tests' own PostgreSQL has the role already.
        if arguments[3:] != ("apus",):
            no(f"{arguments}?")
    elif arguments[2] == "createdb":
        createdb(*arguments[3:])
    else:
        option, statement = arguments[3:]
        if option != "--command":
            no(f"{arguments}?")
        run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", os.environ["PRETENDED_POSTGRES"], "-c", "BEGIN", "-c", statement, "-c", "ROLLBACK")


def createdb(*arguments: str) -> None:
    """A database of the page's own."""
    *options, name = arguments
    if options not in ([], ["--owner", "apus"]):
        no(f"{arguments}?")
    name = os.environ["PRETENDED_DATABASES"] + name
    run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", os.environ["PRETENDED_POSTGRES"], "-c", f"CREATE DATABASE {name}")


# --- a checkout -----------------------------------------------------------------------------------


def git(*arguments: str) -> None:
    if arguments[0] != "clone" or len(arguments) != 3:
        no(f"{arguments}?")
    target = Path(arguments[2])
    shutil.copytree(ROOT / "ops", target / "ops")
    # What is run elsewhere is only looked for here: the documents say ops/test, and this is ops/test.
    for name in ("test", "release", "check", "package"):
        script = target / "ops" / name
        known = script.read_text()
        script.write_text("#!/usr/bin/env bash\nfor option; do grep -qe \"$option\" <<'END' || exit 1\n" + known + "\nEND\ndone\n")


def swift(*arguments: str) -> None:
    """Builds what was built already."""
    if arguments != ("build", "-c", "release", "--product", "apus"):
        no(f"{arguments}?")
    target = Path(".build/release")
    target.mkdir(parents=True, exist_ok=True)
    (target / "apus").symlink_to(os.environ["PRETENDED_APUS"])


def docker(*arguments: str) -> None:
    """Knows the files, services and options that there are; a command in a container is run on this machine."""
    text = " ".join(arguments)
    if found := re.fullmatch(r"build -f (\S+) -t apus \.", text):
        return None if (ROOT / found[1]).exists() else no(f"no {found[1]}")
    if re.fullmatch(r"run --detach --name apus --read-only --tmpfs /tmp -v apus:/data -p \d+:3735 apus", text):
        return None
    if found := re.fullmatch(r"exec apus apus (.*)", text):
        return contained(arguments[3:])
    if found := re.fullmatch(r"compose -f (\S+) (up -d|pull|exec (\S+) apus .*)", text):
        file = ROOT / found[1]
        if not file.exists():
            no(f"no {found[1]}")
        services = re.findall(r"(?m)^  (\w+):$", file.read_text().split("\nservices:\n")[1].split("\nsecrets:")[0].split("\nvolumes:")[0])
        if "APUS_HOST" not in os.environ:
            no("APUS_HOST is not set")
        if found[3]:
            if found[3] not in services:
                no(f"no service {found[3]} in {found[1]}: {services}")
            contained(arguments[6:])
        return None
    return no(f"{text}?")


def kubectl(*arguments: str) -> None:
    text = " ".join(arguments)
    if found := re.fullmatch(r"apply -k (\S+)", text):
        return None if (ROOT / found[1] / "kustomization.yaml").exists() else no(f"no {found[1]}")
    if found := re.fullmatch(r"-n apus (?:exec|rollout status|set image) deployment/(\S+)(.*)", text):
        manifests = "".join(file.read_text() for file in (ROOT / "ops/kubernetes").glob("*.yaml"))
        if not re.search(rf"kind: Deployment\nmetadata:\n(?:  .*\n)*?  name: {re.escape(found[1])}\n", manifests):
            no(f"no Deployment {found[1]}")
        if image := re.fullmatch(r" (\w+)=\S+", found[2]):
            if f"- name: {image[1]}\n" not in manifests:
                no(f"no container {image[1]}")
        elif found[2].startswith(" -- apus "):
            contained(arguments[arguments.index("--") + 2:])
        elif found[2]:
            no(f"{text}?")
        return None
    return no(f"{text}?")


def contained(arguments: tuple[str, ...]) -> None:
    if arguments[:2] == ("user", "create"):  # the machine's own people have these names
        arguments = ("user", "create", f"contained-{os.getpid()}", *arguments[3:])
    run("apusctl", *arguments, env={name: value for name, value in os.environ.items() if name != "APUS_HOST"})


if __name__ == "__main__":
    globals()[Path(sys.argv[0]).name](*sys.argv[1:])
