"""Feeds: the market in each venue's own messages."""
