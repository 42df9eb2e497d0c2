"""What is worth waking for, or a ticket: each with the runbook's section that says what to do."""

from __future__ import annotations

from dataclasses import dataclass

from teleglas_contracts import topics

__all__ = ["CAUSES", "SERVICES", "Cause"]

SERVICES = (
    "ingest", "market-data", "whale-detector", "signal-scorer", "prediction", "notification",
    "gateway",
)  # fmt: skip
PARTITIONS = topics.MARKET_TRADES_V1.partitions


@dataclass(frozen=True, slots=True)
class Cause:
    """An alert. `hold` is how long `expr` must be true."""

    name: str
    severity: str
    expr: str
    hold: str
    summary: str
    runbook: str


def _none_up(service: str) -> str:
    up = f'(sum(up{{service="{service}"}}) or vector(0)) == 0'
    return f'label_replace({up}, "service", "{service}", "", "")'


def _unreachable(dependency: str, name: str, severity: str) -> Cause:
    return Cause(
        f"{name}Unreachable",
        severity,
        f'min by (service) (teleglas_service_dependency_up{{dependency="{dependency}"}}) == 0',
        "1m",
        f"{{{{ $labels.service }}}} gets no answer from {name}",
        f"{name.lower()}-does-not-answer",
    )


CAUSES = (
    Cause(
        "ServiceDown", "page", "\nor ".join(map(_none_up, SERVICES)), "2m",
        "no replica of {{ $labels.service }} answers", "a-service-is-down",
    ),
    Cause(
        "ReplicaDown", "ticket", 'up{service!=""} == 0', "5m",
        "{{ $labels.service }} at {{ $labels.instance }} does not answer", "a-service-is-down",
    ),
    Cause(
        "ServiceNotReady", "page", "max by (service) (teleglas_service_ready) == 0", "3m",
        "no replica of {{ $labels.service }} is ready", "a-service-is-not-ready",
    ),
    Cause(
        "RestartLoop", "page", 'changes(process_start_time_seconds{service!=""}[15m]) > 2', "0s",
        "{{ $labels.service }} restarts again and again", "a-service-restarts-again-and-again",
    ),
    _unreachable("kafka", "Kafka", "page"),
    _unreachable("postgres", "PostgreSQL", "page"),
    _unreachable("redis", "Redis", "ticket"),
    Cause(
        "IngestSilent", "page",
        "sum by (venue) (rate(teleglas_ingest_frames_total[2m])) == 0", "1m",
        "nothing comes from {{ $labels.venue }}", "nothing-comes-from-a-venue",
    ),
    Cause(
        "MarketStale", "page",
        "max by (venue) (teleglas_market_watermark_age_seconds) > $1m", "2m",
        "market-data's picture of {{ $labels.venue }} is {{ $value | humanizeDuration }} old",
        "nothing-comes-from-a-venue",
    ),
    Cause(
        "IngestShardNotOwned", "page",
        "sum by (venue) (teleglas_ingest_shards)"
        " < max by (venue) (teleglas_ingest_configured_shards)", "1m",
        "a shard of {{ $labels.venue }} has no owner", "a-shard-has-no-owner",
    ),
    Cause(
        "ShardNotOwned", "page",
        f"sum by (service, group) (teleglas_bus_shards) < {PARTITIONS}", "3m",
        f"group {{{{ $labels.group }}}} owns {{{{ $value }}}} of {PARTITIONS} partition numbers",
        "a-shard-has-no-owner",
    ),
    Cause(
        "GapsUnresolved", "page",
        "sum by (venue, channel) (teleglas_ingest_open_gaps) > 0", "10m",
        "{{ $value }} gaps in {{ $labels.channel }} of {{ $labels.venue }} stay open",
        "trades-or-books-of-a-venue-have-gaps",
    ),
    Cause(
        "GapsFrequent", "ticket",
        "sum by (venue) (increase(teleglas_ingest_gaps_total[15m])) > 20", "0s",
        "{{ $value | humanize }} gaps of {{ $labels.venue }} in a quarter of an hour",
        "trades-or-books-of-a-venue-have-gaps",
    ),
    Cause(
        "TradesLost", "ticket",
        "sum by (venue) (increase(teleglas_ingest_lost_trades_total[15m])) > 0", "0s",
        "{{ $value | humanize }} trades of {{ $labels.venue }} cannot be had any more",
        "trades-or-books-of-a-venue-have-gaps",
    ),
    Cause(
        "ReconnectsFrequent", "ticket",
        "sum by (venue)"
        ' (increase(teleglas_ingest_connects_total{outcome=~"failed|lost"}[15m])) > 10', "0s",
        "connections to {{ $labels.venue }} break again and again",
        "trades-or-books-of-a-venue-have-gaps",
    ),
    Cause(
        "FramesRefused", "ticket",
        "sum by (venue) (increase(teleglas_ingest_refused_total[15m])) > 0", "0s",
        "ingest cannot read frames of {{ $labels.venue }}", "a-dead-letter-topic-grows",
    ),
    Cause(
        "DeadLetters", "ticket",
        "sum by (service, topic) (increase(teleglas_bus_poison_total[15m])) > 0", "0s",
        "{{ $labels.service }} cannot handle records of {{ $labels.topic }}",
        "a-dead-letter-topic-grows",
    ),
    Cause(
        "RecordsLost", "page",
        "sum by (service, topic) (increase(teleglas_bus_lost_records_total[15m])) > 0", "0s",
        "retention took records of {{ $labels.topic }} before {{ $labels.service }} read them",
        "records-were-lost",
    ),
    Cause(
        "ConsumerLags", "page",
        "sum by (service, topic) (teleglas_bus_lag_records) > 20000", "5m",
        "{{ $labels.service }} is {{ $value | humanize }} records behind in {{ $labels.topic }}",
        "a-consumer-falls-behind",
    ),
    Cause(
        "ConsumerStuck", "page",
        "sum by (service, topic) (teleglas_bus_lag_records) > 0\n"
        "and on (service, topic)"
        " sum by (service, topic) (rate(teleglas_bus_records_total[5m])) == 0", "2m",
        "{{ $labels.service }} has stopped reading {{ $labels.topic }}",
        "a-consumer-falls-behind",
    ),
    Cause(
        "ShardsRestart", "ticket",
        "sum by (service) (increase(teleglas_bus_retries_total[15m])) > 3", "0s",
        "shards of {{ $labels.service }} fail and are restored again and again",
        "a-service-restarts-again-and-again",
    ),
    Cause(
        "CheckpointsSlow", "ticket",
        "histogram_quantile(0.9, sum by (service, le)"
        " (rate(teleglas_bus_checkpoint_seconds_bucket[5m]))) > 2.5", "5m",
        "a checkpoint of {{ $labels.service }} takes {{ $value | humanizeDuration }}",
        "postgresql-is-slow",
    ),
    Cause(
        "OutboxOld", "page",
        "max by (channel) (teleglas_notification_outbox_age_seconds) > $1m", "2m",
        "messages for {{ $labels.channel }} wait since {{ $value | humanizeDuration }}",
        "messages-do-not-arrive",
    ),
    Cause(
        "ChannelFails", "ticket",
        'sum by (channel) (rate(teleglas_notification_attempts_total{outcome!="sent"}[5m]))'
        " > 0.5 * sum by (channel) (rate(teleglas_notification_attempts_total[5m]))", "5m",
        "most calls of {{ $labels.channel }} fail", "messages-do-not-arrive",
    ),
    Cause(
        "ScoresStop", "page",
        "sum(rate(teleglas_signals_scores_total[10m])) == 0\n"
        'and on () sum(rate(teleglas_candles_closed_total{interval="1m"}[10m])) > 0', "5m",
        "candles close, but no score is made", "scores-stop-or-come-late",
    ),
    Cause(
        "ForecastsStop", "page",
        "sum(rate(teleglas_prediction_forecasts_total[1h])) == 0\n"
        'and on () sum(rate(teleglas_candles_closed_total{interval="5m"}[1h])) > 0', "10m",
        "candles close, but no forecast is made", "there-is-no-forecast",
    ),
    Cause(
        "ForecastCoverageLow", "ticket",
        "avg by (horizon, model) (teleglas_prediction_coverage_ratio) < 0.8\n"
        "and on (horizon, model) sum by (horizon, model)"
        " (increase(teleglas_prediction_resolved_total[1d])) > 50", "1h",
        "90 % intervals of {{ $labels.model }} at {{ $labels.horizon }} hold"
        " {{ $value | humanizePercentage }}",
        "forecasts-miss-more-than-they-say",
    ),
    Cause(
        "ModelRefused", "ticket",
        "sum by (cause) (teleglas_prediction_registry_refusals_total) > 0", "0s",
        "a model file is not used: {{ $labels.cause }}", "a-model-of-the-registry-is-refused",
    ),
    Cause(
        "ClocksDisagree", "ticket",
        "histogram_quantile(0.5, sum by (venue, le)"
        " (rate(teleglas_ingest_delay_seconds_bucket[15m]))) > 5", "10m",
        "trades of {{ $labels.venue }} are old when they come, or a clock is wrong",
        "the-clock-of-a-venue-and-ours-disagree",
    ),
    Cause(
        "SlowReadersClosed", "ticket",
        'sum(increase(teleglas_gateway_closes_total{reason="slow_reader"}[15m])) > 20', "0s",
        "{{ $value | humanize }} clients were closed as slow readers",
        "stream-clients-are-closed-as-slow-readers",
    ),
    Cause(
        "TracesLost", "ticket",
        "sum(rate(otelcol_exporter_send_failed_spans_total[5m])) > 0"
        " or sum(rate(otelcol_receiver_refused_spans_total[5m])) > 0", "5m",
        "the Collector loses spans", "traces-are-missing",
    ),
    Cause(
        "Watchdog", "none", "vector(1)", "0s",
        "always fires: whoever does not hear it has lost Prometheus or Alertmanager",
        "the-watchdog-is-not-heard",
    ),
)  # fmt: skip
