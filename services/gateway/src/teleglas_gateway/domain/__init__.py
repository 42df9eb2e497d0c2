"""What the edge means, without I/O: positions, symbols, commands, books, limits, problems."""
