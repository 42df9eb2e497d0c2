"""Teleglas prediction."""
