"""All seven services, Faust among them, each as its own user of a broker that wants TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from teleglas_cli.up.product import Product
from teleglas_cli.up.services import STARTED
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.product import held, running_product
from tests.support.secure import SecureKafka, users

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

QUICK = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.95"),
)
SAID = (
    topics.MARKET_TRADES_V1,
    topics.MARKET_CANDLES_V1,
    topics.WHALE_ALERTS_V1,
    topics.SIGNAL_SCORES_V1,
    topics.NOTIFICATION_DELIVERIES_V1,
)


async def test_the_whole_product_runs_on_its_users_rights(tmp_path: Path) -> None:
    """From frame to delivery over SASL_SSL; no log speaks of a right that is missing."""
    secure = SecureKafka(tmp_path / "secure", users())

    def prepare(product: Product) -> None:
        product.stack.kafka = secure.server

    own = tuple(row for name in STARTED for row in secure.variables(name))
    async with running_product(
        tmp_path, prepare=prepare, rate=300, own_env=own, extra_env=QUICK
    ) as product:

        async def assert_said() -> None:
            for topic in SAID:
                assert await held(product, topic) > 0, topic.name

        await eventually(assert_said, timeout_s=300, every_s=1.0)
        logs = product.options.state_dir / "logs"
        for name in STARTED:
            assert "uthorization" not in (logs / f"{name}.log").read_text()
