"""From the domain's events to the contracts' messages."""

from __future__ import annotations

from collections.abc import Sequence

from teleglas.market.v1.book_pb2 import BookUpdate as BookMessage
from teleglas.market.v1.gap_pb2 import Gap as GapMessage
from teleglas.market.v1.instrument_pb2 import Instrument as InstrumentMessage
from teleglas.market.v1.liquidation_pb2 import Liquidation as LiquidationMessage
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker as TickerMessage
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas.market.v1.types_pb2 import Decimal
from teleglas_ingest.domain.book import BookUpdate
from teleglas_ingest.domain.events import Gap, Liquidation, Ticker, Trade
from teleglas_ingest.domain.instrument import Instrument, Market
from teleglas_ingest.domain.numbers import Exact

__all__ = [
    "book_message",
    "gap_message",
    "instrument_message",
    "liquidation_id",
    "liquidation_message",
    "ticker_message",
    "trade_batch",
]

_OPTIONAL = (
    "sequence",
    "bid_price",
    "bid_size",
    "ask_price",
    "ask_size",
    "last_price",
    "mark_price",
    "index_price",
    "ts_next_funding",
    "open_24h",
    "high_24h",
    "low_24h",
)
_DECIMALS = ("funding_rate", "open_interest", "volume_24h", "quote_volume_24h")


def _decimal(value: Exact) -> Decimal:
    return Decimal(mantissa=value.mantissa, exponent=value.exponent)


def trade_batch(
    market: Market, trades: Sequence[Trade], *, contiguous: bool, source: str, writer_epoch: int
) -> TradeBatch:
    instrument = market.instrument
    batch = TradeBatch(
        venue=instrument.venue,
        instrument=instrument.symbol,
        price_exponent=instrument.price_exponent,
        size_exponent=instrument.size_exponent,
        contracts_exponent=instrument.contracts_exponent,
        contiguous=contiguous and all(trade.fills == 1 for trade in trades),
        source=source,
        writer_epoch=writer_epoch,
    )
    add = batch.trades.add
    for trade in trades:
        sequence = trade.sequence
        add(
            id=str(sequence),
            sequence=sequence,
            kind=trade.kind,
            side=trade.side,
            price=trade.price,
            size=trade.size,
            contracts=trade.contracts,
            ts_event=trade.ts_event,
            ts_basis=trade.ts_basis,
            ts_ingest=trade.ts_ingest,
            print=trade.print,
            backfilled=trade.backfilled,
        )
    return batch


def book_message(
    market: Market, update: BookUpdate, *, source: str, writer_epoch: int
) -> BookMessage:
    instrument = market.instrument
    return BookMessage(
        venue=instrument.venue,
        instrument=instrument.symbol,
        kind=1 if update.is_snapshot else 2,  # type: ignore[arg-type]
        book_epoch=update.epoch,
        sequence=update.sequence,
        prev_sequence=update.prev,
        price_exponent=instrument.price_exponent,
        size_exponent=instrument.size_exponent,
        bid_prices=update.bid_prices,
        bid_sizes=update.bid_sizes,
        ask_prices=update.ask_prices,
        ask_sizes=update.ask_sizes,
        ts_event=update.ts_event,
        ts_basis=update.ts_basis,  # type: ignore[arg-type]
        ts_ingest=update.ts_ingest,
        source=source,
        writer_epoch=writer_epoch,
    )


def ticker_message(ticker: Ticker, *, source: str, writer_epoch: int) -> TickerMessage:
    instrument = ticker.market.instrument
    message = TickerMessage(
        venue=instrument.venue,
        instrument=instrument.symbol,
        price_exponent=ticker.price_exponent,
        size_exponent=ticker.size_exponent,
        ts_event=ticker.ts_event,
        ts_basis=ticker.ts_basis,  # type: ignore[arg-type]
        ts_ingest=ticker.ts_ingest,
        source=source,
        writer_epoch=writer_epoch,
    )
    for name in _OPTIONAL:
        value = getattr(ticker, name)
        if value is not None:
            setattr(message, name, value)
    for name in _DECIMALS:
        exact = getattr(ticker, name)
        if exact is not None:
            getattr(message, name).CopyFrom(_decimal(exact))
    return message


