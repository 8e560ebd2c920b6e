"""What the programs in this folder share: directories, each a real slapd with a folder, ports and certificates of its own."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

sys.path.append(str(Path(__file__).resolve().parent.parent / "Faults"))

import support  # noqa: E402
from support import Server, free_port, true  # noqa: E402

PATIENCE_SECONDS = 60.0
BASE, ROOT, READER, PASSWORD = "dc=test", "cn=root,dc=test", "cn=reader,dc=test", "a password"
USERS, ADMINS = "cn=users,dc=test", "cn=admins,dc=test"
FILTER = "(&(objectClass=inetOrgPerson)(uid=%s))"

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCACertificateFile {tls}/authority.pem
TLSCertificateFile {tls}/{certificate}.pem
TLSCertificateKeyFile {tls}/{certificate}.key
database mdb
suffix "dc=test"
rootdn "cn=root,dc=test"
rootpw "a password"
directory {folder}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""
CONTENT = f"""\
dn: dc=test
objectClass: dcObject
objectClass: organization
o: test

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: a password

dn: {USERS}
objectClass: groupOfNames
member: uid=alice,dc=test

dn: {ADMINS}
objectClass: posixGroup
gidNumber: 1
memberUid: alice
"""


class Certificates:
    """An authority, a certificate of it for this machine, one for another name, and another authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for authority in ("authority", "stranger"):
            self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", f"/CN={authority}",
                     "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        for name, names in (("here", "IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")):
            (folder / "names").write_text(f"subjectAltName={names}\n")
            self.run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "90",
                     "-extfile", "names", "-out", f"{name}.pem")

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    @property
    def authority(self) -> str:
        return str(self.folder / "authority.pem")

    @property
    def stranger(self) -> str:
        return str(self.folder / "stranger.pem")


class Directory(support.Beside):
    """A slapd with the people that it is given; it can be ended, frozen, and started again. Leaving `with` ends it for good."""

    def __init__(self, *people: str, certificate: str = "here") -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="apus-directory."))
        self.certificates = Certificates(self.scratch / "tls")
        self.plain, self.encrypted = free_port(), free_port()
        self.url, self.secure_url = f"ldap://127.0.0.1:{self.plain}", f"ldaps://127.0.0.1:{self.encrypted}"
        self.process: subprocess.Popen | None = None
        (self.scratch / "data").mkdir()
        self.configure(certificate)
        (self.scratch / "content.ldif").write_text("\n".join([CONTENT, *(entry(name) for name in people)]))
        subprocess.run(["/usr/sbin/slapadd", "-f", self.configuration, "-l", self.scratch / "content.ldif"], check=True, capture_output=True)

    @property
    def configuration(self) -> Path:
        return self.scratch / "slapd.conf"

    def configure(self, certificate: str) -> None:
        self.configuration.write_text(CONFIGURATION.format(folder=self.scratch, tls=self.certificates.folder, certificate=certificate))

    def start(self) -> Directory:
        with (self.scratch / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/slapd", "-d", "stats", "-f", self.configuration, "-h", f"{self.url}/ {self.secure_url}/"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        until("slapd answers", lambda: self.tool("ldapsearch", "-b", BASE, "-s", "base", check=False).returncode == 0)
        return self

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def tool(self, name: str, *arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run([name, "-x", "-H", self.url, "-D", ROOT, "-w", PASSWORD, *arguments], input=text, capture_output=True, text=True,
                              check=check, timeout=60)

    def add(self, name: str) -> None:
        self.tool("ldapadd", text=entry(name))

    def remove(self, name: str) -> None:
        self.tool("ldapdelete", f"uid={name},{BASE}")

    def change(self, place: str, what: str, attribute: str, value: str) -> None:
        self.tool("ldapmodify", text=f"dn: {place}\nchangetype: modify\n{what}: {attribute}\n{attribute}: {value}\n")

    @property
    def log(self) -> str:
        return (self.scratch / "log").read_text(errors="replace")

    def filters(self, about: str) -> list[str]:
        """The filters that it was asked with and that hold a text."""
        return [found for found in re.findall(r'SRCH base="[^"]*" scope=2 .*filter="(.*)"', self.log) if about in found]

    @property
    def logins(self) -> int:
        """How often the reader has logged in."""
        return len(re.findall(rf'BIND dn="{READER}" method', self.log))

    @property
    def settings(self) -> dict[str, str]:
        """For a server that asks it, over TLS."""
        return self.settings_for(self.secure_url)

    def settings_for(self, *urls: str, **more: str) -> dict[str, str]:
        """For a server that asks it at some addresses: `cache="1s"` is APUS_LDAP_CACHE."""
        return {"APUS_LDAP_URL": " ".join(urls), "APUS_LDAP_BASE": BASE, "APUS_LDAP_FILTER": FILTER, "APUS_LDAP_BIND_DN": READER,
                "APUS_LDAP_PASSWORD": PASSWORD, "APUS_LDAP_AUTHORITIES": self.certificates.authority,
                **{f"APUS_LDAP_{name.upper()}": value for name, value in more.items()}}

    def __exit__(self, *_: Any) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.scratch)


def entry(name: str) -> str:
    return f"dn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"


def served(arguments: argparse.Namespace, settings: dict[str, str], *flags: str) -> Server:
    """A server with closed sign-up and a directory."""
    return Server(arguments.apus, *flags, environment={"APUS_SIGNUP": "closed", **settings})


def until(what: str, condition: Callable[[], Any]) -> Any:
    """Waits for something to be so; what it is then."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        true(time.monotonic() < end, f"{what} within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)
    return found


def options(parser: argparse.ArgumentParser) -> None:
    support.on_either_engine(parser)
