"""One call of a channel: what it says, and what its end means."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode

from teleglas_common.bus.tracing import MAX_LINKS, span_context
from teleglas_common.clock import Clock
from teleglas_notification.counts import Counts
from teleglas_notification.domain.texts import card_text, plain, summary_text
from teleglas_notification.limits import Limiter
from teleglas_notification.pictures import Painter
from teleglas_notification.ports import (
    BlockedError,
    Channel,
    Composed,
    Job,
    Outcome,
    RefusedError,
    RetryLaterError,
    TransientError,
)

__all__ = ["RetryPolicy", "Sender", "compose"]

SECOND_NS = 1_000_000_000
TITLES = {"burst": "More than the hour's budget", "digest": "While it was quiet"}
BUTTONS = (("Mute 1 h", "mute:60"), ("Why", "why"))
MAX_CALLBACK = 64
_tracer = trace.get_tracer("teleglas.notification")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits double from `first_s` to `max_s`; after `tries` a message is kept as failed."""

    tries: int = 200
    first_s: float = 1.0
    max_s: float = 120.0
    max_unconfirmed: int = 8

    def wait_ns(self, attempts: int, jitter: float) -> int:
        """The wait after so many attempts; `jitter` is in [0, 1)."""
        full = min(self.max_s, self.first_s * 2.0 ** min(attempts - 1, 16))
        return round(full * (0.5 + jitter / 2) * SECOND_NS)


def compose(job: Job, picture: bytes | None = None) -> Composed:
    """What a job says."""
    zone = job.subscriber.time_zone
    if job.kind == "alert" and job.cards:
        card = job.cards[0]
        text = card_text(card, zone)
        facts: dict[str, object] = {
            "type": f"{card.kind}.{'updated' if job.is_edit else 'alert'}",
            "text": plain(text),
            "data": card,
        }
        return Composed(text, facts, BUTTONS, picture)
    title = TITLES.get(job.kind, "Events")
    text = summary_text(job.cards, job.total, title, zone)
    facts = {
        "type": f"{job.kind}.{'updated' if job.is_edit else 'summary'}",
        "text": plain(text),
        "data": {"total": job.total, "events": [card.event_id for card in job.cards]},
    }
    return Composed(text, facts, (BUTTONS[0],))


class Sender:
    """Makes a job's call and says what became of it; raises nothing that a channel does."""

    def __init__(
        self,
        channel: Channel,
        limiter: Limiter,
        painter: Painter | None,
        policy: RetryPolicy,
        clock: Clock,
        counts: Counts,
    ) -> None:
        self.channel = channel
        self.limiter = limiter
        self._painter = painter
        self._policy = policy
        self._clock = clock
        self._counts = counts
        self._rng = random.Random()

    async def send(self, job: Job) -> Outcome:
        name = self.channel.name
        if job.unconfirmed > self._policy.max_unconfirmed and not job.is_edit:
            return Outcome("failed", reason="may have arrived, no call of many was confirmed")
        if job.attempts > self._policy.tries:
            return Outcome("failed", reason=f"given up after {self._policy.tries} attempts")
        began_s = self._clock.monotonic_s()
        with _span(f"send {name}", job) as span:
            outcome = await self._attempt(job)
            if outcome.status != "sent":
                span.set_status(Status(StatusCode.ERROR, outcome.reason))
            elif not job.is_edit:
                self._counts.waited(name, (self._clock.now_ns() - job.due_ns) / SECOND_NS)
            self._counts.attempt(name, outcome.status, self._clock.monotonic_s() - began_s)
        if outcome.status == "blocked":
            self._counts.blocked(name)
        if job.unconfirmed and (outcome.status == "sent" or outcome.unconfirmed):
            self._counts.possible_repeat(name)
        return outcome

    async def _attempt(self, job: Job) -> Outcome:
        try:
            ref = await self._call(job)
        except RetryLaterError as later:
            if later.everyone:
                self.limiter.pause(later.after_s)
            self._counts.asked_to_wait(self.channel.name, later.after_s)
            wait_ns = round(later.after_s * SECOND_NS)
            return Outcome("retry", wait_ns=wait_ns, reason=str(later), counts=False)
        except BlockedError as error:
            return Outcome("blocked", reason=str(error))
        except RefusedError as error:
            return Outcome("failed", reason=str(error))
        except TransientError as error:
            wait_ns = self._policy.wait_ns(job.attempts, self._rng.random())
            unconfirmed = error.unconfirmed and not job.is_edit
            return Outcome("retry", "", wait_ns, str(error), unconfirmed)
        return Outcome("sent", ref)

    async def _call(self, job: Job) -> str:
        address = job.subscriber.address
        if job.is_edit:
            await self.channel.edit(address, job.ref, compose(job), job.message_id)
            return job.ref
        picture = None
        if self._painter is not None and self.channel.takes_pictures and job.kind == "alert":
            picture = await self._painter.paint(job.cards[0]) if job.cards else None
        return await self.channel.send(address, compose(job, picture), job.message_id)


@contextlib.contextmanager
def _span(name: str, job: Job) -> Iterator[trace.Span]:
    """A span below the record that a message is about; of several records they are links."""
    found = [span_context(value.encode()) for value in job.traceparents[:MAX_LINKS]]
    contexts = [one for one in found if one is not None]
    parent = None
    links: list[Link] = []
    if len(job.cards) == 1 and contexts:
        parent = trace.set_span_in_context(NonRecordingSpan(contexts[0]))
    else:
        links = [Link(one) for one in contexts if one.trace_flags.sampled]
    attributes = {"message.id": job.message_id, "message.kind": job.kind}
    with _tracer.start_as_current_span(
        name,
        context=parent,
        kind=SpanKind.CLIENT,
        links=links,
        attributes=attributes,
        record_exception=False,
    ) as span:
        yield span
