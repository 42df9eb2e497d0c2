"""What each service alone does, for its own dashboard."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.observability.panels import Panel, quantiles, rate, value

__all__ = ["OWN"]


def _served(service: str) -> tuple[Panel, ...]:
    return (
        rate(
            "Calls served",
            f'teleglas_grpc_server_seconds_count{{service="{service}"}}',
            "method, code",
            "reqps",
        ),
        quantiles(
            "Calls take",
            f'teleglas_grpc_server_seconds{{service="{service}"}}',
            "method",
            (0.99,),
        ),
    )


def _turns(service: str) -> Panel:
    return quantiles(
        "A turn takes", f'teleglas_bus_turn_seconds{{service="{service}"}}', "topic", (0.99,)
    )


OWN: Mapping[str, tuple[Panel, ...]] = {
    "ingest": (
        value("Shards owned", "sum by (venue) (teleglas_ingest_shards)", "{{venue}}"),
        rate("Frames", "teleglas_ingest_frames_total", "venue", "eps"),
        quantiles("Venue's time to ours", "teleglas_ingest_delay_seconds", "venue"),
        rate("Trades known already", "teleglas_ingest_repeated_trades_total", "venue", "eps"),
        rate("Silent subscriptions", "teleglas_ingest_silent_streams_total", "venue", "eps"),
        rate(
            "Records written",
            'teleglas_bus_published_records_total{service="ingest"}',
            "topic",
            "eps",
        ),
        rate(
            "Bytes written",
            'teleglas_bus_published_bytes_total{service="ingest"}',
            "topic",
            "Bps",
        ),
        value("In flight", 'sum(teleglas_bus_in_flight_bytes{service="ingest"})', "bytes", "bytes"),
    ),
    "market-data": (
        value("Candles that form", "sum(teleglas_market_open_candles)", "candles"),
        rate("Candles closed", "teleglas_candles_closed_total", "interval", "eps"),
        rate("Rows stored", "teleglas_market_rows_written_total", "table", "eps"),
        rate("Books given up", "teleglas_market_book_resyncs_total", "venue", "eps"),
        rate("Batches fenced", "teleglas_market_fenced_batches_total", "topic", "eps"),
        quantiles(
            "Checkpoints", 'teleglas_bus_checkpoint_seconds{service="market-data"}', at=(0.9,)
        ),
        _turns("market-data"),
        *_served("market-data"),
    ),
    "whale-detector": (
        rate("Alerts", "teleglas_whale_alerts_total", "kind, stage", "eps"),
        value("Instruments", "sum by (state) (teleglas_whale_instruments)", "{{state}}"),
        value("Parent orders open", "sum(teleglas_whale_open_parents)", "orders"),
        rate("Prints ignored", "teleglas_whale_ignored_prints_total", "cause", "eps"),
        rate("Changelog", "teleglas_whale_changelog_bytes_total", "service", "Bps"),
        quantiles("A table write takes", "teleglas_whale_table_flush_seconds", at=(0.9,)),
        rate("Books to rebuild", "teleglas_whale_book_resyncs_total", "venue", "eps"),
        *_served("whale-detector"),
    ),
    "signal-scorer": (
        rate("Scores", "teleglas_signals_scores_total", "stance", "eps"),
        quantiles("From tick to score", "teleglas_signals_tick_lag_seconds"),
        quantiles("A layer takes", "teleglas_signals_layer_seconds", "layer", (0.99,)),
        rate("Said nothing new", "teleglas_signals_repeated_records_total", "topic", "eps"),
        value("Weights in force", "max(teleglas_signals_weights_version)", "version"),
        _turns("signal-scorer"),
        *_served("signal-scorer"),
    ),
    "prediction": (
        rate("Forecasts", "teleglas_prediction_forecasts_total", "horizon, model", "eps"),
        rate("Covered", "teleglas_prediction_covered_total", "horizon, model", "eps"),
        quantiles("Resolved after its time", "teleglas_prediction_resolve_lag_seconds", "horizon"),
        rate("Candles skipped", "teleglas_prediction_skipped_candles_total", "service", "eps"),
        rate("Models refused", "teleglas_prediction_registry_refusals_total", "cause", "eps"),
        _turns("prediction"),
        *_served("prediction"),
    ),
    "notification": (
        rate("Deliveries", "teleglas_notification_deliveries_total", "channel, status", "eps"),
        quantiles("Due to taken", "teleglas_notification_wait_seconds", "channel"),
        value("Outbox", "sum by (channel) (teleglas_notification_outbox_messages)", "{{channel}}"),
        value(
            "Oldest waits",
            "max by (channel) (teleglas_notification_outbox_age_seconds)",
            "{{channel}}",
            "s",
        ),
        rate("Calls", "teleglas_notification_attempts_total", "channel, outcome", "eps"),
        quantiles("A call takes", "teleglas_notification_call_seconds", "channel"),
        rate("Asked for", "teleglas_notification_queued_total", "service", "eps"),
        rate("Pictures", "teleglas_notification_pictures_total", "outcome", "eps"),
        rate("The bot's updates", "teleglas_notification_updates_total", "outcome", "eps"),
        rate("Pauses asked for", "teleglas_notification_retry_after_seconds_total", "channel", "s"),
        rate("Sent twice?", "teleglas_notification_possible_repeats_total", "channel", "eps"),
        rate("Switched off", "teleglas_notification_blocked_total", "channel", "eps"),
    ),
    "gateway": (
        value("Clients", "sum by (protocol) (teleglas_gateway_clients)", "{{protocol}}"),
        rate("Encoded", "teleglas_gateway_encodes_total", "channel", "eps"),
        rate("Messages", "teleglas_gateway_messages_total", "channel", "eps"),
        quantiles("Answers", "teleglas_gateway_request_seconds", "route", (0.99,)),
        quantiles(
            "Calls made", 'teleglas_grpc_client_seconds{service="gateway"}', "method", (0.99,)
        ),
        rate("Refusals", "teleglas_gateway_refusals_total", "code", "eps"),
    ),
}
