"""What a trade does to candles, summaries, books and the composite: no I/O, no clock."""
