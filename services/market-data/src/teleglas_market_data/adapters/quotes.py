"""Tickers: merging what changed, and reading the quote out of one."""

from __future__ import annotations

from teleglas.market.v1.candle_pb2 import Summary
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.types_pb2 import TIME_BASIS_INGEST, Decimal
from teleglas_common.bus.ports import PoisonError
from teleglas_market_data.adapters.messages import are_names
from teleglas_market_data.domain.summary import Quote, SummaryView

__all__ = ["best_of", "check_ticker", "merge_ticker", "quote_of", "summary_message"]

PRICES = frozenset(
    (
        "bid_price", "ask_price", "last_price", "mark_price", "index_price", "open_24h",
        "high_24h", "low_24h",
    )
)  # fmt: skip
SIZES = frozenset(("bid_size", "ask_size"))
AMOUNTS = PRICES | SIZES
MAX_EXPONENT = 30


def check_ticker(ticker: Ticker) -> None:
    """Raises PoisonError when a value is impossible."""
    about = f"({ticker.venue} {ticker.instrument})"
    if not are_names(ticker.venue, ticker.instrument):
        raise PoisonError("incomplete_ticker", f"expected a venue and an instrument {about}")
    if max(abs(ticker.price_exponent), abs(ticker.size_exponent)) > MAX_EXPONENT:
        raise PoisonError("impossible_exponent", f"expected exponents within ±30 {about}")
    for field, value in ticker.ListFields():
        if field.name in AMOUNTS and value < 0:
            raise PoisonError(
                "impossible_ticker", f"expected {field.name} of 0 or more, was {value} {about}"
            )


def merge_ticker(known: Ticker, update: Ticker) -> Ticker:
    """`known` brought up to date; what the update leaves unset stays.

    A new message: one that is written again and again grows, as protobuf frees no string that was
    replaced before it frees the message.
    """
    prices = min(known.price_exponent, update.price_exponent)
    sizes = min(known.size_exponent, update.size_exponent)
    change = _refined(update, prices, sizes)
    merged = Ticker()
    merged.CopyFrom(_refined(known, prices, sizes))
    for field, _ in change.ListFields():
        if field.message_type is not None:  # else a mantissa of 0 would leave the old one
            merged.ClearField(field.name)  # type: ignore[arg-type]
    merged.MergeFrom(change)
    merged.price_exponent, merged.size_exponent = prices, sizes
    merged.ts_event = max(known.ts_event, update.ts_event)
    return merged


def _refined(ticker: Ticker, prices: int, sizes: int) -> Ticker:
    """The same at exponents that are as fine or finer."""
    if (ticker.price_exponent, ticker.size_exponent) == (prices, sizes):
        return ticker
    fine = Ticker()
    fine.CopyFrom(ticker)
    _multiply(fine, PRICES, 10 ** (ticker.price_exponent - prices))
    _multiply(fine, SIZES, 10 ** (ticker.size_exponent - sizes))
    fine.price_exponent, fine.size_exponent = prices, sizes
    return fine


def _multiply(ticker: Ticker, names: frozenset[str], factor: int) -> None:
    for field, value in ticker.ListFields():
        if field.name in names:
            setattr(ticker, field.name, value * factor)


def quote_of(ticker: Ticker) -> Quote | None:
    """What a ticker quotes; None where the venue gave no time, as summaries never use such."""
    if ticker.ts_basis == TIME_BASIS_INGEST or ticker.ts_event <= 0:
        return None
    return Quote(
        ticker.ts_event,
        ticker.price_exponent,
        ticker.bid_price if ticker.HasField("bid_price") else None,
        ticker.ask_price if ticker.HasField("ask_price") else None,
        ticker.mark_price if ticker.HasField("mark_price") else None,
        _number(ticker.funding_rate) if ticker.HasField("funding_rate") else None,
        _number(ticker.open_interest) if ticker.HasField("open_interest") else None,
    )


def _number(value: Decimal) -> float:
    return float(value.mantissa) * 10.0**value.exponent


def best_of(view: SummaryView) -> Quote:
    """Where bid and ask come from: the newer of ticker and book, the book if they are equal."""
    quote = view.quote
    if quote.bid is not None and quote.ask is not None and quote.ts_event > view.top.ts_event:
        return quote
    return view.top


def summary_message(
    venue: str, instrument: str, view: SummaryView, exponents: tuple[int, int]
) -> Summary:
    """A summary on the wire; all prices at the finest exponent in it."""
    trades, quote, best = view.trades, view.quote, best_of(view)
    finest = min(exponents[0], quote.exponent if quote.ts_event else 0, best.exponent)
    factor = 10 ** (exponents[0] - finest)
    summary = Summary(
        venue=venue,
        instrument=instrument,
        price_exponent=finest,
        size_exponent=exponents[1],
        price=trades.price * factor,
        volume_24h=trades.volume,
        high_24h=trades.high * factor,
        low_24h=trades.low * factor,
        ts_event=max(trades.ts_event, quote.ts_event, best.ts_event),
        window_s=trades.window_s,
    )
    if trades.before:
        summary.change_24h = trades.price / trades.before - 1.0
    if best.bid is not None and best.ask is not None:
        scale = 10 ** (best.exponent - finest)
        summary.bid, summary.ask = best.bid * scale, best.ask * scale
        summary.spread = summary.ask - summary.bid
    if quote.mark is not None:
        summary.mark_price = quote.mark * 10 ** (quote.exponent - finest)
    if quote.funding_rate is not None:
        summary.funding_rate = quote.funding_rate
    if quote.open_interest is not None:
        summary.open_interest = quote.open_interest
    return summary
