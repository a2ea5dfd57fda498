"""Changes too small to tell, for devices that send every value: absolute, or per cent of a tag's range.

A value is told when it lies further from the value told last than the band, so that a slow drift is told too.

Source: OPC 10000-4, 7.22.2 DataChangeFilter (|last - present| > band); OPC 10000-8, 6.2 PercentDeadband.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator

from runtime.contract import Tag


def _parse(value: object) -> object:
    if isinstance(value, str):
        number = value.strip().removesuffix("%")
        try:
            return (float(number), value.strip().endswith("%"))
        except ValueError:
            raise ValueError(f"{value!r} is no deadband; write 0.5, or 2% of the range") from None
    return (value, False) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _sane(deadband: tuple[float, bool]) -> tuple[float, bool]:
    if not 0 <= deadband[0] < float("inf") or (deadband[1] and deadband[0] > 100):
        raise ValueError("a deadband is 0 or more, and at most 100 %")
    return deadband


# As a section of plant.yaml has it: `0.5` in units of the value, `2%` of its range; (amount, is per cent).
Deadband = Annotated[
    tuple[float, bool],
    BeforeValidator(_parse, json_schema_input_type=float | str),
    AfterValidator(_sane),
]


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """The bands of n tags, with how their raw patterns are read.

    Attributes:
        width: float64 of shape (n,), in engineering units; 0 tells every change.
        is_float, is_signed: bool of shape (n,).
    """

    width: NDArray[np.float64]
    is_float: NDArray[np.bool_]
    is_signed: NDArray[np.bool_]


def bands_of(tags: Sequence[Tag], deadband: tuple[float, bool]) -> Bands:
    """Return the bands of tags; BOOL and STRING, and a per cent of no range, have none."""
    amount, is_percent = deadband
    width = [0.0 if tag.data_type.bits <= 1 else _width(tag, amount, is_percent) for tag in tags]
    kinds = np.array([tag.data_type.kind for tag in tags], "U1")
    return Bands(np.array(width, np.float64), kinds == "f", kinds == "i")


def joined(bands: Sequence[Bands | None], sizes: Sequence[int]) -> Bands | None:
    """Return the bands of several lists of so many tags as one; None where no list has any."""
    if all(each is None for each in bands):
        return None
    parts = [_none(size) if each is None else each for each, size in zip(bands, sizes, strict=True)]
    return Bands(
        np.concatenate([each.width for each in parts]),
        np.concatenate([each.is_float for each in parts]),
        np.concatenate([each.is_signed for each in parts]),
    )


def _none(size: int) -> Bands:
    return Bands(np.zeros(size), np.zeros(size, np.bool_), np.zeros(size, np.bool_))


def _width(tag: Tag, amount: float, is_percent: bool) -> float:
    if not is_percent:
        return amount
    return 0.0 if tag.low is None or tag.high is None else amount / 100 * (tag.high - tag.low)


def moved(bands: Bands, told: NDArray[np.uint64], raw: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which of n values are to be told; `told` holds the patterns told last.

    A value that comes to be, or ceases to be, NaN or infinite is told.
    """
    differs: NDArray[np.bool_] = told != raw
    held = differs & (bands.width > 0)
    if not held.any():
        return differs
    with np.errstate(invalid="ignore"):
        small = np.abs(_numbers(bands, raw, held) - _numbers(bands, told, held)) <= bands.width[held]
    differs[held] &= ~small
    return differs


def _numbers(bands: Bands, raw: NDArray[np.uint64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    chosen = np.ascontiguousarray(raw[rows])
    numbers = np.where(
        bands.is_signed[rows], chosen.view(np.int64).astype(np.float64), chosen.astype(np.float64)
    )
    return np.where(bands.is_float[rows], chosen.view(np.float64), numbers)
