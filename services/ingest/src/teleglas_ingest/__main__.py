"""`python -m teleglas_ingest`."""

from teleglas_ingest.main import main

main()
