"""Aggregates that clients may ask for: which figure of the historian each is, and of what type on the wire.

Uncertain values count as values, and what is made of them is uncertain. Source: OPC 10000-13, 5.4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.opcua.wire import Wire
from runtime.contract import DataType, Tag

CALCULATED, PARTIAL, INTERPOLATED = 0x401, 0x404, 0x402  # Source: OPC 10000-4, 7.39.1
_ANY_BIT = 0x41F
_INVALID_INPUTS = np.uint32(ua.StatusCodes.BadAggregateInvalidInputs)
_BAD = np.uint32(ua.StatusCodes.Bad)
_ROUNDED = 1e-6  # per cent
_NS_PER_MS = 1e6
_IDS = ua.ObjectIds
_STRAIGHT = (DataType.REAL, DataType.LREAL)

NUMBER = Wire([Tag("number", DataType.LREAL)])
COUNT = Wire([Tag("count", DataType.DINT)])
STATUS = Wire([Tag("status", DataType.UDINT)], [ua.VariantType.StatusCode.value])


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One of them.

    Attributes:
        figure: mode of `Port.figures`; of tags that move in steps `stepped`, where that differs.
        wire: how its values lie in a message; None where they are of the tag's type.
        computed: whether values are calculated with, so that they must be numbers.
        of_quality: whether it tells of status codes alone.
        partial: whether intervals that are not complete are marked.
        shares: figures of how much of an interval is good, and bad, where its status goes by that.
    """

    figure: str
    wire: Wire | None = None
    computed: bool = False
    of_quality: bool = False
    partial: bool = True
    stepped: str = ""
    shares: tuple[str, str] | None = None

    def mode(self, data_type: DataType) -> str:
        """Return which figure it is of a tag."""
        return self.stepped if self.stepped and data_type not in _STRAIGHT else self.figure

    def fits(self, data_type: DataType) -> bool:
        """Tell whether tags of a type have it: texts have no values, and moments are not calculated with."""
        if data_type is DataType.STRING:
            return self.of_quality
        return not (self.computed and data_type is DataType.DT)

    def encode(
        self, data_type: DataType, value: NDArray[np.float64], quality: NDArray[np.uint32]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Return patterns and status codes; what does not fit the type is Bad_AggregateInvalidInputs."""
        bare = (quality >> 31 == 0) & (quality & _ANY_BIT == 0)
        quality = quality | np.where(bare, np.uint32(CALCULATED), np.uint32(0))
        if self.wire is NUMBER:
            ms = self.computed and data_type is DataType.TIME
            return np.ascontiguousarray(value / _NS_PER_MS if ms else value).view(np.uint64), quality
        kind = data_type if self.wire is None else DataType.UDINT
        limits = kind.limits
        if limits is None:
            return np.ascontiguousarray(value).view(np.uint64), quality
        whole = np.rint(np.nan_to_num(value))
        unfit = (quality >> 31 == 0) & ((whole < limits[0]) | (whole > limits[1]))
        least, greatest = (0.0, 2.0**64 - 2048) if kind.kind == "u" else (-(2.0**63), 2.0**63 - 1024)
        fitting = np.clip(whole, least, greatest)  # as floats are; all that are beyond are unfit
        raw = fitting.astype(np.uint64 if kind.kind == "u" else np.int64).view(np.uint64)
        return raw, np.where(unfit, _INVALID_INPUTS, quality).astype(np.uint32)


def judged(
    quality: NDArray[np.uint32], good: NDArray[np.float64], bad: NDArray[np.float64], least: tuple[int, int]
) -> NDArray[np.uint32]:
    """Return status codes by shares of what is good and bad, and how many per cent make an interval so.

    What has no value stays so, and what is made of uncertain values as well: they count with the good ones.

    Source: OPC 10000-13, 4.2.1.2 AggregateConfigurationType, 5.4.3.2 StatusCode calculation.
    """
    bad = np.nan_to_num(bad)
    sure = np.nan_to_num(good, nan=100.0) + bad > 100 - _ROUNDED
    is_good, is_bad = 100 - bad > least[0] - _ROUNDED, bad > least[1] - _ROUNDED
    code = np.where(is_good & sure, quality & _ANY_BIT, quality)
    code = np.where(is_bad & ~is_good, _BAD, code)
    return np.where(quality >> 31 != 0, quality, code).astype(np.uint32)


def _of_quality(figure: str, wire: Wire = NUMBER) -> Aggregate:
    return Aggregate(figure, wire, of_quality=True)


def _by_time(figure: str, wire: Wire | None = None, computed: bool = False) -> Aggregate:
    return Aggregate(figure, wire, computed, shares=("percent_good", "percent_bad"))


def _by_count(figure: str, wire: Wire, computed: bool = False, partial: bool = True) -> Aggregate:
    return Aggregate(figure, wire, computed, partial=partial, shares=("samples_good", "samples_bad"))


INTERPOLATIVE = Aggregate("between", stepped="held", partial=False)
AGGREGATES = {
    getattr(_IDS, f"AggregateFunction_{name}"): aggregate
    for name, aggregate in {
        "Interpolative": INTERPOLATIVE,
        "Average": _by_count("mean", NUMBER, computed=True, partial=False),
        "TimeAverage": _by_time("time_weighted", NUMBER, computed=True),
        "TimeAverage2": _by_time("time_weighted", NUMBER, computed=True),
        "Total": _by_time("total", NUMBER, computed=True),
        "Total2": _by_time("total", NUMBER, computed=True),
        "Minimum": Aggregate("min"),
        "Minimum2": _by_time("min"),
        "Maximum": Aggregate("max"),
        "Maximum2": _by_time("max"),
        "MinimumActualTime": Aggregate("min_at"),
        "MaximumActualTime": Aggregate("max_at"),
        "Range": Aggregate("range", computed=True),
        "Range2": _by_time("span", computed=True),
        "Count": _by_count("count", COUNT),
        "NumberOfTransitions": _by_count("transitions", COUNT),
        "Start": Aggregate("first"),
        "End": Aggregate("last"),
        "Delta": Aggregate("delta", computed=True),
        "DeltaBounds": Aggregate("delta_bounds", computed=True),
        "DurationGood": _of_quality("duration_good"),
        "DurationBad": _of_quality("duration_bad"),
        "PercentGood": _of_quality("percent_good"),
        "PercentBad": _of_quality("percent_bad"),
        "WorstQuality": _of_quality("worst_quality", STATUS),
        "StandardDeviationSample": _by_count("deviation_sample", NUMBER, computed=True),
        "StandardDeviationPopulation": _by_count("deviation_population", NUMBER, computed=True),
    }.items()
}
