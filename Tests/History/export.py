"""Lets the operator hand out what is stored of a person: `apus user export`, beside a running server and without one."""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

from common import READ_WRITE, Server, done, equal, expected, invite, put, refused, share, true, uid
import support
from support import Client, clean_environment, person, test

OWN, TEAM, GUEST, OFFERED, LEFT = "own-notes", "team-notes", "bobs-notes", "bobs-offer", "bobs-former"


def given(server: Server) -> tuple[Client, Client]:
    """Alice has notes of her own, shares others with bob, and is a guest in his, which carol is in too. He has invited her to more, and she
    has left some."""
    alice, bob, carol = person(server, "alice"), person(server, "bob"), person(server, "carol")
    for client, collection in ((alice, OWN), (alice, TEAM), (bob, GUEST), (bob, OFFERED), (bob, LEFT)):
        expected(client.create_collection(collection), 201)
    put(alice, OWN, "one", "two")
    put(alice, OWN, "one", revision=1)
    put(alice, OWN, "two", revision=1, deleted=True)
    share(alice, TEAM, bob, READ_WRITE)
    put(bob, TEAM, "his")
    share(bob, GUEST, alice, READ_WRITE)
    share(bob, GUEST, carol, READ_WRITE)
    expected(invite(alice, OWN, "carol", READ_WRITE), 201)
    expected(invite(bob, OFFERED, "alice", READ_WRITE), 201)
    share(bob, LEFT, alice, READ_WRITE)
    expected(alice.call("POST", f"/api/v1/collection/{LEFT}/member/leave/"), 204)
    return alice, bob


def exported(folder: Path) -> dict[str, list[dict]]:
    return {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in folder.glob("*.jsonl")}


@test("everything of hers is there, once, and nothing with which one could log in, nor of whom she does not see")
def everything(options: argparse.Namespace) -> str:
    for chunks in ("database", "files"):
        with Server(options.apus, "--signup", "open", "--chunks", chunks, environment={"APUS_RECORD_ADDRESSES": "1"}) as server:
            alice, bob = given(server)
            done(server, "user", "quota", "alice", "items=100000")
            folder = server.folder / "of alice"
            said = done(server, "user", "export", "Alice", "--to", str(folder))
            true("what is stored of Alice" in said, said)
            found = exported(folder)
            (account,) = found["account"]
            equal((account["username"], account["isActive"]), ("alice", True), "the account")
            equal((account.get("quotaItems"), "quotaBytes" in account), (100000, False), "her quota")
            equal(base64.b64decode(account["loginPubkey"]), bytes(alice.key.verify_key), "the login key")
            equal({line["isOpen"] for line in found["sessions"]}, {True}, "the sessions")
            equal([(line["collection"], line["isOwner"], line["level"]) for line in found["collections"]],
                  [(OWN, True, "admin"), (TEAM, True, "admin"), (GUEST, False, "read-write")], "the collections")
            equal(sorted((line["collection"], line["member"]) for line in found["members"]),
                  sorted([(OWN, "alice"), (TEAM, "alice"), (TEAM, "bob"), (GUEST, "alice")]), "those whom she sees")
            equal(sorted(line["item"] for line in found["items"]), sorted([OWN, TEAM, GUEST, "one", "two", "his"]), "the items")
            own = [line for line in found["revisions"] if line["item"] in ("one", "two")]
            equal(sorted((line["item"], line["isCurrent"], line["isDeleted"]) for line in own),
                  [("one", False, False), ("one", True, False), ("two", False, False), ("two", True, True)], "the revisions")
            equal({base64.b64decode(line["meta"]) for line in own}, {b"meta"}, "their metadata")
            named = {(line["collection"], chunk) for line in found["revisions"] for chunk in line["chunks"]}
            equal({(line["collection"], line["chunk"]) for line in found["chunks"]}, named, "the contents that revisions name")
            for line in found["chunks"]:
                equal((folder / line["file"]).read_bytes(), b"secret", line["file"])
                equal(line["bytes"], 6, line["file"])
            equal([(line["from"], line["to"], "signedEncryptionKey" in line) for line in found["invitations"]],
                  [("alice", "carol", False), ("bob", "alice", True)], "the invitations, with the key of what is hers to accept")
            equal([line["collection"] for line in found["left-collections"]], [LEFT], "what she has left")
            true({"user_created", "collection_created", "member_joined"} <= {line["action"] for line in found["audit"]}, "the audit")
            for field in ("address", "session", "device"):
                true(all(field not in line for line in found["audit"] if line.get("user") != "alice"), f"{field} of others")
            true(any("address" in line for line in found["audit"]), "where she was")
            text = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
            true(alice.token.encode() not in text and bob.token.encode() not in text, "tokens")
            true(b"carol" not in (folder / "members.jsonl").read_bytes(), "whom she does not see")
            true("cannot read them" in (folder / "README.txt").read_text(), "the README")
            modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
            equal(modes, {0o700, 0o600}, "the modes")
    return f"{sum(map(len, found.values()))} lines"


