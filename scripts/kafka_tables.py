"""Generate deploy/helm/teleglas/topics.yaml: the topics of the log and what each user may do there,
from the manifests and the services' own routes; --check fails if it is stale.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.kafka.admin import topic_options
from teleglas_contracts import topics as catalogue
from teleglas_contracts.topic import Topic
from teleglas_gateway.channels import CHANNELS
from teleglas_ingest.routes import BY_CHANNEL
from teleglas_whale_detector.adapters.faust_topics import APP_ID, CHANGELOG, INTERNAL, LEADER
from teleglas_whale_detector.sink import SINK_GROUP

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "deploy" / "helm" / "teleglas" / "topics.yaml"
CONTROL = catalogue.CONTROL_TOPICS_V1
GROUPS = {
    "market-data": ("market-data",),
    "whale-detector": (APP_ID, SINK_GROUP),
    "signal-scorer": ("signal-scorer",),
    "prediction": ("prediction",),
    "notification": ("notification",),
}
"""The consumer groups of each service that has any."""
HEADER = """\
# Generated from proto/topics and the services' routes by `make docs`: edit those instead.
# topics: what Strimzi makes. users: the ACL rules of each KafkaUser; nothing else is allowed.
"""


class Rule(NamedTuple):
    """One resource that a user may use; `pattern` is literal or prefix."""

    resource: str
    name: str
    pattern: str
    operation: str


def topic_rules(operation: str, topics: Iterable[Topic]) -> set[Rule]:
    names = {topic.name for topic in topics}
    return {Rule("topic", name, "literal", op) for name in names for op in (operation, "Describe")}


def group_rules(*groups: str) -> set[Rule]:
    return {Rule("group", group, "literal", "Read") for group in groups}


def routes_of(service: str) -> Any:
    """What a service reads and writes, which a test holds against the manifests."""
    return importlib.import_module(f"teleglas_{service.replace('-', '_')}.routes")


def member(service: str) -> set[Rule]:
    """A worker of a group: it reads, commits, writes, buries what it cannot handle, and looks up
    the epochs of topics.
    """
    routes = routes_of(service)
    return (
        topic_rules("Read", [*routes.READS, CONTROL])
        | topic_rules("Write", [*routes.WRITES, *map(twin, routes.READS)])
        | group_rules(*GROUPS[service])
    )


def users() -> dict[str, set[Rule]]:
    """Every user of the log. Writing implies the right to write idempotently; nobody has a
    transaction, nobody but the job that migrates may create a topic.
    """
    ingest, gateway = routes_of("ingest"), routes_of("gateway")
    found = {service: member(service) for service in GROUPS}
    found["whale-detector"] |= topic_rules("Read", (CHANGELOG, LEADER)) | topic_rules(
        "Write", (CHANGELOG,)
    )
    # Ingest goes on where its own topics end; frames that it cannot read are its dead letters.
    found["ingest"] = topic_rules("Read", ingest.WRITES) | topic_rules(
        "Write", [*ingest.WRITES, *map(twin, BY_CHANNEL.values())]
    )
    # Each gateway reads every partition, so it has no group.
    buried = {channel.topic for channel in CHANNELS if channel.buries_poison}
    found["gateway"] = topic_rules("Read", gateway.READS) | topic_rules("Write", map(twin, buried))
    found["migrate"] = topic_rules("Read", (CONTROL,)) | topic_rules("Write", (CONTROL,))
    found["migrate"] |= {Rule("topic", "teleglas", "prefix", op) for op in ("Create", "Describe")}
    found["tools"] = {
        *(Rule("topic", "teleglas.", "prefix", op) for op in ("Describe", "Read", "Write")),
        Rule("group", "redrive.", "prefix", "Read"),
    }
    # The autoscaler looks at the lag of groups; it reads no record.
    found["autoscaler"] = {
        rule._replace(operation="Describe")
        for service, groups in GROUPS.items()
        for rule in group_rules(*groups) | topic_rules("Read", routes_of(service).READS)
    }
    return dict(sorted(found.items()))


def merged(rules: set[Rule]) -> list[dict[str, Any]]:
    """One entry a resource, with all its operations."""
    places = sorted({rule[:3] for rule in rules})
    return [
        {
            "resource": place[0],
            "name": place[1],
            "pattern": place[2],
            "operations": sorted(rule.operation for rule in rules if rule[:3] == place),
        }
        for place in places
    ]


def page() -> str:
    """The file as it should be."""
    twins = [twin(topic) for topic in catalogue.ALL if topic.dead_letter is not None]
    topics = sorted({*catalogue.ALL, *twins, *INTERNAL}, key=lambda topic: topic.name)
    tables = {
        "topics": [
            {"name": topic.name, "partitions": topic.partitions, "config": topic_options(topic)}
            for topic in topics
        ],
        "users": {user: merged(rules) for user, rules in users().items()},
    }
    return HEADER + yaml.safe_dump(tables, sort_keys=False, width=100, default_flow_style=None)


def main() -> int:
    if "--check" not in sys.argv:
        TARGET.write_text(page())
        return 0
    if TARGET.exists() and TARGET.read_text() == page():
        return 0
    print(f"stale: {TARGET.relative_to(ROOT)}; run `make docs` and commit the result")
    return 1


if __name__ == "__main__":
    sys.exit(main())
