"""Teleglas notification."""
