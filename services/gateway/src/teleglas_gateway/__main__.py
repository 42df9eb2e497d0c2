"""`python -m teleglas_gateway`."""

from __future__ import annotations

from teleglas_gateway.main import main

main()
