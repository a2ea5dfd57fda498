"""Moves: how values get from one image into another, as a list that is made before.

`carry` does in Python what `softplc.online.handover` does natively.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from softplc.core.kinds import BIT, BYTE_BOOL, F32, F64, FORMATS, I8, I16, I32, I64, U8, U16, U32

BYTES, VALUE, TEXT, REFERENCE, CLEAR = range(5)
HEADER = 4
_KINDS = {
    "BOOL": BYTE_BOOL, "SINT": I8, "USINT": U8, "BYTE": U8, "CHAR": U8, "INT": I16, "UINT": U16, "WORD": U16,
    "WCHAR": U16, "DINT": I32, "UDINT": U32, "DWORD": U32, "REAL": F32, "LREAL": F64,
}  # fmt: skip


class Move(NamedTuple):
    """One value, or as many as lie one after the other.

    Attributes:
        how: BYTES copies `size` bytes. VALUE reads one kind (`softplc.core.kinds`) and writes another. TEXT
            has characters of `size` bytes and is cut at its room. REFERENCE looks its target up in `size`
            spans from the one numbered `source_kind`; none is NULL. CLEAR makes the target's byte 0 where
            the source's is not, or in any case where it has a size.
        source, target: offsets in the old image and the new one.
    """

    how: int
    source: int
    target: int
    size: int = 0
    source_kind: int = 0
    source_bit: int = 0
    target_kind: int = 0
    target_bit: int = 0


class Span(NamedTuple):
    """What a reference may mean: a variable at one offset before, and at another after."""

    source: int
    target: int


def kind_of(type_: str, bit: int) -> int:
    """Return how an elementary variable lies in the image."""
    return BIT if bit >= 0 else _KINDS.get(type_, I64)


def joined(moves: Sequence[Move]) -> list[Move]:
    """Return the moves in order of their targets, with copies that go on where one ends made one."""
    out: list[Move] = []
    for move in sorted(moves, key=lambda each: (each.how == CLEAR, each.target)):
        last = out[-1] if out else None
        if last and move.how == last.how == BYTES:
            size = last.size
            if (move.source, move.target) == (last.source + size, last.target + size):
                out[-1] = last._replace(size=size + move.size)
                continue
        out.append(move)
    return out


def carry(moves: Sequence[Move], spans: Sequence[Span], image: bytes, into: bytearray) -> None:
    """Carry values of one image into another."""
    for move in moves:
        match move.how:
            case _ if move.how == BYTES:
                into[move.target : move.target + move.size] = image[move.source : move.source + move.size]
            case _ if move.how == VALUE:
                _put(into, move, _get(image, move))
            case _ if move.how == TEXT:
                _text(image, move.source, into, move.target, move.size)
            case _ if move.how == REFERENCE:
                own = spans[move.source_kind : move.source_kind + move.size]
                (place,) = struct.unpack_from("<q", image, move.source)
                index = bisect_left(own, (place,))
                found = index < len(own) and own[index].source == place
                struct.pack_into("<q", into, move.target, own[index].target if found else 0)
            case _:
                if move.size or image[move.source]:
                    into[move.target] = 0


def _get(image: bytes, move: Move) -> int | float:
    value: int | float = struct.unpack_from(f"<{FORMATS[move.source_kind]}", image, move.source)[0]
    return int(value) >> move.source_bit & 1 if move.source_kind == BIT else value


def _put(into: bytearray, move: Move, value: int | float) -> None:
    if move.target_kind == BIT:
        mask = 1 << move.target_bit
        value = into[move.target] & ~mask | (mask if value else 0)
    elif move.target_kind == BYTE_BOOL:
        value = int(value != 0)
    elif move.target_kind == I64:
        value = int(value) & (1 << 64) - 1  # I64 is how a ULINT lies there, too
        value -= (value >> 63) << 64
    struct.pack_into(f"<{FORMATS[move.target_kind]}", into, move.target, value)


def _text(image: bytes, source: int, into: bytearray, target: int, unit: int) -> None:
    """Carry a text: u16 length, u16 capacity, characters."""
    (length,) = struct.unpack_from("<H", image, source)
    (room,) = struct.unpack_from("<H", into, target + 2)
    length = min(length, room)
    struct.pack_into("<H", into, target, length)
    size = length * unit
    into[target + HEADER : target + HEADER + size] = image[source + HEADER : source + HEADER + size]
