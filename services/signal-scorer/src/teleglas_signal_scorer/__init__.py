"""Teleglas signal-scorer."""
