"""Writes: whether statements may change a scalar, so that a loop can keep it in a register."""

from __future__ import annotations

from softplc import ir


def changes(body: object, place: ir.Place, size: int) -> bool:
    """Tell whether anything in the tree writes to the bytes of a place, or takes its address."""
    if isinstance(body, list | tuple):
        return any(changes(each, place, size) for each in body)
    if isinstance(body, ir.Store | ir.Count):
        if _overlaps(body.place, body.type.size, place, size):
            return True
    elif isinstance(body, ir.StorePointer):
        if _overlaps(body.target, size, place, size):
            return True
    elif isinstance(body, ir.Copy):
        if _overlaps(body.target, body.size, place, size):
            return True
    elif isinstance(body, ir.Fill):
        if _overlaps(body.target, len(body.data), place, size):
            return True
    names = getattr(type(body), "__slots__", ())
    return any(changes(getattr(body, name), place, size) for name in names)


def _overlaps(written: ir.Place, length: int, place: ir.Place, size: int) -> bool:
    """Compare constant places; an element of an array is never a variable of its own."""
    if written.base != place.base or written.slot != place.slot or written.steps:
        return False
    return written.offset < place.offset + size and place.offset < written.offset + length
