"""The gateway process."""

from __future__ import annotations

from teleglas_common.lifecycle import run
from teleglas_common.settings import load
from teleglas_common.telemetry import configure_telemetry
from teleglas_gateway.app import build_app
from teleglas_gateway.settings import GatewaySettings

__all__ = ["main"]


def main() -> None:
    settings = load(GatewaySettings)
    configure_telemetry(settings.telemetry, service="gateway")
    run(build_app(settings))


if __name__ == "__main__":
    main()
