"""The list of moves as native code reads it; made by the kernel, mapped by the core's process.

Needs nothing but the standard library: the core's process has no numpy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from softplc.core.layout import words
from softplc.online.moves import Move, Span


class MoveRecord(ctypes.Structure):
    """A `softplc.online.moves.Move`."""

    _fields_ = words(*Move._fields)


class SpanRecord(ctypes.Structure):
    """A `softplc.online.moves.Span`."""

    _fields_ = words(*Span._fields)


class Pair(ctypes.Structure):
    """A task in the order of the old block and of the new one."""

    _fields_ = words("source", "target")


class Change(ctypes.Structure):
    """Head of the list; places count from its start."""

    _fields_ = words("moves", "move_count", "spans", "pairs", "pair_count")


class TapeHead(ctypes.Structure):
    """Head of a tape: the image before its first scan, then so many records; places count from its start.

    Attributes:
        count: records that are whole.
        taken: number of the last write that was taken before.
        stride: bytes of a record, with the inputs and outputs behind it.
    """

    _fields_ = words("capacity", "count", "stride", "taken", "image", "records")


class TapeRecord(ctypes.Structure):
    """One scan of one task, as it was; its inputs and outputs follow, eight bytes each."""

    _fields_ = words("task", "now_ns", "dt_ns", "scans", "writes_taken")


def packed(moves: Sequence[Move], spans: Sequence[Span], pairs: Sequence[tuple[int, int]]) -> bytes:
    """Return the list as it lies in memory."""
    head, parts = Change(move_count=len(moves), pair_count=len(pairs)), b""
    for name, rows in (("moves", moves), ("spans", spans), ("pairs", pairs)):
        setattr(head, name, ctypes.sizeof(Change) + len(parts))
        words_of = [word for row in rows for word in row]
        parts += bytes((ctypes.c_int64 * len(words_of))(*words_of))
    return bytes(head) + parts
