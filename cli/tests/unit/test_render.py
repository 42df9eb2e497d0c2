"""Lines of `teleglas tail`."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.json_format import Parse

from teleglas_cli.render import pretty
from teleglas_contracts.messages import MESSAGES

EXAMPLES = Path(__file__).parents[3] / "proto" / "examples"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            "whale.alerts.v1.WhaleAlert",
            ("binance:BTC-USDT", "buy  2250000.00 of 1500000.00 sweep open revision 0"),
        ),
        ("signal.scores.v1.SignalScore", ("+34.5 buy confidence 0.80: technical +34.5",)),
        (
            "prediction.forecasts.v1.Forecast",
            ("300 s 94000 -> 94000 90% 93700..94310 abstain random-walk@1",),
        ),
        ("notification.deliveries.v1.Delivery", ("default:chat-1", "telegram sent after 0 of")),
    ],
)
def test_every_topic_of_intelligence_has_a_line_of_its_own(
    schema: str, words: tuple[str, ...]
) -> None:
    """A person reads it without knowing scaled integers."""
    ending = f".{schema.rpartition('.')[2]}"
    name = next(full for full in MESSAGES if full.endswith(ending))
    message = Parse((EXAMPLES / f"{schema}.json").read_text(), MESSAGES[name]())
    (line,) = pretty(message)
    for part in words:
        assert part in line
