"""A partition's state as bytes: equal states give equal bytes.

The hot part of every instrument is in one value with the offsets that it covers, so that no part of
it can be newer than another. A distribution changes at full hours only; it has two values of its
own, written in turns before the hot value that names the newer one.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from teleglas_whale_detector.domain.alerts import Alert, Kind, Scales, Stage
from teleglas_whale_detector.domain.cascade import Cascades
from teleglas_whale_detector.domain.instrument import Instrument, Strange, Working
from teleglas_whale_detector.domain.parents import Parent
from teleglas_whale_detector.domain.seen import Seen
from teleglas_whale_detector.domain.sketch import Histogram, Sketch
from teleglas_whale_detector.domain.slices import Band, Run

__all__ = [
    "STATE_VERSION",
    "StateVersionError",
    "dump_cascades",
    "dump_cold",
    "dump_instrument",
    "load_cascades",
    "load_cold",
    "load_instrument",
    "pack",
    "pack_alert",
    "pack_seen",
    "unpack",
    "unpack_alert",
    "unpack_seen",
]

STATE_VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class StateVersionError(Exception):
    """A stored state was written by another version of this service."""


def pack(value: Any) -> bytes:
    """Compressed, because a changelog is written each second."""
    return zlib.compress(_encode([STATE_VERSION, value]), 1)


def unpack(data: bytes) -> Any:
    """Raises StateVersionError when the bytes are of another version."""
    version, value = _decode(zlib.decompress(data))
    if version != STATE_VERSION:
        raise StateVersionError(f"expected a state of version {STATE_VERSION}, was {version}")
    return value


def pack_parent(one: Parent) -> list[Any]:
    """Sums as text: they can pass 64 bits."""
    return [
        one.side, one.first_id, one.ts_first, one.last_id, one.ts_last, one.fills, str(one.size),
        str(one.notional), one.levels, str(one.last_price), one.orders, one.ids,
    ]  # fmt: skip


def unpack_parent(packed: list[Any]) -> Parent:
    side, first_id, ts_first, last_id, ts_last, fills, size, notional, levels, price, *rest = packed
    return Parent(
        side, first_id, ts_first, last_id, ts_last, fills, int(size), int(notional), levels,
        int(price), *rest,
    )  # fmt: skip


def pack_alert(one: Alert) -> list[Any]:
    return [
        one.id, int(one.kind), pack_parent(one.parent), str(one.threshold), one.percentile,
        int(one.stage), one.ts_event, one.price_exponent, one.size_exponent, one.lower_bound,
        sorted(one.impacts.items()), one.depth_share, one.books_missing,
    ]  # fmt: skip


def unpack_alert(packed: list[Any]) -> Alert:
    (
        name, kind, parent, threshold, percentile, stage, ts_event, price, size, lower_bound,
        impacts, depth, missing,
    ) = packed  # fmt: skip
    return Alert(
        name, Kind(kind), unpack_parent(parent), int(threshold), percentile, Stage(stage),
        ts_event, price, size, lower_bound, dict(impacts), depth, missing,
    )  # fmt: skip


def pack_seen(one: Seen) -> list[Any]:
    return [one.ranges, list(one.recent)]


def unpack_seen(packed: list[Any]) -> Seen:
    ranges, recent = packed
    return Seen(ranges, deque(recent), set(recent))


def dump_instrument(one: Instrument) -> list[Any]:
    """Everything but the distribution's cold part."""
    pool: list[list[Any]] = []
    places: dict[int, int] = {}

    def place(order: Parent) -> int:
        at = places.get(id(order))
        if at is None:
            at = places[id(order)] = len(pool)
            pool.append(pack_parent(order))
        return at

    bands = [
        [number, band.weight, band.ts_weight, band.ts_first, _pack_runs(band, place)]
        for number, band in sorted(one.bands.items())
    ]
    order_alert = None if one.order_alert is None else pack_alert(one.order_alert)
    return [
        one.venue, one.name, [one.scales.price, one.scales.size, one.scales.known],
        _pack_hot_sketch(one.sketch), one.clock,
        None if one.order is None else pack_parent(one.order), order_alert, bands, pool,
        [[side, pack_alert(w.alert), w.band, w.ratio, w.since]
         for side, w in sorted(one.working.items())],
        one.minute, None if one.threshold is None else str(one.threshold), one.last_price,
        one.largest, [one.strange.price, one.strange.count],
        [pack_alert(alert) for alert in one.closing], one.orders_done,
    ]  # fmt: skip


