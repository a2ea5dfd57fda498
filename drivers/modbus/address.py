"""Modbus addresses as people write them in the tag table.

    [unit!]reference[.bit][:type][#order][*scale][+offset]

    00001  coil                  10001  discrete input
    30001  input register        40001  holding register      (or six digits: 400001 to 465536)
    .bit   0 to 15, least significant first
    :type  int16 uint16 int32 uint32 int64 uint64 float double bool string[n]
    #order ABCD (most significant first), CDAB (words swapped), BADC (bytes swapped), DCBA (both)
    *scale +offset -offset       value = raw * scale + offset

Source: MODBUS Application Protocol V1.1b3, 4.4 (tables); references count from 1, the wire from 0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from drivers.frame.address import AddressError
from runtime.contract import DataType, Tag

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
MAX_TEXT = 246


class Table(Enum):
    """One of the four tables of a unit: leading digit, read function, largest read and write.

    Attributes:
        place_size: bytes of a place in a payload: coils have one each there.
    """

    COIL = (0, 1, 2000, 1968)
    DISCRETE_INPUT = (1, 2, 2000, 0)
    INPUT_REGISTER = (3, 4, 125, 0)
    HOLDING_REGISTER = (4, 3, 125, 123)

    def __init__(self, digit: int, read_function: int, max_read: int, max_write: int) -> None:
        self.digit = digit
        self.read_function = read_function
        self.max_read = max_read
        self.max_write = max_write
        self.is_bits = digit < 2
        self.place_size = 1 if self.is_bits else 2
        self.writable = max_write > 0


class RawType(Enum):
    """How a value lies in registers: name in an address, registers, numpy type (least byte first)."""

    BOOL = ("bool", 1, "<u2")
    INT16 = ("int16", 1, "<i2")
    UINT16 = ("uint16", 1, "<u2")
    INT32 = ("int32", 2, "<i4")
    UINT32 = ("uint32", 2, "<u4")
    INT64 = ("int64", 4, "<i8")
    UINT64 = ("uint64", 4, "<u8")
    FLOAT = ("float", 2, "<f4")
    DOUBLE = ("double", 4, "<f8")
    STRING = ("string", 0, "")

    def __init__(self, text: str, registers: int, dtype: str) -> None:
        self.text = text
        self.registers = registers
        self.dtype = dtype


_TABLES = {str(each.digit): each for each in Table}
_RAW = {each.text: each for each in RawType}
_DEFAULTS = {
    DataType.SINT: RawType.INT16,
    DataType.INT: RawType.INT16,
    DataType.DINT: RawType.INT32,
    DataType.LINT: RawType.INT64,
    DataType.USINT: RawType.UINT16,
    DataType.UINT: RawType.UINT16,
    DataType.UDINT: RawType.UINT32,
    DataType.ULINT: RawType.UINT64,
    DataType.BYTE: RawType.UINT16,
    DataType.WORD: RawType.UINT16,
    DataType.DWORD: RawType.UINT32,
    DataType.LWORD: RawType.UINT64,
    DataType.REAL: RawType.FLOAT,
    DataType.LREAL: RawType.DOUBLE,
    DataType.TIME: RawType.INT64,
    DataType.DT: RawType.INT64,
}
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_ADDRESS = re.compile(
    rf"(?:(?P<unit>\d{{1,9}})!)?(?P<reference>\d+)(?:\.(?P<bit>\d{{1,9}}))?(?P<marks>(?:[:#][A-Za-z0-9\[\]]+)*)"
    rf"(?:\*(?P<scale>-?{_NUMBER}))?(?P<offset>[+-]{_NUMBER})?"
)
_TEXT = re.compile(r"string\[(\d{1,9})\]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a value lies on a device and how it is written there.

    Attributes:
        start: number of the first coil or register on the wire, from 0.
        bit: bit of a register, else None.
        length: bytes of a text.
        order: one of ORDERS.
    """

    unit: int
    table: Table
    start: int
    raw: RawType
    bit: int | None = None
    length: int = 0
    order: str = "ABCD"
    scale: float = 1.0
    offset: float = 0.0

    @property
    def count(self) -> int:
        """Return how many coils or registers it takes."""
        return (self.length + 1) // 2 if self.raw is RawType.STRING else self.raw.registers

    @property
    def scaled(self) -> bool:
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def is_register_bit(self) -> bool:
        """Tell whether it shares its register with other bits."""
        return self.bit is not None

    def __str__(self) -> str:
        text = f"{self.unit}!{self.table.digit}{self.start + 1:05d}"
        if self.bit is not None:
            text += f".{self.bit}"
        elif not self.table.is_bits:
            text += f":{self.raw.text}" + (f"[{self.length}]" if self.length else "")
        text += "" if self.table.is_bits else f"#{self.order}"
        if self.scale != 1.0:
            text += f"*{self.scale!r}"
        return text + (f"{self.offset:+}" if self.offset else "")


