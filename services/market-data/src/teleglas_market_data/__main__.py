"""`python -m teleglas_market_data`."""

from __future__ import annotations

from teleglas_market_data.main import main

main()
