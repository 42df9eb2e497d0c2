"""OKX v5 frames and bodies → events. Sizes of derivatives are contracts: they become base quantity
here, the contracts stay beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from teleglas_ingest.domain.events import (
    Basis,
    BookChange,
    Coverage,
    Event,
    Liquidation,
    Side,
    Ticker,
    Trade,
    TradeKind,
)
from teleglas_ingest.domain.instrument import Instrument, Kind, Market, Status
from teleglas_ingest.domain.numbers import Exact, RefusedError, exact, parser
from teleglas_ingest.ports import Route
from teleglas_ingest.venues.okx.schemas import (
    BboFrame,
    BookFrame,
    FundingFrame,
    InstrumentRow,
    InterestFrame,
    InterestRow,
    LiquidationFrame,
    MarkFrame,
    Row,
    TickerFrame,
    TradeFrame,
    TradeRow,
)
from teleglas_ingest.venues.schema import NS_PER_MS

__all__ = [
    "bbo_route",
    "book_route",
    "funding_route",
    "instrument",
    "interest_route",
    "interest_ticker",
    "liquidation_route",
    "mark_route",
    "ticker_route",
    "trade",
    "trade_route",
]

MARK_PRICE_EXPONENT = -12
"""Mark prices of small coins have more digits than the tick."""
LAST_MS = 4_102_444_800_000

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}


def _ns(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < LAST_MS):
        raise RefusedError("not_a_time", f"expected ms UTC before 2100, was {text!r}")
    return int(text) * NS_PER_MS


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RefusedError("not_an_id", f"expected a numeric trade id, was {text!r}")
    return int(text)


def _side(text: str) -> Side:
    side = _SIDES.get(text)
    if side is None:
        raise RefusedError("not_a_side", f"expected buy or sell, was {text!r}")
    return side


def _sizes(market: Market) -> Callable[[str, int], tuple[int, int]]:
    """(text, price) → base quantity and contracts (0 where it trades in base units)."""
    if market.instrument.contract_multiplier is None:
        size = market.size
        return lambda text, price: (size(text), 0)  # noqa: ARG005
    parse, base_size = market.contracts, market.base_size

    def convert(text: str, price: int) -> tuple[int, int]:
        contracts = parse(text)
        return base_size(contracts, price), contracts

    return convert


def trade(market: Market, row: TradeRow, ts_ingest: int) -> Trade:
    """A fill, or what the venue merged into one message (`count` of them)."""
    price = market.price(row.px)
    size, contracts = _sizes(market)(row.sz, price)
    if not size:
        raise RefusedError("not_positive", f"expected a size above 0, trade {row.trade_id}")
    return Trade(
        market,
        _id(row.trade_id),
        _side(row.side),
        price,
        size,
        _ns(row.ts),
        ts_ingest,
        contracts=contracts,
        kind=TradeKind.AGGREGATE if row.count else TradeKind.FILL,
        fills=int(row.count) if row.count.isdigit() and 0 < len(row.count) < 7 else 1,
    )


def trade_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(TradeFrame).decode

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        return [trade(market, row, ts_ingest) for row in decode(frame).data]

    return route


def book_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(BookFrame).decode
    parse_price, sizes = market.price, _sizes(market)

    def side(rows: list[Row]) -> tuple[list[int], list[int]]:
        prices = [parse_price(row[0]) for row in rows]
        return prices, [sizes(row[1], price)[0] for row, price in zip(rows, prices, strict=True)]

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        body = decode(frame)
        if body.action not in {"snapshot", "update"}:
            raise RefusedError("not_an_action", f"expected snapshot or update, was {body.action!r}")
        changes: list[Event] = []
        for row in body.data:
            bid_prices, bid_sizes = side(row.bids)
            ask_prices, ask_sizes = side(row.asks)
            change = BookChange(
                market,
                body.action == "snapshot",
                -1,
                row.seq_id,
                row.prev_seq_id,
                bid_prices,
                bid_sizes,
                ask_prices,
                ask_sizes,
                _ns(row.ts),
                Basis.EVENT,
                ts_ingest,
            )
            if row.checksum:
                change.checksum = row.checksum
                change.raw = (
                    [(level[0], level[1]) for level in row.bids],
                    [(level[0], level[1]) for level in row.asks],
                )
            changes.append(change)
        return changes

    return route


def bbo_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(BboFrame).decode
    sizes = _sizes(market)

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        found: list[Event] = []
        for row in decode(frame).data:
            ticker = _ticker(market, _ns(row.ts), Basis.EVENT, ts_ingest)
            ticker.sequence = row.seq_id
            if row.bids:
                ticker.bid_price = market.price(row.bids[0][0])
                ticker.bid_size = sizes(row.bids[0][1], ticker.bid_price)[0]
            if row.asks:
                ticker.ask_price = market.price(row.asks[0][0])
                ticker.ask_size = sizes(row.asks[0][1], ticker.ask_price)[0]
            found.append(ticker)
        return found

    return route


def ticker_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(TickerFrame).decode
    parse, sizes = market.price, _sizes(market)
    derivative = market.instrument.contract_multiplier is not None

    def price(text: str) -> int | None:
        return parse(text) if text else None

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        found: list[Event] = []
        for row in decode(frame).data:
            ticker = _ticker(market, _ns(row.ts), Basis.EVENT, ts_ingest)
            ticker.last_price = price(row.last)
            ticker.bid_price, ticker.ask_price = price(row.bid_px), price(row.ask_px)
            if ticker.bid_price is not None and row.bid_sz:
                ticker.bid_size = sizes(row.bid_sz, ticker.bid_price)[0]
            if ticker.ask_price is not None and row.ask_sz:
                ticker.ask_size = sizes(row.ask_sz, ticker.ask_price)[0]
            ticker.open_24h, ticker.high_24h = price(row.open), price(row.high)
            ticker.low_24h = price(row.low)
            base, quote = (row.volume_ccy, "") if derivative else (row.volume, row.volume_ccy)
            ticker.volume_24h = exact(base) if base else None
            ticker.quote_volume_24h = exact(quote) if quote else None
            found.append(ticker)
        return found

    return route


def mark_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(MarkFrame).decode
    parse = parser(MARK_PRICE_EXPONENT, most=10**6)
    coarse = parser(-8, most=10**10)

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        found: list[Event] = []
        for row in decode(frame).data:
            ticker = _ticker(market, _ns(row.ts), Basis.EVENT, ts_ingest)
            try:
                ticker.mark_price, ticker.price_exponent = coarse(row.mark_px), -8
            except RefusedError as error:
                if error.reason != "too_fine":
                    raise
                ticker.mark_price = parse(row.mark_px)
                ticker.price_exponent = MARK_PRICE_EXPONENT
            found.append(ticker)
        return found

    return route


def funding_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(FundingFrame).decode

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        found: list[Event] = []
        for row in decode(frame).data:
            basis = Basis.EVENT if row.ts else Basis.INGEST
            ticker = _ticker(market, _ns(row.ts) if row.ts else 0, basis, ts_ingest)
            ticker.funding_rate = exact(row.funding_rate) if row.funding_rate else None
            ticker.ts_next_funding = _ns(row.funding_time)
            found.append(ticker)
        return found

    return route


def interest_ticker(market: Market, row: InterestRow, ts_ingest: int) -> Ticker:
    """Open interest in base quantity: the venue's own, else contracts converted."""
    ticker = _ticker(market, _ns(row.ts), Basis.EVENT, ts_ingest)
    multiplier = market.instrument.contract_multiplier
    if row.oi_ccy:
        ticker.open_interest = exact(row.oi_ccy)
    elif multiplier is not None and not market.instrument.inverse:
        ticker.open_interest = exact(row.oi).times(multiplier)
    else:
        raise RefusedError("no_base_quantity", f"expected oiCcy for an inverse contract, was {row}")
    return ticker


