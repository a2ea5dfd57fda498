"""Binding: names get their meaning, expressions their types and constant values; no findings yet."""
