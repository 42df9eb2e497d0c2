"""The embedded local stack: Apache Kafka, PostgreSQL and Valkey as child processes."""
