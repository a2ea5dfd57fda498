"""The data types of an S7 CPU, and which tags they go with.

Source: SIMATIC, Statement List for S7-300 and S7-400, data and parameter types; TIA Portal help, overview of
the valid data types for S7-1200 and S7-1500.
"""

from __future__ import annotations

from enum import Enum

from runtime.contract import DataType


class Family(Enum):
    """What a value of a type is."""

    BIT = "a bit"
    NUMBER = "a number"
    DURATION = "a duration"
    MOMENT = "a date or time"
    TEXT = "a text"


class S7Type(Enum):
    """A type: name, bytes, family, numpy type of a number (least byte first).

    A text has the bytes of its head here; its characters come after it.
    """

    BOOL = ("BOOL", 1, Family.BIT)
    BYTE = ("BYTE", 1, Family.NUMBER, "<u1")
    WORD = ("WORD", 2, Family.NUMBER, "<u2")
    DWORD = ("DWORD", 4, Family.NUMBER, "<u4")
    LWORD = ("LWORD", 8, Family.NUMBER, "<u8")
    SINT = ("SINT", 1, Family.NUMBER, "<i1")
    INT = ("INT", 2, Family.NUMBER, "<i2")
    DINT = ("DINT", 4, Family.NUMBER, "<i4")
    LINT = ("LINT", 8, Family.NUMBER, "<i8")
    USINT = ("USINT", 1, Family.NUMBER, "<u1")
    UINT = ("UINT", 2, Family.NUMBER, "<u2")
    UDINT = ("UDINT", 4, Family.NUMBER, "<u4")
    ULINT = ("ULINT", 8, Family.NUMBER, "<u8")
    REAL = ("REAL", 4, Family.NUMBER, "<f4")
    LREAL = ("LREAL", 8, Family.NUMBER, "<f8")
    COUNTER = ("COUNTER", 2, Family.NUMBER)  # three BCD digits
    TIME = ("TIME", 4, Family.DURATION)
    LTIME = ("LTIME", 8, Family.DURATION)
    S5TIME = ("S5TIME", 2, Family.DURATION)
    TOD = ("TOD", 4, Family.DURATION)
    LTOD = ("LTOD", 8, Family.DURATION)
    DATE = ("DATE", 2, Family.MOMENT)
    DT = ("DT", 8, Family.MOMENT)
    LDT = ("LDT", 8, Family.MOMENT)
    DTL = ("DTL", 12, Family.MOMENT)
    STRING = ("STRING", 2, Family.TEXT)
    WSTRING = ("WSTRING", 4, Family.TEXT)
    CHAR = ("CHAR", 0, Family.TEXT)
    WCHAR = ("WCHAR", 0, Family.TEXT)

    def __init__(self, text: str, size: int, family: Family, dtype: str = "") -> None:
        self.text = text
        self.size = size
        self.family = family
        self.dtype = dtype

    @property
    def char_size(self) -> int:
        """Return the bytes of one character of a text."""
        return 2 if self in (S7Type.WSTRING, S7Type.WCHAR) else 1

    @property
    def max_length(self) -> int:
        """Return how many characters a text of the type can have.

        WSTRING could have 16382, but no tag of a plant needs what takes seventy requests.
        """
        return 254


WORDS = {each.text: each for each in S7Type if each is not S7Type.COUNTER} | {
    "TIME_OF_DAY": S7Type.TOD,
    "LTIME_OF_DAY": S7Type.LTOD,
    "DATE_AND_TIME": S7Type.DT,
    "DATE_AND_LTIME": S7Type.LDT,
}

_SIGNED = (DataType.SINT, DataType.INT, DataType.DINT, DataType.LINT, DataType.REAL, DataType.LREAL)


def family_of(data_type: DataType) -> Family:
    """Return what a tag of the type can take."""
    special = {
        DataType.BOOL: Family.BIT,
        DataType.TIME: Family.DURATION,
        DataType.DT: Family.MOMENT,
        DataType.STRING: Family.TEXT,
    }
    return special.get(data_type, Family.NUMBER)


def usual(data_type: DataType, size: int) -> S7Type | None:
    """Return what a tag most likely finds in a byte, word or double word; None where nothing fits.

    A tag's own type where the size is the same; else the integer of that size with the tag's sign, which for
    a REAL tag is what analog modules give.
    """
    family = family_of(data_type)
    if family is Family.DURATION:
        return {2: S7Type.S5TIME, 4: S7Type.TIME}.get(size)
    if family is Family.MOMENT:
        return {2: S7Type.DATE}.get(size)
    if family is not Family.NUMBER:
        return None
    if size == 4 and data_type is DataType.LREAL:
        return S7Type.REAL
    same = WORDS.get(data_type.iec)
    if same is not None and same.size == size:
        return same
    if data_type in _SIGNED and size > 1:
        return {2: S7Type.INT, 4: S7Type.DINT}[size]
    return {1: S7Type.USINT, 2: S7Type.UINT, 4: S7Type.UDINT}[size]
