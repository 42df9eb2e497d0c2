"""Every dashboard, each an ordered list of rows."""

from __future__ import annotations

from typing import Any

from scripts.observability.causes import SERVICES
from scripts.observability.panels import Panel, Row, dashboard, quantiles, rate, rates, state, value
from scripts.observability.services import OWN
from scripts.observability.slos import BURNS, SLOS

__all__ = ["ELSEWHERE", "dashboards"]

BAD_IF_ZERO = ((None, "red"), (1.0, "green"))
BAD_IF_ANY = ((None, "green"), (1.0, "red"))
SHARE = ((None, "red"), (0.0, "orange"), (0.25, "green"))

ELSEWHERE = {
    "mesh": "Envoy's own series: a mesh must run",
}
"""Dashboards that the services' own metrics cannot fill, and why."""


def dashboards() -> dict[str, dict[str, Any]]:
    """File name without its ending → the JSON model."""
    made = {
        "market-pipe": dashboard(
            "market-pipe", "market pipe", "From the venues' frames to stored candles.", _pipe()
        ),
        "edge": dashboard(
            "edge", "edge and clients", "What clients and chats get, and how soon.", _edge()
        ),
        "slo": dashboard("slo", "objectives", "What is promised, and what is left of it.", _slo()),
        "truth": dashboard(
            "truth", "truth", "What is missing, and whether forecasts hold what they say.", _truth()
        ),
        "mesh": dashboard("mesh", "mesh", "Envoy's own numbers of each edge.", _mesh()),
        "collector": dashboard(
            "collector", "traces", "What becomes of spans on their way to Jaeger.", _collector()
        ),
    }
    for service in SERVICES:
        made[service] = dashboard(
            service,
            service,
            f"One service: {service}.",
            [_standing(service), Row("Its own work", OWN[service]), *_common(service)],
        )
    return made


def _pipe() -> list[Row]:
    return [
        Row(
            "Venues",
            (
                rate("Frames", "teleglas_ingest_frames_total", "venue", "eps"),
                rate("Events", "teleglas_ingest_events_total", "venue, kind", "eps"),
                quantiles("Venue's time to ours", "teleglas_ingest_delay_seconds", "venue"),
                value("Connections", "sum by (venue) (teleglas_ingest_connections)", "{{venue}}"),
                rate("Connecting", "teleglas_ingest_connects_total", "venue, outcome", "eps"),
                rate("Frames refused", "teleglas_ingest_refused_total", "venue, cause", "eps"),
            ),
        ),
        Row(
            "Gaps",
            (
                value(
                    "Open gaps",
                    "sum by (venue, channel) (teleglas_ingest_open_gaps)",
                    "{{venue}} {{channel}}",
                ),
                rate("New gaps", "teleglas_ingest_gaps_total", "venue, channel, cause", "eps"),
                rates(
                    "Repairs",
                    {
                        "backfilled trades": "teleglas_ingest_backfilled_trades_total",
                        "rebuilt books": "teleglas_ingest_resyncs_total",
                        "lost trades": "teleglas_ingest_lost_trades_total",
                    },
                    "venue",
                ),
            ),
        ),
        Row(
            "Log",
            (
                rate(
                    "Records written",
                    "teleglas_bus_published_records_total",
                    "service, topic",
                    "eps",
                ),
                rate("Records handled", "teleglas_bus_records_total", "service, topic", "eps"),
                value(
                    "Records behind",
                    "sum by (service, topic) (teleglas_bus_lag_records)",
                    "{{service}} {{topic}}",
                ),
                quantiles("Wait of a sender", "teleglas_bus_publish_seconds", "service", (0.99,)),
                quantiles("Flush", "teleglas_bus_flush_seconds", "service", (0.99,)),
                value(
                    "In flight",
                    "sum by (service) (teleglas_bus_in_flight_bytes)",
                    "{{service}}",
                    "bytes",
                ),
            ),
        ),
        Row(
            "Candles",
            (
                rate("Closed", "teleglas_candles_closed_total", "interval", "eps"),
                rate("Revised", "teleglas_candles_revised_total", "interval", "eps"),
                value(
                    "Age of the picture",
                    "max by (venue) (teleglas_market_watermark_age_seconds)",
                    "{{venue}}",
                    "s",
                ),
                rates(
                    "Trades that came late or twice",
                    {
                        "late": "teleglas_market_late_trades_total",
                        "refused": "teleglas_market_refused_trades_total",
                        "twice": "teleglas_market_duplicate_trades_total",
                    },
                    "venue",
                ),
                rate("Rows stored", "teleglas_market_rows_written_total", "table", "eps"),
                quantiles("Checkpoints", "teleglas_bus_checkpoint_seconds", "service", (0.9,)),
            ),
        ),
    ]


