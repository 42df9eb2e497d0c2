"""Every channel, one file each. A new topic on the stream is a new file here and a line below."""

from __future__ import annotations

from teleglas_gateway.channels import (
    books,
    candles,
    gaps,
    liquidations,
    predictions,
    signals,
    summaries,
    tickers,
    trades,
    whales,
)
from teleglas_gateway.channels.base import Channel

__all__ = ["BY_NAME", "CHANNELS"]

CHANNELS: tuple[Channel, ...] = (
    trades.CHANNEL,
    tickers.CHANNEL,
    books.CHANNEL,
    candles.CHANNEL,
    summaries.CHANNEL,
    liquidations.CHANNEL,
    gaps.CHANNEL,
    whales.CHANNEL,
    signals.CHANNEL,
    predictions.CHANNEL,
)

BY_NAME: dict[str, Channel] = {
    name: channel for channel in CHANNELS for name in (channel.name, *channel.aliases)
}
"""Channels by name and by the predecessor's names."""
