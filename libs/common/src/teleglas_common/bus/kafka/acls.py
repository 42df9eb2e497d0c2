"""Who may do what in the log: rules for brokers whose users nobody else manages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from teleglas_common.bus.kafka.calls import bounded
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.ports import BusError

__all__ = ["Rule", "allow"]

_RESOURCES = {"topic": 2, "group": 3, "cluster": 4}
_PATTERNS = {"literal": 3, "prefix": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8}
_ALLOW = 3


class Rule(NamedTuple):
    """`user` may do `operation` with a resource; `pattern` is literal or prefix."""

    user: str
    resource: str
    name: str
    pattern: str
    operation: str


async def allow(settings: KafkaSettings, rules: Iterable[Rule]) -> int:
    """Add the rules, which may be there already; returns how many there are of them."""
    options = settings.client_options()
    client = AIOKafkaClient(**options)
    count = 0
    try:
        await bounded("answer", client.bootstrap(), settings.request_timeout_s)
        for rule in rules:
            request = CreateAclsRequest(
                _RESOURCES[rule.resource],
                rule.name,
                _PATTERNS[rule.pattern],
                f"User:{rule.user}",
                "*",
                _OPERATIONS[rule.operation],
                _ALLOW,
            )
            answer: Any = await bounded(
                "take a rule",
                client.send(client.get_random_node(), request),
                settings.request_timeout_s,
            )
            ((code, message),) = answer.creation_responses
            if code:
                error = for_code(code).__name__
                raise BusError(f"expected to allow {rule}, was {error}: {message}")
            count += 1
    finally:
        await client.close()
    return count
