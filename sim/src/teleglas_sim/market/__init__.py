"""The market itself: pure, seeded, stepped by an injected clock; knows no socket and no JSON."""
