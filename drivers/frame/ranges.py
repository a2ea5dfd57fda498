"""Values of the plant on their way to devices, held within the ranges of their tags.

The gate refuses what people write beyond a range; what programs produce is held at the limit and told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.frame.patterns import Mask, Raw, from_pattern
from runtime.contract import Tag, Value

_NONE = float("-inf"), float("inf")


def bounds(tag: Tag) -> tuple[float, float]:
    """Return the least and greatest value of a tag's range, as its type has them; infinite where none is."""
    if tag.data_type.bits <= 1:  # BOOL and STRING
        return _NONE
    low, high = _NONE[0] if tag.low is None else tag.low, _NONE[1] if tag.high is None else tag.high
    if tag.data_type.kind == "f":
        least, greatest = (tag.data_type.decode(tag.data_type.encode(each)) for each in (low, high))
        return float(least), float(greatest)
    whole = math.ceil(low) if math.isfinite(low) else low, math.floor(high) if math.isfinite(high) else high
    return whole if whole[0] <= whole[1] else _NONE


def held(tag: Tag, value: Value) -> Value:
    """Return a value of a tag within its range."""
    if isinstance(value, str | bool):
        return value
    low, high = bounds(tag)
    return low if value < low else high if value > high else value


class Ranges:
    """The ranges of n tags."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        kinds = np.array([tag.data_type.name for tag in tags], np.str_)
        limits = [bounds(tag) for tag in tags]
        ranged = np.array([limit != _NONE for limit in limits], np.bool_)
        self._of_kind = []
        for type_ in {tag.data_type for tag in tags}:
            rows = np.flatnonzero((kinds == type_.name) & ranged)
            if len(rows):
                chosen = [limits[row] for row in rows.tolist()]
                low = np.array([each[0] for each in chosen], np.float64)
                high = np.array([each[1] for each in chosen], np.float64)
                ends = [[self._pattern(tags[row], end) for end in limits[row]] for row in rows.tolist()]
                self._of_kind.append((type_, rows, low, high, np.array(ends, np.uint64)))

    @staticmethod
    def _pattern(tag: Tag, end: float) -> int:
        return tag.data_type.encode(end) if math.isfinite(end) or tag.data_type.kind == "f" else 0

    def hold(self, raw: Raw) -> Mask:
        """Bring patterns of shape (n,) within their ranges, in place; return where they lay outside."""
        outside: NDArray[np.bool_] = np.zeros(len(raw), np.bool_)
        for type_, rows, low, high, ends in self._of_kind:
            numbers = from_pattern(raw[rows], type_)
            below, above = numbers < low, numbers > high
            raw[rows[below]], raw[rows[above]] = ends[below, 0], ends[above, 1]
            outside[rows] = below | above
        return outside
