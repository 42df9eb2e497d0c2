import asyncio
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

README = Path(__file__).parents[2] / "README.md"


def test_the_examples_of_the_readme_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newcomer copies works, block after block."""
    module = ModuleType("readme_of_common")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        exec(compile(block, str(README), "exec"), vars(module))  # noqa: S102  our own text
    names = vars(module)
    monkeypatch.setenv("TELEGLAS_KAFKA__BOOTSTRAP", "localhost:9092")
    monkeypatch.setenv("TELEGLAS_POSTGRES__DSN", "postgresql://localhost/x")
    app = names["App"](names["Settings"]())
    assert [type(part).__name__ for part in app.components] == ["MeasuredPublisher", "HealthServer"]
    busy = names["BusyApp"](names["Settings"]())
    assert [type(part).__name__ for part in busy.components] == [
        "Database",
        "MeasuredPublisher",
        "GrpcServer",
        "Shards",
        "Periodic",
    ]
    assert asyncio.run(names["patient"]()) == "answer"
    asyncio.run(names["test_a_health_check_is_answered"]())
