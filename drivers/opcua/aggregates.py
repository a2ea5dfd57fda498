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
    """

    figure: str
    wire: Wire | None = None
    computed: bool = False
    of_quality: bool = False
    partial: bool = True
    stepped: str = ""

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


def _of_quality(figure: str, wire: Wire = NUMBER) -> Aggregate:
    return Aggregate(figure, wire, of_quality=True)


INTERPOLATIVE = Aggregate("between", stepped="held", partial=False)
AGGREGATES = {
    getattr(_IDS, f"AggregateFunction_{name}"): aggregate
    for name, aggregate in {
        "Interpolative": INTERPOLATIVE,
        "Average": Aggregate("mean", NUMBER, computed=True, partial=False),
        "TimeAverage": Aggregate("time_weighted", NUMBER, computed=True),
        "TimeAverage2": Aggregate("time_weighted", NUMBER, computed=True),
        "Total": Aggregate("total", NUMBER, computed=True),
        "Total2": Aggregate("total", NUMBER, computed=True),
        "Minimum": Aggregate("min"),
        "Minimum2": Aggregate("min"),
        "Maximum": Aggregate("max"),
        "Maximum2": Aggregate("max"),
        "MinimumActualTime": Aggregate("min_at"),
        "MaximumActualTime": Aggregate("max_at"),
        "Range": Aggregate("range", computed=True),
        "Range2": Aggregate("span", computed=True),
        "Count": Aggregate("count", COUNT),
        "NumberOfTransitions": Aggregate("transitions", COUNT),
        "Start": Aggregate("first"),
        "End": Aggregate("last"),
        "Delta": Aggregate("delta", computed=True),
        "DeltaBounds": Aggregate("delta_bounds", computed=True),
        "DurationGood": _of_quality("duration_good"),
        "DurationBad": _of_quality("duration_bad"),
        "PercentGood": _of_quality("percent_good"),
        "PercentBad": _of_quality("percent_bad"),
        "WorstQuality": _of_quality("worst_quality", STATUS),
        "StandardDeviationSample": Aggregate("deviation_sample", NUMBER, computed=True),
        "StandardDeviationPopulation": Aggregate("deviation_population", NUMBER, computed=True),
    }.items()
}