def liquidation_id(liquidation: Liquidation) -> str:
    return (
        f"{liquidation.market.key}:{liquidation.side:d}:{liquidation.price}:"
        f"{liquidation.size}:{liquidation.ts_event}"
    )


def liquidation_message(
    liquidation: Liquidation, *, source: str, writer_epoch: int
) -> LiquidationMessage:
    instrument = liquidation.market.instrument
    message = LiquidationMessage(
        id=liquidation_id(liquidation),
        venue=instrument.venue,
        instrument=instrument.symbol,
        side=liquidation.side,  # type: ignore[arg-type]
        price_exponent=instrument.price_exponent,
        size_exponent=instrument.size_exponent,
        price=liquidation.price,
        size=liquidation.size,
        contracts=liquidation.contracts,
        contracts_exponent=instrument.contracts_exponent,
        ts_event=liquidation.ts_event,
        ts_basis=liquidation.ts_basis,  # type: ignore[arg-type]
        ts_ingest=liquidation.ts_ingest,
        coverage=liquidation.coverage,  # type: ignore[arg-type]
        source=source,
        writer_epoch=writer_epoch,
    )
    if liquidation.average_price is not None:
        message.average_price = liquidation.average_price
    if liquidation.filled_size is not None:
        message.filled_size = liquidation.filled_size
    return message


def gap_message(gap: Gap, *, source: str, writer_epoch: int, ts_ingest: int) -> GapMessage:
    instrument = gap.market.instrument
    return GapMessage(
        id=gap.id,
        venue=instrument.venue,
        instrument=instrument.symbol,
        channel=gap.channel,  # type: ignore[arg-type]
        cause=gap.cause,  # type: ignore[arg-type]
        resolution=gap.resolution,  # type: ignore[arg-type]
        ts_from=gap.ts_from,
        ts_to=gap.ts_to,
        first_missing=gap.first_missing,
        last_missing=gap.last_missing,
        recovered=gap.recovered,
        source=source,
        writer_epoch=writer_epoch,
        ts_ingest=ts_ingest,
        detail=gap.detail,
    )


def instrument_message(
    instrument: Instrument, *, version: int, ts_effective: int
) -> InstrumentMessage:
    message = InstrumentMessage(
        venue=instrument.venue,
        instrument=instrument.symbol,
        venue_symbol=instrument.venue_symbol,
        kind=int(instrument.kind),  # type: ignore[arg-type]
        base=instrument.base,
        quote=instrument.quote,
        settle=instrument.settle,
        inverse=instrument.inverse,
        tick_size=_decimal(instrument.tick_size),
        lot_size=_decimal(instrument.lot_size),
        status=int(instrument.status),  # type: ignore[arg-type]
        ts_expiry=instrument.ts_expiry,
        ts_effective=ts_effective,
        version=version,
        price_exponent=instrument.price_exponent,
        size_exponent=instrument.size_exponent,
    )
    if instrument.contract_multiplier is not None:
        message.contract_multiplier.CopyFrom(_decimal(instrument.contract_multiplier))
    return message


def progress_message(
    venue: str,
    source: str,
    instruments: Sequence[str],
    *,
    ts_event: int,
    lease_ns: int,
    retired: bool,
    writer_epoch: int,
    ts_ingest: int,
) -> Progress:
    return Progress(
        venue=venue,
        source=source,
        writer_epoch=writer_epoch,
        ts_event=ts_event,
        instruments=instruments,
        lease_ns=lease_ns,
        retired=retired,
        ts_ingest=ts_ingest,
    )
