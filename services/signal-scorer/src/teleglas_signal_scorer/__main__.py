"""`python -m teleglas_signal_scorer`."""

from __future__ import annotations

from teleglas_signal_scorer.main import main

main()