def interest_route(market: Market) -> Route:
    decode = msgspec.json.Decoder(InterestFrame).decode

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        return [interest_ticker(market, row, ts_ingest) for row in decode(frame).data]

    return route


def liquidation_route(markets: Mapping[str, Market]) -> Route:
    """One stream carries every contract of a type; those that we do not follow are passed over."""
    decode = msgspec.json.Decoder(LiquidationFrame).decode

    def route(frame: bytes, ts_ingest: int) -> Sequence[Event]:
        found: list[Event] = []
        for row in decode(frame).data:
            market = markets.get(row.inst_id)
            if market is None:
                continue
            for detail in row.details:
                price = market.price(detail.bk_px)
                size, contracts = _sizes(market)(detail.sz, price)
                if not size:
                    raise RefusedError("not_positive", f"expected a size above 0, was {detail}")
                found.append(
                    Liquidation(
                        market,
                        _side(detail.side),
                        price,
                        size,
                        _ns(detail.ts),
                        Basis.TRANSACTION,
                        ts_ingest,
                        Coverage.SAMPLED,
                        contracts=contracts,
                    )
                )
        return found

    return route


def _ticker(market: Market, ts_event: int, basis: int, ts_ingest: int) -> Ticker:
    instrument = market.instrument
    return Ticker(
        market,
        instrument.price_exponent,
        instrument.size_exponent,
        ts_event,
        basis,
        ts_ingest,
    )


