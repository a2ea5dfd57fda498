"""Takes what the loop has recorded out of a block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softplc.core.native import Native
from softplc.core.scancore import ScanCore
from softplc.record.words import (
    FAULT_WORDS,
    FAULTED,
    FORCE_WORDS,
    FORCED,
    INPUT_WORDS,
    KEY,
    PAD,
    RETURNED,
    SCAN_WORDS,
    KeyHead,
    RecordHead,
)

Words = NDArray[np.int64]
KEY_WORDS = len(KeyHead._fields_)
_FIELD = {name: number for number, (name, _) in enumerate(KeyHead._fields_)}


@dataclass(frozen=True, slots=True)
class Piece:
    """Scans one after the other, of which at most the first is preceded by a key.

    Attributes:
        first, last: scans before, and behind it.
        first_ns, last_ns: the program's time at its first scan and at its last.
    """

    words: Words
    key: bool
    first: int
    last: int
    first_ns: int
    last_ns: int

    @property
    def returns(self) -> bool:
        """Tell whether the program goes on here after another one was on trial."""
        return self.key and int(self.words[_FIELD["reason"]]) == RETURNED


class Ring:
    """The record of one block; who takes out is alone."""

    def __init__(self, core: ScanCore) -> None:
        self.core = core
        self.head = RecordHead.from_buffer(core.block.part("record"))
        self._place = core.address + core.control.record
        self._words: Words = core.block.view("record").view(np.int64)[self.head.ring // 8 :]
        self._native: Native = core.native

    @property
    def written(self) -> int:
        """Words written so far."""
        return int(self._native.word(self._place + RecordHead.head.offset))

    @property
    def begins(self) -> int | None:
        """Scans before the first of this block; None where there is none yet, or it was taken out."""
        if self.head.tail or not self.written:
            return None
        return int(self._words[_FIELD["scans"]])

    def take(self) -> tuple[Words, int, int]:
        """Return what lies in one piece, the position where it begins, and that behind it."""
        tail, head, capacity = self.head.tail, self.written, self.head.capacity
        at = tail % capacity
        end = min(capacity, at + head - tail)
        found = self._words[at:end]
        behind = tail + end - at
        if end == capacity:
            found = found[: _padded(found)]
        return found.copy(), tail, behind

    def free(self, tail: int) -> None:
        """Let the loop have the room of what was taken; it takes none of this process's memory any more."""
        at, capacity = self.head.tail % self.head.capacity, self.head.capacity
        behind = min(capacity, at + tail - self.head.tail)
        self.core.block.let_go("record", *(self.head.ring + 8 * each for each in (at, behind)))
        self.head.tail = tail

    def ask_key(self) -> None:
        """Let the loop write a key as soon as it has time."""
        self._native.post(self._place + RecordHead.asked.offset)


def _padded(words: Words) -> int:
    """Return how many words there are before what fills the end of the ring."""
    at, values = 0, words
    while at < len(values) and int(values[at]) & 15 != PAD:
        at += _size(values, at)
    return at


def _size(words: Any, at: int) -> int:
    first = int(words[at])
    if first & 15 == KEY:
        return int(words[at + _FIELD["size"]])
    size = SCAN_WORDS + INPUT_WORDS * ((first >> 16 & 0xFFFF) + (first >> 32))
    if first >> 4 & FORCED:
        size += 1 + FORCE_WORDS * int(words[at + size])
    return size + (FAULT_WORDS if first >> 4 & FAULTED else 0)


def pieces(words: Words, scans: int, now_ns: int) -> Iterator[Piece]:
    """Cut words at their keys; `scans` and `now_ns` are those before them."""
    values = words.tolist()
    start = at = 0
    first, first_ns = scans, 0
    while at < len(values):
        if values[at] & 15 == KEY:
            if at > start:
                yield _piece(words[start:at], values[start] & 15, first, scans, first_ns, now_ns)
            start, first_ns = at, 0
            first = scans = values[at + _FIELD["scans"]]
            now_ns = values[at + image_at(values, at)]
        else:
            scans += 1
            now_ns += values[at + 1]
            first_ns = first_ns or now_ns
        at += _size(values, at)
    if at > start:
        yield _piece(words[start:at], values[start] & 15, first, scans, first_ns, now_ns)


def _piece(words: Words, kind: int, first: int, last: int, first_ns: int, last_ns: int) -> Piece:
    return Piece(words, kind == KEY, first, last, first_ns or last_ns, last_ns)


def image_at(words: Any, at: int = 0) -> int:
    """Return where the image of a key begins, behind the key's place."""
    tasks, inputs, forces = (int(words[at + _FIELD[name]]) for name in ("tasks", "inputs", "forces"))
    return KEY_WORDS + tasks + inputs + FORCE_WORDS * forces


@dataclass(frozen=True, slots=True)
class Key:
    """All that a replay begins with."""

    reason: int
    scans: int
    fault_mask: int
    lost: int
    taken: int
    address: int
    last_ns: Words
    inputs: Words
    forces: Words
    image: bytes

    @classmethod
    def of(cls, words: Words) -> Key:
        """Read the key with which words begin."""
        field = {name: int(words[number]) for name, number in _FIELD.items()}
        end, parts = KEY_WORDS, []
        for count in (field["tasks"], field["inputs"], FORCE_WORDS * field["forces"]):
            parts.append(words[end : end + count])
            end += count
        last_ns, inputs, forces = parts
        return cls(
            field["reason"], field["scans"], field["fault_mask"], field["lost"], field["taken"],
            field["address"],
            last_ns, inputs, forces, words[end : field["size"]].tobytes()[: field["image"]],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan as it was recorded.

    Attributes:
        task: index of its task, in the block's order.
        writes: (offset, kind, bit, raw pattern) of each word that was written before it.
        inputs: (row, raw pattern) of each word of the inputs that changed.
        forces: what is forced from here on (offset, kind, bit, raw, until, number), None where as before.
        fault: (code, line, file), empty where there was none.
    """

    task: int
    after_ns: int
    writes: tuple[tuple[int, int, int, int], ...]
    inputs: tuple[tuple[int, int], ...]
    forces: tuple[tuple[int, ...], ...] | None
    fault: tuple[int, ...]
    aborted: bool

    @classmethod
    def at(cls, words: Words, at: int) -> tuple[Scan, int]:
        """Read a scan; return the place behind it, too."""
        size = _size(words, at)
        values = words[at : at + size].tolist()
        first, flags = values[0], values[0] >> 4 & 15
        writes, inputs = first >> 16 & 0xFFFF, first >> 32
        end = SCAN_WORDS + 2 * writes
        pairs = [(values[place], values[place + 1]) for place in range(SCAN_WORDS, end, 2)]
        changed = [(values[place], values[place + 1]) for place in range(end, end + 2 * inputs, 2)]
        end += 2 * inputs
        forces = None
        if flags & FORCED:
            count = values[end]
            forces = tuple(
                tuple(values[end + 1 + FORCE_WORDS * each : end + 1 + FORCE_WORDS * (each + 1)])
                for each in range(count)
            )
        fault = tuple(values[size - FAULT_WORDS :]) if flags & FAULTED else ()
        made = cls(
            first >> 8 & 255, values[1],
            tuple((where >> 16, where >> 8 & 255, where & 255, raw) for where, raw in pairs),
            tuple(changed), forces, fault, bool(flags & 2),
        )  # fmt: skip
        return made, at + size
