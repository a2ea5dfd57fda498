"""S7 addresses as people write them in the tag table: as in STEP 7, or shorter with the type in front.

    DB1.DBX0.3   DB1.DBB4   DB1.DBW4   DB1.DBD4        bit, byte, word, double word of a data block
    M10.3  MB10  MW10  MD10                            flags (memory bits)
    I0.0   IB0   IW64  ID64   or  E0.0 EB0 EW64        inputs, process image
    Q0.0   QB2   QW2   QD2    or  A0.0 AB2 AW2         outputs, process image
    T5   C5 or Z5                                      timers and counters of STEP 7, read only
    DB1.DBD4:REAL   MW10:INT   DB1.DBB10:STRING[20]    with the type behind; `DBB` goes with every type
    DB1.REAL4   DB1.STRING10[20]   DB1,X0.3   DB1,W4   the same, shorter; a comma does as well as the dot

Then `*scale` and `+offset` or `-offset`: value = raw * scale + offset. Bits are 0 to 7. A `%` in front and
small letters are taken. Types, by the tags that take them:

    BOOL       BOOL
    numbers    BYTE WORD DWORD LWORD  SINT INT DINT LINT  USINT UINT UDINT ULINT  REAL LREAL
    TIME       TIME LTIME S5TIME TOD LTOD
    DT         DATE DT DTL LDT, taken as UTC
    STRING     STRING[n] WSTRING[n] CHAR[n] WCHAR[n]

Without a type the tag's own decides: see `drivers.s7.datatypes.usual`.

Source: SIMATIC, Statement List for S7-300 and S7-400, absolute addressing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import NamedTuple

from drivers.frame.address import AddressError
from drivers.s7.datatypes import WORDS, Family, S7Type, family_of, usual
from runtime.contract import DataType, Tag

EXAMPLES = "DB1.DBD4:REAL, DB1.DBX0.3, DB1.STRING10[20], MW10, I0.0 or QB2"
MAX_BYTES = 0x1_0000
MAX_DB = 0xFFFF


class Area(Enum):
    """A kind of memory: letter, code on the wire, bytes of a place.

    Source: python-snap7 3.3.0, `snap7.datatypes.S7Area`.
    """

    INPUT = ("I", 0x81, 1)
    OUTPUT = ("Q", 0x82, 1)
    FLAG = ("M", 0x83, 1)
    DB = ("DB", 0x84, 1)
    COUNTER = ("C", 0x1C, 2)
    TIMER = ("T", 0x1D, 2)

    def __init__(self, letter: str, code: int, place_size: int) -> None:
        self.letter = letter
        self.code = code
        self.place_size = place_size

    @property
    def writable(self) -> bool:
        """Tell whether it may be written: inputs belong to modules, timers and counters to the program."""
        return self in (Area.OUTPUT, Area.FLAG, Area.DB)


_LETTERS = {"I": Area.INPUT, "E": Area.INPUT, "Q": Area.OUTPUT, "A": Area.OUTPUT, "M": Area.FLAG}
_PLACES = {"T": Area.TIMER, "C": Area.COUNTER, "Z": Area.COUNTER}
_SIZES = {"B": 1, "W": 2, "D": 4}
_NUMBER = r"\d+(?:\.\d+)?(?:E[+-]?\d+)?"
_TAIL = rf"(?:\*(?P<scale>-?{_NUMBER}))?(?P<offset>[+-]{_NUMBER})?"
_ADDRESS = re.compile(
    r"%?(?:DB(?P<db>\d{1,9})[.,]|(?P<area>[IEQAM]))"
    r"(?P<what>S5TIME|[A-Z_]*)(?P<byte>\d{1,9})(?:\.(?P<dot>\d{1,9}))?(?:\[(?P<n>\d{1,9})\])?"
    r"(?::(?P<type>[A-Z0-9_]+)(?:\[(?P<length>\d{1,9})\])?)?" + _TAIL
)
_PLACE = re.compile(r"%?(?P<area>[TCZ])(?P<number>\d{1,9})" + _TAIL)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a value lies in a CPU and how it is written there.

    Attributes:
        db: number of the data block; 0 in other areas.
        start: first byte; the number of a timer or counter.
        bit: bit of the byte, else None.
        length: characters of a text.
    """

    area: Area
    db: int
    start: int
    raw: S7Type
    bit: int | None = None
    length: int = 0
    scale: float = 1.0
    offset: float = 0.0

    @property
    def size(self) -> int:
        """Return how many bytes it takes."""
        return self.raw.size + self.length * self.raw.char_size

    @property
    def count(self) -> int:
        """Return how many places of its area it takes: bytes, timers or counters."""
        return self.size // self.area.place_size

    @property
    def scaled(self) -> bool:
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def head(self) -> int:
        """Return how many bytes in front are never written: a text's greatest length is the program's."""
        return self.raw.size // 2 if self.raw.family is Family.TEXT else 0

    def __str__(self) -> str:
        if self.area.place_size > 1:
            text = f"{self.area.letter}{self.start}"
        else:
            text = f"DB{self.db}.DB" if self.area is Area.DB else self.area.letter
            if self.bit is not None:
                text += ("X" if self.area is Area.DB else "") + f"{self.start}.{self.bit}"
            else:
                letter = {2: "W", 4: "D"}.get(self.size, "B") if not self.length else "B"
                text += f"{letter}{self.start}:{self.raw.text}" + (f"[{self.length}]" if self.length else "")
        if self.scale != 1.0:
            text += f"*{self.scale!r}"
        return text + (f"{self.offset:+}" if self.offset else "")


