"""What the simulator can be told, by flags or `TELEGLAS_SIM_*` variables."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings", "parse_settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports of 0 take free ones. `start_ms` 0 means now."""

    host: str = "127.0.0.1"
    seed: int = 7
    rate: float = 300.0
    instruments: int = 12
    start_ms: int = 0
    step_ms: int = 10
    whale_interval_s: float = 15.0
    cascade_interval_s: float = 90.0
    history: int = 65_536
    truth: Path | None = None
    truth_flow: bool = True
    checksums: bool = False
    connection_life_s: float = 86_400.0
    binance_ws_port: int = 0
    binance_rest_port: int = 0
    usdm_ws_port: int = 0
    usdm_rest_port: int = 0
    okx_ws_port: int = 0
    okx_rest_port: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"expected {name} {want}, was {value}"
            for name, value, good, want in (
                ("rate", self.rate, self.rate > 0, "above 0 trades/s"),
                ("step_ms", self.step_ms, 1 <= self.step_ms <= 100, "from 1 to 100"),
                ("history", self.history, self.history >= 1000, "of at least 1000 trades"),
                ("seed", self.seed, self.seed >= 0, "of at least 0"),
            )
            if not good
        ]
        if problems:
            raise ValueError("; ".join(problems))


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Flags win over variables, variables over defaults; every problem is named."""
    parser = ArgumentParser(prog="teleglas_sim", formatter_class=ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    known = Settings()

    def default(name: str) -> object:
        return environment.get(f"TELEGLAS_SIM_{name.upper()}", getattr(known, name))

    def number(name: str, kind: type, text: str) -> None:
        add(f"--{name.replace('_', '-')}", type=kind, default=default(name), help=text)

    add("--host", default=default("host"), help="address to listen on")
    number("seed", int, "same seed and start: same frames")
    number("rate", float, "trades per second over all instruments")
    number("instruments", int, "how many of the catalogue, 1 to 26")
    number("start_ms", int, "first moment of the market, 0 for now")
    number("step_ms", int, "length of a step")
    number("whale_interval_s", float, "mean seconds between planted whales, 0 for none")
    number("cascade_interval_s", float, "mean seconds between liquidation cascades, 0 for none")
    number("history", int, "trades kept per instrument for REST")
    number("connection_life_s", float, "when a Binance connection is closed")
    for venue in ("binance", "usdm", "okx"):
        number(f"{venue}_ws_port", int, "0 for a free one")
        number(f"{venue}_rest_port", int, "0 for a free one")
    add("--truth", type=Path, default=default("truth"), help="file of the truth log")
    add("--truth-planted-only", action="store_true", help="leave ordinary flow out of it")
    add("--checksums", action="store_true", help="real checksums in OKX books instead of 0")
    return _settings(parser.parse_args(arguments))


def _settings(parsed: Namespace) -> Settings:
    values = vars(parsed)
    values["truth_flow"] = not values.pop("truth_planted_only")
    return Settings(**values)
