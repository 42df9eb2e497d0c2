"""What ingest knows of markets: pure, without I/O, clocks or wire formats."""