class Point(NamedTuple):
    """A tag and its place in a CPU."""

    tag: Tag
    address: Address


def parse(text: str, data_type: DataType) -> Address:
    """Read an address of a tag of a type.

    Raises:
        AddressError: it is not an address, or does not go with the tag's type.
    """
    shouted = re.sub(r"\s", "", text).upper()
    if match := _PLACE.fullmatch(shouted):
        address = _place(match, data_type)
    elif match := _ADDRESS.fullmatch(shouted):
        address = _memory(match, data_type)
    else:
        raise AddressError("not an S7 address", _remedy(shouted))
    _check_scale(address, data_type)
    if address.start + address.count > MAX_BYTES:
        raise AddressError(f"it reaches past byte {MAX_BYTES - 1}", "bytes count from 0 within the block")
    return address


def _remedy(text: str) -> str:
    if re.match(r"%?DB\d+\.?DB[XBWD]?\d", text) and not re.match(r"%?DB\d+\.", text):
        return "write a dot between block and place: DB1.DBD4"
    if re.match(r"%?P?[IEQA]?P[IEQA]?[BWD]\d", text) or re.match(r"%?P[IEQA][BWD]\d", text):
        return "peripheral addresses cannot be read from outside; use the process image, such as IW64"
    if '"' in text:
        return f"symbols stay in the CPU; write the absolute address, such as {EXAMPLES}"
    return f"write it like {EXAMPLES}"


def _place(match: re.Match[str], data_type: DataType) -> Address:
    area = _PLACES[match["area"]]
    raw = S7Type.S5TIME if area is Area.TIMER else S7Type.COUNTER
    _check_family(raw, data_type)
    scale, offset = float(match["scale"] or 1.0), float(match["offset"] or 0.0)
    return Address(area, 0, int(match["number"]), raw, None, 0, scale, offset)


def _memory(match: re.Match[str], data_type: DataType) -> Address:
    area, db = (Area.DB, int(match["db"])) if match["db"] else (_LETTERS[match["area"]], 0)
    if match["db"] and not 1 <= db <= MAX_DB:
        raise AddressError(f"there is no DB{db}", f"data blocks are DB1 to DB{MAX_DB}")
    what = match["what"]
    if area is Area.DB and what in ("DBX", "DBB", "DBW", "DBD"):
        what = what[2:]
    dot, n = match["dot"], match["n"]
    if match["length"] and n:
        raise AddressError("two lengths", "write one, in brackets behind the type")
    length = int(match["length"] or n or 0)
    behind = None if match["type"] is None else _type(match["type"])
    if behind is None and n and (what in _SIZES or what in ("", "X")):
        raise AddressError("a length without a type", "write it like DB1.DBB10:STRING[20]")
    bit: int | None = None
    raw: S7Type
    if what in WORDS:
        raw = WORDS[what]
        if behind is not None:
            raise AddressError(f"two types, {what} and {behind.text}", "write one")
        if dot is not None and raw.family is Family.TEXT and not length:
            length, dot = int(dot), None  # STRING10.20, as some tools write it
    elif what in ("", "X"):
        if not what and area is Area.DB:
            raise AddressError("which size?", f"write DBX, DBB, DBW or DBD, or a type: {EXAMPLES}")
        if dot is None and not what:
            letter = match["area"]
            raise AddressError(
                "neither bit nor size", f"write {letter}{match['byte']}.0 or {letter}B{match['byte']}"
            )
        if behind not in (None, S7Type.BOOL):
            raise AddressError(f"a bit is no {behind.text if behind else ''}", "write DBB, DBW or DBD")
        raw = S7Type.BOOL
    elif what in _SIZES:
        raw = _sized(what, behind, data_type)
    else:
        close = get_close_matches(what, [*WORDS, "DBX", "DBB", "DBW", "DBD"], 1)
        hint = f"did you mean {close[0]}?" if close else f"write it like {EXAMPLES}"
        raise AddressError(f"unknown size or type {what}", hint)
    if raw is S7Type.BOOL:
        if dot is None or int(dot) > 7:
            raise AddressError(
                "which bit of the byte?" if dot is None else f"there is no bit {dot}", "bits are .0 to .7"
            )
        bit = int(dot)
    elif dot is not None:
        raise AddressError(f"a {raw.text} has no bit", "write the byte alone; bits are DBX0.3 or M10.3")
    _check_family(raw, data_type)
    length = _length(raw, length)
    scale, offset = float(match["scale"] or 1.0), float(match["offset"] or 0.0)
    return Address(area, db, int(match["byte"]), raw, bit, length, scale, offset)


