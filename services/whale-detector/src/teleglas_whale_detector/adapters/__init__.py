"""What the service speaks to."""
