"""What `teleglas up` shows: what to open, and a line of what flows."""

from __future__ import annotations

from collections.abc import Collection

from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_cli.running import Running
from teleglas_common.bus.encode import SCHEMA, header
from teleglas_common.bus.ports import Bus, BusError, Reader
from teleglas_contracts import topics

__all__ = ["Flow", "welcome"]

SHOWN = (
    ("trades", topics.MARKET_TRADES_V1),
    ("books", topics.MARKET_BOOKS_V1),
    ("tickers", topics.MARKET_TICKERS_V1),
    ("candles", topics.MARKET_CANDLES_V1),
    ("gaps", topics.MARKET_GAPS_V1),
    ("scores", topics.SIGNAL_SCORES_V1),
    ("forecasts", topics.PREDICTION_FORECASTS_V1),
    ("deliveries", topics.NOTIFICATION_DELIVERIES_V1),
)
WRITERS = {
    "scores": "signal-scorer",
    "forecasts": "prediction",
    "deliveries": "notification",
    "alerts": "whale-detector",
}
"""What is shown only where its service runs."""
ALERT = WhaleAlert.DESCRIPTOR.full_name.encode()
POLL_RECORDS = 5_000
TRIES = (
    (
        "whale-detector",
        "somebody who trades",
        "teleglas whales --symbol BTC --follow",
    ),
    ("signal-scorer", "why a score is what it is", "teleglas signals --symbol BTC"),
    ("prediction", "what comes next, honestly", "teleglas predictions --symbol BTC"),
    ("notification", "why a message came", "teleglas why ID"),
)


def welcome(running: Running, seconds: float) -> str:
    """URLs, the demo key and one command for each kind of user."""
    url, key = running.gateway_url, running.demo_key
    lines = [
        "",
        f"Teleglas runs ({seconds:.1f} s).  Ctrl-C drains and stops it.",
        "",
        f"  API and docs    {url}/docs",
        f"  stream          {url.replace('http', 'ws', 1)}/v1/stream",
        f"  gRPC            {running.market_data_grpc}",
        f"  Kafka           {running.kafka_bootstrap}",
        f"  PostgreSQL      {running.postgres_dsn.rpartition('@')[2]}",
    ]
    lines += [
        f"  {name:<15} {base}/ready  {base}/metrics"
        for name, base in sorted(running.services.items())
    ]
    if running.chat_url:
        lines.append(f"  chat page       {running.chat_url}")
    elif "notification" in running.services:
        lines.append("  chat            Telegram, with the token of TELEGRAM_TOKEN")
    lines += [
        f"  demo API key    {key}",
        "",
        "Try, in another terminal:",
        f"  curl -H 'Authorization: Bearer {key}' {url}/v1/tickers",
        "  .venv/bin/teleglas stream candles --symbol BTC-USDT --interval 1s",
        "  .venv/bin/teleglas tail market.trades --only BTC-USDT",
        "  .venv/bin/teleglas doctor",
    ]
    lines += [
        f"  .venv/bin/{command:<48} # {whom}"
        for service, whom, command in TRIES
        if service in running.services
    ]
    return "\n".join([*lines, ""])


class Flow:
    """Records a second of the topics that people look at, by their end offsets; alerts, among
    which progress marks stand, are read.
    """

    def __init__(self, source: Bus, services: Collection[str]) -> None:
        self._source = source
        self._shown = [
            (name, topic) for name, topic in SHOWN if WRITERS.get(name, "") in ("", *services)
        ]
        self._alerts = _Alerts(source) if WRITERS["alerts"] in services else None
        self._ends: dict[str, int] = {}
        self.moved = True

    async def line(self) -> str:
        """What came since the last call; says so when Kafka does not answer."""
        try:
            found = await self._source.ends([topic.name for _, topic in self._shown])
            alerts = None if self._alerts is None else await self._alerts.new()
        except BusError as error:
            return f"Kafka does not answer: {error}"
        ends = dict.fromkeys((topic.name for _, topic in self._shown), 0)
        for partition, end in found.items():
            ends[partition.topic] += end
        before, self._ends = self._ends, ends
        self.moved = before != ends or bool(alerts)
        parts = [
            f"{name} {ends[topic.name] - before.get(topic.name, 0):,}/s"
            for name, topic in self._shown
        ]
        if alerts is not None:
            parts.append(f"alerts {alerts:,}/s")
        return "records: " + "  ".join(parts)

    async def aclose(self) -> None:
        """Stop reading."""
        if self._alerts is not None:
            await self._alerts.close()


class _Alerts:
    """Counts the alerts that came since the last call."""

    def __init__(self, source: Bus) -> None:
        self._source = source
        self._reader: Reader | None = None

    async def new(self) -> int:
        """Raises BusError; the next call then begins with what is new at that time."""
        try:
            if self._reader is None:
                reader = self._source.reader(await self._source.ends([topics.WHALE_ALERTS_V1.name]))
                await reader.start()
                self._reader = reader
            polled = await self._reader.poll(max_records=POLL_RECORDS, timeout_s=0.0)
        except BusError:
            await self.close()
            raise
        records = (record for records in polled.values() for record in records)
        return sum(header(record.headers, SCHEMA) == ALERT for record in records)

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()
