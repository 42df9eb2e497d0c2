"""Every topic, generated from proto/topics by `make contracts`: never edited by hand."""

from __future__ import annotations

from teleglas_contracts.topic import PartitionBy, Topic

PARTITIONS = 12
DEAD_LETTER_SCHEMA = 'teleglas.bus.v1.DeadLetter'
DEAD_LETTER_RETENTION_MS = 1209600000

CONTROL_TOPICS_V1 = Topic(
    name='teleglas.control.topics.v1',
    purpose='The epoch of each topic: written once when a topic is created.',
    owner='platform',
    key='topic',
    partition_by=PartitionBy.NONE,
    schemas=('teleglas.control.v1.TopicEpoch',),
    producers=('topics',),
    consumers=('gateway',),
    partitions=1,
    compacted=True,
    retention_ms=None,
    dead_letter=None,
)

MARKET_BOOKS_V1 = Topic(
    name='teleglas.market.books.v1',
    purpose='Full-depth book changes; a snapshot at least every 10 s and after each gap, with progress marks in band.',
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.BookUpdate', 'teleglas.market.v1.Progress'),
    producers=('ingest',),
    consumers=('market-data', 'whale-detector', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=3600000,
    dead_letter='teleglas.market.books.v1.dlt',
)

MARKET_CANDLES_V1 = Topic(
    name='teleglas.market.candles.v1',
    purpose='Closed and revised candles of every interval, per venue and composite.',
    owner='market-data',
    key='venue:instrument:interval',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Candle',),
    producers=('market-data',),
    consumers=('signal-scorer', 'prediction', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=604800000,
    dead_letter='teleglas.market.candles.v1.dlt',
)

MARKET_GAPS_V1 = Topic(
    name='teleglas.market.gaps.v1',
    purpose='Every break of every feed, and what became of it.',
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Gap',),
    producers=('ingest',),
    consumers=('market-data', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.market.gaps.v1.dlt',
)

MARKET_INSTRUMENTS_V1 = Topic(
    name='teleglas.market.instruments.v1',
    purpose='Reference data of every instrument: symbols, multiplier, tick, lot, status. Compacted.',
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Instrument',),
    producers=('ingest',),
    consumers=('market-data', 'gateway'),
    partitions=PARTITIONS,
    compacted=True,
    retention_ms=None,
    dead_letter='teleglas.market.instruments.v1.dlt',
)

MARKET_LIQUIDATIONS_V1 = Topic(
    name='teleglas.market.liquidations.v1',
    purpose='Forced orders as the venue shows them, with what share of the truth that is.',
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Liquidation', 'teleglas.market.v1.Progress'),
    producers=('ingest',),
    consumers=('market-data', 'whale-detector', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=604800000,
    dead_letter='teleglas.market.liquidations.v1.dlt',
)

MARKET_SUMMARIES_V1 = Topic(
    name='teleglas.market.summaries.v1',
    purpose='What a market looks like now: price, 24 h change and volume, bid, ask, spread; per venue and composite.',
    owner='market-data',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Summary',),
    producers=('market-data',),
    consumers=('gateway',),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=86400000,
    dead_letter='teleglas.market.summaries.v1.dlt',
)

MARKET_TICKERS_V1 = Topic(
    name='teleglas.market.tickers.v1',
    purpose="Best bid and ask, last, mark, funding, open interest and the venue's own 24 h fields, as they change.",
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.Ticker', 'teleglas.market.v1.Progress'),
    producers=('ingest',),
    consumers=('market-data', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=86400000,
    dead_letter='teleglas.market.tickers.v1.dlt',
)

MARKET_TRADES_V1 = Topic(
    name='teleglas.market.trades.v1',
    purpose='Public trades in batches of one instrument, with progress marks in band.',
    owner='ingest',
    key='venue:instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.market.v1.TradeBatch', 'teleglas.market.v1.Progress'),
    producers=('ingest',),
    consumers=('market-data', 'whale-detector', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=86400000,
    dead_letter='teleglas.market.trades.v1.dlt',
)

NEWS_EVENTS_V1 = Topic(
    name='teleglas.news.events.v1',
    purpose='Classified news: what happened, to which assets, how much it should matter.',
    owner='signal-scorer',
    key='source',
    partition_by=PartitionBy.NONE,
    schemas=('teleglas.news.v1.NewsEvent',),
    producers=('signal-scorer',),
    consumers=('notification', 'gateway'),
    partitions=1,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.news.events.v1.dlt',
)

NEWS_ITEMS_V1 = Topic(
    name='teleglas.news.items.v1',
    purpose='News items as their sources published them.',
    owner='ingest',
    key='source',
    partition_by=PartitionBy.NONE,
    schemas=('teleglas.news.v1.NewsItem',),
    producers=('ingest',),
    consumers=('signal-scorer',),
    partitions=1,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.news.items.v1.dlt',
)

NOTIFICATION_DELIVERIES_V1 = Topic(
    name='teleglas.notification.deliveries.v1',
    purpose='What became of each event for each subscriber.',
    owner='notification',
    key='tenant:subscriber',
    partition_by=PartitionBy.KEY,
    schemas=('teleglas.notification.v1.Delivery',),
    producers=('notification',),
    consumers=(),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.notification.deliveries.v1.dlt',
)

PREDICTION_FORECASTS_V1 = Topic(
    name='teleglas.prediction.forecasts.v1',
    purpose='Forecasts with intervals; direction withheld where there is no skill.',
    owner='prediction',
    key='instrument:horizon',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.prediction.v1.Forecast',),
    producers=('prediction',),
    consumers=('notification', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.prediction.forecasts.v1.dlt',
)

SIGNAL_SCORES_V1 = Topic(
    name='teleglas.signal.scores.v1',
    purpose='Explained scores with their receipts.',
    owner='signal-scorer',
    key='instrument',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.signal.v1.SignalScore',),
    producers=('signal-scorer',),
    consumers=('notification', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.signal.scores.v1.dlt',
)

WHALE_ALERTS_V1 = Topic(
    name='teleglas.whale.alerts.v1',
    purpose="Parent orders over their instrument's own threshold; revised when they close and when their impact is known.",
    owner='whale-detector',
    key='alert id',
    partition_by=PartitionBy.BASE_ASSET,
    schemas=('teleglas.whale.v1.WhaleAlert', 'teleglas.market.v1.Progress'),
    producers=('whale-detector',),
    consumers=('whale-detector', 'signal-scorer', 'notification', 'gateway'),
    partitions=PARTITIONS,
    compacted=False,
    retention_ms=2592000000,
    dead_letter='teleglas.whale.alerts.v1.dlt',
)

ALL = (
    CONTROL_TOPICS_V1,
    MARKET_BOOKS_V1,
    MARKET_CANDLES_V1,
    MARKET_GAPS_V1,
    MARKET_INSTRUMENTS_V1,
    MARKET_LIQUIDATIONS_V1,
    MARKET_SUMMARIES_V1,
    MARKET_TICKERS_V1,
    MARKET_TRADES_V1,
    NEWS_EVENTS_V1,
    NEWS_ITEMS_V1,
    NOTIFICATION_DELIVERIES_V1,
    PREDICTION_FORECASTS_V1,
    SIGNAL_SCORES_V1,
    WHALE_ALERTS_V1,
)
BY_NAME = {topic.name: topic for topic in ALL}
