"""Pod by pod and edge by edge: what edges.yaml allows works, everything else is refused; once by
network policies alone and once by the mesh alone.

Beside the running pods stand some that carry the name and account of those that run only for a
while (jobs), and strangers. `TELEGLAS_CLUSTER_CAPTURE` is a command that captures packets on the
node, such as `tcpdump` in the node's network namespace.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import statistics
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from teleglas_common.testing import eventually
from tests.cluster.callers import SPOKEN, Answer, Question, ask, grpc_call, http_get
from tests.cluster.capture import Capture
from tests.cluster.kubectl import Namespace
from tests.cluster.release import PREFIX, Release, show
from tests.contract.test_edges import EDGES, METHODS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(3_600),
    pytest.mark.asyncio(loop_scope="module"),
]

RATE = 50
MODES = {
    "network": ("--set", "network.enabled=true", "--set", "mesh.enabled=false"),
    "mesh": ("--set", "network.enabled=false", "--set", "mesh.enabled=true"),
    "both": ("--set", "network.enabled=true", "--set", "mesh.enabled=true"),
}
STAND_INS = ("migrate", "demo-key", "smoke")
STRANGER = "stranger"
CALLS = 200
PORTS = EDGES["ports"]
GRPC = {row["to"][0]: row["service"] for row in EDGES["edges"] if row.get("port") == "grpc"}


@dataclass
class Meshed:
    """The release as it stands, and who is in it."""

    release: Release
    mode: str = ""
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Pod and container by name."""
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(6))

    @property
    def namespace(self) -> Namespace:
        return self.release.namespace

    async def be(self, mode: str) -> None:
        """Change the release over."""
        await self.release.helm("upgrade", "--install", "--reset-values", *MODES[mode])
        self.mode = mode
        await self.stand_in(meshed=mode != "network")

    async def stand_in(self, *, meshed: bool) -> None:
        """Put the pods beside it that stand for others, and find out who is there."""
        await stand_in(self.namespace, meshed=meshed)

        async def settled() -> None:
            self.sources = await sources_of(self.namespace)

        await eventually(settled, timeout_s=240, every_s=2.0)

    async def ask(self, source: str, questions: list[Question]) -> list[Answer]:
        pod, container = self.sources[source]
        async with self.asking:
            return await ask(self.namespace, pod, container, questions)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed_once() -> AsyncIterator[Meshed]:
    namespace = Namespace(f"{PREFIX}-{secrets.token_hex(3)}")
    await namespace.create()
    try:
        yield Meshed(Release(namespace, RATE))
    except BaseException:
        await show(namespace)
        raise
    finally:
        if "TELEGLAS_CLUSTER_KEEP" not in os.environ:
            await namespace.delete()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(MODES))
async def meshed(request: pytest.FixtureRequest, installed_once: Meshed) -> Meshed:
    """The release, changed over; tests of one mode run one after the other."""
    await installed_once.be(request.param)
    return installed_once


def only(*modes: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("meshed", modes, indirect=True, scope="module")


async def sources_of(namespace: Namespace) -> dict[str, tuple[str, str]]:
    """Everyone that can ask; AssertionError while a pod is still on its way."""
    found: dict[str, tuple[str, str]] = {}
    for pod in await namespace.pods("app.kubernetes.io/name"):
        name = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        ready = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}.get("Ready")
        if "job-name" in pod["metadata"]["labels"]:
            continue
        assert ready == "True", f"expected {pod['metadata']['name']} to be ready"
        assert name not in found, f"expected one pod of {name}"
        found[name] = (pod["metadata"]["name"], pod["spec"]["containers"][0]["name"])
    return found


async def stand_in(namespace: Namespace, *, meshed: bool) -> None:
    """Sleeping pods with the name and account of a job, and a stranger with neither."""
    gateway = (await namespace.pods("app.kubernetes.io/name=gateway"))[-1]
    image = gateway["spec"]["containers"][0]["image"]
    instance = gateway["metadata"]["labels"]["app.kubernetes.io/instance"]
    for name in (*STAND_INS, STRANGER):
        pod = f"stand-in-{name}"
        await namespace.kubectl(
            "delete", "pod", pod, "--ignore-not-found", "--timeout=60s", timeout_s=70
        )
        known = {"app.kubernetes.io/instance": instance, "app.kubernetes.io/part-of": "teleglas"}
        await namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": pod,
                    "labels": {
                        "app.kubernetes.io/name": name,
                        **({} if name == STRANGER else known),
                        "sidecar.istio.io/inject": str(meshed).lower(),
                    },
                },
                "spec": {
                    "serviceAccountName": "default" if name == STRANGER else name,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": gateway["spec"]["securityContext"],
                    "containers": [
                        {
                            "name": "sleeper",
                            "image": image,
                            "command": ["/opt/teleglas/bin/python", "-c"],
                            "args": ["import time; time.sleep(86400)"],
                            "securityContext": gateway["spec"]["containers"][0]["securityContext"],
                        }
                    ],
                },
            }
        )


