from collections.abc import Callable

import pytest

from teleglas_cli.stack.local import StackAddresses
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus

BusFactory = Callable[[int], Bus]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def make_bus(request: pytest.FixtureRequest) -> BusFactory:
    """Makes a bus whose publishers hold at most so many bytes in flight."""
    if request.param == "memory":
        return lambda limit: MemoryBus(max_in_flight_bytes=limit)
    addresses: StackAddresses = request.getfixturevalue("stack")
    return lambda limit: KafkaBus(
        KafkaSettings(addresses.kafka_bootstrap, session_timeout_s=6.0, max_in_flight_bytes=limit)
    )


@pytest.fixture
def bus(make_bus: BusFactory) -> Bus:
    """Every bus that there is: all of them pass the same tests."""
    return make_bus(16 << 20)
