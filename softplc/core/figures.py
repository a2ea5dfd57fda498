"""How long each program of a task takes, and the longest scan of a task with its inputs."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softplc.core.block import Block
from softplc.core.layout import LAP_BINS, Lap, LapHead, Task
from softplc.core.native import Native
from softplc.core.stats import ProgramStats, Spread

_TRIES = 100


@dataclass(frozen=True, slots=True)
class WorstScan:
    """The longest scan of a task.

    Attributes:
        at_ns: its start, monotonic.
        inputs: raw patterns that it had, in the order of the block; None where the program has changed since.
    """

    scan: int
    at_ns: int
    took_ns: int
    inputs: NDArray[np.uint64] | None


def programs_of(block: Block, names: tuple[str, ...], first: int) -> tuple[ProgramStats, ...]:
    """Return the figures of the programs of a task, which begin at a number."""
    part = block.part("laps")
    size = ctypes.sizeof(Lap)
    found = []
    for number, name in enumerate(names, first):
        lap = Lap.from_buffer_copy(part, ctypes.sizeof(LapHead) + number * size)
        bins = np.frombuffer(lap.bins, np.uint32, LAP_BINS)
        spread = Spread.of_laps(bins, lap.max_ns, lap.last_ns, lap.min_ns)
        found.append(ProgramStats(name, lap.scans, spread, lap.total_ns, lap.worst_scan))
    return tuple(found)


def worst_of(native: Native, block: Block, task: Task) -> WorstScan | None:
    """Return the longest scan of a task; None where there is none yet, or it changes just now."""
    inputs = np.empty(block.sizes.inputs, np.uint64)
    start = ctypes.addressof(task)
    sequence, place = start + Task.worst_sequence.offset, start + task.worst_inputs
    for _ in range(_TRIES):
        number = native.read_whole(sequence, place, inputs.ctypes.data, inputs.nbytes)
        scan, at_ns, took_ns = task.worst_scan, task.worst_at_ns, task.worst_ns
        if number >= 0 and native.word(sequence) == number:
            return WorstScan(scan, at_ns, took_ns, inputs if number else None) if scan else None
    return None
