"""A Sparkplug B payload as a value, and as bytes.

DataSets and Templates are passed over when read, and never written. Source: Sparkplug 3.0.0, 6.4.

A payload may lie compressed (zlib or gzip) in the body of another; such are read, and never written.
Source: Eclipse Tahu, org.eclipse.tahu.util.PayloadUtil; the standard leaves it open.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from drivers.sparkplug.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    PayloadError,
    chunk,
    fields,
    fixed32,
    fixed64,
    tagged,
)

INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING, RAW = range(10, 17)  # fields of a metric's value
COMPRESSED = "SPBV1.0_COMPRESSED"  # the uuid of a payload whose body is another
MOST_UNPACKED = 16 * 1024 * 1024  # bytes, as of a message
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_PROPERTY_SHIFT = 7  # the same kinds of value in a property begin at 3
Content = int | float | bool | str | bytes


@dataclass(frozen=True, slots=True)
class Carried:
    """A value as it is carried: the field that holds it (INT to RAW) and what that holds, unsigned."""

    kind: int
    content: Content


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a metric: Sparkplug data type and value, None for null."""

    datatype: int
    value: Carried | None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a payload. A metric without a value that is not null holds what is not read here."""

    name: str = ""
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int | None = None
    is_historical: bool = False
    is_null: bool = False
    value: Carried | None = None
    properties: Mapping[str, Property] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Payload:
    """What one message says."""

    timestamp_ms: int | None = None
    metrics: Sequence[Metric] = ()
    seq: int | None = None


def encode(payload: Payload) -> bytes:
    """Return a payload as bytes."""
    return framed(payload.timestamp_ms, [encode_metric(each) for each in payload.metrics], payload.seq)


def framed(timestamp_ms: int | None, metrics: Sequence[bytes], seq: int | None) -> bytes:
    """Return a payload whose metrics are bytes already."""
    parts = [] if timestamp_ms is None else [tagged(1, timestamp_ms)]
    parts += [chunk(2, each) for each in metrics]
    if seq is not None:
        parts.append(tagged(3, seq))
    return b"".join(parts)


def encode_metric(metric: Metric) -> bytes:
    """Return one metric as bytes."""
    parts = []
    if metric.name:
        parts.append(chunk(1, metric.name.encode()))
    if metric.alias is not None:
        parts.append(tagged(2, metric.alias))
    if metric.timestamp_ms is not None:
        parts.append(tagged(3, metric.timestamp_ms))
    if metric.datatype is not None:
        parts.append(tagged(4, metric.datatype))
    if metric.is_historical:
        parts.append(tagged(5, 1))
    if metric.is_null:
        parts.append(tagged(7, 1))
    if metric.properties:
        parts.append(chunk(9, _properties(metric.properties)))
    if metric.value is not None:
        parts.append(_carried(metric.value, 0))
    return b"".join(parts)


def decode(data: bytes) -> Payload:
    """Read a payload.

    Raises:
        PayloadError: it is none.
    """
    outer, packed = _decode(data)
    if packed is None:
        return outer
    inner, packed = _decode(_unpacked(packed))
    if packed is not None:
        raise PayloadError("compressed twice")
    return Payload(
        outer.timestamp_ms if inner.timestamp_ms is None else inner.timestamp_ms,
        inner.metrics,
        outer.seq if inner.seq is None else inner.seq,
    )


def _decode(data: bytes) -> tuple[Payload, bytes | None]:
    """Return what a payload says, and its body where that is a compressed one."""
    timestamp: int | None = None
    seq: int | None = None
    metrics = []
    uuid, body = "", b""
    for number, kind, content in fields(data):
        if number == 1 and kind == VARINT:
            timestamp = _number(content)
        elif number == 2 and kind == BYTES:
            metrics.append(_metric(_data(content)))
        elif number == 3 and kind == VARINT:
            seq = _number(content)
        elif number == 4 and kind == BYTES:
            uuid = _text(content)
        elif number == 5 and kind == BYTES:
            body = _data(content)
    return Payload(timestamp, metrics, seq), body if uuid == COMPRESSED else None


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        data = unpacking.decompress(body, MOST_UNPACKED)
    except zlib.error as exc:
        raise PayloadError(f"its body cannot be unpacked: {exc}") from exc
    if not unpacking.eof:
        cut = len(data) < MOST_UNPACKED
        raise PayloadError("its body is cut off" if cut else f"it unpacks to more than {MOST_UNPACKED} bytes")
    return data


def _carried(value: Carried, shift: int) -> bytes:
    number, content = value.kind - shift, value.content
    match value.kind:
        case 12:
            return fixed32(number, float(content))
        case 13:
            return fixed64(number, float(content))
        case 15:
            assert isinstance(content, str)
            return chunk(number, content.encode("utf-8", "replace"))
        case 16:
            assert isinstance(content, bytes)
            return chunk(number, content)
        case _:
            return tagged(number, int(content))


def _properties(properties: Mapping[str, Property]) -> bytes:
    keys = [chunk(1, name.encode()) for name in properties]
    values = [chunk(2, _property(each)) for each in properties.values()]
    return b"".join((*keys, *values))


def _property(each: Property) -> bytes:
    value = tagged(2, 1) if each.value is None else _carried(each.value, _PROPERTY_SHIFT)
    return tagged(1, each.datatype) + value


def _metric(data: bytes) -> Metric:
    name, properties = "", {}
    numbers: dict[int, int] = {}
    value: Carried | None = None
    for number, kind, content in fields(data):
        if number == 1 and kind == BYTES:
            name = _text(content)
        elif 2 <= number <= 7 and kind == VARINT:
            numbers[number] = _number(content)
        elif number == 9 and kind == BYTES:
            properties = _property_set(_data(content))
        elif number >= INT:
            read = _READ.get((number, kind))
            value = Carried(number, read(content)) if read else None
    return Metric(
        name,
        numbers.get(2),
        numbers.get(3),
        numbers.get(4),
        bool(numbers.get(5)),
        bool(numbers.get(7)),
        value,
        properties,
    )


def _property_set(data: bytes) -> dict[str, Property]:
    names, values = [], []
    for number, kind, content in fields(data):
        if number == 1 and kind == BYTES:
            names.append(_text(content))
        elif number == 2 and kind == BYTES:
            values.append(_read_property(_data(content)))
    if len(names) != len(values):
        raise PayloadError(f"{len(names)} names of properties, but {len(values)} values")
    return dict(zip(names, values, strict=True))


def _read_property(data: bytes) -> Property:
    datatype = 0
    value: Carried | None = None
    for number, kind, content in fields(data):
        if number == 1 and kind == VARINT:
            datatype = _number(content)
        elif 3 <= number <= 8:
            read = _READ.get((number + _PROPERTY_SHIFT, kind))
            value = Carried(number + _PROPERTY_SHIFT, read(content)) if read else None
    return Property(datatype, value)


def _number(content: int | bytes) -> int:
    assert isinstance(content, int)
    return content


def _data(content: int | bytes) -> bytes:
    assert isinstance(content, bytes)
    return content


def _text(content: int | bytes) -> str:
    try:
        return _data(content).decode()
    except UnicodeDecodeError as exc:
        raise PayloadError(f"text is not UTF-8: {exc.reason}") from exc


_READ: Mapping[tuple[int, int], Callable[[int | bytes], Content]] = {
    (INT, VARINT): lambda content: _number(content) & 0xFFFF_FFFF,
    (LONG, VARINT): _number,
    (FLOAT, FIXED32): lambda content: float(struct.unpack("<f", _data(content))[0]),
    (DOUBLE, FIXED64): lambda content: float(struct.unpack("<d", _data(content))[0]),
    (BOOLEAN, VARINT): lambda content: _number(content) != 0,
    (STRING, BYTES): _text,
    (RAW, BYTES): _data,
}
