"""What stands behind the ports: gRPC, PostgreSQL, Redis."""
