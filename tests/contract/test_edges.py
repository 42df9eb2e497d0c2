"""deploy/helm/teleglas/edges.yaml says who calls whom: what the services really call, no more and
no less, and what the chart makes of it.
"""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from teleglas_cli.up.services import TABLE
from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    RedisSection,
    ServiceSettings,
    variables,
)
from teleglas_ingest.settings import BinanceSection, BinanceUsdmSection, OkxSection
from teleglas_notification.settings import TelegramSection
from tests.support.chart import CHART, needs_helm, rendered

ROOT = Path(__file__).parents[2]
EDGES = yaml.safe_load((CHART / "edges.yaml").read_text())
SERVICES = [row.name for row in TABLE]
METHODS: dict[str, dict[str, Any]] = {
    service.full_name: {method.name: method for method in service.methods}
    for path in (ROOT / "libs" / "contracts" / "src").glob("teleglas/**/*_pb2.py")
    for service in importlib.import_module(
        ".".join(path.relative_to(ROOT / "libs" / "contracts" / "src").with_suffix("").parts)
    ).DESCRIPTOR.services_by_name.values()
}
Call = tuple[str, str]
"""Full name of a gRPC service, and a method."""


def sources(service: str) -> Iterator[Path]:
    """The modules of a service that run in production."""
    for path in sorted((ROOT / "services" / service / "src").rglob("*.py")):
        if "testing" not in path.parts and path.name != "testing.py":
            yield path


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"teleglas_{service.replace('-', '_')}.settings")
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, ServiceSettings)
        and kind.__module__ == module.__name__
    ]
    assert len(kinds) == 1
    return kinds[0]


def grpc_name(stub: str) -> str:
    """The full name of the service that `XStub` calls."""
    found = [name for name in METHODS if name.rpartition(".")[2] == stub.removesuffix("Stub")]
    assert len(found) == 1, stub
    return found[0]


def calls_in(path: Path) -> set[Call]:
    """Every method of a stub that a module names."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names = attributes | {node.id for node in nodes if isinstance(node, ast.Name)}
    return {
        (service, method)
        for service in map(grpc_name, (name for name in names if name.endswith("Stub")))
        for method in METHODS[service]
        if method in attributes
    }


def edges(**wanted: str) -> list[dict[str, Any]]:
    """Rows of the table in which `from_` or `to` is named."""
    return [
        row
        for row in EDGES["edges"]
        if all(name in row[key.rstrip("_")] for key, name in wanted.items())
    ]


def callers(to: str, among: list[str] | None = None) -> set[str]:
    names = {name for row in edges(to=to) for name in row["from"]}
    return names if among is None else names & set(among)


@pytest.mark.parametrize("service", SERVICES)
def test_grpc_calls_of_the_code_and_of_the_table_are_the_same(service: str) -> None:
    """Each method that is called is allowed, and none else is."""
    called: set[Call] = set().union(*map(calls_in, sources(service)))
    allowed = {
        (row["service"], method)
        for row in edges(from_=service)
        for kind in ("safe", "once", "streams")
        for method in row.get(kind, ())
    }
    assert called == allowed


@pytest.mark.parametrize("service", SERVICES)
def test_the_mesh_repeats_just_the_methods_that_the_callers_repeat(service: str) -> None:
    """`safe` is what the calling code calls safe; answers without an end are `streams`."""
    safe = {
        call
        for path in sources(service)
        for call in calls_in(path) & set(safe_methods(path))
        if not METHODS[call[0]][call[1]].server_streaming
    }
    streams = {
        call
        for path in sources(service)
        for call in calls_in(path)
        if METHODS[call[0]][call[1]].server_streaming
    }
    for kind, methods in (("safe", safe), ("streams", streams)):
        named = {(r["service"], m) for r in edges(from_=service) for m in r.get(kind, ())}
        assert named == methods, kind


def safe_methods(path: Path) -> tuple[Call, ...]:
    if "SAFE_METHODS" not in path.read_text():
        return ()
    name = path.relative_to(ROOT / "services").with_suffix("").parts[2:]
    found: tuple[Call, ...] = getattr(importlib.import_module(".".join(name)), "SAFE_METHODS", ())
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_targets_of_the_settings_are_the_edges_of_grpc(service: str) -> None:
    """A service that is given another's address calls it, and only such a one."""
    named = {row.target: row.name for row in TABLE if row.target}
    targets = {
        named[variable]
        for variable, _, _ in variables(settings_of(service))
        if variable.endswith("__TARGET")
    }
    allowed = {to for row in edges(from_=service) if row.get("port") == "grpc" for to in row["to"]}
    assert targets == allowed == set(next(row.calls for row in TABLE if row.name == service))


