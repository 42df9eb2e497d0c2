"""What a score is made of: pure functions over what was known at a tick."""
