"""Writes: whether statements may change a scalar, so that a loop can keep it in a register."""

from __future__ import annotations

from softplc import ir


def changes(body: object, place: ir.Place, size: int) -> bool:
    """Tell whether anything in the tree writes to the bytes of a place, or takes its address."""
    if isinstance(body, list | tuple):
        return any(changes(each, place, size) for each in body)
    written = _written(body, size)
    if written is not None and _overlaps(*written, place, size):
        return True
    names = getattr(type(body), "__slots__", ())
    return any(changes(getattr(body, name), place, size) for name in names)


def _written(node: object, size: int) -> tuple[ir.Place, int] | None:
    """Return the place a statement itself writes, and how many bytes."""
    if isinstance(node, ir.Store | ir.Count):
        return node.place, node.type.size
    if isinstance(node, ir.StorePointer):
        return node.target, size
    if isinstance(node, ir.Copy):
        return node.target, node.size
    if isinstance(node, ir.Fill):
        return node.target, len(node.data)
    return None


def _overlaps(written: ir.Place, length: int, place: ir.Place, size: int) -> bool:
    """Compare constant places; an element of an array is never a variable of its own."""
    if written.base in ("ref", "object"):
        return True
    if written.base != place.base or written.slot != place.slot or written.steps:
        return False
    return written.offset < place.offset + size and place.offset < written.offset + length
