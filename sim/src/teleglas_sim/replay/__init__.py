"""Serve recorded frames in the venue's own protocol, and record them."""