def questions(targets: Iterable[str]) -> list[Question]:
    """One for each port of each pod, and of gRPC one for each method."""
    found = []
    for name in targets:
        for port in ports_of(name):
            number = PORTS[port]["number"]
            if port in SPOKEN:
                found.append(Question(name, number, SPOKEN[port]))
            elif port == "grpc":
                service = GRPC[name]
                found += [grpc_call(name, number, f"/{service}/{m}") for m in METHODS[service]]
            else:
                last = PORTS[port].get("last", number)
                found += [http_get(name, n, "/health") for n in range(number, last + 1)]
    return [*found, http_get("gateway", PORTS["http"]["number"], "/metrics")]


def ports_of(name: str) -> list[str]:
    """Ports of a pod that anyone in the table calls; every service has `http`."""
    ports = {row["port"] for row in EDGES["edges"] if name in row["to"] and "port" in row}
    return sorted(ports - {"webhook", "envoy-stats"})


def allowed(mode: str, source: str, question: Question) -> bool:
    """What the table says; a network policy knows no paths."""
    for row in EDGES["edges"]:
        if source not in row["from"] or question.host not in row["to"] or "port" not in row:
            continue
        port = PORTS[row["port"]]
        if not port["number"] <= question.port <= port.get("last", port["number"]):
            continue
        if mode == "network":
            return True
        methods = [m for kind in ("safe", "once", "streams") for m in row.get(kind, ())]
        if "service" in row and question.path not in {f"/{row['service']}/{m}" for m in methods}:
            continue
        if question.path in row.get("except", ()):
            continue
        if "paths" in row and question.path not in row["paths"]:
            continue
        return True
    return False


def works(mode: str, answer: Answer) -> bool:
    return answer.connected if mode == "network" else not answer.is_refused_by_the_mesh


@only("network", "mesh")
async def test_just_the_edges_of_the_table_work(meshed: Meshed) -> None:
    """From inside every pod, to every port of every pod."""
    mode = meshed.mode
    targets = [name for name in meshed.sources if name not in (*STAND_INS, STRANGER)]
    asked = questions(targets)
    wrong: list[str] = []
    counts = {True: 0, False: 0}
    everybody = await asyncio.gather(
        *(settle(meshed, mode, source, asked) for source in meshed.sources)
    )
    for source, told in zip(meshed.sources, everybody, strict=True):
        for question, answer in zip(asked, told, strict=True):
            if source == question.host and source != "kafka":
                continue  # nobody keeps a pod from itself
            wanted = allowed(mode, source, question)
            counts[wanted] += 1
            if works(mode, answer) != wanted:
                where = f"{source} → {question.host}:{question.port}{question.path}"
                wrong.append(f"{where}: expected {wanted}, {answer.shown}")
    print(  # noqa: T201
        f"{mode} alone: {len(meshed.sources)} pods ask {len(targets)}; "
        f"{counts[True]} questions are answered, {counts[False]} refused, {len(wrong)} wrong"
    )
    assert not wrong, "\n".join(wrong)
    assert counts[True]
    assert counts[False]


async def settle(meshed: Meshed, mode: str, source: str, asked: list[Question]) -> list[Answer]:
    """Answers of one pod; those that are not as wanted are asked once more, as a sidecar that was
    just started may still be on its way.
    """
    told = await meshed.ask(source, asked)
    again = [
        at
        for at, (question, answer) in enumerate(zip(asked, told, strict=True))
        if works(mode, answer) != allowed(mode, source, question) and source != question.host
    ]
    if again:
        await asyncio.sleep(5)
        for at, answer in zip(
            again, await meshed.ask(source, [asked[at] for at in again]), strict=True
        ):
            told[at] = answer
    return told


