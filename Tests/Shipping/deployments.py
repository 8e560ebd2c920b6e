"""The Compose files and the manifests for Kubernetes: they are what their schemas say, and the processes that they describe, run
here with the same arguments and variables but for addresses and paths, make a cluster that serves.

Wants a PostgreSQL and a Redis.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import yaml
from common import ROOT, Client, Server, attempt, equal, expected, offered, run, support, test, true, uid, unpack, until
from websockets.sync.client import connect

COMPOSE, KUBERNETES = ROOT / "ops" / "compose", ROOT / "ops" / "kubernetes"
TOOLS = Path(sys.executable).parent
SECRET = "5e" * 32


def documents(*files: Path) -> list[dict]:
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def manifests() -> list[Path]:
    """What a cluster is given; the kustomization is for kubectl alone."""
    return sorted(file for file in KUBERNETES.glob("*.yaml") if file.name != "kustomization.yaml")


def left_out(tool: str) -> str | None:
    """A note where a tool is missing that only --all installs."""
    return None if (TOOLS / tool).exists() else f"left out: {tool}, which comes with --all"


# --- schemas --------------------------------------------------------------------------------------


@test("the Compose files are what the schema says")
def compose_schema(_: Any) -> str | None:
    if note := left_out("check-jsonschema"):
        return note
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *sorted(COMPOSE.glob("*.yml")))
    return None


@test("the manifests are what Kubernetes takes, strictly")
def kubernetes_schema(_: Any) -> str | None:
    if note := left_out("kubernetes-validate"):
        return note
    done = attempt(TOOLS / "kubernetes-validate", "--strict", *manifests())
    equal((done.returncode, re.findall(r"(?m)^(?:WARN|ERROR).*", done.stdout + done.stderr)), (0, []), "complaints")
    return None


@test("the kustomization names every manifest that is no example")
def kustomization(_: Any) -> None:
    named = documents(KUBERNETES / "kustomization.yaml")[0]["resources"]
    files = {file.name for file in manifests()} - {"secret.example.yaml"}
    equal(sorted(named), sorted(files), "resources")


@test("the file of the image has no fault that hadolint knows")
def containerfile(_: Any) -> str | None:
    if note := left_out("hadolint"):
        return note
    run(TOOLS / "hadolint", ROOT / "ops" / "Containerfile")
    return None


@test("what refers to something in the manifests finds it: selectors, ports, names of configuration")
def references(_: Any) -> None:
    found = documents(*manifests())
    by_kind: dict[str, list[dict]] = {}
    for document in found:
        by_kind.setdefault(document["kind"], []).append(document)
    deployments = {document["metadata"]["name"]: document["spec"] for document in by_kind["Deployment"]}
    labels = [spec["template"]["metadata"]["labels"] for spec in deployments.values()]
    names = {kind: {document["metadata"]["name"] for document in by_kind[kind]} for kind in by_kind}

    def selected(selector: dict) -> bool:
        return any(selector.items() <= known.items() for known in labels)

    for spec in deployments.values():
        true(spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"], "a Deployment selects its own pods")
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            true(container[probe]["httpGet"]["port"] in ports, f"{probe}'s port")
        equal({source["configMapRef"]["name"] for source in container["envFrom"]}, names["ConfigMap"], "configuration")
        equal({volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}, names["Secret"], "secrets")
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        equal(mounts, {volume["name"] for volume in pod["volumes"]}, "volumes that are mounted")
    for document in by_kind["Service"]:
        true(selected(document["spec"]["selector"]), document)
    for document in by_kind["PodDisruptionBudget"] + by_kind["NetworkPolicy"]:
        selector = document["spec"].get("selector") or document["spec"]["podSelector"]
        true(selected(selector["matchLabels"]), document)
    for document in by_kind["HorizontalPodAutoscaler"]:
        true(document["spec"]["scaleTargetRef"]["name"] in deployments, document)
    for path in by_kind["Ingress"][0]["spec"]["rules"][0]["http"]["paths"]:
        true(path["backend"]["service"]["name"] in names["Service"], path)


# --- the processes --------------------------------------------------------------------------------


class Described(Server):
    """A process as a file describes it."""

    def __init__(self, binary: str, name: str, arguments: list[str], environment: dict[str, str], scratch: Path) -> None:
        super().__init__(binary, environment=environment)
        self.name, self.arguments = name, arguments
        self.folder = scratch

    def start(self) -> Described:
        values = support.clean_environment(self.environment | {"APUS_LISTEN": self.authority})
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([self.binary, *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=values)
        return self


def of_compose(file: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    found = {}
    for name, service in documents(COMPOSE / file)[0]["services"].items():
        if service["image"] == "apus":
            for number in range(service.get("deploy", {}).get("replicas", 1)):
                found[f"{name}-{number}"] = (["serve"], service["environment"])
    return found


def of_kubernetes() -> dict[str, tuple[list[str], dict[str, str]]]:
    environment = documents(KUBERNETES / "configuration.yaml")[0]["data"]
    found = {}
    for role in ("api", "projector", "gateway"):
        deployment = documents(KUBERNETES / f"{role}.yaml")[0]
        for number in range(2):
            found[f"{role}-{number}"] = (deployment["spec"]["template"]["spec"]["containers"][0]["args"], environment)
    return found


@contextlib.contextmanager
def running(arguments: Any, described: dict[str, tuple[list[str], dict[str, str]]]) -> Iterator[dict[str, Described]]:
    """The processes, all started at once as an orchestrator does, on an empty database."""
    scratch = Path(tempfile.mkdtemp(prefix="apus-deployed."))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch)
        database = stack.enter_context(support.Database(arguments.postgres))
        (scratch / "secret").write_text(SECRET + "\n")
        (scratch / "database-url").write_text(database.url + "\n")
        here = {"APUS_DATABASE_URL_FILE": str(scratch / "database-url"), "APUS_SECRET_FILE": str(scratch / "secret"),
                "APUS_REDIS_URL": arguments.redis}
        processes = {}
        for name, (flags, environment) in described.items():
            changed = {key: here.get(key, value) for key, value in environment.items()}
            changed.setdefault("APUS_DATA", str(scratch / name))  # as the image says
            # All start at once: what they make of an empty database is made once.
            processes[name] = Described(arguments.apus, name, flags, changed, scratch).start()
            stack.callback(processes[name].__exit__)
        for process in processes.values():
            def is_ready() -> bool:
                true(process.is_alive(), f"{process.name} has ended: {process.log[-800:]}")
                if " projector" in " " + " ".join(process.arguments) + " " + process.environment.get("APUS_ROLES", ""):
                    return "serving" in process.log
                return process.get("/ready").status == 200

            until(f"{process.name} is ready", is_ready)
        yield processes


def serves(arguments: Any, described: dict[str, tuple[list[str], dict[str, str]]]) -> None:
    """Somebody writes at one front end, reads at the other, and is told by the gateway."""
    with running(arguments, described) as processes:
        support.succeeds(
            support.apus(arguments.apus, "user", "create", "alice", environment=processes["api-0"].environment), "user create")
        alice = Client(processes["api-0"], "alice")
        expected(alice.sign_up(), 200)
        elsewhere = Client(processes["api-1"], "alice", alice.token)
        collection = uid("deployed")
        expected(alice.create_collection(collection), 201)
        stoken = elsewhere.stoken(collection)
        ticket = expected(elsewhere.post(f"/api/v1/collection/{collection}/item/subscription-ticket/", {}), 200).value["ticket"]
        address = f"ws://{processes['gateway-0'].authority}/api/v1/ws/{ticket}/?stoken={stoken}"
        with connect(address, max_size=None, open_timeout=60, compression=None) as socket:
            item = uid("deployed", 1)
            expected(alice.commit(collection, [offered(item, uid(item), b"meta")]), 200)
            equal([found["uid"] for found in unpack(socket.recv(timeout=60))["data"]], [item], "items that the gateway told of")
        alice.close(), elsewhere.close()
        for name, process in processes.items():
            equal(process.stop(), 0, f"exit code of {name}")


@test("the cluster of the Compose file serves")
def compose_cluster(arguments: Any) -> None:
    described = of_compose("cluster.yml")
    equal(sorted(described), ["api-0", "api-1", "gateway-0", "projector-0"], "processes")
    serves(arguments, described)


@test("the cluster of the manifests serves")
def kubernetes_cluster(arguments: Any) -> None:
    serves(arguments, of_kubernetes())


@test("the server of the Compose file for a household serves")
def compose_home(arguments: Any) -> None:
    flags, environment = of_compose("home.yml")["apus-0"]
    with Server(arguments.apus, *flags[1:], environment=environment) as server:
        support.succeeds(server.apus("user", "create", "alice"), "user create")
        expected(Client(server, "alice").sign_up(), 200)


def options(parser: Any) -> None:
    parser.add_argument("--postgres", required=True, help="postgres://…, whose role may make databases")
    parser.add_argument("--redis", required=True, help="redis://…")


if __name__ == "__main__":
    support.main(__doc__, options)