@test("contents that are not where they should be are told of, and all else is there")
def missing(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open", "--chunks", "files") as server:
        given(server)
        files = sorted(path for path in (server.folder / "chunks").rglob("*") if path.is_file() and OWN in str(path))
        files[0].unlink()
        folder = server.folder / "of alice"
        ended = server.apus("user", "export", "alice", "--to", str(folder))
        equal(ended.returncode, 1, f"exit code ({ended.stdout}{ended.stderr})")
        lines = exported(folder)["chunks"]
        equal(sum("file" not in line for line in lines), 1, "contents without a file")
        equal(len([path for path in (folder / "chunks").rglob("*") if path.is_file()]), len(lines) - 1, "files of contents")
        true("1 encrypted contents are not stored where they should be" in (folder / "README.txt").read_text(), "the README")


@test("a folder with something in it is left as it is, one that is empty is filled, and who is unknown is told")
def folders(options: argparse.Namespace) -> None:
    with Server(options.apus, "--signup", "open") as server:
        given(server)
        there = server.folder / "there"
        there.mkdir()
        done(server, "user", "export", "bob", "--to", str(there))
        before = sorted(there.rglob("*"))
        refused(server, "left as it is", "user", "export", "bob", "--to", str(there))
        equal(sorted(there.rglob("*")), before, "what is in the folder")
        file = server.folder / "file"
        file.write_text("x")
        refused(server, "is a file", "user", "export", "bob", "--to", str(file))
        refused(server, "there is no account", "user", "export", "nobody", "--to", str(server.folder / "none"))
        done(server, "user", "erase", "carol", "--yes")
        # An erased account is called after its number.
        for erased in ("carol", "erased:1", "erased:2", "erased:3"):
            refused(server, "there is no account", "user", "export", erased, "--to", str(server.folder / "none"))
        refused(server, "cannot be made|Permission|No such", "user", "export", "bob", "--to", "/proc/none/of it")
        true(not (server.folder / "none").exists(), "a folder of nobody")
        equal([path.name for path in server.folder.iterdir() if path.name.startswith(".")], [], "what is left")


@test("one that is interrupted leaves nothing, and one that goes on while others write is of one moment")
def interrupted(options: argparse.Namespace) -> str:
    with Server(options.apus, "--signup", "open") as server:
        alice, _ = given(server)
        for number in range(12):
            put(alice, OWN, *(f"item-{number}-{index}" for index in range(50)))
        folder = server.folder / "export"
        environment = clean_environment({"APUS_DATA": str(server.folder), **server.engine})
        cut = set()
        for attempt in range(40):  # one that is done before it is interrupted leaves all of it
            number = (signal.SIGINT, signal.SIGTERM)[attempt % 2]
            command = subprocess.Popen(
                [options.apus, "user", "export", "alice", "--to", str(folder)], env=environment,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while command.poll() is None and not list(server.folder.glob(".export.*" + "/chunks/*/*" * (attempt // 2 % 2))):
                time.sleep(0.001)
            command.send_signal(number)
            command.wait(60)
            if command.returncode == -number:
                cut.add(number)
            left = [path.name for path in server.folder.iterdir() if "export" in path.name]
            equal(left, [] if command.returncode == -number else ["export"], f"after {number}, code {command.returncode}")
            if left:
                shutil.rmtree(folder)
            if len(cut) == 2:
                break
        equal(len(cut), 2, "signals that have interrupted one")
        command = subprocess.Popen(
            [options.apus, "user", "export", "alice", "--to", str(folder)], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        written = 0
        while command.poll() is None:
            put(alice, OWN, f"later-{written}")
            written += 1
        equal(command.returncode, 0, "the export's exit code")
        found = exported(folder)
        items = {line["item"] for line in found["items"]}
        equal({line["item"] for line in found["revisions"]}, items, "items, and items of revisions")
        true({f"item-{number}-{index}" for number in range(12) for index in range(50)} <= items, "what was there before")
        named = {chunk for line in found["revisions"] for chunk in line["chunks"]}
        equal({line["chunk"] for line in found["chunks"]}, named, "contents, and those that revisions name")
        return f"{written} writes meanwhile, {sum(item.startswith('later') for item in items)} of them in it"


if __name__ == "__main__":
    support.main(__doc__, support.on_either_engine)
