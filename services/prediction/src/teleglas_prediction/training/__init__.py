"""Makes models from candle files; nothing of it is imported by the serving process."""
