"""Continuation points of a session: where its answers in parts go on, each to be used once.

Source: OPC 10000-4, 7.9 ContinuationPoint.
"""

from __future__ import annotations

import secrets

MOST_POINTS = 1_000  # of a session; beyond it the oldest are given up
_TOKEN_BYTES = 16


class Points:
    """What is kept of answers that go on, by what the client has of it."""

    def __init__(self) -> None:
        self._places: dict[bytes, bytes] = {}

    def keep(self, place: bytes) -> bytes:
        """Return a continuation point for a place."""
        if len(self._places) >= MOST_POINTS:
            del self._places[next(iter(self._places))]
        point = secrets.token_bytes(_TOKEN_BYTES)
        self._places[point] = place
        return point

    def take(self, point: bytes | None) -> bytes | None:
        """Return the place of a continuation point, which is over then; None where it is none."""
        return self._places.pop(point or b"", None)
