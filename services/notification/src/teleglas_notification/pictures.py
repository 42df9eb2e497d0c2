"""A picture of the candles around an event, with the whale marked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from teleglas_notification.counts import Counts
from teleglas_notification.domain.cards import Card
from teleglas_notification.ports import Candles

__all__ = ["Painter", "draw"]

Candle = tuple[int, float, float, float, float]
WIDTH, HEIGHT, MARGIN = 480, 240, 12
INK, PAPER = (140, 148, 160), (18, 20, 26)
RISE, FALL, MARK = (46, 189, 133), (246, 70, 93), (250, 200, 60)
BUDGET_S = 0.4

log = structlog.get_logger(__name__)


class Painter:
    """A picture never holds a message up for longer than BUDGET_S, and is never worth an error."""

    def __init__(self, candles: Candles, counts: Counts) -> None:
        self._candles = candles
        self._counts = counts

    async def paint(self, card: Card) -> bytes | None:
        if card.whale is None:
            return None
        try:
            async with asyncio.timeout(BUDGET_S):
                found = await self._candles.recent(card.venue, card.instrument, card.ts_event)
                if len(found) < 2:
                    self._counts.picture("no_candles")
                    return None
                buys = card.whale.side == "buy"
                price = float(card.whale.vwap)
                picture = await asyncio.to_thread(draw, found, card.ts_event, price, buys)
        except Exception as error:  # noqa: BLE001 - the message matters more than its picture
            log.warning("no picture", cause=type(error).__name__, detail=str(error)[:200])
            self._counts.picture("failed")
            return None
        self._counts.picture("drawn")
        return picture


def draw(candles: Sequence[Candle], ts_event: int, price: float, buys: bool) -> bytes:
    """A PNG of at most WIDTH × HEIGHT: candles oldest first, the whale at its time and price."""
    import io

    from PIL import Image, ImageDraw

    low = min(*(candle[3] for candle in candles), price)
    high = max(*(candle[2] for candle in candles), price)
    scale = (HEIGHT - 2 * MARGIN) / ((high - low) or 1.0)
    step = (WIDTH - 2 * MARGIN) / len(candles)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) * scale

    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    at = 0
    for number, (ts_open, opened, top, bottom, close) in enumerate(candles):
        x = MARGIN + (number + 0.5) * step
        colour = RISE if close >= opened else FALL
        pen.line((x, y(top), x, y(bottom)), fill=colour)
        half = max(1.0, step * 0.35)
        upper, lower = sorted((y(opened), y(close)))
        pen.rectangle((x - half, upper, x + half, max(lower, upper + 1)), fill=colour)
        if ts_open <= ts_event:
            at = number
    x, level = MARGIN + (at + 0.5) * step, y(price)
    pen.line((MARGIN, level, WIDTH - MARGIN, level), fill=INK)
    tip = 9 if buys else -9
    pen.polygon([(x, level), (x - 6, level + tip), (x + 6, level + tip)], fill=MARK)
    pen.text((MARGIN, 1), f"{high:,.6g}", fill=INK)
    pen.text((MARGIN, HEIGHT - MARGIN), f"{low:,.6g}", fill=INK)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()
