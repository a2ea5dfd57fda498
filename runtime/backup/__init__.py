"""Backup and restore: one checked file with the plant folder and its stores as of one time."""
