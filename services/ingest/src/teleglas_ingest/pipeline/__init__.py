"""What happens between a venue's socket and the bus: connections, feeds, repairs, progress."""
