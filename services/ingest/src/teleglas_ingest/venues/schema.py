"""Field types that wire structs share: msgspec refuses what is out of range while it decodes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

__all__ = ["NS_PER_MS", "Id", "Level", "Millis", "Text"]

NS_PER_MS = 1_000_000

Millis = Annotated[int, Meta(gt=0, lt=4_102_444_800_000)]
"""ms UTC, before the year 2100."""
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=256)]
Level = tuple[str, str]
"""Price and size."""