def _type(word: str) -> S7Type:
    if word not in WORDS:
        close = get_close_matches(word, WORDS, 1)
        known = ", ".join(each.text for each in dict.fromkeys(WORDS.values()))
        raise AddressError(
            f"unknown type {word}", f"did you mean {close[0]}?" if close else f"there are {known}"
        )
    return WORDS[word]


def _sized(letter: str, raw: S7Type | None, data_type: DataType) -> S7Type:
    """Return the type of a byte, word or double word."""
    size = _SIZES[letter]
    if raw is None:
        found = usual(data_type, size)
        if found is not None:
            return found
        remedy = {
            DataType.BOOL: "write the bit: DBX0.3 or M10.3",
            DataType.STRING: "name the type: DBB10:STRING[20], :WSTRING[20] or :CHAR[20]",
            DataType.DT: "name the type: DBB10:DTL, :DT or :LDT",
            DataType.TIME: "name the type: DBD4:TIME, DBW4:S5TIME or DBB8:LTIME",
        }[data_type]
        raise AddressError(f"{data_type.iec} does not fit {size} byte{'s' if size > 1 else ''}", remedy)
    if raw is S7Type.BOOL:
        raise AddressError("a BOOL is a bit", "write the bit: DBX0.3 or M10.3")
    if letter != "B" and raw.size != size:
        right = {1: "DBB", 2: "DBW", 4: "DBD"}.get(raw.size, "DBB")
        raise AddressError(
            f"{raw.text} has {raw.size} bytes, not {size}", f"write {right}, or B for any type"
        )
    return raw


def _length(raw: S7Type, length: int) -> int:
    if raw.family is not Family.TEXT:
        if length:
            raise AddressError(f"{raw.text} has no length", "each element of an array is a tag of its own")
        return 0
    if not length and raw in (S7Type.CHAR, S7Type.WCHAR):
        return 1
    if not 1 <= length <= raw.max_length:
        text = f"a {raw.text} of {length} characters" if length else f"how long is the {raw.text}?"
        raise AddressError(text, f"write {raw.text}[1] to {raw.text}[{raw.max_length}], as it is declared")
    return length


def _check_family(raw: S7Type, data_type: DataType) -> None:
    wanted = family_of(data_type)
    if raw.family is wanted:
        return
    fitting = {
        Family.BIT: "BOOL",
        Family.NUMBER: "INT, REAL or another number",
        Family.DURATION: "TIME",
        Family.MOMENT: "DT",
        Family.TEXT: "STRING",
    }[raw.family]
    raise AddressError(
        f"{data_type.iec} does not go with {raw.text}, {raw.family.value}",
        f"make the tag {fitting}, or name another type in the address",
    )


def _check_scale(address: Address, data_type: DataType) -> None:
    if not (math.isfinite(address.scale) and address.scale and math.isfinite(address.offset)):
        raise AddressError(
            "the scale must not be 0 or infinite", "leave *scale out where the raw value is the value"
        )
    if address.scaled and family_of(data_type) is not Family.NUMBER:
        raise AddressError(f"{data_type.iec} cannot be scaled", "remove *scale and offset")
