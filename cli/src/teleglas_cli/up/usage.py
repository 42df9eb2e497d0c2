"""How much memory the processes take: sampled, with the peak kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from teleglas_cli.stack.process import ManagedProcess, tree_rss_mb

__all__ = ["Usage"]


@dataclass(slots=True)
class Usage:
    """Memory of every part, in MB: now, at its own peak, and the peak of the sum."""

    now_mb: dict[str, float] = field(default_factory=dict)
    peaks_mb: dict[str, float] = field(default_factory=dict)
    peak_total_mb: float = 0.0

    def sample(self, processes: Iterable[ManagedProcess]) -> None:
        """Measure every process with its children, and this one without them."""
        found = {process.name: process.rss_mb() for process in processes}
        found["up"] = tree_rss_mb(os.getpid()) - sum(found.values())
        self.now_mb = found
        for name, size_mb in found.items():
            self.peaks_mb[name] = max(size_mb, self.peaks_mb.get(name, 0.0))
        self.peak_total_mb = max(self.peak_total_mb, sum(found.values()))

    def rounded(self) -> Mapping[str, float]:
        """Each part's peak, for a report."""
        return {name: round(size_mb, 1) for name, size_mb in sorted(self.peaks_mb.items())}
