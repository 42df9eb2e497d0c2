"""gRPC channels with deadlines, retries of safe calls, traces and the signed principal."""

from __future__ import annotations

import json
from collections.abc import Sequence

import grpc
from opentelemetry.propagate import inject

from teleglas_common.principal import METADATA_KEY

__all__ = ["call_metadata", "create_channel"]


def create_channel(
    target: str,
    *,
    safe_methods: Sequence[tuple[str, str]] = (),
    max_message_bytes: int = 8 << 20,
    credentials: grpc.ChannelCredentials | None = None,
) -> grpc.aio.Channel:
    """A channel that spreads over all addresses of `target`.

    `safe_methods` are (service, method) pairs that may be repeated when the server is unavailable:
    at most three tries with back-off, within the call's own deadline.
    """
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [{"service": service, "method": method} for service, method in safe_methods]
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if names:
        config["methodConfig"] = [{"name": names, "retryPolicy": policy}]
    options = [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=options)
    return grpc.aio.insecure_channel(target, options=options)


def call_metadata(principal_token: str | None = None) -> tuple[tuple[str, str], ...]:
    """Metadata of one call: the current trace, and who asks."""
    carrier: dict[str, str] = {}
    inject(carrier)
    if principal_token:
        carrier[METADATA_KEY] = principal_token
    return tuple(carrier.items())
