"""The gateway's ports in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from teleglas_gateway.domain.keys import Grant, KeyRecord, Scope, digest, prefix_of
from teleglas_gateway.domain.limits import Quota, Verdict, decide
from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.testing.records import T0_NS

__all__ = [
    "ALL_SCOPES",
    "GRANT",
    "KEY",
    "MemoryClaims",
    "MemoryKeys",
    "MemoryLimiter",
    "MemoryTickets",
    "key_record",
]

ALL_SCOPES = frozenset(scope.value for scope in Scope)
GRANT = Grant("default", "tester", "key-1", ALL_SCOPES)
KEY = "tg_" + "A" * 8 + "_" + "b" * 40


class MemoryKeys:
    """Keys in a dict; `away` plays a database that does not answer."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.away = False
        self.finds = 0

    async def find(self, prefix: str) -> KeyRecord | None:
        self.finds += 1
        self._answer()
        return self.records.get(prefix)

    async def add(self, record: KeyRecord) -> None:
        self._answer()
        self.records[record.prefix] = record

    async def list(self, tenant_id: str) -> list[KeyRecord]:
        return [record for record in self.records.values() if record.tenant_id == tenant_id]

    async def revoke(self, tenant_id: str, prefix: str) -> bool:
        record = self.records.pop(prefix, None)
        return record is not None and record.tenant_id == tenant_id

    async def dead(self, key_ids: Collection[str]) -> set[str]:
        self._answer()
        return set(key_ids) - {record.key_id for record in self.records.values()}

    def _answer(self) -> None:
        if self.away:
            raise Problem(Code.AUTH_UNAVAILABLE, "expected an answer of the key store")


class MemoryTickets:
    """Tickets in a dict, each good once."""

    def __init__(self) -> None:
        self.open: dict[str, Grant] = {}

    async def issue(self, grant: Grant, ttl_s: int) -> str:
        ticket = f"ticket-{len(self.open)}-{ttl_s}"
        self.open[ticket] = grant
        return ticket

    async def redeem(self, ticket: str) -> Grant | None:
        return self.open.pop(ticket, None)


class MemoryClaims:
    """Claims of pods that share `taken`; `away` is a store that does not answer."""

    def __init__(self, shared: MemoryClaims | None = None) -> None:
        self.taken: dict[str, MemoryClaims] = {} if shared is None else shared.taken
        self.away = False

    async def take(self, name: str) -> bool:
        return self.away or self.taken.setdefault(name, self) is self

    async def keep(self, name: str) -> None:
        """Claims in memory have no end."""


class MemoryLimiter:
    """Counts in one process, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = T0_NS
        self.unlimited = False
        self._full_at: dict[tuple[str, str], int] = {}

    async def take(self, client: str, quota: Quota) -> Verdict:
        if self.unlimited:
            return Verdict(allowed=True, remaining=1, reset_s=0, retry_after_s=0)
        key = (client, quota.name)
        self._full_at[key], verdict = decide(self._full_at.get(key), self.now_ns, quota)
        return verdict


def key_record(key: str, scopes: Iterable[str] = ALL_SCOPES, key_id: str = "key-1") -> KeyRecord:
    prefix = prefix_of(key)
    if prefix is None:
        raise ValueError(f"expected a key, was {key!r}")
    return KeyRecord(
        key_id=key_id,
        prefix=prefix,
        digest=digest(key),
        name="test",
        tenant_id="default",
        principal_id="tester",
        scopes=frozenset(scopes),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at=None,
        revoked_at=None,
    )
