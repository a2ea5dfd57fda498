"""Sameness: whether two places that were lowered apart are the same variable."""

from __future__ import annotations

from softplc import ir


def is_same(left: ir.Place, right: ir.Place) -> bool:
    """Tell whether two places are surely one, as long as nothing is written between their uses.

    Indices are compared as far as they are made of variables, constants and what is computed of these.
    """
    return (
        (left.base, left.slot, left.offset, left.bit, left.tag)
        == (right.base, right.slot, right.offset, right.bit, right.tag)
        and left.base not in ("pointer", "ref", "object")
        and len(left.steps) == len(right.steps)
        and all(_is_same_step(*each) for each in zip(left.steps, right.steps, strict=True))
    )


def _is_same_step(left: ir.Step, right: ir.Step) -> bool:
    fixed = all(isinstance(each, int) for each in (left.low, left.count, left.stride))
    limits = (left.low, left.count, left.stride) == (right.low, right.count, right.stride)
    return fixed and limits and _is_same_value(left.index, right.index)


def _is_same_value(left: ir.Expr, right: ir.Expr) -> bool:
    if left.type is not right.type:
        return False
    if isinstance(left, ir.Const) and isinstance(right, ir.Const):
        return left.value == right.value
    if isinstance(left, ir.Load) and isinstance(right, ir.Load):
        return is_same(left.place, right.place)
    if isinstance(left, ir.Convert) and isinstance(right, ir.Convert):
        return left.mode == right.mode and _is_same_value(left.arg, right.arg)
    if isinstance(left, ir.Op) and isinstance(right, ir.Op):
        same = left.op == right.op and len(left.args) == len(right.args)
        return same and all(_is_same_value(*each) for each in zip(left.args, right.args, strict=True))
    return False
