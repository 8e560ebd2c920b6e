"""What the programs in this folder share. The server, the answers and the minimal client are those of Tests/Faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "Faults"))

from support import Answer, Client, Server, equal, expected, offered, true, uid  # noqa: E402

READ_ONLY, ADMIN, READ_WRITE = 0, 1, 2


def done(server: Server, *arguments: str) -> str:
    """What a command says. It must succeed."""
    ended = server.apus(*arguments)
    equal((ended.returncode, ended.stderr), (0, ""), f"apus {' '.join(arguments)}")
    return ended.stdout


def lines(server: Server, *arguments: str) -> list[dict]:
    """What a command says in JSON."""
    return [json.loads(line) for line in done(server, *arguments, "--json").splitlines()]


def refused(server: Server, reason: str, *arguments: str) -> None:
    """Fails unless the command ends with an exit code that is not 0 and a reason that the pattern is found in."""
    ended: subprocess.CompletedProcess = server.apus(*arguments)
    true(ended.returncode > 0 and re.search(reason, ended.stderr, re.DOTALL) and len(ended.stderr) < 1000,
         f"apus {' '.join(arguments)}: exit code {ended.returncode}, {ended.stderr!r} where something like {reason!r} was expected")


def put(client: Client, collection: str, *items: str, revision: Any = 0, deleted: bool = False) -> None:
    """Writes items in one batch. The uid of each revision follows from its item and `revision`."""
    changes = [offered(item, uid(collection, item, revision), b"meta", [(uid(collection, item, revision, "chunk"), b"secret")])
               for item in items]
    for change in changes:
        change["content"]["deleted"] = deleted
    expected(client.commit(collection, changes), 200)


def etag(client: Client, collection: str, item: str) -> str:
    return expected(client.get(f"/api/v1/collection/{collection}/item/{item}/"), 200).value["content"]["uid"]


def invite(admin: Client, collection: str, guest: str, level: int) -> Answer:
    return admin.post("/api/v1/invitation/outgoing/", {
        "uid": uid(collection, admin.name, guest, "invitation"), "version": 1, "accessLevel": level, "username": guest,
        "collection": collection, "signedEncryptionKey": b"signed key"})


def share(admin: Client, collection: str, guest: Client, level: int) -> None:
    expected(invite(admin, collection, guest.name, level), 201)
    expected(guest.post(f"/api/v1/invitation/incoming/{uid(collection, admin.name, guest.name, 'invitation')}/accept/", {
        "collectionType": b"type of " + guest.name.encode(), "encryptionKey": b"key"}), 201)
