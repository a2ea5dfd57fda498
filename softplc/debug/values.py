"""Values of a program that stands still: how they read, what is inside of them, and how they are set."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

from runtime.errors import PlantError
from softplc.application import Symbol, is_hidden
from softplc.iectypes import (
    Array,
    BlockType,
    Enum,
    Interface,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
)
from softplc.image import read_value, write_value
from softplc.layout import POINTER_SIZE, scalar_of
from softplc.symbols import Pou, Variable
from softplc.texts import parse_value, shown

MOST_TEXT = 200  # characters of a value that has parts
WHOLE = ("int", "uint", "bits")
UNSEEN = ("VAR_EXTERNAL", "VAR_STAT")
_INT64, _UINT32 = 8, 4


@dataclass(frozen=True, slots=True)
class Value:
    """A variable or value in memory.

    Attributes:
        name: as its parent shows it.
        expression: what names it in ST, empty where nothing does.
        address: of its first byte in this process; `bit` in that byte, or -1.
        constant: the program has its value in its code.
        keeps: what must live as long as this does.
    """

    name: str
    type: Type
    address: int
    bit: int = -1
    expression: str = ""
    constant: bool = False
    keeps: object = field(default=None, repr=False)


class Values:
    """Reads and writes values of one program; `start` is where its image lies."""

    def __init__(self, start: int, size: int, classes: dict[int, Pou]) -> None:
        self.start = start
        self._size = size
        self._classes = classes

    # How a value reads ---------------------------------------------------------------------------

    def text(self, value: Value, hexadecimal: bool = False) -> str:
        """Return a value as ST writes it; what has parts is cut at 200 characters."""
        type_ = value.type
        if isinstance(type_, Array | Struct | BlockType | OpenArray):
            return self._summary(value)
        if isinstance(type_, Reference | Interface | Pointer):
            return self._reference_text(value)
        found = _symbol(value)
        read = read_value(memoryview(_bytes(value)), found)
        return _literal(type_, found, read, hexadecimal)

    def _summary(self, value: Value) -> str:
        parts: list[str] = []
        length = 0
        named = not isinstance(value.type, Array | OpenArray)
        for each in self.parts(value):
            if length > MOST_TEXT:
                parts.append("...")
                break
            plain = not isinstance(each.type, Array | Struct | BlockType | OpenArray)
            shown_ = self.text(each) if plain else "..."
            parts.append(f"{each.name} := {shown_}" if named else shown_)
            length += len(parts[-1]) + 2
        brackets = "()" if named else "[]"
        return f"{brackets[0]}{', '.join(parts)}{brackets[1]}"

    def _reference_text(self, value: Value) -> str:
        target = self.target(value)
        if target is None:
            return "NULL" if not any(_bytes(value)[:_INT64]) else f"{value.type} (of nothing that is known)"
        return f"REF({target.type.name})"

    # What is inside ------------------------------------------------------------------------------

    def count(self, value: Value) -> tuple[int, int]:
        """Return how many named and how many indexed parts a value has."""
        type_ = value.type
        if isinstance(type_, Array):
            return 0, type_.count
        if isinstance(type_, OpenArray):
            array = self._opened(value)
            return (0, array.type.count) if array is not None and isinstance(array.type, Array) else (0, 0)
        if isinstance(type_, Struct):
            return len(type_.fields), 0
        if isinstance(type_, BlockType):
            return len(members(type_.pou)), 0
        return (1, 0) if self.target(value) is not None else (0, 0)

    def parts(self, value: Value, start: int = 0, count: int | None = None) -> Iterator[Value]:
        """Yield what is inside of a value; of an array `count` elements from `start`, counted from 0."""
        type_, base = value.type, value.expression
        if isinstance(type_, OpenArray):
            array = self._opened(value)
            if array is not None:
                yield from self.parts(array, start, count)
        elif isinstance(type_, Array):
            end = type_.count if count is None else min(type_.count, start + count)
            for number, name in _indices(type_, start, end):
                at = value.address + number * type_.stride
                own = f"{base}[{name}]" if base else ""
                yield Value(f"[{name}]", type_.element, at, -1, own, value.constant, value.keeps)
        elif isinstance(type_, Struct):
            for each in type_.fields.values():
                at = value.address + each.offset
                own = f"{base}.{each.name}" if base else ""
                yield Value(each.name, each.type, at, each.bit, own, value.constant, value.keeps)
        elif isinstance(type_, BlockType):
            for variable in members(type_.pou):
                own = f"{base}.{variable.name}" if base else ""
                yield member_of(value, variable, own)
        else:
            target = self.target(value)
            if target is not None:
                yield target

    def target(self, value: Value) -> Value | None:
        """Return what a reference or pointer refers to; None for NULL, and for what is not in the image."""
        type_ = value.type
        if not isinstance(type_, Reference | Interface | Pointer):
            return None
        offset = int.from_bytes(_bytes(value)[:_INT64], "little", signed=True)
        wanted: Type | None = type_.target if isinstance(type_, Reference | Pointer) else type_.pou.type
        if not 0 < offset < self._size or wanted is None:
            return None
        numbered = isinstance(type_, Interface) or (
            isinstance(wanted, BlockType) and bool(wanted.pou.descendants()[1:])
        )
        if numbered:
            number = int.from_bytes(ctypes.string_at(self.start + offset, _UINT32), "little")
            pou = self._classes.get(number)
            wanted = pou.type if pou is not None else None
        if wanted is None or isinstance(wanted, Interface) or offset + wanted.size > self._size:
            return None
        expression = f"{value.expression}^" if value.expression and not isinstance(type_, Interface) else ""
        return Value("^", wanted, self.start + offset, -1, expression, False, value.keeps)

    def _opened(self, value: Value) -> Value | None:
        """Return the array that an ARRAY[*] is now."""
        type_ = value.type
        if not isinstance(type_, OpenArray):
            return None
        data = ctypes.string_at(value.address, type_.size)
        numbers = [
            int.from_bytes(data[at : at + _INT64], "little", signed=True)
            for at in range(POINTER_SIZE, type_.size, _INT64)
        ]
        address = int.from_bytes(data[:POINTER_SIZE], "little")
        ranges = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if not address or any(high < low for low, high in ranges):
            return None
        array = Array(type_.element, ranges)
        return Value(value.name, array, address, -1, value.expression, value.constant, value.keeps)

    # Setting -------------------------------------------------------------------------------------

    def set(self, value: Value, text: str) -> None:
        """Set an elementary variable to a literal of its type.

        Raises:
            PlantError: it is no literal of that type, or the variable cannot be set.
        """
        if value.constant:
            raise PlantError(f"{value.name} is a constant", "change it in the source, and restart")
        if not isinstance(value.type, Enum | Subrange | String) and scalar_of(value.type) is not value.type:
            raise PlantError(f"{value.name} is {value.type}: it is set part by part", "set one of its parts")
        found = _symbol(value)
        data = bytearray(_bytes(value))
        write_value(memoryview(data), found, parse_value(found, text))
        ctypes.memmove(value.address, bytes(data), len(data))


def members(pou: Pou) -> list[Variable]:
    """Return the variables that an instance keeps; what is only there during a call is left out."""
    return [
        each
        for each in pou.variables.values()
        if each.type is not None
        and not (each.temporary or each.by_reference or is_hidden(each.name))
        and each.section not in UNSEEN
    ]


def member_of(value: Value, variable: Variable, expression: str) -> Value:
    """Return a variable of a block instance."""
    if variable.type is None:
        raise AssertionError(f"{variable.name} has no type")
    constant = value.constant or variable.constant
    at = value.address + variable.offset
    return Value(variable.name, variable.type, at, -1, expression, constant, value.keeps)


def shown_type(type_: Type) -> str:
    return str(getattr(type_, "name", type_))


def _symbol(value: Value) -> Symbol:
    """Describe an elementary value as if it lay at the begin of its own bytes."""
    type_ = value.type
    if isinstance(type_, String):
        plain = type_.plain
        return Symbol(value.name, 0, -1, type_.size, plain, "", None, False, plain)
    scalar = scalar_of(type_)
    if scalar is None:
        raise PlantError(f"{value.name} is {type_}: it has parts", "name one of them")
    values = dict(type_.values.values()) if isinstance(type_, Enum) else {}
    limits = (type_.low, type_.high) if isinstance(type_, Subrange) else None
    name = shown_type(type_)
    return Symbol(
        value.name, 0, value.bit, scalar.size, scalar.name, "", None, False, name, values, limits=limits
    )


def _bytes(value: Value) -> bytes:
    return ctypes.string_at(value.address, value.type.size)


def _literal(type_: Type, found: Symbol, value: object, hexadecimal: bool) -> str:
    if isinstance(type_, Enum):
        names = {number: name for name, number in found.values.items()}
        return names.get(value, str(value)) if isinstance(value, int) else str(value)
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return _quoted(value, wide=found.type.startswith("W"))
    scalar = scalar_of(type_)
    if hexadecimal and isinstance(value, int) and scalar is not None and scalar.kind in WHOLE:
        return f"16#{value & ((1 << 8 * scalar.size) - 1):0{2 * scalar.size}X}"
    return str(shown(found.type, value))


def _quoted(text: str, *, wide: bool) -> str:
    quote = '"' if wide else "'"
    special = {"$": "$$", quote: f"${quote}", "\n": "$N", "\r": "$R", "\t": "$T"}
    digits = 4 if wide else 2
    parts = [special.get(each, each if each.isprintable() else f"${ord(each):0{digits}X}") for each in text]
    return f"{quote}{''.join(parts)}{quote}"


def _indices(array: Array, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the numbers of elements, and their indices as ST writes them."""
    if len(array.ranges) == 1:
        low = array.ranges[0][0]
        yield from ((number, str(low + number)) for number in range(start, end))
        return
    for number in range(start, end):
        rest, texts = number, list[str]()
        for low, high in reversed(array.ranges):
            rest, own = divmod(rest, high - low + 1)
            texts.append(str(low + own))
        yield number, ", ".join(reversed(texts))
