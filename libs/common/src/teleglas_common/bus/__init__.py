"""The bus: what every service sends through and reads from."""