@pytest.mark.parametrize(
    ("section", "server"),
    [(KafkaSection, "kafka"), (PostgresSection, "postgres"), (RedisSection, "redis")],
)
def test_who_has_settings_of_a_server_may_reach_it(section: type, server: str) -> None:
    """Whoever is told where a server is reaches it; nobody else does."""
    told = {
        service
        for service in SERVICES
        if any(
            section is kind or section in getattr(kind, "__args__", ())
            for kind in (field.annotation for field in settings_of(service).model_fields.values())
        )
    }
    assert callers(server, SERVICES) == told


def test_who_has_rights_in_kafka_may_reach_it() -> None:
    """topics.yaml and edges.yaml speak of the same clients."""
    users = yaml.safe_load((CHART / "topics.yaml").read_text())["users"]
    others = {"autoscaler", "tools"}  # no pods of the release
    assert callers("kafka") - {"kafka"} == set(users) - others


def test_every_service_may_send_traces_and_is_scraped() -> None:
    """Telemetry has no exceptions."""
    assert callers("otel-collector", SERVICES) == set(SERVICES)
    scraped = {to for row in edges(from_="prometheus") if row["port"] == "http" for to in row["to"]}
    assert scraped >= set(SERVICES)


def test_hosts_are_those_of_the_settings() -> None:
    """The egress list names the venues and the Bot API as they are set up."""
    fields = [
        BinanceSection.model_fields,
        BinanceUsdmSection.model_fields,
        OkxSection.model_fields,
    ]
    venues = {host(one[name].default) for one in fields for name in ("ws_url", "rest_url")}
    listed = {h for row in edges(to="venues") for h in row["hosts"]}
    assert listed == venues
    telegram = {h for row in edges(to="telegram") for h in row["hosts"]}
    assert telegram == {host(TelegramSection.model_fields["api_url"].default)}


def host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 443}"


