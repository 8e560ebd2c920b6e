#!/usr/bin/env python3
"""`apus doctor --url` through the proxies of ops/proxies: all is well, then one fault after the other that people report is put into
their configurations, and just that is found."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

from asking import ROOT, Told, doctor, equal, listed, support, true
from inside import Machine

sys.path.insert(0, str(ROOT / "Tests" / "Shipping"))
import proxies  # noqa: E402
from proxies import OTHER_SITE, OWN_NAME, PATH, PROXIES, Authority, Server, free_port, proxy, run, what_is_missing  # noqa: E402

support.TESTS.clear()  # those of the proxies' own program

BODY_BYTES = 8_000_000  # enough for a limit of 1 MB; the whole is tried where all is well


class Bench:
    """What all tests share: a server, and certificates."""

    server: Server
    authority: Authority
    scratch: Path


def look(url: str, port: int | None, *arguments: str, body: int = BODY_BYTES, patience: str = "3s", trusts: bool = True, **environment: str) -> Told:
    """The doctor through an address, of which only what is found there counts."""
    server = Bench.server
    place = ["--address", f"127.0.0.1:{port}"] if port else []
    found = doctor(
        server.binary, "--url", url, *place, *arguments, "--patience", patience, environment={
            "APUS_DATA": str(server.folder), "APUS_LISTEN": server.authority, "APUS_TRUST_PROXY": "on" if trusts else "off",
            "APUS_BODY_LIMIT": str(body), **environment})
    found.checks = {number: check for number, check in found.checks.items() if number > 30}
    return found


def trusting() -> list[str]:
    return ["--authorities", str(Bench.authority.certificate)]


def only(found: Told, number: int, result: str, *words: str, beside: tuple[int, ...] = ()) -> None:
    """Just this check has found something."""
    found.is_(number, result, *words)
    others = (found.numbers("failure") | found.numbers("warning")) - {number, *beside}
    equal(others, set(), f"other checks that found something ({[found.checks[other] for other in others]})")


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        true(old in text, f"'{old}' stands in the configuration")
        return text.replace(old, new)

    return change


def all_is_well(name: str) -> Callable:
    def body(_: Any) -> None:
        with proxy(name, Bench.authority, Bench.server) as port:
            for url in (f"https://{OWN_NAME}", f"https://{OTHER_SITE}{PATH}/"):
                found = look(url, port, *trusting(), body=75_000_000)
                equal(found.numbers("failure") | found.numbers("warning"), set(), f"{url}: {found.checks}")
                equal(found.numbers("not applicable"), {31}, "what could not be looked at")
                equal({number: check["title"] for number, check in found.checks.items()},
                      {number: title for number, title in listed().items() if number > 30}, "numbers and titles")

    return body


# --- faults in configurations ---------------------------------------------------------------------

# By proxy: what is wrong, what makes it so, which check finds it, a word of what it says; and the path of the site that is looked at.
FAULTS: dict[str, list[tuple]] = {
    "nginx": [
        ("does not pass Host on", replaced("Host $http_host", "Host apus"), 38, "arrives instead of"),
        ("drops Authorization", replaced("proxy_set_header Host $http_host", 'proxy_set_header Authorization "";\nproxy_set_header Host $http_host'), 39, "does not arrive"),
        ("takes bodies of 1 MB", replaced("client_max_body_size 75m", "client_max_body_size 1m"), 42, "413"),
        ("does not upgrade", replaced("proxy_set_header Upgrade $http_upgrade;\n", 'proxy_set_header Upgrade "";\n'), 44, "instead of 101"),
        ("waits for a second", replaced("proxy_read_timeout 90s", "proxy_read_timeout 1s"), 45, "with 504"),
        ("leaves its prefix in the path", replaced("location /apus/ { proxy_pass http://apus/; }", "location /apus/ { proxy_pass http://apus; }"), 36,
         "/apus is still before it", PATH),
        ("strips the headers for pages", replaced("proxy_set_header Host $http_host", "proxy_hide_header Access-Control-Allow-Origin;\nproxy_set_header Host $http_host"), 46,
         "has no Access-Control-Allow-Origin"),
        ("adds its own for pages", replaced("proxy_set_header Host $http_host", "add_header Access-Control-Allow-Origin * always;\nproxy_set_header Host $http_host"), 46, "2 times"),
        ("passes on what clients claim", replaced("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n", ""), 41, "what clients claim"),
        ("tells no addresses", replaced("$proxy_add_x_forwarded_for", '""'), 41, "does not tell clients' addresses"),
        ("lets two methods through", replaced("location / { proxy_pass http://apus; }",
                                              "location / { limit_except GET POST OPTIONS { deny all; } proxy_pass http://apus; }"), 40, "PUT (403)"),
        ("holds answers back", replaced("proxy_buffering off;", ""), 43, "held back"),
        ("reaches no server", replaced("server 127.0.0.1:3735;", "server 127.0.0.1:1;"), 36, "answers 502"),
        ("redirects the API", replaced("location / { proxy_pass http://apus; }",
                                       "location / { proxy_pass http://apus; }\n    location /api/ { return 301 https://www.example.com$request_uri; }"),
         35, "www.example.com"),
    ],
    "Apache": [
        ("does not pass Host on", replaced("ProxyPreserveHost On", "ProxyPreserveHost Off"), 38, "arrives instead of"),
        ("drops Authorization", replaced("RequestHeader set X-Forwarded-Proto https", "RequestHeader set X-Forwarded-Proto https\n    RequestHeader unset Authorization"),
         39, "does not arrive"),
        ("does not upgrade", replaced(" upgrade=websocket", ""), 44, "instead of 101"),
        ("waits for a second", replaced("ProxyTimeout 90", "ProxyTimeout 1"), 45, "cut"),
        ("strips the headers for pages", replaced("SSLEngine on", "SSLEngine on\n    Header always unset Access-Control-Allow-Origin\n    "
                                                  "Header unset Access-Control-Allow-Origin"), 46, "has no Access-Control-Allow-Origin"),
        ("passes on what clients claim", replaced("ProxyPreserveHost On", "ProxyPreserveHost On\nProxyAddHeaders Off"), 41, "what clients claim"),
        ("leaves its prefix in the path", replaced("ProxyPass /apus/ http://127.0.0.1:3735/", "ProxyPass /apus/ http://127.0.0.1:3735/apus/"), 36,
         "/apus is still before it", PATH),
    ],
    "HAProxy": [
        ("does not pass Host on", replaced("backend apus from apus\n", "backend apus from apus\n    http-request set-header Host apus\n"), 38, "arrives instead of"),
        ("drops Authorization", replaced("backend apus from apus\n", "backend apus from apus\n    http-request del-header Authorization\n"), 39, "does not arrive"),
        ("does not upgrade", replaced("backend apus from apus\n", "backend apus from apus\n    http-request del-header Upgrade\n"), 44, "instead of 101"),
        ("waits for a second", replaced("timeout server 90s", "timeout server 1s"), 45, "with 504"),
        ("keeps sockets for a second", replaced("timeout tunnel 1h", "timeout tunnel 1100ms"), 45, "a socket is cut after 1 s"),
        ("strips the headers for pages", replaced("backend apus from apus\n", "backend apus from apus\n    http-response del-header Access-Control-Allow-Origin\n"),
         46, "has no Access-Control-Allow-Origin"),
        ("passes on what clients claim", replaced("    option forwardfor\n", ""), 41, "what clients claim"),
        ("leaves its prefix in the path", replaced("    http-request replace-path /apus(/.*) \\1\n", ""), 36, "/apus is still before it", PATH),
        ("lets two methods through", replaced("backend apus from apus\n", "backend apus from apus\n    http-request deny if { method PUT PATCH DELETE }\n"), 40, "PUT (403)"),
    ],
    "Caddy": [
        ("holds answers back", replaced("reverse_proxy 127.0.0.1:3735", "reverse_proxy 127.0.0.1:3735 {\n\t\tbuffer_responses\n\t}"), 43, "held back"),
        ("does not pass Host on", replaced("reverse_proxy 127.0.0.1:3735", "reverse_proxy 127.0.0.1:3735 {\n\t\theader_up Host apus\n\t}"), 38, "arrives instead of"),
        ("drops Authorization", replaced("reverse_proxy 127.0.0.1:3735", "reverse_proxy 127.0.0.1:3735 {\n\t\theader_up -Authorization\n\t}"), 39, "does not arrive"),
        ("takes bodies of 1 MB", replaced("max_size 75MB", "max_size 1MB"), 42, "8 MB"),
        ("waits for a second", replaced("reverse_proxy 127.0.0.1:3735",
                                        "reverse_proxy 127.0.0.1:3735 {\n\t\ttransport http {\n\t\t\tresponse_header_timeout 1s\n\t\t}\n\t}"), 45, "with 504"),
        ("strips the headers for pages", replaced("reverse_proxy 127.0.0.1:3735",
                                                  "reverse_proxy 127.0.0.1:3735 {\n\t\theader_down -Access-Control-Allow-Origin\n\t}"), 46, "has no Access"),
        ("tells no addresses", replaced("reverse_proxy 127.0.0.1:3735", "reverse_proxy 127.0.0.1:3735 {\n\t\theader_up -X-Forwarded-For\n\t}"), 41, "does not tell"),
        ("leaves its prefix in the path", replaced("handle_path /apus/*", "handle /apus/*"), 36, "/apus is still before it", PATH),
    ],
}


def has_fault(name: str, change: Callable[[str], str], number: int, word: str, path: str = "") -> Callable:
    def body(_: Any) -> None:
        with proxy(name, Bench.authority, Bench.server, change) as port:
            url = f"https://{OTHER_SITE}{path}" if path else f"https://{OWN_NAME}"
            # Who holds answers back holds sockets back too; who waits for a second waits no longer for anything else.
            beside = {43: (44, 45), 45: (42, 43)}.get(number, ())
            only(look(url, port, *trusting()), number, "warning" if number == 43 else "failure", word, beside=beside)

    return body


# --- faults of names and certificates -------------------------------------------------------------


def redirected(_: Any) -> None:
    """Browsers are led from http to https; somebody enters http in an app."""
    plain = free_port()
    server = f"server {{ listen 127.0.0.1:{plain}; server_name {OWN_NAME}; return 301 https://$host$request_uri; }}\n"
    with proxy("nginx", Bench.authority, Bench.server, lambda text: text + server):
        only(look(f"http://{OWN_NAME}", plain), 35, "failure", "enter the https address", beside=(32,))


def certificates(_: Any) -> None:
    folder = Bench.authority.folder
    with proxy("nginx", Bench.authority, Bench.server) as port:
        only(look(f"https://{OWN_NAME}", port), 32, "failure", "fullchain.pem")  # the system knows no such authority
    with proxy("nginx", Bench.authority, Bench.server, lambda text: text.replace(f"ssl/{OWN_NAME}", f"ssl/{OTHER_SITE}")) as port:
        only(look(f"https://{OWN_NAME}", port, *trusting()), 33, "failure", f"is for {OTHER_SITE}, not for {OWN_NAME}")
    # One that was made when this machine was elsewhere in time.
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-CA", Bench.authority.certificate,
            "-CAkey", folder / "authority.key", "-subj", f"/CN={OWN_NAME}", "-addext", f"subjectAltName=DNS:{OWN_NAME}")
    for name, days, seconds, result, word in (("ended", 2, -10 * 86400, "failure", "was good until"), ("ending", 13, -10 * 86400, "warning", "days more")):
        run(*made, "-days", days, "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", env={**os.environ, **Machine.pretending(seconds=seconds)})
        (folder / f"{name}.key").chmod(0o644)
        with proxy("nginx", Bench.authority, Bench.server, lambda text: text.replace(f"ssl/{OWN_NAME}", f"ssl/{name}")) as port:
            only(look(f"https://{OWN_NAME}", port, *trusting()), 34, result, word)


def names(_: Any) -> None:
    found = look("https://nowhere.invalid", None)
    found.is_(31, "failure", "has no address", "A or AAAA")
    port = free_port()
    found = look(f"https://{OWN_NAME}", port)
    found.is_(32, "failure", "no connection is made")
    equal(found.numbers("ok"), set(), "what is well where nothing answers")
    for url in ("sync.example.com", "ftp://sync.example.com", "https://user@sync.example.com", "https://sync.example.com/?x"):
        support.refused(support.apus(Bench.server.binary, "doctor", "--url", url), url, "is no address such as")
    support.refused(support.apus(Bench.server.binary, "doctor", "--url", "https://a.example", "--patience", "200s"), "patience", "up to 100s")


def without_proxy(_: Any) -> None:
    """A server that is reached as it is, by a name of this machine."""
    server = Bench.server
    found = look(f"http://127.0.0.1:{server.port}", None, trusts=False)
    equal(found.numbers("failure") | found.numbers("warning"), set(), f"{found.checks}")
    found = look(f"http://localhost:{server.port}", None, trusts=False)
    equal(found.numbers("failure") | found.numbers("warning"), set(), f"{found.checks}")
    only(look(f"http://127.0.0.1:{server.port}", None), 41, "failure", "what clients claim arrives as it is")
    with proxy("nginx", Bench.authority, server) as port:
        only(look(f"https://{OWN_NAME}", port, *trusting(), trusts=False), 41, "warning", "APUS_TRUST_PROXY=on")
    with proxy("nginx", Bench.authority, server, replaced("Host $http_host", "Host apus")) as port:
        found = look(f"https://{OWN_NAME}", port, *trusting(), APUS_PUBLIC_URL=f"https://{OWN_NAME}")
        found.is_(38, "ok", "APUS_PUBLIC_URL says")


def hosts(arguments: Any) -> None:
    with Server(arguments.apus, "--allowed-hosts", "other.example.com,127.0.0.1") as other:
        kept, Bench.server = Bench.server, other
        try:
            with proxy("nginx", Bench.authority, other) as port:
                only(look(f"https://{OWN_NAME}", port, *trusting()), 38, "failure", "APUS_ALLOWED_HOSTS")
        finally:
            Bench.server = kept


def strangers(arguments: Any) -> None:
    """What answers has another database; without a database the rest is looked at; nothing is left behind."""
    with Server(arguments.apus) as other, proxy("nginx", Bench.authority, other) as port:
        only(look(f"https://{OWN_NAME}", port, *trusting()), 37, "failure", "another database")
        found = Told(support.subprocess.run(
            [arguments.apus, "doctor", "--json", "--url", f"https://{OWN_NAME}", "--address", f"127.0.0.1:{port}", *trusting(), "--data",
             str(Bench.scratch / "nothing")], capture_output=True, text=True, env=support.clean_environment({})))
        found.is_(37, "not applicable", "run this where the server is")
        for number in (32, 33, 34, 35, 36, 46):
            found.is_(number, "ok")
        for number in (38, 39, 40, 41, 42, 43, 44, 45):
            found.is_(number, "not applicable")
    equal(support.query(Bench.server, "SELECT count(*) FROM apus_process WHERE roles = 'doctor'"), [[0]], "rows of doctors")


def tests(arguments: Any) -> Iterator[tuple[str, Callable]]:
    Bench.scratch = Path(tempfile.mkdtemp(prefix="apus-doctor."))
    arguments.kept.callback(shutil.rmtree, Bench.scratch, ignore_errors=True)
    Bench.scratch.chmod(0o755)
    Bench.authority = Authority(Bench.scratch)
    Bench.server = arguments.kept.enter_context(Server(arguments.apus, "--signup", "open", "--trust-proxy"))
    for name, faults in FAULTS.items():
        program = {"Apache": "apache2"}.get(name, name.lower())
        if what_is_missing(program):
            print(f"left out: {name}, which is not on this machine", flush=True)
            continue
        yield f"{name}: all is well, by its own name and below a path", support.waiting(all_is_well(name))
        for fault in faults:
            test = has_fault(name, *fault[1:])
            # What is held back is found by when it comes, which others must not change.
            yield f"{name} {fault[0]}: just that is found", test if fault[2] == 43 else support.waiting(test)
    if not what_is_missing("nginx"):
        yield "a redirect from http to https is found where somebody has entered http", redirected
        yield "a certificate of a stranger, for another name, ended, or ending soon, is found", certificates
        yield "without a proxy all is well; who believes what clients claim, or does not believe the proxy, is told", without_proxy
        yield "a host that is not served is found", hosts
        yield "another server behind the address is found; without the database the rest is looked at", strangers
    yield "a name that is none, and a place where nobody listens, are found; what is no address is refused", names


if __name__ == "__main__":
    support.main(__doc__, more=tests)
