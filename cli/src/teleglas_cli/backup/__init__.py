"""Backup and restore of the database, in which state, rows and offsets stand together."""
