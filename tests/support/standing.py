"""What tests that share one product know of it."""

from __future__ import annotations

from dataclasses import dataclass

from teleglas_cli.up.product import Product
from tests.support.traces import Traces

__all__ = ["MAX_SUBSCRIPTIONS", "PRINCIPAL_SECRET", "TIGHT", "Standing"]

MAX_SUBSCRIPTIONS = 40
PRINCIPAL_SECRET = "what-the-tests-sign-principals-with"
TIGHT = (
    ("TELEGLAS_PRINCIPAL_SECRET", PRINCIPAL_SECRET),
    ("TELEGLAS_STREAM__AUTH_DEADLINE_S", "2"),
    ("TELEGLAS_STREAM__PING_S", "1"),
    ("TELEGLAS_STREAM__DROP_AFTER_S", "8"),
    ("TELEGLAS_STREAM__MAX_WAITING_BYTES", "65536"),
    ("TELEGLAS_STREAM__MAX_SUBSCRIPTIONS", str(MAX_SUBSCRIPTIONS)),
    ("TELEGLAS_TELEMETRY__SAMPLE_RATIO", "0.1"),
)
"""Bounds that are met within seconds, and traces that are found within seconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`product` exports its traces to `traces`."""

    product: Product
    traces: Traces
