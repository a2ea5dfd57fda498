"""Fields of structures, read and changed by the server's definitions, without code made of them.

asyncua would generate and run Python for the server's types; here the definition is walked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import pack_uatype, unpack_uatype

import drivers.opcua.decoding  # noqa: F401 - a server's counts are believed no more than a client's
from drivers.opcua.client.session import Session, read_id
from drivers.opcua.client.values import UnfitError
from drivers.opcua.client.wiretypes import BUILTIN, WireTypes

MAX_DEPTH = 8
MAX_LENGTH = 100_000


class Shape(IntEnum):
    """Source: OPC 10000-3, 8.49 StructureType."""

    PLAIN = 0
    OPTIONAL_FIELDS = 1
    UNION = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `wire` is its built-in type, or `layout` the structure that it is.

    Attributes:
        dimensions: 0 of a single value, 2 of a matrix.
    """

    name: str
    dimensions: int
    is_optional: bool
    wire: Any
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a structure is encoded. Source: OPC 10000-6, 5.2.6 to 5.2.8."""

    shape: Shape
    fields: tuple[Field, ...]


class Layouts:
    """The layouts of a server's structures, by data type and by encoding."""

    def __init__(self, session: Session, types: WireTypes) -> None:
        self._session = session
        self._types = types
        self._by_type: dict[Any, Layout | None] = {}
        self._by_encoding: dict[Any, Layout] = {}

    async def learn(self, data_type: Any, depth: int = 0) -> Layout | None:
        """Return the layout of a data type; None where the server does not define it, or not usably.

        Raises:
            ConnectError: the server does not answer.
        """
        if data_type in self._by_type:
            return self._by_type[data_type]
        self._by_type[data_type] = None
        if depth > MAX_DEPTH:
            return None
        (found,) = await self._session.read([read_id(data_type, ua.AttributeIds.DataTypeDefinition)])
        definition = found.Value.Value if found.Value is not None else None
        if not isinstance(definition, ua.StructureDefinition) or int(definition.StructureType) > Shape.UNION:
            return None
        fields = []
        for each in definition.Fields or ():
            wire = await self._types.builtin(each.DataType) or ua.VariantType.Variant
            layout = None
            if wire is ua.VariantType.ExtensionObject and each.DataType not in _ANY:
                layout = await self.learn(each.DataType, depth + 1)
                if layout is None:
                    return None
            fields.append(Field(each.Name or "", max(0, each.ValueRank), bool(each.IsOptional), wire, layout))
        made = Layout(Shape(int(definition.StructureType)), tuple(fields))
        self._by_type[data_type] = self._by_encoding[definition.DefaultEncodingId] = made
        return made

    def field(self, value: Any, way: Sequence[str | int], layout: Layout | None) -> Any:
        """Return what lies at the end of a way into a value; None where it has no such place."""
        for step in way:
            if isinstance(value, ua.ExtensionObject):
                value = self._open(value, layout)
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            elif isinstance(value, dict):
                value = value.get(step)
            else:  # a structure that the library knows
                known = getattr(value, "__dataclass_fields__", {})
                value = getattr(value, step) if step in known else None
            if value is None:
                return None
        return value.Value if isinstance(value, ua.Variant) else value

    def of(self, value: Any, data_type: Any) -> Layout | None:
        """Return the layout of a value, else of its data type."""
        chosen = self._by_encoding.get(getattr(value, "TypeId", None))
        return chosen if chosen is not None else self._by_type.get(data_type)

    def _open(self, value: Any, layout: Layout | None) -> dict[str, Any] | None:
        chosen = self._by_encoding.get(value.TypeId, layout)
        if chosen is None or not isinstance(value.Body, bytes):
            return None
        try:
            return _decode(chosen, Buffer(value.Body))
        except (NotEnoughData, ua.UaError, ValueError, KeyError):
            return None


_ANY = frozenset({ua.NodeId(22)})  # Structure itself: an ExtensionObject with a type of its own


Spans = dict[tuple[str | int, ...], tuple[int, int, Field]]  # place to where its bytes begin and end


