"""Frames and bodies of OKX v5, as docs/venues/okx.md describes them. Numbers are strings."""

from __future__ import annotations

from msgspec import Struct, field

from teleglas_ingest.venues.schema import Text

__all__ = [
    "BboFrame",
    "BookBody",
    "BookFrame",
    "FundingFrame",
    "InstrumentsBody",
    "InterestBody",
    "InterestFrame",
    "LiquidationFrame",
    "MarkFrame",
    "Reply",
    "TickerFrame",
    "TradeFrame",
    "TradeRow",
    "TradesBody",
]

Row = tuple[str, str, str, str]
"""Price, size, nothing, orders."""


class Arg(Struct, rename="camel"):
    channel: Text = ""
    inst_id: Text = ""
    inst_type: Text = ""


class Reply(Struct, rename="camel"):
    """A control message: an acknowledgement, an error or a notice."""

    event: Text = ""
    code: Text = ""
    msg: str = ""
    id: Text | None = None
    arg: Arg | None = None


class TradeRow(Struct, gc=False, rename="camel"):
    trade_id: Text
    px: Text
    sz: Text
    side: Text
    ts: Text
    count: Text = ""


class TradeFrame(Struct, gc=False):
    data: list[TradeRow]


class BookRow(Struct, rename="camel"):
    asks: list[Row]
    bids: list[Row]
    ts: Text
    checksum: int = 0
    seq_id: int = -1
    prev_seq_id: int = -1


class BookFrame(Struct):
    action: Text
    data: list[BookRow]


class BboRow(Struct, gc=False, rename="camel"):
    asks: list[Row]
    bids: list[Row]
    ts: Text
    seq_id: int | None = None


class BboFrame(Struct, gc=False):
    data: list[BboRow]


class TickerRow(Struct, gc=False, rename="camel"):
    ts: Text
    last: Text = ""
    bid_px: Text = ""
    bid_sz: Text = ""
    ask_px: Text = ""
    ask_sz: Text = ""
    open: Text = field(name="open24h", default="")
    high: Text = field(name="high24h", default="")
    low: Text = field(name="low24h", default="")
    volume: Text = field(name="vol24h", default="")
    volume_ccy: Text = field(name="volCcy24h", default="")


class TickerFrame(Struct, gc=False):
    data: list[TickerRow]


class MarkRow(Struct, gc=False, rename="camel"):
    mark_px: Text
    ts: Text


class MarkFrame(Struct, gc=False):
    data: list[MarkRow]


class FundingRow(Struct, gc=False, rename="camel"):
    funding_time: Text
    funding_rate: Text = ""
    ts: Text = ""


class FundingFrame(Struct, gc=False):
    data: list[FundingRow]


class InterestRow(Struct, gc=False, rename="camel"):
    inst_id: Text
    oi: Text
    ts: Text
    oi_ccy: Text = ""


class InterestFrame(Struct, gc=False):
    data: list[InterestRow]


class LiquidationDetail(Struct, gc=False, rename="camel"):
    side: Text
    sz: Text
    bk_px: Text
    ts: Text


class LiquidationRow(Struct, gc=False, rename="camel"):
    inst_id: Text
    details: list[LiquidationDetail]


class LiquidationFrame(Struct, gc=False):
    data: list[LiquidationRow]


class InstrumentRow(Struct, rename="camel"):
    inst_id: str
    inst_type: str
    state: str
    tick_sz: str
    lot_sz: str
    base_ccy: str = ""
    quote_ccy: str = ""
    settle_ccy: str = ""
    uly: str = ""
    ct_val: str = ""
    ct_mult: str = ""
    ct_val_ccy: str = ""
    ct_type: str = ""
    exp_time: str = ""


class InstrumentsBody(Struct):
    code: str
    data: list[InstrumentRow]
    msg: str = ""


class TradesBody(Struct):
    code: str
    data: list[TradeRow]
    msg: str = ""


class BookBody(Struct):
    code: str
    data: list[BookRow]
    msg: str = ""


class InterestBody(Struct):
    code: str
    data: list[InterestRow]
    msg: str = ""
