"""What every session of a stream server shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.symbols import Catalogue
from teleglas_gateway.ports import Authorizer
from teleglas_gateway.stream.catchup import CatchUp, CatchUpLimits
from teleglas_gateway.stream.conflate import Conflator
from teleglas_gateway.stream.hub import Hub
from teleglas_gateway.stream.outbox import OutboxLimits

if TYPE_CHECKING:
    from teleglas_gateway.stream.session import Session

__all__ = ["Access", "Admission", "StreamContext", "StreamSettings", "StreamWatcher"]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds of the stream server; each has a name that a refused client is told."""

    max_connections: int = 5000
    max_connections_per_key: int = 100
    max_subscriptions: int = 1000
    max_frame_bytes: int = 1 << 18
    recent_bytes: int = 64 << 20
    auth_deadline_s: float = 5.0
    heartbeat_s: float = 1.0
    ping_s: float = 20.0
    drop_after_s: float = 60.0
    recheck_keys_s: float = 15.0
    close_grace_s: float = 5.0
    outbox: OutboxLimits = field(default_factory=OutboxLimits)
    catch_up: CatchUpLimits = field(default_factory=CatchUpLimits)


class Access(Protocol):
    """Finds out whom a connection acts for."""

    async def by_header(self, authorization: str) -> Grant:
        """Raises Problem where the key is not good."""

    async def by_ticket(self, ticket: str) -> Grant | None: ...


class Admission(Protocol):
    def admit(self, session: Session, grant: Grant) -> None:
        """Count a session against its key; Problem where it has too many."""


class StreamWatcher(Protocol):
    """Told what happens to clients: metrics."""

    def refused(self, code: str) -> None: ...

    def closed(self, reason: str) -> None: ...

    def skipped(self, channel: str, messages: int) -> None: ...

    def clients(self, protocol: str, count: int) -> None: ...

    def subscriptions(self, channel: str, change: int) -> None: ...

    def resumed(self, recovered: bool, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StreamContext:
    hub: Hub
    catalogue: Catalogue
    catch_up: CatchUp
    conflator: Conflator
    access: Access
    admission: Admission
    authorizer: Authorizer
    watcher: StreamWatcher
    settings: StreamSettings
    now_ns: Callable[[], int]
