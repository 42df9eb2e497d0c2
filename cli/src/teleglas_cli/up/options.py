"""What a run of the product is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Options", "Source"]


class Source(StrEnum):
    """Where the market data comes from."""

    SIMULATOR = "simulator"
    CAPTURE = "capture"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that `teleglas up` can be told.

    `rate` is trades a second over all instruments of the simulator; `speed` a capture's, as a
    factor or `max`; `for_s` ends the run after so many seconds (0: run until interrupted, or until
    the capture is drained). `only_spine` and `without` leave services out. `own_env` is what one
    service alone is told: its name, a variable, a value.
    """

    state_dir: Path
    source: Source = Source.SIMULATOR
    captures: tuple[Path, ...] = ()
    speed: str = "max"
    seed: int = 7
    rate: int = 200
    for_s: float = 0.0
    summary: Path | None = None
    gateway_port: int = 0
    otlp_endpoint: str = ""
    only_spine: bool = False
    without: tuple[str, ...] = ()
    extra_env: tuple[tuple[str, str], ...] = ()
    own_env: tuple[tuple[str, str, str], ...] = ()
