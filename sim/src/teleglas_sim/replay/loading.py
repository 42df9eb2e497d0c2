"""Build the timeline of a replay from capture files, in one pass."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from teleglas_sim.replay.reader import expand, read_capture
from teleglas_sim.replay.records import CaptureError, Kind, Recorded
from teleglas_sim.replay.streams import BINANCE, OKX, Channel, stream_key, stream_of, venue_of
from teleglas_sim.replay.timeline import Answer, Timeline

__all__ = ["load"]

_VENUE_PROBE = 20_000
_ID_OF = {
    Channel.TRADES: re.compile(rb'"t(?:radeId)?":"?(\d+)'),
    Channel.AGG_TRADES: re.compile(rb'"a":(\d+)'),
}


def load(paths: list[Path]) -> Timeline:
    """Read and index captures; several connections and days become one row in time order.

    Raises `CaptureError` when a file cannot be read, is of a venue that is not spoken, or when no
    file holds a data frame.
    """
    timeline = Timeline()
    try:
        _Loading(timeline, expand(paths)).run()
    except BaseException:
        timeline.close()
        raise
    return timeline


class _Loading:
    def __init__(self, timeline: Timeline, files: list[Path]) -> None:
        self._timeline = timeline
        self._files = files
        self._by_key: dict[tuple[str, bytes], int] = {}
        self._symbols: list[set[str]] = [set() for _ in files]
        self._unnamed: list[tuple[int, Answer]] = []

    def run(self) -> None:
        venues = [self._venue(file) for file in self._files]
        rows = [self._numbered(number) for number in range(len(self._files))]
        for _, number, record in heapq.merge(*rows, key=lambda row: row[0]):
            if record.kind is Kind.ANSWER:
                self._on_answer(number, venues[number], record)
            else:
                self._on_frame(number, venues[number], record)
        self._name_snapshots()
        if not self._timeline.total:
            names = ", ".join(str(file) for file in self._files)
            raise CaptureError(f"expected at least one data frame in {names}, there was none")

    def _venue(self, file: Path) -> str:
        venue = venue_of(str(file), islice(read_capture(file), _VENUE_PROBE))
        if venue is None:
            raise CaptureError(
                f"{file}: expected frames of binance, binance-usdm or okx, none of the first "
                f"{_VENUE_PROBE} records is"
            )
        return venue

    def _numbered(self, number: int) -> Iterator[tuple[int, int, Recorded]]:
        for record in read_capture(self._files[number]):
            yield record.ts_recv, number, record

    def _on_frame(self, number: int, venue: str, record: Recorded) -> None:
        key = stream_key(record.payload)
        if key is None:
            return
        stream_id = self._by_key.get((venue, key))
        if stream_id is None:
            stream_id = self._timeline.add_stream(stream_of(venue, key))
            self._by_key[(venue, key)] = stream_id
        stream = self._timeline.streams[stream_id]
        self._symbols[number].add(stream.symbol)
        position = self._timeline.add_frame(record.ts_recv, stream_id, record.payload)
        trades = self._timeline.trades.get(stream_id)
        if trades is not None:
            for trade_id in _ID_OF[stream.channel].findall(record.payload):
                trades.add(int(trade_id), position)

    def _on_answer(self, number: int, venue: str, record: Recorded) -> None:
        address = urlsplit(record.url)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        answer = Answer(
            venue=venue,
            path=address.path or _path_by_shape(venue, record.payload),
            query=query,
            symbol=query.get("symbol", "") or query.get("instId", ""),
            position=self._timeline.total,
            body=self._timeline.add_body(record.payload),
        )
        if answer.path.endswith("/depth") and not answer.symbol:
            self._unnamed.append((number, answer))
        else:
            self._timeline.answers.append(answer)

    def _name_snapshots(self) -> None:
        """Inline snapshots do not say whose they are: they belong to the file's one instrument."""
        for number, answer in self._unnamed:
            symbols = self._symbols[number] - {""}
            if len(symbols) == 1:
                self._timeline.answers.append(replace(answer, symbol=next(iter(symbols))))
            else:
                self._timeline.notes.append(
                    f"{self._files[number]}: a book snapshot without a symbol is left out: "
                    f"expected one instrument in the file, there were {len(symbols)}"
                )
        self._timeline.answers.sort(key=lambda answer: answer.position)


def _path_by_shape(venue: str, payload: bytes) -> str:
    if venue == OKX:
        return "/api/v5/public/instruments"
    root = "/api/v3" if venue == BINANCE else "/fapi/v1"
    return f"{root}/depth" if payload.startswith(b'{"lastUpdateId"') else f"{root}/exchangeInfo"
