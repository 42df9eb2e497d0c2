"""What `teleglas up` shows: what to open, and a line of what flows."""

from __future__ import annotations

from teleglas_cli.running import Running
from teleglas_common.bus.ports import Bus, BusError
from teleglas_contracts import topics

__all__ = ["Flow", "welcome"]

SHOWN = (
    ("trades", topics.MARKET_TRADES_V1),
    ("books", topics.MARKET_BOOKS_V1),
    ("tickers", topics.MARKET_TICKERS_V1),
    ("candles", topics.MARKET_CANDLES_V1),
    ("gaps", topics.MARKET_GAPS_V1),
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
    lines += [
        f"  demo API key    {key}",
        "",
        "Try, in another terminal:",
        f"  curl -H 'Authorization: Bearer {key}' {url}/v1/tickers",
        "  .venv/bin/teleglas stream candles --symbol BTC-USDT --interval 1s",
        "  .venv/bin/teleglas tail market.trades --only BTC-USDT",
        "  .venv/bin/teleglas doctor",
        "",
    ]
    return "\n".join(lines)


class Flow:
    """Records a second of the topics that people look at, by their end offsets."""

    def __init__(self, source: Bus) -> None:
        self._source = source
        self._ends: dict[str, int] = {}
        self.moved = True

    async def line(self) -> str:
        """What came since the last call; says so when Kafka does not answer."""
        try:
            found = await self._source.ends([topic.name for _, topic in SHOWN])
        except BusError as error:
            return f"Kafka does not answer: {error}"
        ends = dict.fromkeys((topic.name for _, topic in SHOWN), 0)
        for partition, end in found.items():
            ends[partition.topic] += end
        before, self._ends = self._ends, ends
        self.moved = before != ends
        parts = [
            f"{name} {ends[topic.name] - before.get(topic.name, 0):,}/s" for name, topic in SHOWN
        ]
        return "records: " + "  ".join(parts)
