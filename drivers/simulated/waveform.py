"""Waveforms as tag addresses: `sine(20s)`, `ramp(1min)`, `square(5s)`, `noise(2s)`, `counter(1s)`.

They run over the tag's range (0 to 1 without one, 1 wide where one end is open); `counter` counts periods
since 1970 and begins again at 0 where the tag's type ends, `constant(4)` stays.
Pure: a value depends on the time and the tag's place only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.config import parse_duration_ns
from runtime.contract import DataType, Tag

_ADDRESS = re.compile(r"([a-z]+)\((.*)\)")
_GREATEST = 2.0**63 - 1024  # the greatest double below the end of a signed 64-bit integer
_ENDLESS = 2**63 - 1
SHAPES = ("sine", "ramp", "square", "noise", "counter", "constant")


@dataclass(frozen=True, slots=True)
class Waveform:
    """One waveform; `period_ns` is 0 for a constant, `level` is its value."""

    shape: str
    period_ns: int = 0
    level: float = 0.0


def parse_waveform(address: str) -> Waveform:
    """Read an address.

    Raises:
        ValueError: it is no waveform; says what would be.
    """
    match = _ADDRESS.fullmatch(address.replace(" ", ""))
    if not match or match[1] not in SHAPES:
        raise ValueError(
            f"{address!r} is no waveform; write one of {', '.join(f'{each}(…)' for each in SHAPES)}"
        )
    if match[1] == "constant":
        try:
            level = float(match[2])
        except ValueError:
            level = math.nan
        if not math.isfinite(level):
            raise ValueError(f"{match[2]!r} is not a number")
        return Waveform("constant", level=level)
    period_ns = parse_duration_ns(match[2])
    if period_ns <= 0:
        raise ValueError("the period must be longer than 0")
    return Waveform(match[1], period_ns)


class Generator:
    """Computes the values of n tags at once."""

    def __init__(self, tags: Sequence[Tag], waveforms: Sequence[Waveform]) -> None:
        self._shape = np.array([SHAPES.index(wave.shape) for wave in waveforms])
        self._period_ns = np.array([max(wave.period_ns, 1) for wave in waveforms], np.int64)
        self._level = np.array([wave.level for wave in waveforms])
        ranges = [_range(tag) for tag in tags]
        self._low = np.array([low for low, _ in ranges])
        self._high = np.array([high for _, high in ranges])
        self._phase = (np.arange(len(tags)) * 0.618033988749895 % 1.0).astype(np.float64)
        self._whole = np.array([tag.data_type.kind != "f" for tag in tags])
        self._single = np.array([tag.data_type is DataType.REAL for tag in tags])
        limits = [tag.data_type.limits for tag in tags]
        ends = [_ends(tag.data_type) for tag in tags]
        self._least = np.array([least for least, _ in ends], float)
        self._greatest = np.array([greatest for _, greatest in ends], float)
        numbers = [_ENDLESS if each is None else int(min(each[1] + 1, _ENDLESS)) for each in limits]
        self._numbers = np.array(numbers, np.int64)

    def raw(self, now_ns: int) -> NDArray[np.uint64]:
        """Return the raw patterns at a time, uint64 of shape (n,)."""
        count = now_ns // self._period_ns
        turn = (now_ns % self._period_ns) / self._period_ns
        turn = (turn + self._phase) % 1.0
        part = np.choose(
            self._shape,
            [
                0.5 + 0.5 * np.sin(2 * np.pi * turn),
                turn,
                (turn < 0.5).astype(float),
                _hash(count, self._phase),
                turn,
                turn,
            ],
        )
        value = self._low + part * (self._high - self._low)
        value = np.where(self._shape == SHAPES.index("counter"), count % self._numbers, value)
        value = np.where(self._shape == SHAPES.index("constant"), self._level, value)
        value = np.clip(np.where(self._whole, np.rint(value), value), self._least, self._greatest)
        value[self._single] = value[self._single].astype(np.float32)
        whole = np.where(self._whole, value, 0.0).astype(np.int64)
        return np.where(self._whole, whole.view(np.uint64), value.view(np.uint64))


def _ends(data_type: DataType) -> tuple[float, float]:
    """Return the least and greatest double that a type holds."""
    if data_type.limits is not None:
        return data_type.limits[0], min(data_type.limits[1], _GREATEST)
    greatest = float(np.finfo(np.float32 if data_type is DataType.REAL else np.float64).max)
    return -greatest, greatest


def _range(tag: Tag) -> tuple[float, float]:
    """Return the ends of a tag's range; one that is open lies 1 beyond the other."""
    if tag.low is None:
        return (0.0, 1.0) if tag.high is None else (tag.high - 1.0, tag.high)
    return tag.low, tag.low + 1.0 if tag.high is None else tag.high


def _hash(count: NDArray[np.int64], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that look random and depend on the period's count and the tag only."""
    mixed = np.sin(count % 1_000_003 * 12.9898 + phase * 78233.0) * 43758.5453
    return np.asarray(mixed - np.floor(mixed))
