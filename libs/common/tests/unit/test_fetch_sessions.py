"""Fetches in sessions, against a broker that answers as it is told."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11
from aiokafka.protocol.metadata import MetadataRequest

from teleglas_common.bus.kafka.fetching import FetchSessions

SESSION = 77
NOT_FOUND = 70
MOST = 1024


class Answer(NamedTuple):
    session_id: int = SESSION
    error_code: int = 0
    API_VERSION: int = 11


class Broker:
    """Keeps what it was asked in the form that goes over the wire."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.has_paused = False
        self.answers: list[Answer | BaseException] = []

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:  # noqa: ARG002
        if not isinstance(request, FetchRequest):
            self.asked.append(request)
            return None
        answer = self.answers.pop(0) if self.answers else Answer()
        is_old = isinstance(answer, Answer) and answer.API_VERSION < 7
        self.asked.append(request.build(FetchRequest_v4 if is_old else FetchRequest_v11))
        if isinstance(answer, BaseException):
            raise answer
        return answer


def fetch(**offsets: int) -> FetchRequest:
    """Of partition 0 of each topic."""
    topics = [(topic, [(0, offset, MOST)]) for topic, offset in offsets.items()]
    return FetchRequest(200, 1, 4096, 0, topics)


def said(request: Any) -> tuple[tuple[int, int], dict[str, int], list[str]]:
    """Session and epoch, the offsets that a request names, and the topics that it drops."""
    named = {topic: entry[2] for topic, entries in request.topics for entry in entries}
    dropped = [topic for topic, _ in request.forgotten_topics_data]
    return (request.session_id, request.session_epoch), named, dropped


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def sessions(broker: Broker) -> FetchSessions:
    return FetchSessions(broker, lambda: broker.has_paused)


async def test_a_fetch_names_what_changed(broker: Broker, sessions: FetchSessions) -> None:
    """Everything once; then what moved, came or went, under epochs that the broker counts too."""
    await sessions.send(1, fetch(a=5, b=6))
    await sessions.send(1, fetch(a=5, b=6))
    await sessions.send(1, fetch(a=9, c=1))
    await sessions.send(1, fetch(a=9, b=6, c=1))
    assert [said(request) for request in broker.asked] == [
        ((0, 0), {"a": 5, "b": 6}, []),
        ((SESSION, 1), {}, []),
        ((SESSION, 2), {"a": 9, "c": 1}, ["b"]),
        ((SESSION, 3), {"b": 6}, []),
    ]
    assert broker.asked[0].max_wait_time == 200
    assert broker.asked[0].max_bytes == 4096


async def test_a_resumed_partition_does_not_wait_for_the_others(
    broker: Broker, sessions: FetchSessions
) -> None:
    """While one is paused, a fetch of the rest waits only for a moment at the broker."""
    broker.has_paused = True
    await sessions.send(1, fetch(a=5))
    broker.has_paused = False
    await sessions.send(1, fetch(a=5, b=6))
    assert [request.max_wait_time for request in broker.asked] == [50, 200]


async def test_each_broker_has_a_session_of_its_own(
    broker: Broker, sessions: FetchSessions
) -> None:
    """What one broker knows says nothing of another."""
    await sessions.send(1, fetch(a=5))
    await sessions.send(2, fetch(b=6))
    assert [said(request)[1] for request in broker.asked] == [{"a": 5}, {"b": 6}]


@pytest.mark.parametrize(
    "broken",
    [Answer(0, NOT_FOUND), OSError("gone"), asyncio.CancelledError()],
    ids=["forgotten", "lost", "cancelled"],
)
async def test_after_a_break_everything_is_named_again(
    broker: Broker, sessions: FetchSessions, broken: Answer | BaseException
) -> None:
    """A session that the broker lost, or that may have missed a fetch, is replaced."""
    await sessions.send(1, fetch(a=5, b=6))
    broker.answers = [broken]
    if isinstance(broken, BaseException):
        with pytest.raises(type(broken)):
            await sessions.send(1, fetch(a=7, b=6))
    else:
        await sessions.send(1, fetch(a=7, b=6))
    await sessions.send(1, fetch(a=7, b=6))
    await sessions.send(1, fetch(a=7, b=6))
    assert said(broker.asked[2]) == ((SESSION, 0), {"a": 7, "b": 6}, [])
    assert said(broker.asked[3]) == ((SESSION, 1), {}, [])


async def test_a_broker_without_room_is_told_everything_each_time(
    broker: Broker, sessions: FetchSessions
) -> None:
    """Session 0 is none."""
    broker.answers = [Answer(0), Answer(0)]
    await sessions.send(1, fetch(a=5))
    await sessions.send(1, fetch(a=5))
    assert [said(request) for request in broker.asked] == [((0, 0), {"a": 5}, [])] * 2


async def test_an_old_broker_is_asked_as_before(broker: Broker, sessions: FetchSessions) -> None:
    """It knows no sessions and is named every partition."""
    broker.answers = [Answer(API_VERSION=4), Answer(API_VERSION=4)]
    await sessions.send(1, fetch(a=5))
    await sessions.send(1, fetch(a=5))
    assert [request.topics for request in broker.asked] == [[("a", [(0, 5, MOST)])]] * 2


async def test_an_answer_counts_for_all_that_the_session_holds(
    broker: Broker, sessions: FetchSessions
) -> None:
    """Also for partitions that it does not mention; a refusal counts for none."""
    before = sessions.answered_s(("a", 0))
    broker.answers = [Answer(0, NOT_FOUND)]
    await sessions.send(1, fetch(a=5))
    assert sessions.answered_s(("a", 0)) == before == float("-inf")
    await sessions.send(1, fetch(a=5, b=6))
    first = sessions.answered_s(("a", 0))
    assert first > before
    await sessions.send(1, fetch(a=5, b=7))
    assert sessions.answered_s(("a", 0)) >= first
    assert sessions.answered_s(("c", 0)) == float("-inf")


async def test_other_requests_go_as_they_are(broker: Broker, sessions: FetchSessions) -> None:
    """Only fetches have sessions."""
    request = MetadataRequest(["a"])
    await sessions.send(1, request)
    assert broker.asked == [request]
