"""Numbers between a device's types and the tag table's patterns: held at limits, never wrapped around."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contract import DataType

Raw = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


def to_pattern(values: NDArray[Any], tag_type: DataType) -> tuple[Raw, Mask]:
    """Return the tag table's patterns, held at the type's limits, and where they had to be held."""
    if tag_type.kind == "f":
        with np.errstate(invalid="ignore"):  # a NaN that signals
            numbers = values.astype(np.float64)
        if tag_type is not DataType.REAL:
            return numbers.view(np.uint64), np.zeros(len(numbers), np.bool_)
        with np.errstate(over="ignore"):
            short = numbers.astype(np.float32).astype(np.float64)
        return short.view(np.uint64), np.isinf(short) & np.isfinite(numbers)
    wide = np.dtype(np.int64 if tag_type.kind == "i" else np.uint64)
    low, high = tag_type.limits or (0, 0)
    held, exceeded = hold(values, wide, int(low), int(high))
    return held.view(np.uint64), exceeded


def from_pattern(raw: Raw, tag_type: DataType) -> NDArray[Any]:
    """Return the numbers that patterns of the tag table stand for."""
    return raw.view({"f": np.float64, "i": np.int64}.get(tag_type.kind, np.uint64))


def convert(values: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], Mask]:
    """Return the values in a device's type and where they do not fit it."""
    if dtype.kind == "f":
        numbers = values.astype(np.float64)
        with np.errstate(over="ignore"):
            wire = numbers.astype(dtype)
        return wire, np.isinf(wire) & np.isfinite(numbers)
    return hold(values, dtype, *_limits(dtype))


def scaled(values: NDArray[Any], scale: Numbers, offset: Numbers) -> tuple[Numbers, Mask]:
    """Return raw values times scale plus offset, and where that is beyond all doubles."""
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN that signals
        numbers: Numbers = values.astype(np.float64) * scale + offset
    return numbers, np.isinf(numbers) & np.isfinite(values)


def unscaled(values: NDArray[Any], scale: Numbers, offset: Numbers) -> tuple[Numbers, Mask]:
    """Return the raw values that `scaled` makes these of, and where they are beyond all doubles."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers: Numbers = (values.astype(np.float64) - offset) / scale
    return numbers, np.isinf(numbers) & np.isfinite(values)


def hold(values: NDArray[Any], dtype: np.dtype[Any], low: int, high: int) -> tuple[NDArray[Any], Mask]:
    """Return whole numbers held within low and high, and where they lay outside or were no number."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # a NaN that signals
            whole = np.rint(values.astype(np.float64))
        above = whole >= float(high + 1)  # exact: high + 1 is a power of two
        below = whole < float(low)
        outside = above | below | np.isnan(whole)
        held = np.where(outside, 0.0, whole).astype(dtype)
        held[above] = high
        held[below] = low
        return held, outside
    least, greatest = _limits(values.dtype)
    if low <= least and greatest <= high:
        return values.astype(dtype), np.zeros(len(values), np.bool_)
    clipped = np.clip(values, max(low, least), min(high, greatest))
    return clipped.astype(dtype), clipped != values


@lru_cache
def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the least and greatest number of an integer type; numpy takes long to say."""
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
