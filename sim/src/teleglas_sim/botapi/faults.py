"""What the server does wrong on request."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Fault", "Faults"]

KINDS = (
    "too_many",  # 429 with retry_after
    "server_error",  # 500, the call not taken
    "bad_gateway",  # 502 with a page instead of JSON, the call not taken
    "timeout",  # no answer, the call not taken
    "timeout_taken",  # no answer, the call taken
    "nonsense",  # 200 with a body that is no answer, the call not taken
    "nonsense_taken",  # the same, the call taken
    "cut",  # the connection ends without an answer, the call not taken
    "cut_taken",  # the same, the call taken
)
MAX_HANG_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong with one call."""

    kind: str
    retry_after_s: int
    hang_s: float

    @property
    def takes(self) -> bool:
        """Whether the call has its effect all the same."""
        return self.kind.endswith("_taken")


class Faults:
    """`share` of the calls of `methods` go wrong, until `count` of them have."""

    def __init__(self) -> None:
        self.served: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._kinds: tuple[str, ...] = ()
        self._methods: frozenset[str] = frozenset()
        self._share = 1.0
        self._left = 0
        self._retry_after_s = 1
        self._hang_s = 5.0
        self._rng = random.Random(0)

    def order(self, wish: Mapping[str, Any]) -> None:
        """Take a wish: kinds, methods, share, count, retry_after_s, hang_s, seed; count 0 ends all
        faults. ValueError where it makes no sense.
        """
        kinds = tuple(wish.get("kinds") or KINDS)
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"expected kinds of {', '.join(KINDS)}, was {unknown}")
        self._kinds = kinds
        self._methods = frozenset(str(name).lower() for name in wish.get("methods") or ())
        self._share = float(wish.get("share", 1.0))
        self._left = int(wish.get("count", 1))
        self._retry_after_s = int(wish.get("retry_after_s", 1))
        self._hang_s = min(MAX_HANG_S, float(wish.get("hang_s", 5.0)))
        self._rng = random.Random(wish.get("seed", 0))

    @property
    def left(self) -> int:
        return self._left

    def draw(self, method: str) -> Fault | None:
        """What goes wrong with this call, None when nothing does."""
        if self._left <= 0 or (self._methods and method.lower() not in self._methods):
            return None
        if self._rng.random() >= self._share:
            return None
        self._left -= 1
        kind = self._rng.choice(self._kinds)
        self.served[kind] += 1
        return Fault(kind, self._retry_after_s, self._hang_s)
