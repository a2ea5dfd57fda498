"""The wanted items: what the server last said of each, and what the plant was told.

This list, not the library's, is what a connection is built from: whatever happens to a session, nothing is
forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.opcua.client.address import Point
from runtime.contract import NO_TEXT, Batch, Quality

_WAITING, _SAID, _HELD, _LOST, _REFUSED = range(5)
_TOLD = {
    _HELD: Quality.UNCERTAIN_LAST_USABLE_VALUE,
    _LOST: Quality.BAD_NO_COMMUNICATION,
    _REFUSED: Quality.BAD_CONFIGURATION_ERROR,
}


@dataclass(frozen=True, slots=True)
class Said:
    """One value as the server sent it, in the tag's raw pattern; `raw` is None where it sent none."""

    row: int
    raw: int | None
    quality: int
    source_ns: int
    text: str | None = None


class Items:
    """Points that are read, in rows.

    Attributes:
        source_ns: source time of the last value that the server sent; 0 before.
        mark_ns: when the plant was told that a row is not what it was; 0 while it is.
        resumed_ns: where a gap ends (see `gaps`): at the source time of the first value after it, or just
            behind that where the plant was told the value with another time; 0 while nothing came.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        n = len(points)
        self.points = tuple(points)
        self.ids: NDArray[np.int32] = np.array([point.tag.id for point in points], np.int32)
        self.source_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.mark_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.resumed_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self._raw: NDArray[np.uint64] = np.zeros(n, np.uint64)
        self._quality: NDArray[np.uint32] = np.full(n, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._text: dict[int, str] = {}
        self._state: NDArray[np.int8] = np.full(n, _WAITING, np.int8)
        self._before: NDArray[np.int64] = np.zeros(n, np.int64)
        self._older: dict[int, Said] = {}
        self._switched = False

    def __len__(self) -> int:
        return len(self.points)

    @property
    def refused(self) -> list[int]:
        """Return the rows that the server does not want to know."""
        rows: list[int] = np.flatnonzero(self._state == _REFUSED).tolist()
        return rows

    @property
    def held(self) -> NDArray[np.intp]:
        """Return the rows that are uncertain because the server is late."""
        return np.flatnonzero(self._state == _HELD)

    def take(self, said: Sequence[Said], now_ns: int) -> Batch | None:
        """Take in what the server said, in order of time for each row; return what the plant is to know.

        A value whose source time lies before the time at which its tag was marked is stamped with now: only
        now is it known that it holds.
        """
        if self._switched:
            said = [each for each in said if not self._lags(each)]
        if not said:
            return None
        n = len(said)
        rows = np.fromiter((each.row for each in said), np.intp, n)
        raw = np.empty(n, np.uint64)
        text: dict[int, str] = {}
        for at, each in enumerate(said):
            row = each.row
            self._state[row] = _SAID
            if not self.resumed_ns[row]:
                self.resumed_ns[row] = each.source_ns + (each.source_ns <= self.mark_ns[row])
            if each.raw is not None:
                self._raw[row] = each.raw
                if each.text is not None:
                    self._text[row] = each.text
            raw[at] = self._raw[row]
            if row in self._text:
                text[at] = self._text[row]
            self._quality[row], self.source_ns[row] = each.quality, each.source_ns
        quality = np.fromiter((each.quality for each in said), np.uint32, n)
        source = np.fromiter((each.source_ns for each in said), np.int64, n)
        marked = self.mark_ns[rows]
        source = np.where(source <= marked, np.maximum(now_ns, marked + 1), source)
        self.mark_ns[rows] = 0
        return Batch.of(self.ids[rows], raw, source, quality, text)

    def switch(self, ahead_ns: int) -> None:
        """Another server is read from now on, whose clock is so far ahead of the last one's.

        Where it says another value than the last, but with an older time, it has not yet heard what that one
        had: the row stays as it is marked until something newer comes, or `settle`.
        """
        self._before = np.where(self.source_ns > 0, self.source_ns + ahead_ns, 0)
        self._older.clear()
        self._switched = True

    def settle(self, now_ns: int) -> Batch | None:
        """From now on the server is believed; return what it said that was older."""
        older, self._older, self._switched = list(self._older.values()), {}, False
        self._before[:] = 0
        return self.take(older, now_ns)

    def _lags(self, each: Said) -> bool:
        row = each.row
        if not self._before[row]:
            return False
        same = each.raw is None or (each.raw == self._raw[row] and each.text == self._text.get(row))
        if same or Quality.is_bad(each.quality) or each.source_ns >= self._before[row]:
            self._before[row] = 0
            self._older.pop(row, None)
            return False
        self._older[row] = each
        return True

    def hold(self, rows: NDArray[np.intp], now_ns: int) -> Batch | None:
        """Keep what the server said last as uncertain; return what changed."""
        usable = (self._state[rows] == _SAID) & (self._quality[rows] >> 31 == 0)
        return self._mark(rows[usable], _HELD, now_ns)

    def lose(self, rows: NDArray[np.intp], now_ns: int) -> Batch | None:
        """Tell that there is no communication; return what changed."""
        return self._mark(rows[self._state[rows] < _LOST], _LOST, now_ns)

    def refuse(self, rows: NDArray[np.intp], now_ns: int) -> Batch | None:
        """Tell that the server refuses these; return what changed."""
        return self._mark(rows[self._state[rows] != _REFUSED], _REFUSED, now_ns)

    def affirm(self, rows: NDArray[np.intp], now_ns: int) -> Batch | None:
        """The server was late but is there: what was held is again what it said. Return what changed."""
        held = rows[(self._state[rows] == _HELD) & (self._before[rows] == 0)]
        if not len(held):
            return None
        self._state[held] = _SAID
        self.mark_ns[held] = 0
        return Batch.of(self.ids[held], self._raw[held], now_ns, self._quality[held], self._texts(held))

    def _mark(self, rows: NDArray[np.intp], state: int, now_ns: int) -> Batch | None:
        if not len(rows):
            return None
        self._state[rows] = state
        self.mark_ns[rows] = np.maximum(now_ns, self.source_ns[rows] + 1)
        text = self._texts(rows)
        return Batch.of(self.ids[rows], self._raw[rows], self.mark_ns[rows], int(_TOLD[state]), text)

    def _texts(self, rows: NDArray[np.intp]) -> dict[int, str]:
        if not self._text:
            return dict(NO_TEXT)
        return {at: self._text[row] for at, row in enumerate(rows.tolist()) if row in self._text}
