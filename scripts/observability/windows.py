"""Lengths of time in rules: as they stand in production, or shrunk for a test of minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = ["Windows", "seconds"]

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> int:
    """5m is 300."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise ValueError(f"expected a length such as 5m, was {text!r}")
    return int(found[1]) * UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths times `scale`; a range is at least `least_s`, as a rate needs several scrapes, and
    one of a cause at least `cause_least_s`, as faults come one after the other.
    """

    scale: float = 1.0
    least_s: int = 0
    cause_least_s: int = 0

    def of_causes(self) -> Windows:
        """The same for causes."""
        return replace(self, least_s=max(self.least_s, self.cause_least_s))

    def of(self, text: str) -> str:
        if self.scale == 1.0:
            return text
        return f"{max(self.least_s, round(seconds(text) * self.scale))}s"

    def hold(self, text: str) -> str:
        """How long an alert's expression must be true."""
        return text if self.scale == 1.0 else f"{max(1, round(seconds(text) * self.scale))}s"

    def within(self, expression: str) -> str:
        """Every range, and every limit in seconds, such as $1m, of an expression."""
        ranges = re.sub(r"\[(\d+[smhd])\]", lambda found: f"[{self.of(found[1])}]", expression)
        return re.sub(r"\$(\d+[smhd])", lambda found: str(seconds(self.of(found[1]))), ranges)
