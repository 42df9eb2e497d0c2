"""The outside: messages, PostgreSQL, gRPC, files."""
