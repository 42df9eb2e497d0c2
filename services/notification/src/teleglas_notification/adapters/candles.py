"""Candles for pictures, asked of market-data."""

from __future__ import annotations

from collections.abc import Sequence

import grpc.aio

from teleglas.market.v1.service_pb2 import ListCandlesRequest
from teleglas.market.v1.service_pb2_grpc import MarketDataStub
from teleglas_common.grpc_client import call_metadata, create_channel
from teleglas_common.principal import Principal, Signer
from teleglas_common.telemetry import Metrics

__all__ = ["SAFE_METHODS", "MarketDataCandles"]

SAFE_METHODS = (("teleglas.market.v1.MarketData", "ListCandles"),)
SHOWN = 60
MINUTE_NS = 60_000_000_000
TIMEOUT_S = 0.8


class MarketDataCandles:
    """The last hour of one-minute candles, the forming one included."""

    def __init__(self, target: str, signer: Signer | None, metrics: Metrics) -> None:
        self._target = target
        self._metrics = metrics
        self._signer = signer
        self._channel: grpc.aio.Channel | None = None

    async def recent(
        self, venue: str, instrument: str, ts_event: int
    ) -> Sequence[tuple[int, float, float, float, float]]:
        request = ListCandlesRequest(
            venue=venue,
            instrument=instrument,
            interval="1m",
            ts_from=max(0, ts_event - SHOWN * MINUTE_NS),
            ts_to=ts_event + MINUTE_NS,
            page_size=SHOWN + 1,
            include_forming=True,
        )
        token = None
        if self._signer is not None:
            token = self._signer.sign(Principal("default", "notification"))
        if self._channel is None:
            raise RuntimeError("expected a started channel, it has not been started")
        answer = await MarketDataStub(self._channel).ListCandles(
            request, timeout=TIMEOUT_S, metadata=call_metadata(token)
        )
        return [
            (
                one.ts_open,
                *(
                    value * 10.0**one.price_exponent
                    for value in (one.open, one.high, one.low, one.close)
                ),
            )  # type: ignore[misc]
            for one in answer.candles
        ]

    async def start(self) -> None:
        """A channel belongs to the loop that it is made in; it connects with the first call."""
        self._channel = create_channel(
            self._target, safe_methods=SAFE_METHODS, metrics=self._metrics
        )

    async def stop(self) -> None:
        if self._channel is not None:
            await self._channel.close()
