"""Lets a real browser listen: a page with a plain WebSocket receives a change."""

from __future__ import annotations

import argparse
import base64
import http.server
import json
import shutil
import subprocess
import tempfile
import threading

import common
import support
from common import PATIENCE_SECONDS, Server, equal, new_collection, put, somebody, ticket, true
from support import test

PAGE = """<!DOCTYPE html><meta charset="utf-8"><script>
const socket = new WebSocket(ADDRESS);
socket.binaryType = "arraybuffer";
const tell = (path, body) => fetch(path, {method: "POST", body});
socket.onopen = () => tell("/opened", "");
socket.onmessage = (event) => {
  tell("/message", btoa(String.fromCharCode(...new Uint8Array(event.data)))).then(() => socket.close(1000));
};
socket.onclose = (event) => tell("/closed", JSON.stringify([event.code, event.wasClean]));
</script>"""


@test("a page with a plain WebSocket receives a change, in Debian's chromium")
def chromium(arguments: argparse.Namespace) -> None:
    told: dict[str, bytes] = {}
    changed = threading.Condition()
    page = b""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(page if self.path == "/" else b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            with changed:
                told[self.path] = body
                changed.notify_all()
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def wait(path: str, seconds: float) -> bytes:
        with changed:
            true(changed.wait_for(lambda: path in told, seconds), f"the page told {sorted(told)}, not {path}")
            return told[path]

    browser = shutil.which("chromium")
    true(browser, "chromium must be installed")
    profile = tempfile.mkdtemp(prefix="apus-chromium.")
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    with Server(arguments.apus, "--signup", "open") as server:
        alice = somebody(server)
        notes = new_collection(alice)
        stoken = alice.stoken(notes)
        process = None
        try:
            # A browser that starts slowly lets a ticket of ten seconds grow old: then it is started again, warm.
            for _ in range(3):
                address = f"ws://{server.authority}/api/v1/ws/{ticket(alice, notes)}/?stoken={stoken}"
                page = PAGE.replace("ADDRESS", json.dumps(address)).encode()
                told.clear()
                process = subprocess.Popen(
                    [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--remote-debugging-port=0", f"--user-data-dir={profile}", f"http://127.0.0.1:{site.server_port}/"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                with changed:
                    if changed.wait_for(lambda: "/opened" in told or "/closed" in told, 60) and "/opened" in told:
                        break
                process.kill()
                process.wait()
            wait("/opened", 0)
            put(alice, notes, "one", size=1000)
            message = base64.b64decode(wait("/message", PATIENCE_SECONDS))
            equal(message, alice.get(f"/api/v1/collection/{notes}/item/", stoken=stoken).body, "what the page got")
            equal(json.loads(wait("/closed", PATIENCE_SECONDS)), [1000, True], "how the page's close was answered")
        finally:
            if process:
                process.kill()
                process.wait()
            site.shutdown()
            shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    support.main(__doc__)
