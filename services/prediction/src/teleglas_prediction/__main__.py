"""`python -m teleglas_prediction`."""

from __future__ import annotations

from teleglas_prediction.main import main

main()
