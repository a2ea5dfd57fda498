"""Conversions of constants, with the semantics of the generated code."""

from __future__ import annotations

import math

from softplc.bind.fold import as_type, wrap
from softplc.iectypes import BOOL, CHAR, DATE, DT, LONG, TIME, TOD, WCHAR, Elementary, Enum, Type, base_of
from softplc.syntax import Scalar

UNIT_NS = {TIME: 1_000_000, DATE: 1_000_000_000, DT: 1_000_000_000, TOD: 1_000_000}
UNIT_NS |= dict.fromkeys(LONG.values(), 1)
MOST_CHAR, REPLACEMENT = 255, ord("?")
DAY_NS = 86_400_000_000_000
MOMENTS = ("time", "date", "tod", "dt")


def converted(value: Scalar, source: Type, target: Type, truncates: bool) -> Scalar | None:
    """Return a constant converted, or None where only the running program can tell."""
    before, after = base_of(source), base_of(target)
    if isinstance(before, Enum):
        before = before.base
    if isinstance(value, str) or not isinstance(before, Elementary) or not isinstance(after, Elementary):
        return None
    if before.kind in MOMENTS or after.kind in MOMENTS:
        moment = _moment(value, before, after)
        return moment if moment is None or after.kind != "tod" else int(moment) % DAY_NS
    if "real" in (before.kind, after.kind) and "bits" in (before.kind, after.kind):
        return None
    if before is WCHAR and after is CHAR and value > MOST_CHAR:
        return REPLACEMENT
    return _number(value, after, truncates)


def _number(value: bool | int | float, after: Elementary, truncates: bool = False) -> Scalar | None:
    if after is BOOL:
        return value != 0
    if after.kind == "real" or not isinstance(value, float):
        return as_type(value, after)
    if not math.isfinite(value):
        return None
    low, high = after.limits
    return min(max(math.trunc(value) if truncates else round(value), low), high)


def _moment(value: bool | int | float, before: Elementary, after: Elementary) -> Scalar | None:
    if before.kind in MOMENTS and after.kind in MOMENTS:
        if before.kind == "dt" and after.kind in ("date", "tod"):
            rest = int(value) % DAY_NS
            return rest if after.kind == "tod" else wrap(int(value) - rest, after)
        return wrap(int(value), after)
    if before.kind in MOMENTS:
        unit = UNIT_NS[before]
        if after.kind == "real":
            return as_type(float(value) / unit, after)
        whole = abs(int(value)) // unit
        return _number(-whole if value < 0 else whole, after)
    if isinstance(value, float):
        return _number(value * UNIT_NS[after], after)
    return wrap(int(value) * UNIT_NS[after], after)
