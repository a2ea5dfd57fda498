"""Values in an image: one elementary variable to Python and back."""

from __future__ import annotations

import math
import struct
from typing import Any

from runtime.errors import PlantError
from softplc.application import Symbol

_FORMATS = {
    "BOOL": "<B",
    "SINT": "<b",
    "INT": "<h",
    "DINT": "<i",
    "LINT": "<q",
    "USINT": "<B",
    "UINT": "<H",
    "UDINT": "<I",
    "ULINT": "<Q",
    "BYTE": "<B",
    "WORD": "<H",
    "DWORD": "<I",
    "LWORD": "<Q",
    "REAL": "<f",
    "LREAL": "<d",
    "TIME": "<q",
    "LTIME": "<q",
    "DATE": "<q",
    "TOD": "<q",
    "DT": "<q",
    "LDATE": "<q",
    "LTOD": "<q",
    "LDT": "<q",
    "CHAR": "<B",
    "WCHAR": "<H",
}
CHARACTERS = ("CHAR", "WCHAR")
STRINGS = {"STRING": "latin-1", "WSTRING": "utf-16-le"}
STRING_HEADER = 4


def read_value(image: memoryview, symbol: Symbol) -> Any:
    """Return the value of a variable; TIME and dates in ns."""
    if symbol.type in STRINGS:
        length, capacity = struct.unpack_from("<HH", image, symbol.offset)
        start, unit = symbol.offset + STRING_HEADER, 1 + (symbol.type == "WSTRING")
        data = bytes(image[start : start + min(length, capacity) * unit])
        return data.decode(STRINGS[symbol.type], "replace")
    if symbol.bit >= 0:
        return bool(image[symbol.offset] >> symbol.bit & 1)
    value = struct.unpack_from(_FORMATS[symbol.type], image, symbol.offset)[0]
    if symbol.type in CHARACTERS:
        return chr(value)
    return value != 0 if symbol.type == "BOOL" else value


def write_value(image: memoryview, symbol: Symbol, value: Any) -> None:
    """Set a variable.

    Raises:
        PlantError: the value does not fit.
    """
    if symbol.type in STRINGS:
        _write_string(image, symbol, value)
        return
    if symbol.values and isinstance(value, str):
        by_key = {name.casefold(): number for name, number in symbol.values.items()}
        if value.casefold() not in by_key:
            raise _no_value(symbol, value)
        value = by_key[value.casefold()]
    if symbol.type in CHARACTERS:
        value = _code(symbol, value)
    if not isinstance(value, int | float):
        raise PlantError(f"{symbol.path} is {symbol.type}: it cannot be {value!r}")
    if symbol.type == "BOOL":
        if value not in (0, 1):
            raise PlantError(f"{symbol.path} is BOOL: it cannot be {value!r}")
        _write_bool(image, symbol, bool(value))
        return
    if symbol.type not in ("REAL", "LREAL"):
        if not math.isfinite(value) or int(value) != value:
            raise PlantError(f"{symbol.path} is {symbol.type}: it takes whole numbers, not {value!r}")
        value = int(value)
    check_limits(symbol, value)
    try:
        struct.pack_into(_FORMATS[symbol.type], image, symbol.offset, value)
    except (struct.error, OverflowError):
        raise PlantError(f"{value!r} does not fit {symbol.path}, which is {symbol.type}") from None


def check_limits(symbol: Symbol, number: int | float) -> None:
    """Refuse what an enumeration has no name for, and what is outside of a subrange.

    Raises:
        PlantError: it is.
    """
    if symbol.values and number not in symbol.values.values():
        raise _no_value(symbol, number)
    if symbol.limits is not None and not symbol.limits[0] <= number <= symbol.limits[1]:
        low, high = symbol.limits
        raise PlantError(
            f"{number} is outside of {symbol.path}: {symbol.declared}", f"it takes {low} to {high}"
        )


def _no_value(symbol: Symbol, value: Any) -> PlantError:
    return PlantError(f"{value!r} is no value of {symbol.declared}", f"it has {', '.join(symbol.values)}")


def _write_bool(image: memoryview, symbol: Symbol, value: bool) -> None:
    if symbol.bit < 0:
        image[symbol.offset] = value
        return
    mask = 1 << symbol.bit
    old = image[symbol.offset]
    image[symbol.offset] = old | mask if value else old & ~mask


def _write_string(image: memoryview, symbol: Symbol, value: Any) -> None:
    if not isinstance(value, str):
        raise PlantError(f"{symbol.path} is {symbol.type}: it cannot be {value!r}")
    capacity = struct.unpack_from("<H", image, symbol.offset + 2)[0]
    wide = symbol.type == "WSTRING"
    try:
        data = value.encode(STRINGS[symbol.type], "surrogatepass" if wide else "strict")
    except UnicodeEncodeError:
        raise PlantError(f"{value!r} has characters that STRING does not have", "use Latin-1 text") from None
    length = len(data) // (1 + wide)
    if length > capacity:
        raise PlantError(f"{symbol.path} holds {capacity} characters, not {length}")
    struct.pack_into("<H", image, symbol.offset, length)
    start = symbol.offset + STRING_HEADER
    image[start : start + len(data)] = data


def _code(symbol: Symbol, value: Any) -> int:
    if not isinstance(value, str) or len(value) != 1:
        raise PlantError(f"{symbol.path} is {symbol.type}: it takes one character, not {value!r}")
    return ord(value)