_KINDS = {"SPOT": Kind.SPOT, "SWAP": Kind.PERPETUAL, "FUTURES": Kind.FUTURE}
_STATES = {
    "live": Status.TRADING,
    "suspend": Status.HALTED,
    "rebase": Status.HALTED,
    "preopen": Status.PRE_LISTING,
    "test": Status.PRE_LISTING,
    "expired": Status.EXPIRED,
}


def instrument(venue: str, row: InstrumentRow) -> Instrument:
    kind = _KINDS.get(row.inst_type)
    if kind is None:
        raise RefusedError("unknown_kind", f"expected SPOT, SWAP or FUTURES, was {row.inst_type!r}")
    tick, lot = exact(row.tick_sz), exact(row.lot_sz)
    if kind is Kind.SPOT:
        base, quote, settle, symbol = row.base_ccy, row.quote_ccy, row.quote_ccy, ""
    else:
        base, _, quote = (row.uly or row.inst_id).partition("-")
        quote, settle, symbol = quote.partition("-")[0], row.settle_ccy, "-PERP"
    expiry = _ns(row.exp_time) if row.exp_time else 0
    if kind is Kind.FUTURE:
        symbol = f"-{datetime.fromtimestamp(expiry / 1e9, UTC):%Y%m%d}"
    multiplier = _multiplier(row) if kind is not Kind.SPOT else None
    inverse = row.ct_type == "inverse"
    return Instrument(
        venue=venue,
        symbol=f"{base}-{quote}{symbol}",
        venue_symbol=row.inst_id,
        kind=kind,
        base=base,
        quote=quote,
        settle=settle,
        tick_size=tick,
        lot_size=lot,
        status=_STATES.get(row.state, Status.HALTED),
        price_exponent=min(tick.exponent, 0),
        size_exponent=_size_exponent(lot, multiplier, inverse=inverse),
        contracts_exponent=min(lot.exponent, 0) if multiplier else 0,
        contract_multiplier=multiplier,
        inverse=inverse,
        ts_expiry=expiry,
    )


def _multiplier(row: InstrumentRow) -> Exact:
    value = exact(row.ct_val).times(exact(row.ct_mult or "1"))
    if value.mantissa <= 0:
        raise RefusedError("no_multiplier", f"expected ctVal above 0, was {row.ct_val!r}")
    return value


def _size_exponent(lot: Exact, multiplier: Exact | None, *, inverse: bool) -> int:
    if multiplier is None:
        return -8 if lot.exponent < 0 else -4
    if inverse:
        return -8
    return min(min(lot.exponent, 0) + multiplier.exponent, 0)