def _edge() -> list[Row]:
    return [
        Row(
            "Streams",
            (
                value("Clients", "sum by (protocol) (teleglas_gateway_clients)", "{{protocol}}"),
                value(
                    "Subscriptions",
                    "sum by (channel) (teleglas_gateway_subscriptions)",
                    "{{channel}}",
                ),
                rate("Messages", "teleglas_gateway_messages_total", "channel", "eps"),
                quantiles(
                    "Our receipt to the client's socket",
                    "teleglas_gateway_freshness_seconds",
                    "channel",
                ),
                rate("Bytes", "teleglas_gateway_sent_bytes_total", "service", "Bps"),
                rates(
                    "Not sent to slow readers",
                    {
                        "conflated": "teleglas_gateway_conflated_total",
                        "skipped": "teleglas_gateway_skipped_total",
                    },
                    "channel",
                ),
                rate("Connections closed by us", "teleglas_gateway_closes_total", "reason", "eps"),
                rate("Resumes", "teleglas_gateway_resumes_total", "outcome", "eps"),
                rate(
                    "Resumes that read the log",
                    "teleglas_gateway_log_replays_total",
                    "service",
                    "eps",
                ),
                value(
                    "Messages in memory for resumes",
                    "sum by (service) (teleglas_gateway_recent_bytes)",
                    "{{service}}",
                    "bytes",
                ),
                rate("Refusals", "teleglas_gateway_refusals_total", "code", "eps"),
            ),
        ),
        Row(
            "REST",
            (
                rate(
                    "Requests", "teleglas_gateway_request_seconds_count", "route, status", "reqps"
                ),
                quantiles("Answers", "teleglas_gateway_request_seconds", "route", (0.99,)),
                quantiles(
                    "Calls behind it",
                    'teleglas_grpc_client_seconds{service="gateway"}',
                    "method",
                    (0.99,),
                ),
            ),
        ),
        Row("Messages to people", OWN["notification"]),
    ]


def _slo() -> list[Row]:
    rows = []
    for slo in SLOS:
        chosen = f'{{slo="{slo.name}"}}'
        errors = tuple(
            (f"teleglas:slo_errors:ratio{window}{chosen}", window)
            for window in ("5m", "1h", "6h", "1d")
        )
        rows.append(
            Row(
                f"{slo.name.capitalize()}: {slo.objective:.1%} {slo.promise}",
                (
                    state(
                        "Budget left of 30 days",
                        f"teleglas:slo_budget_left:ratio30d{chosen}",
                        "{{slo}}",
                        "percentunit",
                        width=4,
                        thresholds=SHARE,
                    ),
                    state(
                        "Burns at",
                        f"teleglas:slo_errors:ratio1h{chosen}"
                        f" / (1 - teleglas:slo_objective:ratio{chosen})",
                        "{{slo}}",
                        "none",
                        width=4,
                        says="1 uses the budget up in exactly 30 days;"
                        f" {BURNS[0].factor:g} wakes somebody.",
                        thresholds=((None, "green"), (1.0, "orange"), (BURNS[1].factor, "red")),
                    ),
                    Panel("Bad share", errors, "percentunit"),
                    Panel(
                        "Events",
                        (
                            (f"teleglas:slo_total:rate5m{chosen}", "all"),
                            (f"teleglas:slo_bad:rate5m{chosen}", "bad"),
                        ),
                        "eps",
                    ),
                ),
            )
        )
    return rows


