"""What a server sends, as a tag's raw pattern; and a tag's value as the type that the server wants."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from drivers.opcua.client.items import Said
from runtime.contract import DataType, Quality, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST_NS = 7_258_118_400_000_000_000  # 2200: servers say 9999 for "never", which 64 bits do not hold
_NO_DATA = 0x809B_0000  # BadNoData: a status that is not bad, without a value. Source: OPC 10000-6, annex A.2
_CODE = 0xFFFF_0000  # without the info bits: overflow and limits are not the tag's quality
_MS = 1_000_000
_GREATEST = 3.4028234663852886e38
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")  # `DataType.encode` takes three times as long


class UnfitError(Exception):
    """A value that the other side's type cannot be."""


def moment_ns(at: datetime | None) -> int:
    """Return a time in ns since 1970; 0 where there is none, or none that can be (1970 to 2199 can)."""
    ns = 0 if at is None else _since_1970_ns(at)
    return ns if 0 < ns < _LATEST_NS else 0


def _since_1970_ns(at: datetime) -> int:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND * 1000


def moment(at_ns: int) -> datetime:
    """Return a time as asyncua writes it."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def element(value: Any, index: Sequence[int], *, is_whole: bool = False) -> Any:
    """Return the element that was asked for; servers that ignore an IndexRange send the whole array.

    One element may be the one that was asked for, or all of a short array: `is_whole` tells that it is the
    latter.
    """
    for each in index:
        if not isinstance(value, list) or not value:
            return None
        at = 0 if len(value) == 1 and not is_whole else each
        value = value[at] if at < len(value) else None
    return value


def said(row: int, data_type: DataType, value: Any, data: Any, now_ns: int) -> Said:
    """Return what a DataValue says of a tag; `value` is the part of it that the tag is.

    What does not fit the tag is held at its limit and uncertain, what is of another kind is a wrong
    configuration.
    """
    source_ns = moment_ns(data.SourceTimestamp) or moment_ns(data.ServerTimestamp) or now_ns
    quality = (data.StatusCode.value if data.StatusCode is not None else 0) & _CODE
    if data_type is DataType.STRING and _is_null_text(data.Value) and not Quality.is_bad(quality):
        value = ""  # servers send it for an empty one
    if value is None:
        return Said(row, None, quality if Quality.is_bad(quality) else _NO_DATA, source_ns)
    try:
        raw, fits, text = to_raw(data_type, value)
    except UnfitError:
        if Quality.is_bad(quality):
            return Said(row, None, quality, source_ns)
        return Said(row, None, Quality.BAD_CONFIGURATION_ERROR, source_ns)
    if not fits and Quality.is_good(quality):
        quality = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    return Said(row, raw, quality, source_ns, text)


def to_raw(data_type: DataType, value: Any) -> tuple[int, bool, str | None]:
    """Return raw pattern, whether the value fits the tag, and the text.

    Numbers for TIME are ms, as a Duration is. Source: OPC 10000-3, 8.13.

    Raises:
        UnfitError: it is of another kind.
    """
    if data_type is DataType.STRING:
        text = _text(value)
        whole = readable(text)
        return 0, whole == text, whole
    if data_type is DataType.DT:
        if not isinstance(value, datetime):
            raise UnfitError(f"{_kind(value)} is no time")
        low, high = data_type.limits or (0, 0)
        ns = _since_1970_ns(value)
        held = min(max(ns, low), high)
        return data_type.encode(held), held == ns, None
    if not isinstance(value, int | float):
        raise UnfitError(f"{_kind(value)} is no number")
    if data_type.kind == "f":
        number, fits = float(value), True
        if data_type is DataType.REAL:
            try:
                (number,) = _FLOAT.unpack(_FLOAT.pack(number))
            except OverflowError:
                number, fits = (_GREATEST if number > 0 else -_GREATEST), False
        return int.from_bytes(_DOUBLE.pack(number), "little"), fits, None
    scaled = value * _MS if data_type is DataType.TIME else value
    if scaled != scaled:
        return 0, False, None
    low, high = data_type.limits or (0, 0)
    held = min(max(scaled, low), high)
    return data_type.encode(round(held)), held == scaled, None


def _is_null_text(variant: Any) -> bool:
    is_text = variant is not None and variant.VariantType is ua.VariantType.String
    return is_text and variant.Value is None and not variant.is_array


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, ua.LocalizedText):
        return value.Text or ""
    if isinstance(value, ua.QualifiedName):
        return value.Name or ""
    if isinstance(value, uuid.UUID):
        return str(value)
    raise UnfitError(f"{_kind(value)} is no text")


def _kind(value: Any) -> str:
    return "an array" if isinstance(value, list) else type(value).__name__


_LIMITS = {
    ua.VariantType.SByte: (-(1 << 7), (1 << 7) - 1),
    ua.VariantType.Byte: (0, (1 << 8) - 1),
    ua.VariantType.Int16: (-(1 << 15), (1 << 15) - 1),
    ua.VariantType.UInt16: (0, (1 << 16) - 1),
    ua.VariantType.Int32: (-(1 << 31), (1 << 31) - 1),
    ua.VariantType.UInt32: (0, (1 << 32) - 1),
    ua.VariantType.Int64: (-(1 << 63), (1 << 63) - 1),
    ua.VariantType.UInt64: (0, (1 << 64) - 1),
}


def to_variant(data_type: DataType, value: Value, wire: Any, element: Sequence[int] = ()) -> Any:
    """Return a tag's value as the type of a server's variable; `element` makes it an array of one.

    Raises:
        UnfitError: the variable cannot hold it.
    """
    plain = _plain(data_type, value, wire)
    if not element:
        return ua.Variant(plain, wire)
    for _ in element:
        plain = [plain]
    return ua.Variant(plain, wire, is_array=True, Dimensions=[1] * len(element) if len(element) > 1 else None)


def _plain(data_type: DataType, value: Value, wire: Any) -> Any:
    if wire is ua.VariantType.Boolean:
        if value in (0, 1):
            return bool(value)
    elif wire in (ua.VariantType.String, ua.VariantType.LocalizedText):
        if isinstance(value, str) and is_readable(value):
            return value if wire is ua.VariantType.String else ua.LocalizedText(value)
    elif wire is ua.VariantType.Guid:
        if isinstance(value, str) and (guid := _guid(value)) is not None:
            return guid
    elif wire is ua.VariantType.DateTime:
        if data_type is DataType.DT and not isinstance(value, str):
            return moment(int(value))
    elif not isinstance(value, str):
        number: int | float = value / _MS if data_type is DataType.TIME else value
        if wire in (ua.VariantType.Float, ua.VariantType.Double):
            if (
                wire is ua.VariantType.Double
                or not abs(number) > 3.4028234663852886e38
                or number
                in (
                    float("inf"),
                    float("-inf"),
                )
            ):
                return float(number)
        elif wire in _LIMITS and number == number and abs(number) != float("inf"):
            low, high = _LIMITS[wire]
            whole = round(number)
            if low <= whole <= high:
                return whole
    raise UnfitError(f"{value!r} does not fit {getattr(wire, 'name', wire)} on the server")


def _guid(text: str) -> uuid.UUID | None:
    """Return the Guid that is read as just this text."""
    try:
        guid = uuid.UUID(text)
    except ValueError:
        return None
    return guid if str(guid) == text else None


def readable(text: str) -> str:
    """Return a text without what is no UTF-8, as some servers send it: nobody could store or show it."""
    if is_readable(text):
        return text
    return text.encode(errors="surrogateescape").decode(errors="replace")


def is_readable(text: str) -> bool:
    """Tell whether a text is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
