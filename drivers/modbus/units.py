"""Units that fell silent: asked for one place now and then, instead of for all their blocks."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.frame.connection import Backoff

DEMOTED_AFTER = 2


class Units:
    """The units of one connection, by how often in a row they were silent."""

    def __init__(self) -> None:
        self._silences: dict[int, int] = {}
        self._backoff: dict[int, Backoff] = {}
        self._retest_ns: dict[int, int] = {}

    def is_demoted(self, unit: int) -> bool:
        """Tell whether a unit is to show first that it is there."""
        return self._silences.get(unit, 0) >= DEMOTED_AFTER

    def is_due(self, unit: int, now_ns: int) -> bool:
        """Tell whether a unit is to be asked anything now; `now_ns` is of a clock that never jumps."""
        return not self.is_demoted(unit) or now_ns >= self._retest_ns.get(unit, 0)

    def silent(self, units: Iterable[int], now_ns: int) -> None:
        """Take in which units answered nothing; one that is demoted is left alone for longer each time."""
        for unit in units:
            self._silences[unit] = self._silences.get(unit, 0) + 1
            if self.is_demoted(unit):
                backoff = self._backoff.setdefault(unit, Backoff(jitter=0.5))
                self._retest_ns[unit] = now_ns + round(backoff.next_s() * 1e9)

    def heard(self, units: Iterable[int]) -> None:
        """Take in which units answered."""
        for unit in units:
            self._silences.pop(unit, None)
            self._backoff.pop(unit, None)
            self._retest_ns.pop(unit, None)

    def all_due(self) -> None:
        """Let every unit be asked now: the connection is new."""
        self._retest_ns.clear()
