"""The truth log: one JSON line per parent order, for those who check what a detector found."""

from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from teleglas_sim.market.catalog import InstrumentSpec
from teleglas_sim.market.events import Event, ParentClosed, ParentOrder

__all__ = ["TruthLog", "truth_record"]


def truth_record(parent: ParentOrder, spec: InstrumentSpec) -> dict[str, Any]:
    """What is known of a parent order; `fills` are ranges of trade ids, both ends included."""
    prices, sizes = spec.price_decimals, spec.lot_decimals
    notional = Decimal(parent.notional).scaleb(-sizes if spec.inverse else -(prices + sizes))
    base_or_contracts = Decimal(parent.size).scaleb(-sizes)
    return {
        "id": parent.id,
        "venue": spec.venue.value,
        "instrument": spec.name,
        "symbol": spec.symbol,
        "side": "buy" if parent.side > 0 else "sell",
        "kind": parent.kind,
        "planted": parent.planted,
        "group": parent.group,
        "notional": _plain(notional * Decimal(str(spec.contract))),
        "size": _plain(base_or_contracts),
        "start_ms": parent.start_ms,
        "end_ms": parent.end_ms,
        "children": parent.children,
        "fill_count": parent.fill_count,
        "fills": parent.fills,
        "price_before": _plain(Decimal(parent.price_before).scaleb(-prices)),
        "price_worst": _plain(Decimal(parent.price_worst).scaleb(-prices)),
    }


class TruthLog:
    """Appends to a file; `flow=False` leaves ordinary orders out."""

    def __init__(self, path: Path, specs: tuple[InstrumentSpec, ...], *, flow: bool) -> None:
        self.path = path
        self._specs = specs
        self._flow = flow
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Start a new file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")

    def write(self, events: list[Event]) -> None:
        """Write the parents that closed."""
        lines = [
            msgspec.json.encode(truth_record(event.parent, self._specs[event.parent.instrument]))
            for event in events
            if isinstance(event, ParentClosed) and (self._flow or event.parent.kind != "flow")
        ]
        if lines and self._file is not None:
            self._file.write(b"\n".join(lines) + b"\n")

    def flush(self) -> None:
        """Make what was written visible to readers."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
