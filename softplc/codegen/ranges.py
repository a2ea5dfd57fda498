"""Ranges: what values a whole number can have, as far as loops and constants tell.

An index that is known to be inside needs no check, so what stands behind AND or OR can be evaluated at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from softplc import ir
from softplc.iectypes import Elementary

Range = tuple[int, int]
Key = tuple[str, int, int]  # of a place: base, slot, offset
Known = Mapping[Key, tuple[Elementary, Range]]
_COSTLY = ("/", "MOD", "**", "SQRT", "LN", "LOG", "EXP", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN", "ATAN2")


def key_of(place: ir.Place) -> Key:
    return (place.base, place.slot, place.offset)


def range_of(expr: ir.Expr, known: Known) -> Range | None:
    """Return least and greatest value of an expression, None where that is not known.

    `known` has the control variables of the loops around, by their place.
    """
    if isinstance(expr, ir.Const):
        return (int(expr.value), int(expr.value)) if isinstance(expr.value, int) else None
    if isinstance(expr, ir.Load):
        return _of_control(expr, known)
    if expr.type.kind not in ("int", "uint"):
        return None
    found: Range | None = None
    if isinstance(expr, ir.Convert) and expr.mode == "wrap" and expr.arg.type.kind in ("int", "uint"):
        found = range_of(expr.arg, known)
    elif isinstance(expr, ir.Op) and len(expr.args) == 2:
        left, right = (range_of(each, known) for each in expr.args)
        found = _combined(expr.op, left, right)
    low, high = expr.type.limits
    return found if found is not None and low <= found[0] and found[1] <= high else None


def _of_control(expr: ir.Load, known: Known) -> Range | None:
    """Return the range of a control variable that is read as a whole: a part of it has another type."""
    place = expr.place
    if place.steps or place.pointer is not None or place.bit >= 0:
        return None
    type_, found = known.get(key_of(place), (None, None))
    return found if type_ is expr.type else None


def _combined(op: str, left: Range | None, right: Range | None) -> Range | None:
    if op == "MOD" and right is not None and right[0] == right[1] > 0:
        most = right[0] - 1
        return (0 if left is not None and left[0] >= 0 else -most, most)
    if left is None or right is None:
        return None
    if op == "+":
        return (left[0] + right[0], left[1] + right[1])
    if op == "-":
        return (left[0] - right[1], left[1] - right[0])
    if op == "*":
        corners = [a * b for a in left for b in right]
        return (min(corners), max(corners))
    return None


def is_inside(step: ir.Step, known: Known) -> bool:
    """Tell whether an index is inside of its limits whatever happens."""
    found = range_of(step.index, known)
    if found is None or not isinstance(step.low, int) or not isinstance(step.count, int):
        return False
    return step.low <= found[0] and found[1] < step.low + step.count


def is_harmless(expr: ir.Expr) -> bool:
    """Tell whether evaluating costs little and can neither fault nor change anything."""
    if isinstance(expr, ir.Const):
        return True
    if isinstance(expr, ir.Load):
        place = expr.place
        return place.base not in ("ref", "object") and not place.steps
    if isinstance(expr, ir.Convert):
        return is_harmless(expr.arg)
    if isinstance(expr, ir.Op):
        return expr.op not in _COSTLY and all(is_harmless(each) for each in expr.args)
    return False