def _decode(
    layout: Layout, data: Buffer, spans: Spans | None = None, way: tuple[str | int, ...] = ()
) -> dict[str, Any]:
    if layout.shape is Shape.UNION:
        chosen = unpack_uatype(ua.VariantType.UInt32, data)
        if not 0 < chosen <= len(layout.fields):
            return {}
        field = layout.fields[chosen - 1]
        return {field.name: _value(field, data, spans, (*way, field.name))}
    mask = unpack_uatype(ua.VariantType.UInt32, data) if layout.shape is Shape.OPTIONAL_FIELDS else 0
    found, bit = {}, 0
    for field in layout.fields:
        if layout.shape is Shape.OPTIONAL_FIELDS and field.is_optional:
            there, bit = mask >> bit & 1, bit + 1
            if not there:
                continue
        found[field.name] = _value(field, data, spans, (*way, field.name))
    return found


def _value(field: Field, data: Buffer, spans: Spans | None, way: tuple[str | int, ...]) -> Any:
    sizes: list[int] = []
    if field.dimensions == 1:
        sizes = [unpack_uatype(ua.VariantType.Int32, data)]
    elif field.dimensions:  # an array of sizes is before the elements. Source: OPC 10000-6, 5.2.5
        count = unpack_uatype(ua.VariantType.Int32, data)
        if count not in (-1, 0, field.dimensions):
            raise ValueError("a matrix of other dimensions")
        sizes = [unpack_uatype(ua.VariantType.Int32, data) for _ in range(max(0, count))] or [0]
    if math.prod(max(0, each) for each in sizes) > MAX_LENGTH:
        raise ValueError("an array too long to be true")
    if min(sizes, default=1) <= 0:
        return []
    return _elements(field, data, sizes, spans, way)


def _elements(
    field: Field, data: Buffer, sizes: Sequence[int], spans: Spans | None, way: tuple[str | int, ...]
) -> Any:
    if not sizes:
        return _one(field, data, spans, way)
    return [_elements(field, data, sizes[1:], spans, (*way, number)) for number in range(sizes[0])]


def _one(field: Field, data: Buffer, spans: Spans | None, way: tuple[str | int, ...]) -> Any:
    if field.layout is not None:
        return _decode(field.layout, data, spans, way)
    begin = data.cur_pos
    value = unpack_uatype(BUILTIN[field.wire.value], data)
    if value is None and field.wire is ua.VariantType.String:
        value = ""  # a null text
    if spans is not None:
        spans[way] = begin, data.cur_pos, field
    return value


def leaf(layout: Layout | None, value: Any, way: Sequence[str | int]) -> Field:
    """Return the field at the end of a way into a structure.

    Raises:
        UnfitError: it has none there that can be changed.
    """
    return _span(layout, value, way)[2]


def changed(layout: Layout | None, value: Any, way: Sequence[str | int], new: Any) -> Any:
    """Return a structure with another value in one place; every other byte stays as it is.

    Raises:
        UnfitError: it has no such place.
    """
    begin, end, field = _span(layout, value, way)
    packed = pack_uatype(BUILTIN[field.wire.value], new)
    return ua.ExtensionObject(value.TypeId, value.Body[:begin] + packed + value.Body[end:])


def _span(layout: Layout | None, value: Any, way: Sequence[str | int]) -> tuple[int, int, Field]:
    if layout is None or not isinstance(value, ua.ExtensionObject) or not isinstance(value.Body, bytes):
        raise UnfitError("the server does not define the structure, so that it cannot be written")
    data, spans = Buffer(value.Body), Spans()
    try:
        _decode(layout, data, spans)
    except (NotEnoughData, ua.UaError, ValueError, KeyError) as exc:
        raise UnfitError(f"the structure is not as the server defines it: {exc}") from exc
    if data:
        raise UnfitError("the structure is longer than the server defines it: what lies where is not sure")
    found = spans.get(tuple(way))
    if found is None or found[2].wire in (ua.VariantType.ExtensionObject, ua.VariantType.Variant):
        raise UnfitError(f"the structure has no single value at {'.'.join(map(str, way))} now")
    return found
