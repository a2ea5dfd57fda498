"""Report by exception: which changes are worth telling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Batch, DataType, Tag

MS_NS = 1_000_000


def deadbands(tags: Sequence[Tag], said: tuple[float, bool] | None) -> NDArray[np.float64]:
    """Return the least change of each tag that is told, in its unit; `said` is (number, whether per cent).

    Without `said` it is the tag's own. Per cent are of the tag's range; without a range they are nothing.
    """
    if said is None:
        return np.array([tag.deadband for tag in tags])
    number, per_cent = said
    if not per_cent:
        return np.array([0.0 if tag.data_type is DataType.BOOL else number for tag in tags])
    spans = [0.0 if tag.low is None or tag.high is None else tag.high - tag.low for tag in tags]
    return np.array(spans) * number / 100


class Reporter:
    """Remembers what was told of each metric, and tells what is news.

    News are another quality, another text, and a value that differs by more than the deadband. All indices
    are rows of the catalogue.
    """

    def __init__(self, tags: Sequence[Tag], deadband: NDArray[np.float64]) -> None:
        n = len(tags)
        kinds = np.array([tag.data_type.kind for tag in tags], "U1")
        self._float = kinds == "f"
        self._signed = kinds == "i"
        self._text_kind = kinds == "s"
        self._deadband = deadband
        self._raw = np.zeros(n, np.uint64)
        self._quality = np.zeros(n, np.uint32)
        self._known = np.zeros(n, np.bool_)
        self._text: dict[int, str] = {}

    def news(self, rows: NDArray[np.int32], batch: Batch) -> NDArray[np.intp]:
        """Return the places in a batch that are news; `rows` says which metric each is of."""
        left = np.arange(len(rows), dtype=np.intp)
        found = []
        while len(left):
            _, first = np.unique(rows[left], return_index=True)
            now = left[np.sort(first)]
            found.append(self._distinct(rows[now], now, batch))
            left = np.setdiff1d(left, now, assume_unique=True)
        return np.sort(np.concatenate(found)) if found else left

    def _distinct(self, rows: NDArray[np.int32], at: NDArray[np.intp], batch: Batch) -> NDArray[np.intp]:
        """Do it for places whose metrics are all different."""
        raw, quality = batch.raw[at], batch.quality[at]
        moved = raw != self._raw[rows]
        banded = moved & (self._deadband[rows] > 0)
        if banded.any():
            which = np.flatnonzero(banded)
            change = np.abs(
                self._numbers(rows[which], raw[which]) - self._numbers(rows[which], self._raw[rows[which]])
            )
            moved[which] = ~(change <= self._deadband[rows[which]])
        for place in np.flatnonzero(self._text_kind[rows]).tolist():
            row, text = int(rows[place]), batch.text.get(int(at[place]), "")
            moved[place] = text != self._text.get(row)
            if moved[place]:
                self._text[row] = text
        news = moved | (quality != self._quality[rows]) | ~self._known[rows]
        told = rows[news]
        self._raw[told], self._quality[told], self._known[told] = raw[news], quality[news], True
        told_at: NDArray[np.intp] = at[news]
        return told_at

    def _numbers(self, rows: NDArray[np.int32], raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        signed = np.where(self._signed[rows], raw.view(np.int64).astype(np.float64), raw.astype(np.float64))
        return np.where(self._float[rows], raw.view(np.float64), signed)


def newest_of_each_ms(rows: NDArray[np.int32], source_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places to keep so that no metric has two values with the same timestamp, the later ones."""
    ms = source_ns // MS_NS
    order = np.lexsort((np.arange(len(rows)), ms, rows))
    same = (rows[order][1:] == rows[order][:-1]) & (ms[order][1:] == ms[order][:-1])
    return np.sort(order[np.concatenate([~same, [True]])]) if len(rows) else order
