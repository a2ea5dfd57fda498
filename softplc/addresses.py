"""Direct addresses: `%IX0.3`, `%QW4`; they count in their own size, and so do places in a structure.

Source: IEC 61131-3:2013, 6.5.5, table 16.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS_SIZES = {"X": 0, "": 0, "B": 1, "W": 2, "D": 4, "L": 8}
MAX_ADDRESS = 1 << 20
_ADDRESS = re.compile(r"%([IQM])([XBWDL]?)([0-9]+)(?:\.([0-7]))?", re.IGNORECASE)
_RELATIVE = re.compile(r"%X([0-9]+)\.([0-7])|%([BWDL])([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """A direct address: region I, Q or M, byte offset in it, bit or -1, size in bytes (0 for a bit)."""

    region: str
    offset: int
    bit: int
    size: int


def parse_address(text: str) -> Address | None:
    """Read `%IX0.3`, `%Q1.0`, `%IX27`, `%QW4`, `%MD8`; None if it is no such address.

    Bits of one number count in their own size as well: %IX27 is %IX3.3.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    region, size, number, bit = found.groups()
    bits = size.upper() in ("X", "")
    width = ADDRESS_SIZES[size.upper()]
    offset = int(number) * max(width, 1)
    place = int(bit) if bit else -1
    if bits and bit is None:
        offset, place = divmod(offset, 8)
    if (bit is not None and not bits) or offset > MAX_ADDRESS:
        return None
    return Address(region.upper(), offset, place, width)


def parse_relative(text: str) -> tuple[int, int] | None:
    """Read `%B4`, `%W2` or `%X3.0`, a place in a structure, as byte offset and bit or -1.

    Numbers count in their own size, as those of direct addresses do. Source: IEC 61131-3:2013, table 11.
    """
    found = _RELATIVE.fullmatch(text)
    if found is None:
        return None
    byte, bit, size, number = found.groups()
    offset = int(byte) if byte is not None else int(number) * ADDRESS_SIZES[size.upper()]
    return (offset, int(bit) if bit else -1) if offset <= MAX_ADDRESS else None