@only("mesh")
async def test_the_mesh_refuses_plaintext(meshed: Meshed) -> None:
    """A pod without a sidecar, wherever it is and whoever it says it is, reaches nobody."""
    await meshed.stand_in(meshed=False)
    targets = [name for name in meshed.sources if name not in (*STAND_INS, STRANGER)]
    asked = questions(targets)
    for source in (*STAND_INS, STRANGER):
        told = await meshed.ask(source, asked)
        heard = [
            f"{source} → {question.host}:{question.port}: {answer.shown}"
            for question, answer in zip(asked, told, strict=True)
            if answer.said
        ]
        assert not heard, "\n".join(heard)
    print(f"plaintext: {len(asked)} ports and methods, none answered")  # noqa: T201
    await meshed.stand_in(meshed=True)


@only("network", "mesh")
async def test_what_goes_between_two_services_is_seen_on_the_node(meshed: Meshed) -> None:
    """Without the mesh it can be read, which shows that the capture sees it; with it, it is TLS."""
    command = os.environ.get("TELEGLAS_CLUSTER_CAPTURE")
    if not command:
        pytest.skip("TELEGLAS_CLUSTER_CAPTURE names no command that captures on the node")
    mode = meshed.mode
    pod = (await meshed.namespace.pods("app.kubernetes.io/name=market-data"))[0]
    called = f"host {pod['status']['podIP']} and port {PORTS['grpc']['number']}"
    async with Capture(shlex.split(command), called) as capture:
        # Sidecars keep their connections; those of a new pod are seen from their beginning.
        for step in (("restart",), ("status", "--timeout=120s")):
            await meshed.namespace.kubectl("rollout", *step, "deployment/gateway", timeout_s=130)
        await timed_calls(meshed, 20)
    seen = capture.seen()
    print(f"{mode}: {seen}")  # noqa: T201
    assert seen.begun
    if mode == "network":
        assert seen.readable
        assert not seen.tls
    else:
        assert not seen.readable
        assert seen.tls == seen.begun


TIMED = """
import http.client, json, sys, time
key, count = sys.argv[1], int(sys.argv[2])
client = http.client.HTTPConnection("gateway", 8080, timeout=10)
took = []
for number in range(count + 20):
    began = time.perf_counter()
    client.request("GET", "/v1/tickers", headers={"Authorization": "Bearer " + key})
    answer = client.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    if number >= 20:
        took.append(time.perf_counter() - began)
    time.sleep(0.02)
print(json.dumps(took))
"""


async def timed_calls(meshed: Meshed, count: int) -> list[float]:
    """Seconds of REST calls from a client's pod, each with one gRPC call behind it."""
    pod, container = meshed.sources["smoke"]
    key = await meshed.namespace.kubectl(
        "get", "secret", "demo-key", "-o", "go-template={{.data.TELEGLAS_API_KEY | base64decode}}"
    )
    said = await meshed.namespace.kubectl(
        *("exec", pod, "-c", container, "--"),
        *("/opt/teleglas/bin/python", "-c", TIMED, key, str(count)),
        timeout_s=300,
    )
    took: list[float] = json.loads(said)
    return took


@only("network", "mesh")
async def test_what_the_mesh_costs(meshed: Meshed) -> None:
    """Latency of a REST call with a gRPC call behind it, and memory of the sidecars; printed."""
    took = [1e3 * one for one in await timed_calls(meshed, CALLS)]
    p50, p99 = (statistics.quantiles(took, n=100)[at] for at in (49, 98))
    print(f"{meshed.mode}: {len(took)} calls, p50 {p50:.2f} ms, p99 {p99:.2f} ms")  # noqa: T201
    if meshed.mode == "network":
        return
    sidecars = await memory(meshed.namespace)
    print(  # noqa: T201
        f"memory of {len(sidecars)} sidecars: {statistics.mean(sidecars.values()):.0f} MiB each, "
        f"{max(sidecars.values())} MiB at most"
    )
    assert len(sidecars) >= len(meshed.sources) - 1


async def memory(namespace: Namespace) -> dict[str, int]:
    """MiB of each sidecar by pod."""

    async def measured() -> dict[str, int]:
        lines = (
            await namespace.kubectl("top", "pods", "--containers", "--no-headers")
        ).splitlines()
        rows = [line.split() for line in lines]
        found = {row[0]: int(row[3].removesuffix("Mi")) for row in rows if row[1] == "istio-proxy"}
        assert found
        return found

    return await eventually(measured, timeout_s=120, every_s=5.0)


@only("both")
async def test_the_product_runs_with_policies_and_mesh_together(meshed: Meshed) -> None:
    """Both at once: ready, and a frame becomes a stream message, an answer and an alert."""
    said = await meshed.namespace.helm("test", "teleglas", "--logs", "--timeout", "400s")
    print(said)  # noqa: T201
    for step in ("stream: trade", "REST: trade", "alert: "):
        assert step in said
