"""What is promised: three objectives, how each is counted, and how fast its budget may burn."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BURNS", "RATIO_WINDOWS", "SLOS", "Burn", "Slo"]


@dataclass(frozen=True, slots=True)
class Slo:
    """`bad` and `total` are rates of events over `$w`. `objective` is the share of good ones."""

    name: str
    objective: float
    promise: str
    bad: str
    total: str
    runbook: str

    @property
    def budget(self) -> float:
        return round(1 - self.objective, 6)


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert when the budget burns `factor` times too fast over the long and the short window:
    the long one says that it matters, the short one that it goes on.
    """

    severity: str
    factor: float
    long: str
    short: str
    hold: str


SLOS = (
    Slo(
        "freshness",
        0.99,
        "of live messages reach the client's socket within 1 s of our receipt of the frame",
        "sum(rate(teleglas_gateway_freshness_seconds_count[$w]))"
        ' - sum(rate(teleglas_gateway_freshness_seconds_bucket{le="1.0"}[$w]))',
        "sum(rate(teleglas_gateway_freshness_seconds_count[$w]))",
        "clients-get-old-data",
    ),
    Slo(
        "delivery",
        0.99,
        "of new messages are taken by their channel within 30 s of being due; failed ones count"
        " as late",
        "sum(rate(teleglas_notification_wait_seconds_count[$w]))"
        ' - sum(rate(teleglas_notification_wait_seconds_bucket{le="30.0"}[$w]))'
        ' + sum(rate(teleglas_notification_deliveries_total{status="failed"}[$w]))',
        "sum(rate(teleglas_notification_wait_seconds_count[$w]))"
        ' + sum(rate(teleglas_notification_deliveries_total{status="failed"}[$w]))',
        "messages-do-not-arrive",
    ),
    Slo(
        "availability",
        0.999,
        "of REST requests are not answered with a 5xx; probes do not count",
        "(sum(rate(teleglas_gateway_request_seconds_count"
        '{route!~"/health|/ready|/metrics|/ws/health",status=~"5.."}[$w])) or vector(0))',
        "sum(rate(teleglas_gateway_request_seconds_count"
        '{route!~"/health|/ready|/metrics|/ws/health"}[$w]))',
        "some-paths-of-the-gateway-answer-503",
    ),
)
BURNS = (
    Burn("page", 14.4, "1h", "5m", "2m"),
    Burn("page", 6.0, "6h", "30m", "15m"),
    Burn("ticket", 3.0, "1d", "2h", "1h"),
    Burn("ticket", 1.0, "3d", "6h", "3h"),
)
"""2 % of a month's budget in an hour, 5 % in six; 10 % in a day, and in three days."""
RATIO_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
