"""The whole state of a core between two scans: taken from one core, or from a key, and put into another."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softplc.core.layout import FORCES, Force, ForceTable
from softplc.core.scancore import ScanCore
from softplc.record.ring import Key, Words
from softplc.record.words import FORCE_WORDS

_TABLE = ctypes.sizeof(ForceTable) + FORCES * ctypes.sizeof(Force)


@dataclass(frozen=True, slots=True)
class State:
    """What the next scan depends on, besides what it takes in.

    Attributes:
        image: all variables; `address` is where they lay.
        taken: number of the last write that was taken.
        forces: offset, kind, bit, raw pattern, end and number of each word that is forced.
    """

    image: bytes
    address: int
    scans: int
    fault_mask: int
    taken: int
    last_ns: Words
    inputs: Words
    forces: Words

    @classmethod
    def of_key(cls, key: Key) -> State:
        return cls(
            key.image, key.address, key.scans, key.fault_mask, key.taken, key.last_ns, key.inputs, key.forces
        )

    @classmethod
    def of(cls, core: ScanCore) -> State:
        """Take the state of a core that does not scan."""
        control = core.control
        last_ns = np.array([each.last_ns for each in core.records], np.int64)
        return cls(
            core.image(), core.address + control.image, control.scans, control.fault_mask,
            control.write_tail, last_ns, _inputs(core).copy(), forces_of(core).copy(),
        )  # fmt: skip

    def enter(self, core: ScanCore, known: NDArray[np.bool_]) -> None:
        """Put it into a core; its image may be longer. `known` tells which bytes belong to variables."""
        control = core.control
        image = core.block.view("image")
        image[len(self.image) :] = 0
        image[: len(self.image)] = self._placed(core.address + control.image, known)
        control.scans, control.fault_mask = self.scans, self.fault_mask
        control.write_head = control.write_tail = self.taken
        for task, last_ns in zip(core.records, self.last_ns.tolist(), strict=True):
            task.last_ns = last_ns
        _inputs(core)[:] = self.inputs
        place, whole = _table(core), core.block.part("forces")
        head = ForceTable.from_buffer(whole, place)
        head.count, head.due_ns = len(self.forces) // FORCE_WORDS, 0
        start = place + ctypes.sizeof(ForceTable)
        whole[start : start + self.forces.nbytes] = self.forces.tobytes()

    def _placed(self, here: int, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the image, with what points into it (arguments of calls) pointing to where it lies now."""
        image = np.frombuffer(self.image, np.uint8).copy()
        words = image[: len(image) // 8 * 8].view(np.uint64)
        first, behind = np.uint64(self.address), np.uint64(self.address + len(image))
        pointing = (words >= first) & (words < behind) & ~known[: 8 * len(words) : 8]
        words[pointing] = words[pointing] - first + np.uint64(here)
        return image


def _inputs(core: ScanCore) -> Words:
    count = core.control.input_count
    whole: Words = core.block.view("buffers").view(np.int64)
    return whole[count * core.control.latched : count * (core.control.latched + 1)]


def _table(core: ScanCore) -> int:
    return int(core.control.force_taken & 1) * _TABLE


def forces_of(core: ScanCore) -> Words:
    """Return the words that are forced."""
    place, whole = _table(core), core.block.part("forces")
    count = ForceTable.from_buffer(whole, place).count
    start = place + ctypes.sizeof(ForceTable)
    found: Words = np.frombuffer(whole[start : start + count * ctypes.sizeof(Force)], np.int64)
    return found