def load_instrument(packed: list[Any], one: Instrument) -> None:
    """Bring a fresh instrument to where `dump_instrument` found it."""
    (
        _venue, _name, scales, sketch, one.clock, order, order_alert, bands, pool, working,
        one.minute, threshold, one.last_price, one.largest, strange, closing, one.orders_done,
    ) = packed  # fmt: skip
    one.scales, one.strange = Scales(*scales), Strange(*strange)
    _load_hot_sketch(one.sketch, sketch)
    one.threshold = None if threshold is None else int(threshold)
    one.order = None if order is None else unpack_parent(order)
    if order_alert is not None:
        one.order_alert = unpack_alert(order_alert)
        if one.order is not None:
            one.order_alert.parent = one.order
    orders = [unpack_parent(parent) for parent in pool]
    one.bands = {
        number: Band(weight, ts_weight, ts_first, _unpack_runs(runs, orders))
        for number, weight, ts_weight, ts_first, runs in bands
    }
    one.working = {
        side: Working(unpack_alert(alert), one.bands[band].runs[side, ratio], band, ratio, since)
        for side, alert, band, ratio, since in working
    }
    one.closing = [unpack_alert(alert) for alert in closing]


def dump_cold(one: Sketch) -> list[Any]:
    return [
        _pack_histogram(one.trailing),
        [[hour, _pack_histogram(own)] for hour, own in sorted(one.by_hour.items())],
        sorted(one.days.items()),
    ]


def load_cold(packed: list[Any], one: Sketch) -> None:
    trailing, by_hour, days = packed
    one.trailing = _unpack_histogram(trailing)
    one.by_hour = {hour: _unpack_histogram(own) for hour, own in by_hour}
    one.days = dict(days)


def dump_cascades(one: Cascades) -> list[Any]:
    return [
        [one.scales.price, one.scales.size, one.scales.known], _pack_hot_sketch(one.sketch),
        dump_cold(one.sketch), one.clock,
        [[side, pack_parent(parent)] for side, parent in sorted(one.open.items())],
        [[side, pack_alert(alert)] for side, alert in sorted(one.alerts.items())],
    ]  # fmt: skip


def load_cascades(packed: list[Any], one: Cascades) -> None:
    scales, hot, cold, one.clock, parents, alerts = packed
    one.scales = Scales(*scales)
    _load_hot_sketch(one.sketch, hot)
    load_cold(cold, one.sketch)
    one.open = {side: unpack_parent(parent) for side, parent in parents}
    for side, alert in alerts:
        one.alerts[side] = unpack_alert(alert)
        one.alerts[side].parent = one.open[side]


def _pack_runs(band: Band, place: Callable[[Parent], int]) -> list[Any]:
    return [
        [
            side, ratio, run.score, run.highest, run.ts, run.loss_per_s,
            [place(order) for order in run.orders], run.best, str(run.notional),
            str(run.best_notional),
        ]
        for (side, ratio), run in sorted(band.runs.items())
    ]  # fmt: skip


def _unpack_runs(packed: list[Any], pool: list[Parent]) -> dict[tuple[int, int], Run]:
    return {
        (side, ratio): Run(
            score, highest, ts, loss, [pool[at] for at in orders], best, int(notional), int(peak)
        )
        for side, ratio, score, highest, ts, loss, orders, best, notional, peak in packed
    }


def _pack_histogram(one: Histogram) -> list[Any]:
    return [sorted(one.bins.items()), one.total]


def _unpack_histogram(packed: list[Any]) -> Histogram:
    bins, total = packed
    return Histogram(dict(bins), total)


def _pack_hot_sketch(one: Sketch) -> list[Any]:
    return [one.hour, one.observations, _pack_histogram(one.current)]


def _load_hot_sketch(one: Sketch, packed: list[Any]) -> None:
    one.hour, one.observations, current = packed
    one.current = _unpack_histogram(current)
