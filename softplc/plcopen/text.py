"""Structured Text that was made of XML, with the place that each part of it comes from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from softplc.plcopen.xml import Element, Piece
from softplc.source import Source


class Bit(NamedTuple):
    """A part of a text; `exact` if it stands in the XML letter by letter, else an element of some width."""

    text: str
    line: int
    column: int
    exact: bool
    where: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Code:
    """Structured Text with its origin; code is added to code."""

    bits: tuple[Bit, ...] = ()

    def __add__(self, other: Code) -> Code:
        return Code(self.bits + other.bits)

    def __str__(self) -> str:
        return "".join(each.text for each in self.bits)

    def __bool__(self) -> bool:
        return bool(self.bits)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where code comes from: an element, and how people find it (POU, body, localId)."""

    element: Element
    where: str = ""

    def code(self, text: str) -> Code:
        """Return code that this element stands for."""
        here = self.element
        return Code(
            (Bit(text, here.line, here.column, exact=False, where=self.where, width=len(here.name) + 1),)
        )

    def quoted(self, pieces: Iterable[Piece]) -> Code:
        """Return code that stands in the file."""
        bits = (
            Bit(each.text, each.line, each.column, each.text != "\n", self.where)
            for each in pieces
            if each.text
        )
        return Code(tuple(bits))


def joined(separator: Code, parts: Iterable[Code]) -> Code:
    """Return code with a separator between its parts."""
    bits: list[Bit] = []
    for number, each in enumerate(parts):
        if number:
            bits += separator.bits
        bits += each.bits
    return Code(tuple(bits))


def stripped(code: Code) -> Code:
    """Return code without white space around it."""
    text = str(code)
    start = len(text) - len(text.lstrip())
    return sliced(code, start, max(start, len(text.rstrip())))


def sliced(code: Code, start: int, end: int) -> Code:
    """Return a part of code, by its characters."""
    bits: list[Bit] = []
    at = 0
    for bit in code.bits:
        first, last = max(start - at, 0), min(end - at, len(bit.text))
        if first < last:
            column = bit.column + first if bit.exact else bit.column
            bits.append(bit._replace(text=bit.text[first:last], column=column))
        at += len(bit.text)
    return Code(tuple(bits))


@dataclass(slots=True)
class MappedSource(Source):
    """Text that was made of a file: places are those in the file.

    Attributes:
        original: the file.
        bits: where the text comes from, `offsets` at which each begins.
    """

    original: str = ""
    bits: list[Bit] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return self.original

    @property
    def mapped(self) -> bool:
        return True

    def place(self, at: int) -> tuple[int, int]:
        bit, inside = self._bit(at)
        return (bit.line, bit.column + (inside if bit.exact else 0)) if bit is not None else (1, 1)

    def span(self, at: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
        first, _ = self._bit(at)
        start = self.place(at)
        if first is None or not first.exact:
            return start, (start[0], start[1] + (first.width if first is not None else 0))
        last, inside = self._bit(max(end - 1, at))
        if last is None or not last.exact:
            last, inside = first, len(first.text) - 1
        return start, (last.line, last.column + inside + 1)

    def _bit(self, at: int) -> tuple[Bit | None, int]:
        """Return the part at an offset, and how far in it the offset is."""
        local = min(max(at - self.base, 0), len(self.text))
        number = bisect_right(self.offsets, local) - 1
        if number < 0:
            return None, 0
        return self.bits[number], min(local - self.offsets[number], len(self.bits[number].text))

    def where(self, at: int) -> str:
        number = bisect_right(self.offsets, at - self.base) - 1
        return self.bits[number].where if number >= 0 else ""


class Text:
    """Collects code into one text."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._bits: list[Bit] = []
        self._offsets: list[int] = []
        self.length = 0

    def add(self, *codes: Code) -> None:
        for code in codes:
            for bit in code.bits:
                self._bits.append(bit)
                self._offsets.append(self.length)
                self._parts.append(bit.text)
                self.length += len(bit.text)

    def source(self, name: str, original: str) -> MappedSource:
        """Return the text as a source, without a place among others yet."""
        return MappedSource(
            name,
            "".join(self._parts),
            0,
            0,
            original=original,
            bits=self._bits,
            offsets=self._offsets,
        )
