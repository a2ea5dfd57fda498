"""Conversions of scalars: implicit ones and the conversion functions.

TIME converts to and from numbers in milliseconds, dates in seconds, times of day in milliseconds, and
LTIME, LDATE, LTOD and LDT in nanoseconds. REAL to whole numbers rounds to nearest even and saturates.
Source: IEC 61131-3:2013, 6.6.2.5.2, tables 22 to 27 (units of TIME are the implementer's choice).
"""

from __future__ import annotations

from softplc import ir
from softplc.bind.constants import DAY_NS, MOMENTS, MOST_CHAR, REPLACEMENT, UNIT_NS
from softplc.iectypes import (
    BOOL,
    CHAR,
    DWORD,
    LINT,
    LREAL,
    LWORD,
    REAL,
    WCHAR,
    Elementary,
)
from softplc.profiles import current


def convert(value: ir.Expr, target: Elementary, truncates: bool = False) -> ir.Expr:
    """Return the value converted to the target type."""
    source = value.type
    if source is target:
        return value
    if source.kind in MOMENTS or target.kind in MOMENTS:
        moment = _moment(value, source, target)
        return within_day(moment) if target.kind == "tod" and source.kind not in ("tod", "dt") else moment
    if target is BOOL:
        return ir.Convert(BOOL, value, "truth")
    if current().bits_count and "real" in (source.kind, target.kind):
        return ir.Convert(target, value, _mode(source, target, truncates))
    if (source is REAL and target is DWORD) or (source is LREAL and target is LWORD):
        return ir.Convert(target, value, "bits")
    if (source is DWORD and target is REAL) or (source is LWORD and target is LREAL):
        return ir.Convert(target, value, "bits")
    if source is WCHAR and target is CHAR:
        known = ir.Once(WCHAR, value)
        foreign = ir.Op(BOOL, ">", (known, ir.Const(WCHAR, MOST_CHAR)))
        return ir.Choose(CHAR, foreign, (ir.Convert(CHAR, known, "wrap"), ir.Const(CHAR, REPLACEMENT)), 0)
    if source.kind == "real" and target.kind != "real":
        return ir.Convert(target, value, _mode(source, target, truncates))
    return ir.Convert(target, value, "wrap")


def _mode(source: Elementary, target: Elementary, truncates: bool) -> str:
    if source.kind != "real" or target.kind == "real":
        return "wrap"
    return "trunc" if truncates else "round"


def _moment(value: ir.Expr, source: Elementary, target: Elementary) -> ir.Expr:
    if source.kind in MOMENTS and target.kind in MOMENTS:
        if source.kind == "dt" and target.kind in ("date", "tod"):
            number = ir.Once(LINT, ir.Convert(LINT, value, "wrap"))
            days = ir.Op(LINT, "MOD", (number, ir.Const(LINT, DAY_NS)))
            raised = ir.Op(LINT, "+", (days, ir.Const(LINT, DAY_NS)))
            rest: ir.Expr = ir.Op(LINT, "MOD", (raised, ir.Const(LINT, DAY_NS)))
            whole = ir.Op(LINT, "-", (number, rest))
            return ir.Convert(target, rest if target.kind == "tod" else whole, "wrap")
        return ir.Convert(target, value, "wrap")
    if source.kind in MOMENTS:
        unit = UNIT_NS[source]
        count: ir.Expr = ir.Convert(LINT, value, "wrap")
        if target.kind == "real":
            real: ir.Expr = ir.Convert(LREAL, count, "wrap")
            if unit != 1:
                real = ir.Op(LREAL, "/", (real, ir.Const(LREAL, float(unit))))
            return convert(real, target)
        if unit != 1:
            count = ir.Op(LINT, "/", (count, ir.Const(LINT, unit)))
        return convert(count, target)
    unit = UNIT_NS[target]
    if source.kind == "real":
        real = convert(value, LREAL)
        if unit != 1:
            real = ir.Op(LREAL, "*", (real, ir.Const(LREAL, float(unit))))
        return ir.Convert(target, ir.Convert(LINT, real, "round"), "wrap")
    scaled = convert(value, LINT)
    if unit != 1:
        scaled = ir.Op(LINT, "*", (scaled, ir.Const(LINT, unit)))
    return ir.Convert(target, scaled, "wrap")


def within_day(value: ir.Expr) -> ir.Expr:
    """Keep a time of day within its day."""
    day = ir.Const(value.type, DAY_NS)
    raised = ir.Op(value.type, "+", (ir.Op(value.type, "MOD", (value, day)), day))
    return ir.Op(value.type, "MOD", (raised, day))
