"""Connects the services behind the gateway that need not be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import grpc.aio

from teleglas_common.grpc_client import create_channel
from teleglas_common.telemetry import Metrics
from teleglas_gateway.adapters import notifications, predictions, signals, whales
from teleglas_gateway.adapters.calls import Calls, Metadata
from teleglas_gateway.ports import Backends
from teleglas_gateway.settings import BackendSection, GatewaySettings

__all__ = ["open_backends"]

Client = TypeVar("Client")


def open_backends(
    settings: GatewaySettings, metadata: Metadata, metrics: Metrics, stack: AsyncExitStack
) -> Backends:
    """A client for each service whose address is set; `stack` closes their channels."""

    def connect(
        service: str,
        section: BackendSection,
        safe_methods: Sequence[tuple[str, str]],
        client: Callable[[grpc.aio.Channel, Calls], Client],
    ) -> Client | None:
        if not section.target:
            return None
        channel = create_channel(section.target, safe_methods=safe_methods, metrics=metrics)
        stack.push_async_callback(channel.close)
        return client(channel, Calls(service, metadata, deadline_s=section.deadline_s))

    return Backends(
        whales=connect("whale-detector", settings.whales, whales.SAFE_METHODS, whales.GrpcWhales),
        signals=connect(
            "signal-scorer", settings.signals, signals.SAFE_METHODS, signals.GrpcSignals
        ),
        predictions=connect(
            "prediction",
            settings.predictions,
            predictions.SAFE_METHODS,
            predictions.GrpcPredictions,
        ),
        notifications=connect(
            "notification",
            settings.notifications,
            notifications.SAFE_METHODS,
            notifications.GrpcNotifications,
        ),
    )
