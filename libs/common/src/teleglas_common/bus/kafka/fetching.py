"""Fetches that name only what changed since the last one (KIP-227). aiokafka names every partition
each time, and is answered for each: a quiet reader of many costs both sides more than a busy one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest

__all__ = ["FetchSessions", "keep_sessions"]

_FIRST_VERSION = 7
"""Of fetch requests that have sessions."""
_NEW = 0
"""The epoch of a fetch that names everything and asks for a session."""
_LAST_EPOCH = 2**31 - 1
_RESUME_MS = 50
"""A fetch waits no longer while partitions are paused: one that is resumed waits for its end."""

Place = tuple[str, int]
"""Topic and partition."""
Wanted = dict[Place, tuple[int, int, int]]
"""Partition, offset and most bytes of each place."""


class FetchSessions:
    """Stands between a consumer's fetcher and its client; one session with each broker."""

    def __init__(self, client: Any, has_paused: Callable[[], bool]) -> None:
        self._send = client.send
        self._has_paused = has_paused
        self._sessions: dict[int, _Session] = defaultdict(_Session)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's own. Of partitions without news a fetch's answer says nothing."""
        if type(request) is not FetchRequest:
            return await self._send(node_id, request, **options)
        session = self._sessions[node_id]
        wanted = {
            (topic, entry[0]): entry for topic, entries in request.topics for entry in entries
        }
        try:
            wait_ms = request._max_wait_ms  # noqa: SLF001
            if self._has_paused():
                wait_ms = min(wait_ms, _RESUME_MS)
            changes = _Changes(request, session, wanted, wait_ms)
            response = await self._send(node_id, changes, **options)
        except BaseException:
            session.epoch = _NEW  # nobody knows what the broker took of it
            raise
        session.take(response, wanted)
        return response

    def answered_s(self, place: Place) -> float:
        """When its broker last answered a fetch of the partition, by the monotonic clock."""
        times = (one.answered_s for one in self._sessions.values() if place in one.wanted)
        return max(times, default=float("-inf"))


def keep_sessions(consumer: AIOKafkaConsumer) -> FetchSessions:
    """Let a consumer that has not started yet fetch in sessions."""
    client: Any = consumer._client  # noqa: SLF001 - aiokafka has no option for it
    sessions = FetchSessions(client, lambda: bool(consumer.paused()))
    client.send = sessions.send
    return sessions


class _Session:
    """What one broker remembers of this client's fetches."""

    def __init__(self) -> None:
        self.id = 0
        self.epoch = _NEW
        self.wanted: Wanted = {}
        self.answered_s = float("-inf")

    def take(self, response: Any, wanted: Wanted) -> None:
        if response.API_VERSION < _FIRST_VERSION:
            self.epoch = _NEW
        elif response.error_code:
            self.epoch = _NEW  # the broker forgot the session, or missed a fetch of it
            return
        else:
            self.id = response.session_id  # 0 where the broker has no room
            self.epoch = self.epoch % _LAST_EPOCH + 1 if self.id else _NEW
        self.wanted = wanted
        self.answered_s = time.monotonic()


class _Changes(FetchRequest):
    """A fetch of what differs from what a session holds, or of everything for a new one."""

    def __init__(
        self, whole: FetchRequest, session: _Session, wanted: Wanted, wait_ms: int
    ) -> None:
        known = session.wanted if session.epoch != _NEW else {}
        super().__init__(
            wait_ms,
            whole._min_bytes,  # noqa: SLF001
            whole._max_bytes,  # noqa: SLF001
            whole._isolation_level,  # noqa: SLF001
            _by_topic(
                (place[0], entry) for place, entry in wanted.items() if known.get(place) != entry
            ),
            whole._rack_id,  # noqa: SLF001
        )
        self._forgotten = _by_topic(known.keys() - wanted.keys())
        self._session = session.id, session.epoch

    def build(self, request_struct_class: Any) -> Any:
        built: Any = super().build(request_struct_class)
        if built.API_VERSION >= _FIRST_VERSION:
            built.session_id, built.session_epoch = self._session
            built.forgotten_topics_data = self._forgotten
        return built


def _by_topic(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for topic, one in pairs:
        found[topic].append(one)
    return list(found.items())
