"""The limits a venue puts on its clients; the defaults of each venue stand in its own module."""

from dataclasses import dataclass

__all__ = ["Limits", "WeightWindow"]


@dataclass(frozen=True, slots=True)
class Limits:
    """`speech_count` client messages per `speech_per_s`; `connects` handshakes per
    `connects_per_s`.
    """

    streams_per_connection: int
    speech_count: int
    speech_per_s: float
    connects: int
    connects_per_s: float
    weight_per_minute: int
    connection_life_s: float
    ping_interval_s: float
    pong_timeout_s: float
    idle_close_s: float
    max_message_bytes: int = 1 << 20
    max_pending_bytes: int = 16 << 20


class WeightWindow:
    """Used request weight in the running minute, as the venues count it: by the minute of the
    clock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._minute = -1

    def spend(self, weight: int, now_s: float) -> bool:
        """Count `weight`; False when the minute's limit is passed."""
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute = minute
            self.used = 0
        self.used += weight
        return self.used <= self.limit
