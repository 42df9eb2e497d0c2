"""The market-data process."""

from __future__ import annotations

from teleglas_common.lifecycle import run
from teleglas_common.settings import load
from teleglas_common.telemetry import configure_telemetry
from teleglas_market_data.app import SERVICE, build_app
from teleglas_market_data.settings import Settings

__all__ = ["main"]


def main() -> None:
    settings = load(Settings)
    configure_telemetry(settings.telemetry, service=SERVICE)
    run(build_app(settings))


if __name__ == "__main__":
    main()
