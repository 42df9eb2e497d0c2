"""Teleglas whale-detector."""
