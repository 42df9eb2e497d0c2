"""One product that stands while several tests ask things of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

from teleglas_cli.up.product import Product
from tests.support.product import logs_shown, running_product
from tests.support.standing import TIGHT, Standing
from tests.support.traces import receiving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    """On the simulated market; whoever uses it leaves it running as it was."""
    async with receiving() as traces:
        folder = tmp_path_factory.mktemp("standing")
        async with running_product(
            folder, rate=400, otlp_endpoint=traces.endpoint, extra_env=TIGHT
        ) as product:
            yield Standing(product, traces)


@pytest.fixture
def product(standing: Standing) -> Product:
    return standing.product


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Show what the standing product logged beside the failure of a test on it."""
    standing = pyfuncitem.funcargs.get("standing")
    if not isinstance(standing, Standing):
        return (yield)
    with logs_shown(standing.product):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the standing product come last, so that it stands beside no other."""
    items.sort(key=lambda item: "standing" in getattr(item, "fixturenames", ()))