def _truth() -> list[Row]:
    horizon = "{{horizon}} {{model}}"
    return [
        Row(
            "Coverage of the market",
            (
                rate("Gaps by cause", "teleglas_ingest_gaps_total", "venue, cause", "eps"),
                value(
                    "Share of trades that we have",
                    "1 - sum by (venue) (increase(teleglas_ingest_lost_trades_total[1h]))"
                    ' / sum by (venue) (increase(teleglas_ingest_events_total{kind="Trade"}[1h]))',
                    "{{venue}}",
                    "percentunit",
                ),
                rate("Candles with holes", "teleglas_candles_incomplete_total", "interval", "eps"),
            ),
        ),
        Row(
            "Forecasts",
            (
                value(
                    "Intervals of 90 % hold",
                    "avg by (horizon, model) (teleglas_prediction_coverage_ratio)",
                    horizon,
                    "percentunit",
                    says="0.9 is what they say.",
                ),
                value(
                    "Width",
                    "avg by (horizon, model) (teleglas_prediction_width_ratio)",
                    horizon,
                    "percentunit",
                ),
                value(
                    "Skill over the random walk",
                    "avg by (horizon, model) (teleglas_prediction_skill_ratio)",
                    horizon,
                    "percentunit",
                    says="Only models have one; without a model in the registry there is none.",
                ),
                value(
                    "Pinball loss",
                    "avg by (horizon, model) (teleglas_prediction_pinball_loss_ratio)",
                    horizon,
                    "none",
                ),
                rate("Made", "teleglas_prediction_forecasts_total", "horizon, model", "eps"),
                rate("Resolved", "teleglas_prediction_resolved_total", "horizon, model", "eps"),
                rate(
                    "Direction withheld",
                    "teleglas_prediction_abstentions_total",
                    "horizon, model",
                    "eps",
                ),
                rate(
                    "Void for want of candles", "teleglas_prediction_voided_total", "horizon", "eps"
                ),
                value(
                    "Warm-up",
                    "avg by (horizon) (teleglas_prediction_warm_up_ratio)",
                    "{{horizon}}",
                    "percentunit",
                ),
            ),
        ),
        Row(
            "Scores and alerts",
            (
                value(
                    "Confidence",
                    "avg by (instrument) (teleglas_signals_confidence)",
                    "{{instrument}}",
                    "percentunit",
                ),
                rate("Weakened", "teleglas_signals_weakened_total", "layer", "eps"),
                rate("Missing inputs", "teleglas_signals_missing_inputs_total", "input", "eps"),
                rate("Alerts", "teleglas_whale_alerts_total", "kind, stage", "eps"),
                rate("Prints ignored", "teleglas_whale_ignored_prints_total", "cause", "eps"),
                rate("Without impact", "teleglas_whale_books_missing_total", "venue", "eps"),
            ),
        ),
    ]


def _mesh() -> list[Row]:
    edge = "source_workload, destination_workload"
    return [
        Row(
            "Edges",
            (
                rate("Requests", "istio_requests_total", f"{edge}, response_code", "reqps"),
                value(
                    "Duration, p99",
                    f"histogram_quantile(0.99, sum by ({edge}, le)"
                    " (rate(istio_request_duration_milliseconds_bucket[$__rate_interval])))",
                    "{{source_workload}} {{destination_workload}}",
                    "ms",
                ),
                rate(
                    "Refused by policy",
                    'istio_requests_total{response_code="403"}',
                    edge,
                    "reqps",
                ),
                rate("TCP opened", "istio_tcp_connections_opened_total", edge, "eps"),
                rate("TCP sent", "istio_tcp_sent_bytes_total", edge, "Bps"),
                rate(
                    "Not mutual TLS",
                    'istio_requests_total{connection_security_policy!="mutual_tls",'
                    'reporter="destination"}',
                    edge,
                    "reqps",
                ),
            ),
        ),
        Row(
            "Proxies",
            (
                value(
                    "Memory",
                    "sum by (pod) (envoy_server_memory_allocated)",
                    "{{pod}}",
                    "bytes",
                ),
                rate(
                    "Upstream connections failed",
                    "envoy_cluster_upstream_cx_connect_fail",
                    "cluster_name",
                    "eps",
                ),
                value(
                    "Certificate ends in days",
                    "min by (pod) (envoy_server_days_until_first_cert_expiring)",
                    "{{pod}}",
                    "none",
                ),
            ),
        ),
    ]


