"""Random streams: one a purpose, so that adding equipment never changes what another draws."""

from __future__ import annotations

from random import Random


def stream(seed: int, name: str, purpose: str) -> Random:
    """Return a stream that depends on nothing but seed and names, on every machine alike."""
    return Random(f"{seed}/{name}/{purpose}")
