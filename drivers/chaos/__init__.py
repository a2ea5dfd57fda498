"""Campaigns against clients: the device freezes, dies, moves, hangs, is slow; the wire loses and repeats."""
