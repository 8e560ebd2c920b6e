"""An S3 store for tests: moto's server, which checks signatures, and a proxy before it that puts faults between."""

from __future__ import annotations

import datetime
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "Tests" / "Faults"))

import support  # noqa: E402
from support import free_port, true  # noqa: E402

BUCKET, PREFIX = "chunks", "apus/contents"
START_SECONDS = 60.0


class Request:
    """What came from a client, whole."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body = head, body
        self.method, self.target = (part.decode() for part in head.split(b"\r\n", 1)[0].split(b" ")[:2])

    @property
    def is_of_object(self) -> bool:
        return "list-type" not in self.target


class Proxy:
    """Passes requests on, but for what `fault` says of each: None, or the name of a fault."""

    FAULTS = ("cut", "cut after", "half", "500", "503")

    def __init__(self, port_behind: int, signed: Callable[[Request], Request | None]) -> None:
        self.port_behind, self.port, self.signed = port_behind, free_port(), signed
        self.fault: Callable[[Request], str | None] = lambda _: None
        self.requests: list[str] = []
        self.told: list[str] = []
        self.listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self) -> None:
        """Nobody answers at its port any more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None

    def sometimes(self, seed: int, share: float = 0.5) -> None:
        chance = random.Random(seed)
        self.fault = lambda _: chance.choice(self.FAULTS) if chance.random() < share else None

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client, listener), daemon=True).start()

    def serve(self, client: socket.socket, listener: socket.socket) -> None:
        with client:
            file = client.makefile("rb")
            try:
                while request := self.read(file):
                    if self.listener is not listener or not self.answer(client, request):
                        return
            except OSError:
                return

    @staticmethod
    def read(file: Any) -> Request | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline()
            if not line:
                return None
            head += line
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        body = file.read(int(length[1])) if length else b""
        return Request(head, body)

    def answer(self, client: socket.socket, request: Request) -> bool:
        """Whether the connection may go on."""
        fault = self.fault(request)
        self.requests.append(f"{request.method} {request.target} {fault or ''}".strip())
        if fault:
            self.told.append(fault)
        match fault:
            case "cut":
                return False
            case "500" | "503" | "skew":
                status, code = {"500": ("500 Internal Server Error", "InternalError"), "503": ("503 Slow Down", "SlowDown"),
                                "skew": ("403 Forbidden", "RequestTimeTooSkewed")}[fault]
                body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                client.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                return True
            case "frozen":
                time.sleep(60)
                return False
        if "X-Amz-Signature=" in request.target and not (request := self.signed(request)):
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return True
        with socket.create_connection(("127.0.0.1", self.port_behind), timeout=60) as behind:
            closing = re.sub(rb"(?im)^connection:.*\r\n", b"", request.head).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
            if fault == "half":
                behind.sendall(closing + request.body[: len(request.body) // 2])
                return False
            behind.sendall(closing + request.body)
            answer = b""
            while data := behind.recv(1 << 20):
                answer += data
        if fault == "cut after":
            return False
        if fault == "flipped":
            head, _, body = answer.partition(b"\r\n\r\n")
            answer = head + b"\r\n\r\n" + (bytes([body[0] ^ 1]) + body[1:] if body else body)
        if fault == "short":
            client.sendall(answer[: answer.index(b"\r\n\r\n") + 4 + 10])
            return False
        # Without a length, and to HEAD, the end of the connection is that of the answer.
        client.sendall(re.sub(rb"(?im)^connection: close\r\n", b"", answer, count=1))
        return re.search(rb"(?im)^content-length:", answer) is not None or b" 204 " in answer[:32]


class Store:
    """moto's server with a user, a bucket, and the proxy before it."""

    def __init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="apus-stores."))
        self.port = free_port()
        moto = Path(sys.executable).parent / "moto_server"
        with (self.scratch / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(moto), "--host", "127.0.0.1", "--port", str(self.port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONUNBUFFERED": "1"})
        try:
            self.wait()
            iam = self.client("iam", "any", "any")  # the first calls are let in, whoever makes them
            iam.create_user(UserName="apus")
            key = iam.create_access_key(UserName="apus")["AccessKey"]
            iam.put_user_policy(
                UserName="apus", PolicyName="all",
                PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}')
            self.access, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
            self.s3 = self.client("s3", self.access, self.secret)
            self.s3.create_bucket(Bucket=BUCKET)
        except BaseException:
            self.stop()
            raise
        self.proxy = Proxy(self.port, self.signed)

    def signed(self, request: Request) -> Request | None:
        """moto's server knows no signatures in addresses: they are checked here, by Amazon's own library, and what was signed so is asked
        with a signature in headers. None where it was not."""
        url = urllib.parse.urlsplit(request.target)
        query = dict(urllib.parse.parse_qsl(url.query))
        host = re.search(rb"(?im)^host: *(\S+)", request.head)[1].decode()
        credentials = botocore.credentials.Credentials(self.access, self.secret)
        asked = botocore.awsrequest.AWSRequest(
            request.method, f"http://{host}{url.path}?{re.sub('&?X-Amz-Signature=[0-9a-f]*', '', url.query)}", headers={"host": host})
        asked.context["timestamp"] = query["X-Amz-Date"]
        check = botocore.auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1")
        wanted = check.signature(check.string_to_sign(asked, check.canonical_request(asked)), asked)
        time = datetime.datetime.strptime(query["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        age = (datetime.datetime.now(datetime.timezone.utc) - time).total_seconds()
        # No header may come that is not meant: a store refuses two signatures at once.
        if wanted != query["X-Amz-Signature"] or not -900 < age < float(query["X-Amz-Expires"]) or b"uthorization:" in request.head:
            return None
        again = botocore.awsrequest.AWSRequest(request.method, f"http://{host}{url.path}")
        botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(again)
        lines = [f"{request.method} {url.path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in again.headers.items())]
        lines += re.findall(r"(?im)^range:[^\r\n]*", request.head.decode())
        return Request("\r\n".join([*lines, "", ""]).encode(), b"")

    def wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            true(self.process.poll() is None and time.monotonic() < end, f"moto's server: {(self.scratch / 'log').read_text()[-800:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)

    def client(self, service: str, access: str, secret: str) -> Any:
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id=access, aws_secret_access_key=secret,
            region_name="us-east-1", config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))

    def address(self, prefix: str = PREFIX) -> str:
        return f"s3://{BUCKET}/{prefix}?endpoint={urllib.parse.quote(f'http://127.0.0.1:{self.proxy.port}', safe='')}"

    def environment(self, prefix: str = PREFIX, *, secret: str | None = None, also: bool = False) -> dict[str, str]:
        return {"APUS_CHUNKS_ALSO" if also else "APUS_CHUNKS": self.address(prefix), "APUS_S3_ACCESS_KEY": self.access,
                "APUS_S3_SECRET_KEY": secret or self.secret}

    def objects(self, prefix: str = PREFIX) -> dict[str, int]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return {found["Key"].removeprefix(f"{prefix}/"): found["Size"] for page in pages for found in page.get("Contents", [])}

    def get(self, name: str, prefix: str = PREFIX) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=f"{prefix}/{name}")["Body"].read()

    def put(self, name: str, content: bytes, prefix: str = PREFIX) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=content)

    def stop(self) -> None:
        support.ended(self.process)
        shutil.rmtree(self.scratch)


def server(arguments: Any, store: Store, prefix: str, *flags: str, environment: dict[str, str] | None = None) -> support.Server:
    """A server whose contents go into the store, below a prefix of its own."""
    return support.Server(arguments.apus, "--signup", "open", *flags, environment=store.environment(prefix) if environment is None else environment)
