"""What notification knows of events, rules and people: pure, without plumbing."""
