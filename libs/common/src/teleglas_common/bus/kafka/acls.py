"""Who may do what in the log: rules for brokers whose users nobody else manages."""

from __future__ import annotations

from collections.abc import Sequence
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


class _Creations(CreateAclsRequest):
    """Many rules in one request, of the version that knows patterns."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([_creation(rule) for rule in self._rules])


def _creation(rule: Rule) -> tuple[Any, ...]:
    return (
        _RESOURCES[rule.resource],
        rule.name,
        _PATTERNS[rule.pattern],
        f"User:{rule.user}",
        "*",
        _OPERATIONS[rule.operation],
        _ALLOW,
    )


async def allow(settings: KafkaSettings, rules: Sequence[Rule]) -> None:
    """Add the rules, which may be there already."""
    client = AIOKafkaClient(**settings.client_options())
    timeout_s = settings.request_timeout_s
    try:
        await bounded("answer", client.bootstrap(), timeout_s)
        sent = client.send(client.get_random_node(), _Creations(rules))
        answer: Any = await bounded("take rules", sent, timeout_s)
    finally:
        await client.close()
    for rule, (code, message) in zip(rules, answer.creation_responses, strict=True):
        if code:
            error = for_code(code).__name__
            raise BusError(f"expected to allow {rule}, was {error}: {message}")
