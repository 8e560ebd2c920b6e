"""Runs each of the proxies before a server, with the configuration that ops/proxies has for it: only ports, the names of
certificates, and where the proxy keeps its own files are changed.

A client that comes from 127.0.0.2 signs up, logs in, sends the largest body, opens a WebSocket and looks what address was noted
for it: through a name of its own over HTTP/2, and below a path of another site over HTTP/1.1.

Those that send files themselves are run again before a server that has them do so.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterator

from common import (
    ROOT, Answer, Authority, Client, Process, Server, equal, expected, free_port, offered, run, support, test, true, uid, unpack,
    what_is_missing)
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

OWN_NAME, OTHER_SITE, PATH = "sync.example.com", "www.example.com", "/apus"
CLIENT_ADDRESS = "127.0.0.2"  # not the proxy's own
LARGEST_BODY_BYTES, CHUNK_BYTES = 75_000_000, 24_000_000


# --- the proxies ----------------------------------------------------------------------------------


def nginx(text: str, folder: Path, port: int) -> tuple[str, tuple]:
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user www-data;" if os.geteuid() == 0 else ""
    return (f"daemon off; pid {folder}/pid; error_log stderr; {user} events {{}}\nhttp {{ access_log off;\n{temporary}{text}}}\n",
            ("nginx", "-c"))


def apache(text: str, folder: Path, port: int) -> tuple[str, tuple]:
    modules = "mpm_event authz_core ssl socache_shmcb http2 headers proxy proxy_http proxy_wstunnel xsendfile".split()
    loaded = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in modules)
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    own = f"ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nErrorLog /dev/stderr\nServerName localhost\n"
    return f"{loaded}{own}{user}Listen 127.0.0.1:{port}\n" + text.replace("*:443", f"*:{port}"), ("apache2", "-D", "FOREGROUND", "-f")


def caddy(text: str, folder: Path, port: int) -> tuple[str, tuple]:
    text = re.sub(r"(?m)^(\S+\.example\.com) \{", rf"\1 {{\n\ttls {folder}/../\1.pem {folder}/../\1.key\n\tbind 127.0.0.1", text)
    own = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port {free_port()}\n\thttps_port {port}\n\tstorage file_system {folder}\n}}\n"
    return own + text, ("caddy", "run", "--adapter", "caddyfile", "--config")


def haproxy(text: str, folder: Path, port: int) -> tuple[str, tuple]:
    return text.replace("bind :443", f"bind 127.0.0.1:{port}").replace("/etc/haproxy/certs", f"{folder}/../both"), ("haproxy", "-db", "-f")


def lighttpd(text: str, folder: Path, port: int) -> tuple[str, tuple]:
    text = text.replace('$SERVER["socket"] == ":443"', f'$SERVER["socket"] == "127.0.0.1:{port}"')
    own = (f'server.document-root = "{folder}"\nserver.bind = "127.0.0.1"\nserver.port = {free_port()}\n'
           f'server.upload-dirs = ("{folder}")\nserver.modules = ()\n')
    return own + text, ("lighttpd", "-D", "-f")


PROXIES = {
    "nginx": (nginx, "nginx.conf"), "Apache": (apache, "apache.conf"), "Caddy": (caddy, "Caddyfile"),
    "HAProxy": (haproxy, "haproxy.cfg"), "lighttpd": (lighttpd, "lighttpd.conf"),
}


# Those that send files of chunks themselves, and how they are told.
SENDING = {"nginx": "x-accel-redirect:/_chunks/", "Apache": "x-sendfile", "lighttpd": "x-sendfile"}


@contextlib.contextmanager
def proxy(name: str, authority: Authority, server: Server, change: Callable[[str], str] = str) -> Iterator[int]:
    """Runs a proxy before the server, and gives its port. `change` makes another configuration of it first."""
    adapt, file = PROXIES[name]
    folder, port = Path(tempfile.mkdtemp(dir=authority.folder, prefix=f"{name}.")), free_port()
    folder.chmod(0o777)
    text = change((ROOT / "ops" / "proxies" / file).read_text())
    text = text.replace("/etc/ssl/", f"{authority.folder}/").replace("127.0.0.1:3735", server.authority)
    text = text.replace('"port" => 3735', f'"port" => {server.port}')
    text, command = adapt(text, folder, port)
    configuration = folder / file
    configuration.write_text(text)
    path = os.environ["PATH"] + ":/usr/sbin"
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PATH": path}
    with Process(folder / "log", *command, configuration, env={**os.environ, **home}) as running:
        running.listening(port)
        try:
            yield port
        except Exception:
            print(running.log[-2000:])
            raise


# --- the client -----------------------------------------------------------------------------------


class Front:
    """A proxy's site, in a server's place: what a client needs to know of it."""

    def __init__(self, port: int, host: str, authority: Authority) -> None:
        self.port, self.authority, self.certificates = port, host, authority

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(CLIENT_ADDRESS, 0))

    def wire(self) -> support.Wire:
        wire = support.Wire.__new__(support.Wire)
        wire.socket = self.certificates.context.wrap_socket(self.socket(), server_hostname=self.authority)
        wire.file = wire.socket.makefile("rb")
        return wire

    def over_http2(self, scratch: Path, path: str, token: str, body: Path) -> Answer:
        """One request as curl makes it."""
        head, answer = scratch / "head", scratch / "answer"
        told = run(
            "curl", "--silent", "--show-error", "--http2", "--interface", CLIENT_ADDRESS, "--max-time", 120,
            "--connect-to", f"{self.authority}:443:127.0.0.1:{self.port}", "--cacert", self.certificates.certificate,
            "--header", f"Authorization: Token {token}", "--header", f"Content-Type: {support.MSGPACK}", "--header", "Expect:",
            "--header", f"Accept: {support.MSGPACK}",
            "--data-binary", f"@{body}", "--output", answer, "--dump-header", head,
            "--write-out", "%{http_version} %{http_code}", f"https://{self.authority}{path}")
        version, status = told.split()
        equal(version, "2", "HTTP's version")
        return Answer(int(status), [], answer.read_bytes())


class Guest(Client):
    """A user of a site, which may lie below a path."""

    def __init__(self, front: Front, name: str, path: str) -> None:
        super().__init__(front, name)
        self.path = path

    def call(self, method: str, path: str, value: Any = None, **more: Any) -> Answer:
        return super().call(method, self.path + path, value, **more)


def largest_batch(collection: str) -> bytes:
    """A batch of real items whose bytes are as many as a body may have."""
    contents = [os.urandom(CHUNK_BYTES) for _ in range(3)]

    def packed(padding: int) -> bytes:
        items = [
            offered(uid(collection, number), uid(collection, number, "first"), b"m" * (padding if number == 0 else 1),
                    [(uid(collection, number, "chunk"), content)])
            for number, content in enumerate(contents)]
        return support.pack({"items": items, "deps": None})

    padding = LARGEST_BODY_BYTES - len(packed(1 << 20)) + (1 << 20)
    body = packed(padding)
    equal(len(body), LARGEST_BODY_BYTES, "bytes of the body")
    return body


class Listening:
    """A WebSocket that is written to and read from by one thread.

    `websockets.sync` reads in a thread of its own. Before Python 3.13 `ssl` does not keep the two apart, and a request that is sent
    while a session's ticket comes, as it does in TLS 1.3, is sometimes never sent: of 2,000 handshakes with a server in Python
    10 were lost on a busy machine, and none with a server that gives no tickets.
    """

    def __init__(self, site: Front, path: str) -> None:
        self.wire = site.wire()
        self.protocol = ClientProtocol(parse_uri(f"wss://{site.authority}{path}"), max_size=None)
        self.events: list[Any] = []
        self.protocol.send_request(self.protocol.connect())
        self.next(Response)
        if self.protocol.handshake_exc:
            raise self.protocol.handshake_exc

    def next(self, kind: type) -> Any:
        """What comes next of its kind. Pings are answered meanwhile."""
        while True:
            for data in self.protocol.data_to_send():
                self.wire.send(data)
            self.events += self.protocol.events_received()
            while self.events:
                if isinstance(event := self.events.pop(0), kind):
                    return event
            data = self.wire.socket.recv(1 << 16)
            true(data, "the socket was closed")
            self.protocol.receive_data(data)

    def message(self) -> bytes:
        content = b""
        while True:
            frame = self.next(Frame)
            if frame.opcode in (Opcode.BINARY, Opcode.CONT):
                content += frame.data
                if frame.fin:
                    return content

    def close(self) -> None:
        self.wire.close()


def listened(guest: Guest, collection: str) -> None:
    """A WebSocket, through which a change must come that is made after it was opened."""
    stoken = guest.stoken(collection)
    ticket = expected(guest.post(f"/api/v1/collection/{collection}/item/subscription-ticket/", {}), 200).value["ticket"]
    with contextlib.closing(Listening(guest.server, f"{guest.path}/api/v1/ws/{ticket}/?stoken={stoken}")) as socket_:
        item = uid(collection, "told")
        expected(guest.commit(collection, [offered(item, uid(item), b"m" * 200_000)]), 200)
        frame = unpack(socket_.message())
        equal([found["uid"] for found in frame["data"]], [item], "items that the socket told of")


def noted_address(server: Server, collection: str) -> set[str]:
    told = support.succeeds(server.apus("audit", "--collection", collection, "--json"), "audit")
    return {json.loads(line).get("address") for line in told.splitlines()}


# --- the tests ------------------------------------------------------------------------------------


class Bench:
    """The server and the certificates that all proxies share."""

    server: Server
    authority: Authority
    scratch: Path


def passes_everything(name: str) -> Any:
    def body(arguments: Any) -> str | None:
        server, scratch = Bench.server, Bench.scratch
        with proxy(name, Bench.authority, server) as port:
            for host, path in ((OWN_NAME, ""), (OTHER_SITE, PATH)):
                guest = Guest(Front(port, host, Bench.authority), uid(name, host)[:12], path)
                expected(guest.sign_up(), 200)
                expected(guest.log_in(), 200)  # signed for this host: it must have come through
                collection = uid(name, host, "collection")
                expected(guest.create_collection(collection), 201)
                batch, target = largest_batch(collection), f"/api/v1/collection/{collection}/item/batch/"
                if path:
                    expected(guest.call("POST", target, body=batch), 200)
                else:
                    file = scratch / "batch"
                    file.write_bytes(batch)
                    expected(guest.server.over_http2(scratch, target, guest.token, file), 200)
                    guest.close()  # silent in the meantime: some proxies have hung up
                listened(guest, collection)
                equal(noted_address(server, collection), {CLIENT_ADDRESS}, "addresses that were noted")
                guest.close()
        return None

    return body


class ChunkFolder:
    """A folder of chunks that the proxies' user may read as one of its group, and a file beside it that nobody is to get. The name has
    what addresses escape."""

    def __init__(self, scratch: Path, name: str) -> None:
        self.path, self.outside = scratch / name, scratch / "outside"
        self.path.mkdir()
        self.outside.write_bytes(b"nobody's business")
        if os.geteuid() == 0:
            shutil.chown(self.path, group="www-data")
            self.path.chmod(0o2750)

    def files(self) -> list[Path]:
        return [path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink()]

    def configured(self, text: str) -> str:
        return text.replace("/srv/apus/chunks", str(self.path))


def sent_by_the_proxy(server: Server, guest: Guest, at: str, content: bytes) -> Answer:
    """A content comes from the proxy, whole and in part, to those who may read it; gives what the server says to the proxy."""
    # The server itself sends nothing but where it lies.
    asked = server.get(f"{at}/download/", [("Authorization", f"Token {guest.token}")])
    equal((asked.status, asked.body), (200, b""), "what the server says to the proxy")
    answer = expected(guest.get(f"{at}/download/"), 200)
    true(answer.body == content, "the content comes from the proxy")
    equal(answer.media_type, "application/octet-stream", "the media type")
    true(not [known for known, _ in answer.headers if known in ("x-accel-redirect", "x-sendfile")], "no path goes out")
    origin = guest.call("GET", f"{at}/download/", headers=[("Origin", "https://app.example.com")])
    equal((origin.header("access-control-allow-origin"), origin.header("access-control-allow-credentials")),
          ("https://app.example.com", "true"), "what pages of others may read")
    true(origin.body == content, "the content for a page")
    part = expected(guest.call("GET", f"{at}/download/", headers=[("Range", "bytes=1000000-1000099")]), 206)
    true(part.body == content[1_000_000:1_000_100], "a part of the content")
    head = expected(guest.call("HEAD", f"{at}/download/"), 200)
    equal((head.body, head.header("content-length")), (b"", str(len(content))), "what HEAD is answered")
    # Who may not read it gets nothing of it.
    stranger = Guest(guest.server, uid(guest.name, "stranger")[:12], guest.path)
    expected(stranger.sign_up(), 200)
    expected(stranger.log_in(), 200)
    expected(stranger.get(f"{at}/download/"), 404, "does_not_exist")
    stranger.close()
    expected(Guest(guest.server, "nobody", guest.path).get(f"{at}/download/"), 403)
    return asked


def gets_objects(arguments: Any) -> str | None:
    """Contents come from the S3 store through the proxy to those who may read them, whole and in part, and nothing else does."""
    if not arguments.store:
        return "needs a store"
    access, secret = arguments.store_keys.split(" ")
    endpoint = urllib.parse.unquote(arguments.store.split("endpoint=")[1]).removeprefix("http://")

    def from_store(text: str, endpoint: str = endpoint) -> str:
        text = re.sub(r"(?ms)^    # location /_store/.*?^    # location @store_away.*?$", lambda found: re.sub(r"(?m)^    # ", "    ", found[0]), text)
        return text.replace("https://s3.example.com/", f"http://{endpoint}/").replace("Host s3.example.com", f"Host {endpoint}")

    keys = {"APUS_S3_ACCESS_KEY": access, "APUS_S3_SECRET_KEY": secret}
    content = os.urandom(3_000_000)
    with Server(arguments.apus, "--signup", "open", "--trust-proxy", "--chunks", arguments.store, "--sendfile-s3", "x-accel-redirect:/_store/",
                environment=keys) as server, proxy("nginx", Bench.authority, server, from_store) as port:
        for host, path in ((OWN_NAME, ""), (OTHER_SITE, PATH)):
            guest = Guest(Front(port, host, Bench.authority), uid("store", host)[:12], path)
            expected(guest.sign_up(), 200)
            expected(guest.log_in(), 200)
            collection, chunk = uid("store", host, "files"), uid("store", host, "a chunk")
            expected(guest.create_collection(collection), 201)
            at = f"/api/v1/collection/{collection}/item/any/chunk/{chunk}"
            expected(guest.call("PUT", f"{at}/", body=content), 201)
            address = sent_by_the_proxy(server, guest, at, content).header("x-accel-redirect")
            true(address.startswith("/_store/chunks/") and secret not in address, f"what the proxy asks for: {address}")
            # Whoever has seen it gets nothing by it from us.
            answer = Guest.call(Guest(guest.server, "nobody", ""), "GET", address)
            true(answer.status in (404, 503) and content not in answer.body, f"{address}: {answer.status}")
            guest.close()
        # A store that is away is no answer to the client but "later".
        with proxy("nginx", Bench.authority, server, lambda text: from_store(text, f"127.0.0.1:{free_port()}")) as other:
            late = Guest(Front(other, OTHER_SITE, Bench.authority), guest.name, PATH)
            late.token = guest.token
            answer = expected(late.get(f"{at}/download/"), 503)
            equal(answer.header("retry-after"), "10", "when to come again")
            late.close()
        # And without the option it is the server that sends it.
        server.flags = [flag for flag in server.flags if "sendfile" not in flag and "accel" not in flag]
        server.stop()
        server.start()
        asked = server.get(f"{at}/download/", [("Authorization", f"Token {guest.token}")])
        equal((asked.body == content, asked.header("x-accel-redirect")), (True, None), "what the server sends without the option")
    return None


def sends_files(name: str) -> Any:
    def body(arguments: Any) -> str | None:
        """Contents come from the proxy to those who may read them, whole and in part, and nothing else does."""
        scratch = Path(tempfile.mkdtemp(dir=Bench.scratch, prefix="sending."))
        scratch.chmod(0o755)
        folder = ChunkFolder(scratch, "Größe 100%, #1" if name == "nginx" else "Größe, #1")
        with Server(arguments.apus, "--signup", "open", "--trust-proxy", "--chunks", "files", "--media-root", str(folder.path),
                    "--sendfile", SENDING[name]) as server, proxy(name, Bench.authority, server, folder.configured) as port:
            for host, path in ((OWN_NAME, ""), (OTHER_SITE, PATH)):
                guest = Guest(Front(port, host, Bench.authority), uid(name, host, "reader")[:12], path)
                expected(guest.sign_up(), 200)
                expected(guest.log_in(), 200)
                collection, chunk = uid(name, host, "files"), uid(name, host, "a chunk")
                expected(guest.create_collection(collection), 201)
                content = os.urandom(3_000_000)
                at = f"/api/v1/collection/{collection}/item/any/chunk/{chunk}"
                expected(guest.call("PUT", f"{at}/", body=content), 201)
                sent_by_the_proxy(server, guest, at, content)
                # Nobody gets at the folder by its address.
                lying = next(file for file in folder.files() if file.read_bytes() == content).relative_to(folder.path)
                for address in (f"/_chunks/{lying}", f"{path}/_chunks/{lying}", f"/_chunks/../{folder.outside.name}"):
                    answer = Guest.call(Guest(guest.server, "nobody", ""), "GET", address)
                    true(answer.status in (400, 403, 404) and content not in answer.body, f"{address}: {answer.status}")
                guest.close()
            # A link that leads out of the folder is never the proxy's business.
            file = next(file for file in folder.files() if file.read_bytes() == content)
            file.unlink()
            file.symlink_to(folder.outside)
            asked = server.get(f"{at}/download/", [("Authorization", f"Token {guest.token}")])
            equal([known for known, _ in asked.headers if known in ("x-accel-redirect", "x-sendfile")], [], "what the proxy is told")
        return None

    return body


def tests(arguments: Any) -> Iterator[tuple[str, Any]]:
    with contextlib.ExitStack() as stack:
        Bench.scratch = Path(tempfile.mkdtemp(prefix="apus-proxies."))
        stack.callback(shutil.rmtree, Bench.scratch, ignore_errors=True)
        Bench.scratch.chmod(0o755)
        Bench.authority = Authority(Bench.scratch)
        Bench.server = stack.enter_context(
            Server(arguments.apus, "--signup", "open", "--trust-proxy", "--record-addresses", "--allowed-hosts",
                   f"{OWN_NAME},{OTHER_SITE},127.0.0.1"))
        for name in PROXIES:
            program = {"Apache": "apache2"}.get(name, name.lower())
            if what_is_missing(program):
                print(f"left out: {name}, which is not on this machine", flush=True)
                continue
            yield f"{name} lets everything through: its own name over HTTP/2, and below a path", passes_everything(name)
            if name in SENDING:
                yield f"{name} sends the files of chunks, to those who may read them", sends_files(name)
            if name == "nginx":
                yield "nginx gets contents from the S3 store, for those who may read them", gets_objects


@test("the table of the tested proxies names each configuration, and each has both kinds of address")
def table(_: Any) -> None:
    folder = ROOT / "ops" / "proxies"
    files = {file.name for file in folder.iterdir()}
    table = re.findall(r"(?m)^\| `(\S+)`", (ROOT / "ops" / "docs" / "proxy.md").read_text())
    equal(set(table), files, "files in the table")
    for file in files:
        text = (folder / file).read_text()
        true(OWN_NAME in text and OTHER_SITE in text and "/apus/" in text, f"{file} has both kinds of address")


if __name__ == "__main__":
    support.main(__doc__, support.with_a_store, more=tests)
