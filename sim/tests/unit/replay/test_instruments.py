"""Reference data out of frames."""

import pytest

from teleglas_sim.replay.instruments import canonical, grid


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([f"{100 + i * 0.5:.2f}" for i in range(400)], "0.50"),
        ([f"{100 + i * 0.01:.8f}" for i in range(400)], "0.01000000"),
        (["100.50", "101.00"], "0.10"),
        (["7", "12"], "1"),
        (["0.00000000", "5.00000000"], "1.00000000"),
    ],
)
def test_the_step_is_the_common_divisor_of_many_and_a_decimal_of_few(
    values: list[str], step: str
) -> None:
    """A few values could share a divisor by chance."""
    assert grid(values) == step


@pytest.mark.parametrize(
    ("venue", "symbol", "name"),
    [
        ("binance", "BTCUSDT", "BTC-USDT"),
        ("binance", "ETHBTC", "ETH-BTC"),
        ("binance-usdm", "BTCUSDT", "BTC-USDT-PERP"),
        ("binance-usdm", "BTCUSDT_261225", "BTC-USDT-20261225"),
        ("okx", "BTC-USDT", "BTC-USDT"),
        ("okx", "UNI-USD-SWAP", "UNI-USD-PERP"),
        ("okx", "BTC-USD-220527", "BTC-USD-20220527"),
        ("okx", "BTC-USD-220514-22000-C", "BTC-USD-20220514-22000-C"),
    ],
)
def test_instruments_are_shown_under_their_canonical_names(
    venue: str, symbol: str, name: str
) -> None:
    """The names that ingest is configured with."""
    assert canonical(venue, symbol) == name
