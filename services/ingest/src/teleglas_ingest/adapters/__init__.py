"""The outside: sockets, REST, the bus, the database."""
