"""PostgreSQL, Redis and gRPC around the domain."""