def _collector() -> list[Row]:
    return [
        Row(
            "Spans",
            (
                rate("Received", "otelcol_receiver_accepted_spans_total", "receiver", "eps"),
                rate("Sent", "otelcol_exporter_sent_spans_total", "exporter", "eps"),
                rates(
                    "Lost",
                    {
                        "refused": "otelcol_receiver_refused_spans_total",
                        "not taken": "otelcol_exporter_send_failed_spans_total",
                    },
                ),
            ),
        ),
        Row(
            "Tail sampling",
            (
                rate(
                    "Traces by decision",
                    "otelcol_processor_tail_sampling_global_count_traces_sampled_total",
                    "sampled",
                    "eps",
                ),
                rate(
                    "Traces by policy",
                    "otelcol_processor_tail_sampling_count_traces_sampled_total",
                    "policy, sampled",
                    "eps",
                ),
                value(
                    "Traces in memory",
                    "sum(otelcol_processor_tail_sampling_sampling_traces_on_memory)",
                    "traces",
                ),
            ),
        ),
    ]


def _standing(service: str) -> Row:
    own = f'{{service="{service}"}}'
    return Row(
        "How it stands",
        (
            state("Answers", f"sum(up{own})", "replicas", width=4, thresholds=BAD_IF_ZERO),
            state(
                "Ready",
                f"sum(teleglas_service_ready{own})",
                "replicas",
                width=4,
                thresholds=BAD_IF_ZERO,
            ),
            state(
                "Reaches",
                f"min by (dependency) (teleglas_service_dependency_up{own})",
                "{{dependency}}",
                width=8,
                thresholds=BAD_IF_ZERO,
            ),
            state(
                "Alerts",
                f'count(ALERTS{{alertstate="firing",service="{service}"}}) or vector(0)',
                "firing",
                width=4,
                thresholds=BAD_IF_ANY,
            ),
            state(
                "Up since",
                f"time() - min(process_start_time_seconds{own})",
                "youngest",
                "s",
                width=4,
            ),
        ),
    )


def _common(service: str) -> list[Row]:
    own = f'{{service="{service}"}}'
    rows = []
    if service not in ("ingest", "gateway"):
        rows.append(
            Row(
                "Bus",
                (
                    value(
                        "Records behind",
                        f"sum by (topic) (teleglas_bus_lag_records{own})",
                        "{{topic}}",
                    ),
                    rate("Records handled", f"teleglas_bus_records_total{own}", "topic", "eps"),
                    rate("Dead letters", f"teleglas_bus_poison_total{own}", "topic, cause", "eps"),
                    value(
                        "Partition numbers owned",
                        f"sum by (group) (teleglas_bus_shards{own})",
                        "{{group}}",
                    ),
                    rate("Records lost", f"teleglas_bus_lost_records_total{own}", "topic", "eps"),
                    rate(
                        "Records written",
                        f"teleglas_bus_published_records_total{own}",
                        "topic",
                        "eps",
                    ),
                ),
            )
        )
    return [
        *rows,
        Row(
            "Process",
            (
                rate("CPU", f"process_cpu_seconds_total{own}", "instance", "percentunit"),
                value("Memory", f"process_resident_memory_bytes{own}", "{{instance}}", "bytes"),
                value("Open files", f"process_open_fds{own}", "{{instance}}"),
            ),
        ),
    ]
