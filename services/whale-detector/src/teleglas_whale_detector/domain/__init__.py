"""What a whale is: pure functions over fills, forced orders and best prices."""
