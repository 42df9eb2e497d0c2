import pytest

from teleglas_contracts import topics
from teleglas_contracts.topic import base_asset, murmur2

KAFKAS_OWN_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "expected"), KAFKAS_OWN_VECTORS.items())
def test_murmur2_of_kafkas_test_vectors_is_kafkas(data: bytes, expected: int) -> None:
    """Any Kafka client that hashes the base asset finds our partition."""
    assert murmur2(data) == expected % 2**32


def test_partition_of_all_instruments_of_an_asset_is_one() -> None:
    """Spot, perpetual, dated and optioned BTC share a partition number on every joined topic."""
    instruments = (
        "BTC",
        "BTC-USDT",
        "BTC-USD-PERP",
        "BTC-USDT-20261225",
        "BTC-USD-20261225-90000-C",
    )
    joined = [topic for topic in topics.ALL if topic.partition_by.value == "base_asset"]
    assert len(joined) > 5
    assert len({topic.partition(name) for topic in joined for name in instruments}) == 1


def test_base_asset_of_a_symbol_is_its_first_part() -> None:
    """The canonical symbol begins with its base."""
    assert [base_asset(name) for name in ("BTC-USDT-PERP", "ETH")] == ["BTC", "ETH"]
