import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.metrics import WorkerMetrics
from teleglas_common.bus.ports import Outgoing
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.registry import metrics_table, registered, spans
from teleglas_contracts.topics import MARKET_TRADES_V1


def test_metrics_know_only_registered_names() -> None:
    """A misspelt metric is an error, not a new metric, and so is one of another type."""
    metrics = Metrics()
    metrics.counter("teleglas_ingest_frames_total", "okx").inc()
    assert metrics.registry.get_sample_value("teleglas_ingest_frames_total", {"venue": "okx"}) == 1
    for wrong in ("teleglas_ingest_frame_total", "teleglas_bus_shards"):
        with pytest.raises(KeyError, match="registry"):
            metrics.counter(wrong)


def test_every_registered_metric_can_be_made_and_is_documented() -> None:
    """The registry is whole: types, labels and buckets fit, and the page lists each."""
    metrics, page = Metrics(), metrics_table()
    for name, spec in registered().items():
        getattr(metrics, spec.type)(name, *("x" for _ in spec.labels))
        assert f"`{name}`" in page
        assert re.fullmatch(r"teleglas_[a-z0-9_]+", name)
    assert all(f"`{name}`" in page for name in spans())
    assert generate_latest(metrics.registry).decode().count("# HELP teleglas_") >= len(registered())


def test_a_service_has_its_counters_at_zero_from_the_start() -> None:
    """An alert on a rate needs the 0 before the first event; other services' metrics are absent."""
    metrics = Metrics.of("ingest", venue=("okx",))
    value = metrics.registry.get_sample_value
    labels = {"venue": "okx", "channel": "books", "cause": "sequence_break"}
    assert value("teleglas_ingest_gaps_total", labels) == 0
    assert value("teleglas_ingest_frames_total", {"venue": "okx"}) == 0
    assert value("process_open_fds") is not None
    assert value("teleglas_service_ready") == 0
    assert "teleglas_gateway" not in generate_latest(metrics.registry).decode()


def test_a_worker_counts_under_registered_names() -> None:
    """The bus' own words become metrics."""
    metrics = Metrics()
    counts: WorkerMetrics = BusMetrics(metrics, "g")
    counts.records("t", 5)
    counts.poison("t", "missing_value")
    counts.lag("t", 3, 17)
    counts.lost("t", 3, 2)
    counts.batch("t", 5, 0.01)
    counts.checkpoint(0.02)
    counts.retry("OSError")
    counts.shards(4)
    value = metrics.registry.get_sample_value
    assert value("teleglas_bus_records_total", {"topic": "t"}) == 5
    assert value("teleglas_bus_poison_total", {"topic": "t", "cause": "missing_value"}) == 1
    assert value("teleglas_bus_lag_records", {"topic": "t", "partition": "3"}) == 17
    assert value("teleglas_bus_lost_records_total", {"topic": "t", "partition": "3"}) == 2
    assert value("teleglas_bus_turn_seconds_count", {"topic": "t"}) == 1
    assert value("teleglas_bus_retries_total", {"cause": "OSError"}) == 1
    assert value("teleglas_bus_shards", {"group": "g"}) == 4


async def test_a_publisher_is_counted() -> None:
    """Records, bytes and waits are known without the publisher knowing of metrics."""
    bus, metrics = MemoryBus(), Metrics()
    await bus.create([MARKET_TRADES_V1])
    publisher = MeasuredPublisher(bus.publisher(), metrics)
    await publisher.start()
    record = Outgoing(MARKET_TRADES_V1.name, 0, b"key", b"value")
    for _ in range(3):
        await publisher.send(record)
    await publisher.flush()
    await publisher.stop()
    value, labels = metrics.registry.get_sample_value, {"topic": MARKET_TRADES_V1.name}
    assert value("teleglas_bus_published_records_total", labels) == 3
    assert value("teleglas_bus_published_bytes_total", labels) == 3 * record.size_bytes
    assert value("teleglas_bus_publish_seconds_count") == 3
    assert value("teleglas_bus_flush_seconds_count") == 1
    assert value("teleglas_bus_in_flight_bytes") == 0


PROJECT = Path(__file__).parents[4]
NAME = re.compile(r'"(teleglas_(?:bus|ingest|candles|market|gateway|grpc)_[a-z_]+)"')


def test_code_asks_for_registered_names_only() -> None:
    """A name that code asks for but the registry lacks is found before it is asked for."""
    sources = [*PROJECT.glob("services/*/src/**/*.py"), *PROJECT.glob("libs/common/src/**/*.py")]
    asked = {name for path in sources for name in NAME.findall(path.read_text(encoding="utf-8"))}
    packages = {path.name for path in PROJECT.glob("services/*/src/*")}
    assert asked - packages <= set(registered())
