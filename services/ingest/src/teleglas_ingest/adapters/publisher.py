"""Empties the outbox onto the bus, in order, as long as the shard is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from google.protobuf.message import Message
from opentelemetry import trace

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Outgoing, Publisher
from teleglas_common.telemetry.tracing import is_traced
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_ingest.adapters import encode
from teleglas_ingest.domain.events import Channel
from teleglas_ingest.pipeline.outbox import (
    BookOut,
    DeadFrame,
    GapOut,
    InstrumentOut,
    LiquidationOut,
    Out,
    Outbox,
    ProgressOut,
    TickerOut,
    TradesOut,
)
from teleglas_ingest.routes import BY_CHANNEL

__all__ = ["BusWriter", "partition_of"]

TURN = 256
"""Items of one turn: the loop serves its sockets between turns."""
SERVICE = "ingest"

_tracer = trace.get_tracer("teleglas.ingest")


def partition_of(channel: Channel, symbol: str) -> int:
    return BY_CHANNEL[channel].partition(symbol)


class BusWriter:
    """`contiguous` tells of each venue whether its trade ids leave no holes."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        *,
        writer_epoch: int,
        contiguous: bool,
        lease_ns: int,
        wall_ns: Callable[[], int],
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._writer_epoch = writer_epoch
        self._contiguous = contiguous
        self._lease_ns = lease_ns
        self._wall_ns = wall_ns
        self._fenced = False
        self._is_traced = is_traced()

    async def run(self) -> None:
        while True:
            for item in await self._outbox.take(TURN):
                await self._send(item)
            await asyncio.sleep(0)

    async def drain(self) -> None:
        """Publish all that is left and wait until the bus has it."""
        while len(self._outbox):
            for item in self._outbox.take_now(TURN):
                await self._send(item)
        await self._publisher.flush()

    def fence(self) -> None:
        """The shard is another's from now on: publish nothing more."""
        self._fenced = True

    async def _send(self, item: Out) -> None:
        if self._fenced:
            return
        if isinstance(item, ProgressOut) or not self._is_traced:
            await self._publisher.send(self._record(item))
        elif isinstance(item, TradesOut):
            # The batch's way begins with the frame of its first trade.
            with _tracer.start_as_current_span(
                "receive trades",
                kind=trace.SpanKind.CONSUMER,
                start_time=item.trades[0].ts_ingest,
                attributes={"market": item.market.key, "trades": len(item.trades)},
            ):
                await self._publish(item)
        else:
            await self._publish(item)

    async def _publish(self, item: Out) -> None:
        with _tracer.start_as_current_span(
            f"publish {type(item).__name__}", kind=trace.SpanKind.PRODUCER
        ):
            await self._publisher.send(self._record(item))

    def _record(self, item: Out) -> Outgoing:
        epoch, now_ns = self._writer_epoch, self._wall_ns()
        if isinstance(item, TradesOut):
            batch = encode.trade_batch(
                item.market,
                item.trades,
                contiguous=self._contiguous,
                source=item.source,
                writer_epoch=epoch,
            )
            first, last = item.trades[0].sequence, item.trades[-1].sequence
            event_id = f"{item.market.key}:trades:{first}-{last}"
            return self._made(topics.MARKET_TRADES_V1, batch, item.market.symbol, event_id)
        if isinstance(item, TickerOut):
            ticker = encode.ticker_message(item.ticker, source=item.source, writer_epoch=epoch)
            return self._made(topics.MARKET_TICKERS_V1, ticker, item.ticker.market.symbol, None)
        if isinstance(item, BookOut):
            book = encode.book_message(
                item.market, item.update, source=item.source, writer_epoch=epoch
            )
            return self._made(topics.MARKET_BOOKS_V1, book, item.market.symbol, None)
        if isinstance(item, LiquidationOut):
            liquidation = encode.liquidation_message(
                item.liquidation, source=item.source, writer_epoch=epoch
            )
            symbol = item.liquidation.market.symbol
            return self._made(topics.MARKET_LIQUIDATIONS_V1, liquidation, symbol, liquidation.id)
        if isinstance(item, GapOut):
            gap = encode.gap_message(
                item.gap, source=item.source, writer_epoch=epoch, ts_ingest=now_ns
            )
            return self._made(topics.MARKET_GAPS_V1, gap, item.gap.market.symbol, gap.id)
        if isinstance(item, InstrumentOut):
            instrument = encode.instrument_message(
                item.instrument, version=item.version, ts_effective=item.ts_effective
            )
            event_id = f"{item.instrument.key}:{item.version}"
            symbol = item.instrument.symbol
            return self._made(topics.MARKET_INSTRUMENTS_V1, instrument, symbol, event_id)
        if isinstance(item, ProgressOut):
            return self._progress(item, now_ns)
        return self._dead(item)

    def _made(self, topic: Topic, message: Message, symbol: str, event_id: str | None) -> Outgoing:
        venue: str = message.venue  # type: ignore[attr-defined]
        return outgoing(
            topic,
            message,
            key=f"{venue}:{symbol}",
            subject=symbol,
            now_ns=self._wall_ns(),
            event_id=event_id,
        )

    def _progress(self, item: ProgressOut, now_ns: int) -> Outgoing:
        message = encode.progress_message(
            item.venue,
            item.source,
            item.instruments,
            ts_event=item.ts_event,
            lease_ns=self._lease_ns,
            retired=item.retired,
            writer_epoch=self._writer_epoch,
            ts_ingest=now_ns,
        )
        return self._made(BY_CHANNEL[item.channel], message, item.subject, None)

    def _dead(self, item: DeadFrame) -> Outgoing:
        topic = BY_CHANNEL[item.channel]
        letter = DeadLetter(
            topic=topic.name,
            partition=-1,
            offset=-1,
            key=f"{item.venue}:{item.subject}".encode(),
            value=item.frame,
            cause=item.cause,
            detail=item.detail,
            consumer=SERVICE,
            ts_failed=item.ts_ingest,
        )
        where = f"{item.source or item.venue}:{item.ts_ingest}"
        return outgoing(
            twin(topic),
            letter,
            key=where,
            subject=where,
            event_id=f"{where}:{SERVICE}",
            now_ns=item.ts_ingest,
        )
