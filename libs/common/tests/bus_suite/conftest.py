import pytest

from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus


@pytest.fixture
async def bus() -> Bus:
    """Every bus that there is: all of them pass the same tests."""
    return MemoryBus()
