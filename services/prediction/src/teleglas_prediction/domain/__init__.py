"""What forecasts are: pure, deterministic, without any plumbing."""