def test_the_mesh_gives_a_call_as_long_as_the_servers_do() -> None:
    """Its time-out is the deadline of calls that name none."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["mesh"]["timeout"] == f"{GrpcSection().default_deadline_s:g}s"


def test_no_edge_is_named_twice_and_each_says_why() -> None:
    """One row an edge."""
    seen: set[tuple[str, str, str]] = set()
    for row in EDGES["edges"]:
        assert row["why"]
        assert row.get("port", "") in {"", *EDGES["ports"]}
        for pair in ((a, b) for a in row["from"] for b in row["to"]):
            one = (*pair, row.get("port", "hosts"))
            assert one not in seen
            seen.add(one)


PRESETS = sorted(path.name for path in CHART.glob("values-*.yaml"))
Edge = tuple[str, str, int]


def pods_of(kinds: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[int]]:
    """Pods of a rendering by name, with the ports of their containers."""
    workloads = ("Deployment", "StatefulSet", "Rollout", "Job", "Pod")
    found = {}
    for document in (one for kind in workloads for one in kinds[kind]):
        pod = document if document["kind"] == "Pod" else document["spec"]["template"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/part-of") != "teleglas":
            continue
        found[pod["metadata"]["labels"]["app.kubernetes.io/name"]] = [
            port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
        ]
    return found


def table_edges(pods: Mapping[str, Any]) -> set[Edge]:
    """Rows between pods of a rendering, one a port."""
    found = set()
    for row in EDGES["edges"]:
        if "hosts" in row or row.get("when") == "webhook":
            continue
        port = EDGES["ports"][row["port"]]
        for source in pods if "every" in row["from"] else row["from"]:
            for target in pods if "every" in row["to"] else row["to"]:
                if source in pods and target in pods:
                    for number in range(port["number"], port.get("last", port["number"]) + 1):
                        found.add((source, target, number))
    return found


def policy_edges(kinds: Mapping[str, list[dict[str, Any]]], side: str) -> set[Edge]:
    """What network policies admit between pods: `ingress` or `egress`."""
    found = set()
    name = "app.kubernetes.io/name"
    for policy in kinds["NetworkPolicy"]:
        own = policy["spec"]["podSelector"]["matchLabels"].get(name)
        for rule in policy["spec"].get(side) or ():
            for peer in rule["from" if side == "ingress" else "to"]:
                other = peer.get("podSelector", {}).get("matchLabels", {}).get(name)
                if other is None:
                    continue
                for port in rule["ports"]:
                    for number in range(port["port"], port.get("endPort", port["port"]) + 1):
                        found.add(
                            (other, own, number) if side == "ingress" else (own, other, number)
                        )
    return found


def authorized(kinds: Mapping[str, list[dict[str, Any]]]) -> dict[Edge, set[str]]:
    """What the mesh admits between pods of the release, and the paths."""
    found = {}
    for policy in kinds["AuthorizationPolicy"]:
        for rule in policy["spec"].get("rules", ()):
            target = policy["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
            for source in rule["from"][0]["source"]["principals"]:
                if not source.startswith("cluster.local/ns/here/sa/"):
                    continue
                operation = rule["to"][0]["operation"]
                for port in operation["ports"]:
                    edge = (source.rpartition("/")[2], target, int(port))
                    found[edge] = set(operation.get("paths", ()))
    return found


@needs_helm
@pytest.mark.parametrize("preset", PRESETS)
def test_policies_and_the_mesh_admit_just_the_edges_of_the_table(preset: str) -> None:
    """Both sides of the network policies, and the mesh, say the same."""
    kinds = rendered(preset)
    pods = pods_of(kinds)
    wanted = table_edges(pods)
    assert wanted
    assert policy_edges(kinds, "ingress") == wanted
    assert policy_edges(kinds, "egress") == wanted
    stats = EDGES["ports"]["envoy-stats"]["number"]
    allowed = authorized(kinds)
    assert set(allowed) == {edge for edge in wanted if edge[2] != stats}
    for row in EDGES["edges"]:
        for pair in ((a, b) for a in row["from"] for b in row["to"]):
            if "service" in row and pair[0] in pods and pair[1] in pods:
                methods = (m for kind in ("safe", "once", "streams") for m in row.get(kind, ()))
                paths = {f"/{row['service']}/{method}" for method in methods}
                assert allowed[*pair, EDGES["ports"]["grpc"]["number"]] == paths


@needs_helm
@pytest.mark.parametrize("preset", PRESETS)
def test_every_pod_is_denied_by_default_and_has_a_list_of_whom_it_may_call(preset: str) -> None:
    """A pod that the table does not know reaches nobody."""
    kinds = rendered(preset)
    pods = pods_of(kinds)
    named = {one["metadata"]["name"] for one in kinds["NetworkPolicy"]}
    assert named == {*pods, "default-deny"}
    assert {one["metadata"]["name"] for one in kinds["Sidecar"]} == set(pods)
    for one in kinds["Sidecar"]:
        assert one["spec"]["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}
    deny = [one for one in kinds["AuthorizationPolicy"] if one["spec"] == {}]
    assert len(deny) == 1
    assert kinds["PeerAuthentication"][0]["spec"] == {"mtls": {"mode": "STRICT"}}


@needs_helm
def test_ports_of_the_table_are_those_of_the_containers() -> None:
    """A number in the table is a number that somebody listens on."""
    pods = pods_of(rendered("values-laptop.yaml"))
    stats = EDGES["ports"]["envoy-stats"]["number"]
    for _, target, number in table_edges(pods):
        assert number == stats or number in pods[target], (target, number)


@needs_helm
def test_writes_are_never_repeated_by_the_mesh() -> None:
    """Istio repeats everything twice unless it is told not to."""
    routes = rendered("values-laptop.yaml")["VirtualService"]
    assert routes
    for document in routes:
        for route in document["spec"]["http"]:
            paths = {one["uri"]["exact"] for one in route.get("match", ()) if "uri" in one}
            calls = [tuple(path.strip("/").split("/")) for path in paths]
            named = [
                kind
                for row in EDGES["edges"]
                for kind in ("safe", "once", "streams")
                for service, method in calls
                if row.get("service") == service and method in row.get(kind, ())
            ]
            assert route["retries"]["attempts"] == 0 or (named and set(named) == {"safe"})


@needs_helm
def test_strimzi_gets_every_topic_and_each_user_its_rules() -> None:
    """The operator's resources hold just what topics.yaml does."""
    kinds = rendered("values-laptop.yaml", "--set", "strimzi.enabled=true")
    tables = yaml.safe_load((CHART / "topics.yaml").read_text())
    made = {one["spec"]["topicName"]: one["spec"] for one in kinds["KafkaTopic"]}
    assert {n: s["partitions"] for n, s in made.items()} == {
        topic["name"]: topic["partitions"] for topic in tables["topics"]
    }
    for topic in tables["topics"]:
        assert made[topic["name"]]["config"] == topic["config"]
    rules = {
        one["metadata"]["name"]: {
            json.dumps(
                [
                    rule["resource"]["type"],
                    rule["resource"]["name"],
                    rule["resource"]["patternType"],
                    rule["operations"],
                ]
            )
            for rule in one["spec"]["authorization"]["acls"]
        }
        for one in kinds["KafkaUser"]
    }
    assert rules == {
        user: {
            json.dumps([rule["resource"], rule["name"], rule["pattern"], rule["operations"]])
            for rule in own
        }
        for user, own in tables["users"].items()
    }
