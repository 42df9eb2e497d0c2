"""The whale-detector process."""

from __future__ import annotations

import logging

from teleglas_common.lifecycle import run
from teleglas_common.settings import load
from teleglas_common.telemetry import configure_telemetry
from teleglas_whale_detector.app import SERVICE, build_app
from teleglas_whale_detector.settings import Settings

__all__ = ["main"]


def main() -> None:
    settings = load(Settings)
    configure_telemetry(settings.telemetry, service=SERVICE)
    for chatty in ("faust", "mode"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    run(build_app(settings))


if __name__ == "__main__":
    main()
