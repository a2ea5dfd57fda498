"""Dump: every variable of a simulator as flat names and plain values."""

from __future__ import annotations

from typing import Any

from softplc.application import Shape, Symbol, index_texts
from softplc.image import read_value
from softplc.simulator import Simulator
from softplc.texts import shown


def dump(simulator: Simulator, program: str | None = None) -> dict[str, Any]:
    """Return name to value; arrays of elementary types are lists, one level a dimension."""
    values: dict[str, Any] = {}
    wanted = program.casefold() if program is not None else None
    for root in simulator.application.roots:
        if wanted is not None and root.program.casefold() != wanted:
            continue
        shape = simulator.application.shapes[root.shape]
        if root.bit >= 0:
            values[root.path] = simulator.read(root.path)
        else:
            _add(simulator, values, root.path, shape, root.offset)
    return values


def _add(simulator: Simulator, values: dict[str, Any], path: str, shape: Shape, offset: int) -> None:
    shapes = simulator.application.shapes
    if shape.kind == "struct":
        for name, at, index, _ in shape.members:
            _add(simulator, values, f"{path}.{name}", shapes[index], offset + at)
    elif shape.kind == "array":
        element = shapes[shape.element]
        if element.kind in ("struct", "array"):
            for position, index_text in enumerate(index_texts(shape.ranges)):
                _add(simulator, values, f"{path}[{index_text}]", element, offset + position * shape.stride)
        else:
            values[path] = _list(simulator, element, shape, 0, offset)[0]
    else:
        values[path] = _leaf(simulator, shape, offset)


def _list(
    simulator: Simulator, element: Shape, shape: Shape, rank: int, offset: int
) -> tuple[list[Any], int]:
    """Return the nested list of one dimension, and the offset after it."""
    low, high = shape.ranges[rank]
    items: list[Any] = []
    for _ in range(low, high + 1):
        if rank + 1 < len(shape.ranges):
            item, offset = _list(simulator, element, shape, rank + 1, offset)
        else:
            item, offset = _leaf(simulator, element, offset), offset + shape.stride
        items.append(item)
    return items, offset


def _leaf(simulator: Simulator, shape: Shape, offset: int) -> Any:
    symbol = Symbol("", offset, shape.bit, shape.size, shape.type, "", None, False)
    return shown(shape.type, read_value(simulator.image, symbol))
