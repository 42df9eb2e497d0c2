from teleglas.market.v1 import trade_pb2
from teleglas_contracts import topics
from teleglas_contracts.messages import MESSAGES, without_volatile


def test_messages_hold_every_schema_of_every_topic() -> None:
    """No manifest names a message that a consumer cannot look up."""
    named = {schema for topic in topics.ALL for schema in topic.schemas}
    assert named | {topics.DEAD_LETTER_SCHEMA} == set(MESSAGES)


def test_without_volatile_clears_marked_fields_at_every_depth() -> None:
    """Receive times and writer epochs go, nested ones too; everything else stays."""
    trade = trade_pb2.Trade(id="1", price=7, ts_event=5, ts_ingest=6, backfilled=True)
    batch = trade_pb2.TradeBatch(venue="binance", writer_epoch=3, source="a", trades=[trade])
    assert without_volatile(batch) == trade_pb2.TradeBatch(
        venue="binance", trades=[trade_pb2.Trade(id="1", price=7, ts_event=5)]
    )
