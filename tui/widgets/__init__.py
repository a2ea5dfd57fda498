"""Widgets: each takes immutable values and sends messages up."""