class Point(NamedTuple):
    """A tag and its place on a device."""

    tag: Tag
    address: Address


def parse(text: str, data_type: DataType, unit: int = 1, order: str = "ABCD") -> Address:
    """Read an address; `unit` and `order` hold where it does not say.

    Raises:
        AddressError: it is not an address, or does not go with the tag's type.
    """
    match = _ADDRESS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise AddressError(
            "not a Modbus address", "write it like 40001, 40001.3, 2!30010:float#CDAB or 40005*0.1-40"
        )
    unit = _unit(match["unit"], unit)
    table, start = _reference(match["reference"])
    raw, length, order = _marks(match["marks"], order)
    bit = None if match["bit"] is None else int(match["bit"])
    scale = float(match["scale"] or 1.0)
    offset = float(match["offset"] or 0.0)
    raw = _fit(table, data_type, bit, raw)
    if not (math.isfinite(scale) and scale and math.isfinite(offset)):
        raise AddressError(
            "the scale must not be 0 or infinite", "leave *scale out where the raw value is the value"
        )
    address = Address(unit, table, start, raw, bit, length, order, scale, offset)
    if address.scaled and (data_type in (DataType.BOOL, DataType.STRING)):
        raise AddressError(f"{data_type.iec} cannot be scaled", "remove *scale and offset")
    if start + address.count > 0x1_0000:
        raise AddressError(
            "it reaches past the last register, 65536", "use a lower reference or a shorter type"
        )
    return address


def _unit(text: str | None, default: int) -> int:
    unit = default if text is None else int(text)
    if unit > 255:
        raise AddressError(f"unit {unit} is not 0 to 255", "write the unit id before the !")
    return unit


def _reference(digits: str) -> tuple[Table, int]:
    if len(digits) not in (5, 6):
        remedy = "use 00001 (coil), 10001, 30001 or 40001; spreadsheets drop leading zeros, so quote the cell"
        raise AddressError(f"reference {digits} has {len(digits)} digits, not 5 or 6", remedy)
    table, number = _TABLES.get(digits[0]), int(digits[1:])
    if table is None:
        raise AddressError(
            f"there is no table {digits[0]}",
            "use 0 coil, 1 discrete input, 3 input register, 4 holding register",
        )
    if not 1 <= number <= 65536:
        raise AddressError(
            f"reference {digits} is not in 1 to 65536", "references count from 1: the first is 40001"
        )
    return table, number - 1


def _marks(text: str, order: str) -> tuple[RawType | None, int, str]:
    raw: RawType | None = None
    length = 0
    for sign, what in ((":", "types"), ("#", "orders")):
        if text.count(sign) > 1:
            raise AddressError(f"several {what}: {text}", "write one")
    for kind, mark in re.findall(r"([:#])([^:#]+)", text):
        if kind == "#":
            order = mark.upper()
            if order not in ORDERS:
                raise AddressError(f"unknown order {mark!r}", f"use one of {', '.join(ORDERS)}")
        elif found := _TEXT.fullmatch(mark.lower()):
            raw, length = RawType.STRING, int(found[1])
            if not 1 <= length <= MAX_TEXT:
                raise AddressError(f"a text of {length} bytes", f"use string[1] to string[{MAX_TEXT}]")
        else:
            raw = _RAW.get(mark.lower())
            if raw is None or raw is RawType.STRING:
                known = ", ".join(each for each in _RAW if each != "string")
                raise AddressError(f"unknown type {mark!r}", f"use one of {known}, string[n]")
    return raw, length, order


def _fit(table: Table, data_type: DataType, bit: int | None, raw: RawType | None) -> RawType:
    if table.is_bits:
        if data_type is not DataType.BOOL:
            raise AddressError(
                f"a {data_type.iec} does not fit one bit", "use a register, or make the tag BOOL"
            )
        if bit is not None or raw not in (None, RawType.BOOL):
            raise AddressError("coils and discrete inputs have no bits or types", "write the reference alone")
        return RawType.BOOL
    if bit is not None and (bit > 15 or data_type is not DataType.BOOL or raw not in (None, RawType.BOOL)):
        raise AddressError(
            f"bit {bit} of a register for {data_type.iec}",
            "bits are 0 to 15 and go with BOOL tags, without a type",
        )
    if data_type is DataType.BOOL:
        if bit is None and raw is not RawType.BOOL:
            raise AddressError(
                "which bit of the register?", "add .0 to .15, or :bool for true where not zero"
            )
        return RawType.BOOL
    if (data_type is DataType.STRING) != (raw is RawType.STRING):
        raise AddressError(
            f"{data_type.iec} does not go with {raw.text if raw else 'a register'}",
            "STRING tags take :string[n], and only they do",
        )
    if raw is RawType.BOOL:
        raise AddressError(
            f"{data_type.iec} does not go with bool", "make the tag BOOL or choose another type"
        )
    return raw or _DEFAULTS[data_type]
