"""Integers of the market as the venues write them."""

from collections.abc import Callable

__all__ = ["number_text", "plain_text"]

Text = Callable[[int], bytes]


def number_text(decimals: int, shown: int) -> Text:
    """Fixed decimals with zeros behind, as Binance writes: `61685.99000000` for `shown=8`."""
    if decimals == 0:
        tail = b"." + b"0" * shown if shown else b""
        return lambda value: b"%d%b" % (value, tail)
    scale = 10**decimals
    template = b"%%d.%%0%dd%b" % (decimals, b"0" * (shown - decimals))
    return lambda value: template % divmod(value, scale)


def plain_text(decimals: int) -> Text:
    """Without zeros behind, as OKX writes: `61685.9`, `12`."""
    if decimals == 0:
        return lambda value: b"%d" % value
    scale = 10**decimals
    template = b"%%d.%%0%dd" % decimals

    def text(value: int) -> bytes:
        whole, part = divmod(value, scale)
        return (template % (whole, part)).rstrip(b"0") if part else b"%d" % whole

    return text
