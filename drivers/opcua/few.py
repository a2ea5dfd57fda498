"""So many in a time are told, and the rest counted: a flood drowns neither log nor audit."""

from __future__ import annotations

from collections import deque

from runtime.contract import Clock

MOST, WITHIN_NS = 10, 60_000_000_000


class Few:
    """Lets ten a minute pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed_ns: deque[int] = deque(maxlen=MOST)
        self._held = 0

    def take(self) -> int | None:
        """Return how many were held back since the last that passed; None where this one is, too."""
        now_ns = self._clock.steady_ns()
        if len(self._passed_ns) == MOST and now_ns - self._passed_ns[0] < WITHIN_NS:
            self._held += 1
            return None
        self._passed_ns.append(now_ns)
        held, self._held = self._held, 0
        return held
