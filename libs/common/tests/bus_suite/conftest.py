import pytest

from teleglas_cli.stack.local import StackAddresses
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus


@pytest.fixture(
    params=["memory", pytest.param("kafka", marks=pytest.mark.integration)],
)
def bus(request: pytest.FixtureRequest) -> Bus:
    """Every bus that there is: all of them pass the same tests."""
    if request.param == "memory":
        return MemoryBus()
    addresses: StackAddresses = request.getfixturevalue("stack")
    return KafkaBus(KafkaSettings(addresses.kafka_bootstrap, session_timeout_s=6.0))
