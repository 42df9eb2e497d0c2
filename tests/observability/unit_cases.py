"""For each alert a history that fires it and one that ends it, at the real windows.

Values are in promtool's notation, a sample a minute: `0+10x60` grows by 10 for an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """`series` gives (name with labels, values); times are minutes."""

    alert: str
    series: tuple[tuple[str, str], ...]
    fires_at: int
    clears_at: int | None
    window: str = ""
    severity: str = ""


REQUESTS = 'teleglas_gateway_request_seconds_count{route="/v1/tickers",status="%s"}'
BURNING = {
    "FreshnessBudgetBurns": (
        ("teleglas_gateway_freshness_seconds_count", "0+600x600"),
        ('teleglas_gateway_freshness_seconds_bucket{le="1.0"}', "0+480x60 28800+600x540"),
    ),
    "DeliveryBudgetBurns": (
        ("teleglas_notification_wait_seconds_count", "0+600x600"),
        ('teleglas_notification_wait_seconds_bucket{le="30.0"}', "0+480x60 28800+600x540"),
        ('teleglas_notification_deliveries_total{status="failed"}', "0x600"),
    ),
    "AvailabilityBudgetBurns": (
        (REQUESTS % 200, "0+600x600"),
        (REQUESTS % 503, "0+120x60 7200x540"),
    ),
}
"""An hour in which a fifth goes wrong."""
WINDOWS = (("1h", 30, 75), ("6h", 50, 120), ("1d", 110, 220), ("3d", 250, 440))


def _up(service: str, values: str) -> tuple[tuple[str, str], ...]:
    return ((f'up{{service="{service}",instance="a"}}', values),)


def _grows(alert: str, series: str, *, by: int = 5) -> Case:
    """A counter that grows for ten minutes and then stands."""
    values = f"0x10 0+{by}x10 {by * 10}x60"
    return Case(alert, ((series, values),), 18, 50)


def _stands(alert: str, series: str, bad: str, good: str, *, after: int, minutes: int = 60) -> Case:
    """A gauge that is bad for an hour, then good."""
    values = f"{good}x5 {bad}x{minutes} {good}x60"
    return Case(alert, ((series, values),), 6 + after + 2, minutes + 12)


CASES = (
    *(
        Case(alert, series, fires, clears, window)
        for alert, series in BURNING.items()
        for window, fires, clears in WINDOWS
    ),
    Case("ServiceDown", _up("prediction", "1x5 0x30 1x60"), 20, 50),
    Case("ReplicaDown", _up("gateway", "1x5 0x30 1x60"), 20, 50),
    _stands("ServiceNotReady", 'teleglas_service_ready{service="gateway"}', "0", "1", after=3),
    Case(
        "RestartLoop",
        (('process_start_time_seconds{service="gateway"}', "0x5 100 200 300 400x60"),),
        10,
        40,
    ),
    *(
        _stands(
            f"{name}Unreachable",
            f'teleglas_service_dependency_up{{service="gateway",dependency="{dependency}"}}',
            "0",
            "1",
            after=1,
        )
        for dependency, name in (
            ("kafka", "Kafka"),
            ("postgres", "PostgreSQL"),
            ("redis", "Redis"),
        )
    ),
    Case(
        "IngestSilent",
        (('teleglas_ingest_frames_total{venue="okx"}', "0+600x10 6000x20 6000+600x60"),),
        20,
        40,
    ),
    _stands(
        "MarketStale", 'teleglas_market_watermark_age_seconds{venue="okx"}', "90", "1", after=2
    ),
    Case(
        "IngestShardNotOwned",
        (
            ('teleglas_ingest_shards{venue="okx"}', "2x5 1x30 2x60"),
            ('teleglas_ingest_configured_shards{venue="okx"}', "2x100"),
        ),
        20,
        50,
    ),
    _stands(
        "ShardNotOwned", 'teleglas_bus_shards{service="prediction",group="prediction"}', "11",
        "12", after=3,
    ),
    _stands(
        "GapsUnresolved", 'teleglas_ingest_open_gaps{venue="okx",channel="trades"}', "3", "0",
        after=10,
    ),
    _grows("GapsFrequent", 'teleglas_ingest_gaps_total{venue="okx"}'),
    _grows("TradesLost", 'teleglas_ingest_lost_trades_total{venue="okx"}'),
    _grows("ReconnectsFrequent", 'teleglas_ingest_connects_total{venue="okx",outcome="lost"}'),
    _grows("FramesRefused", 'teleglas_ingest_refused_total{venue="okx",cause="malformed"}'),
    _grows("DeadLetters", 'teleglas_bus_poison_total{service="prediction",topic="t",cause="c"}'),
    _grows("RecordsLost", 'teleglas_bus_lost_records_total{service="prediction",topic="t"}'),
    _grows("ShardsRestart", 'teleglas_bus_retries_total{service="prediction",cause="OSError"}'),
    _grows("SlowReadersClosed", 'teleglas_gateway_closes_total{reason="slow_reader"}'),
    _stands(
        "ConsumerLags", 'teleglas_bus_lag_records{service="prediction",topic="t"}', "30000", "10",
        after=5,
    ),
    Case(
        "ConsumerStuck",
        (
            ('teleglas_bus_lag_records{service="prediction",topic="t"}', "0x5 50x60 0x60"),
            ('teleglas_bus_records_total{service="prediction",topic="t"}', "0+60x5 300x60 300x60"),
        ),
        30,
        80,
    ),
    Case(
        "CheckpointsSlow",
        (
            ('teleglas_bus_checkpoint_seconds_bucket{service="gateway",le="2.5"}',
             "0+60x5 300x30 300+60x60"),
            ('teleglas_bus_checkpoint_seconds_bucket{service="gateway",le="5.0"}', "0+60x100"),
            ('teleglas_bus_checkpoint_seconds_bucket{service="gateway",le="+Inf"}', "0+60x100"),
        ),
        30,
        60,
    ),
    _stands(
        "OutboxOld", 'teleglas_notification_outbox_age_seconds{channel="telegram"}', "90", "0",
        after=2,
    ),
    Case(
        "ChannelFails",
        (
            ('teleglas_notification_attempts_total{channel="telegram",outcome="retry"}',
             "0+10x30 300x60"),
            ('teleglas_notification_attempts_total{channel="telegram",outcome="sent"}',
             "0+1x100"),
        ),
        20,
        50,
    ),
    Case(
        "ScoresStop",
        (
            ('teleglas_signals_scores_total{stance="buy"}', "0+2x20 40x40 40+2x60"),
            ('teleglas_candles_closed_total{interval="1m"}', "0+5x130"),
        ),
        50,
        90,
    ),
    Case(
        "ForecastsStop",
        (
            ('teleglas_prediction_forecasts_total{horizon="5m"}', "0+2x20 40x100 40+2x120"),
            ('teleglas_candles_closed_total{interval="5m"}', "0+5x250"),
        ),
        110,
        200,
    ),
    Case(
        "ForecastCoverageLow",
        (
            ('teleglas_prediction_coverage_ratio{horizon="5m",model="random-walk"}',
             "0.9x10 0.7x120 0.9x60"),
            ('teleglas_prediction_resolved_total{horizon="5m",model="random-walk"}', "0+5x200"),
        ),
        100,
        150,
    ),
    Case(
        "ModelRefused",
        (('teleglas_prediction_registry_refusals_total{cause="wrong_hash"}', "0x5 1x20 0x20"),),
        10,
        30,
    ),
    Case(
        "ClocksDisagree",
        (
            ('teleglas_ingest_delay_seconds_bucket{venue="okx",le="5.0"}', "0x40 0+60x60"),
            ('teleglas_ingest_delay_seconds_bucket{venue="okx",le="10.0"}', "0+60x100"),
            ('teleglas_ingest_delay_seconds_bucket{venue="okx",le="+Inf"}', "0+60x100"),
        ),
        35,
        80,
    ),
    Case(
        "TracesLost",
        (("otelcol_exporter_send_failed_spans_total", "0+10x30 300x60"),),
        20,
        50,
    ),
    Case("Watchdog", (("up", "1x5"),), 2, None),
)  # fmt: skip
