"""IEC types and OPC UA qualities as Sparkplug says them, both ways.

TIME is an Int64 of ns (its engUnit says so), DT a DateTime, which has ms. Source: Sparkplug 3.0.0, 6.4.16.
"""

from __future__ import annotations

from drivers.sparkplug.payload import BOOLEAN, DOUBLE, FLOAT, INT, LONG, STRING, Carried, Property
from runtime.contract import DataType, Quality, Value

INT32, INT64, UINT32, DOUBLE_TYPE, BOOLEAN_TYPE, STRING_TYPE, DATETIME = 3, 4, 7, 10, 11, 12, 13
NAMES = (
    "Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float", "Double",
    "Boolean", "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File", "Template",
)  # fmt: skip
SPARKPLUG = {
    DataType.BOOL: BOOLEAN_TYPE,
    DataType.SINT: 1,
    DataType.INT: 2,
    DataType.DINT: INT32,
    DataType.LINT: INT64,
    DataType.USINT: 5,
    DataType.UINT: 6,
    DataType.UDINT: UINT32,
    DataType.ULINT: 8,
    DataType.BYTE: 5,
    DataType.WORD: 6,
    DataType.DWORD: UINT32,
    DataType.LWORD: 8,
    DataType.REAL: 9,
    DataType.LREAL: DOUBLE_TYPE,
    DataType.TIME: INT64,
    DataType.DT: DATETIME,
    DataType.STRING: STRING_TYPE,
}
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED = {5: 8, 6: 16, 7: 32, 8: 64}
_TEXTS = (STRING_TYPE, 14, 15)
_MS = 1_000_000
_U32, _U64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
GOOD, STALE, BAD = 192, 500, 0


class UnfitError(Exception):
    """A value that a tag cannot take."""


def carried(data_type: DataType, raw: int, text: str | None) -> Carried:
    """Return a value as it is carried.

    The standard does not say how a negative Int8 or Int16 goes into 32 bits without a sign. They are
    extended to all 32, as the encoder of its compatibility kit does: some decoders look at 32 bits always.
    """
    match data_type:
        case DataType.BOOL:
            return Carried(BOOLEAN, raw != 0)
        case DataType.STRING:
            return Carried(STRING, text or "")
        case DataType.REAL | DataType.LREAL:
            number = data_type.decode(raw)
            return Carried(FLOAT if data_type is DataType.REAL else DOUBLE, number)
        case DataType.DT:
            return Carried(LONG, int(data_type.decode(raw)) // _MS & _U64)
    if data_type.bits == 64:
        return Carried(LONG, raw)
    return Carried(INT, raw & _U32)


def value_of(data_type: DataType, datatype: int | None, value: Carried) -> Value:
    """Return a carried value as one of a tag; without `datatype` it is taken as of the tag's own type.

    Raises:
        UnfitError: it is of another kind, or does not fit.
    """
    said = SPARKPLUG[data_type] if datatype is None else datatype
    found = _plain(said, value)
    if data_type is DataType.DT and said == DATETIME and isinstance(found, int):
        found *= _MS
    if data_type.kind != "s" and data_type is not DataType.BOOL and isinstance(found, bool):
        raise UnfitError(f"{data_type.iec} cannot be {found}")
    try:
        data_type.encode(found)
    except (TypeError, ValueError, OverflowError) as exc:
        raise UnfitError(str(exc)) from exc
    return found


def _plain(said: int, value: Carried) -> Value:
    content = value.content
    if isinstance(content, bytes):
        raise UnfitError("bytes are no value of a tag")
    numeric = said in _SIGNED or said in _UNSIGNED or said in (9, DOUBLE_TYPE, DATETIME)
    if said in _TEXTS and isinstance(content, str):
        return content
    if said == BOOLEAN_TYPE and isinstance(content, bool):
        return content
    if not numeric or isinstance(content, bool | str):
        name = NAMES[said] if said < len(NAMES) else str(said)
        raise UnfitError(f"{content!r} is carried as data type {name}")
    bits = _SIGNED.get(said, 64 if said == DATETIME else 0)
    if bits and isinstance(content, int):
        content &= (1 << bits) - 1
        return content - (1 << bits) if content >> bits - 1 else content
    return content


def quality_code(status: int) -> int:
    """Return the Sparkplug quality of a status code. Source: Sparkplug 3.0.0, 6.4.10."""
    if Quality.is_good(status):
        return GOOD
    return BAD if Quality.is_bad(status) else STALE


def status_of(code: int) -> Quality:
    """Return the status code of a Sparkplug quality."""
    if code == GOOD:
        return Quality.GOOD
    return Quality.UNCERTAIN_LAST_USABLE_VALUE if code == STALE else Quality.BAD


def quality_property(status: int) -> Property:
    return Property(INT32, Carried(INT, quality_code(status)))


def text_property(text: str) -> Property:
    return Property(STRING_TYPE, Carried(STRING, text))


def number_property(number: float) -> Property:
    return Property(DOUBLE_TYPE, Carried(DOUBLE, number))


def flag_property(flag: bool) -> Property:
    return Property(BOOLEAN_TYPE, Carried(BOOLEAN, flag))
