"""`python -m teleglas_whale_detector`."""

from __future__ import annotations

from teleglas_whale_detector.main import main

main()
