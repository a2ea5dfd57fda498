"""Versions of a plant's configuration: kept, told apart, put back; and which of them runs."""
