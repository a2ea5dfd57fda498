"""Run a changed program on a tape of what the running one did, in a process of its own.

    python -m softplc.online.rehearse BLOCK CODE TAPE

All three are file descriptors; a `Rehearse` comes as JSON on standard input, a `Rehearsed` goes to standard
output. The same native code as live, watched by the same watchdog. It imports neither numpy nor the kernel's
modules, and lets everybody else go first.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from softplc.core.layout import FRESH, RING, Snapshot, Task, Write
from softplc.core.native import Native
from softplc.online.generation import Generation
from softplc.online.records import TapeHead, TapeRecord

_NICE = 10
_NEVER = 1 << 62
_FIRST = 20


class Rehearse(NamedTuple):
    """What is rehearsed.

    Attributes:
        scans: how many of the tape.
        old_inputs, old_outputs: words of each record.
        inputs: (word of the record, word of the new program's inputs, words).
        outputs: (word of the record, word of the new program's outputs, words) of each output that both have.
        tasks: (mask in the old program, index in the new one) of those that run as they did.
        writes: (number in the old program, words to write: offset, kind, bit, raw).
    """

    scans: int
    old_inputs: int
    old_outputs: int
    inputs: Sequence[Sequence[int]]
    outputs: Sequence[Sequence[int]]
    tasks: Sequence[Sequence[int]]
    writes: Sequence[tuple[int, Sequence[Sequence[int]]]]


class Rehearsed(NamedTuple):
    """What became of it.

    Attributes:
        scans: how many ran.
        differing: how many outputs differ at some time.
        differences: (scan from 1, which of `outputs`, words before, words after), the first of each output.
        longest_ns: processor time of the longest scan of each task of the new program.
        fault: (task, code, line, file) where it stopped.
    """

    scans: int
    differing: int
    differences: Sequence[tuple[int, int, Sequence[int], Sequence[int]]]
    longest_ns: Sequence[int]
    fault: Sequence[int] = ()


class _Stage:
    """The new program in its block, stepped along a tape."""

    def __init__(self, block: int, code: int, tape: int, order: Rehearse) -> None:
        self._order = order
        self._program = program = Generation(block, code)
        self._native = Native(program.core)
        self._control = control = program.control
        self._memory = memory = mmap.mmap(block, 0)
        self._tape = mmap.mmap(tape, 0)
        self._words = memoryview(self._tape).cast("Q")
        self._head = TapeHead.from_buffer(self._tape, 0)
        self._new_words = memoryview(memory).cast("Q")
        self._by_mask: dict[int, int] = {each[0]: each[1] for each in order.tasks}
        self._differing: dict[int, tuple[int, int, list[int], list[int]]] = {}
        self._longest = [0] * control.task_count
        self._settle_inputs()
        image = ctypes.addressof(self._head) + self._head.image
        self._native.migrate(image, program.address + control.image, program.change)

    def _settle_inputs(self) -> None:
        """Let the buffer that the scan reads hold what was handed in last: nobody hands in any more."""
        control = self._control
        control.ready &= FRESH - 1
        count = control.input_count
        fresh, latched = (control.buffers // 8 + count * each for each in (control.ready, control.latched))
        self._new_words[latched : latched + count] = self._new_words[fresh : fresh + count]

    def run(self) -> Rehearsed:
        control, native = self._control, self._native
        watchdog = threading.Thread(target=native.monitor, args=(self._program.address,), daemon=True)
        watchdog.start()
        taken = self._head.taken
        for task in self._program.tasks:
            task.next_ns = self._record(0).now_ns
        number = 0
        for number in range(1, self._order.scans + 1):
            record = self._record(number - 1)
            taken = self._write(taken, record.writes_taken)
            self._scan(number, record)
            if control.fault_mask:
                break
        control.ended = 1
        watchdog.join()
        differences = sorted(self._differing.values())[:_FIRST]
        return Rehearsed(number, len(self._differing), differences, self._longest, self._fault())

    def _record(self, index: int) -> TapeRecord:
        return TapeRecord.from_buffer(self._tape, self._head.records + index * self._head.stride)

    def _write(self, taken: int, until: int) -> int:
        """Hand in what was written between two scans."""
        for number, words in self._order.writes:
            if taken < number <= until:
                writes = (Write * len(words))(*(Write(*each) for each in words))
                self._native.push_writes(self._program.address, ctypes.addressof(writes), len(words))
        return max(taken, until)

    def _scan(self, number: int, record: TapeRecord) -> None:
        control, tasks = self._control, self._program.tasks
        at = (self._head.records + (number - 1) * self._head.stride + ctypes.sizeof(TapeRecord)) // 8
        self._hand_in(at)
        self._choose(tasks, record)
        control.scans = record.scans - 1
        before = [task.scans for task in tasks]
        began_ns = time.thread_time_ns()
        self._native.step(self._program.address, record.now_ns)
        took_ns = time.thread_time_ns() - began_ns
        for index, task in enumerate(tasks):
            if task.scans != before[index]:
                self._longest[index] = max(self._longest[index], took_ns)
        if not control.fault_mask:
            self._compare(number, at + self._order.old_inputs)

    def _hand_in(self, at: int) -> None:
        buffer = (self._control.buffers + 8 * self._control.input_count * self._control.latched) // 8
        for source, target, count in self._order.inputs:
            self._new_words[buffer + target : buffer + target + count] = self._words[
                at + source : at + source + count
            ]

    def _choose(self, tasks: Any, record: TapeRecord) -> None:
        """Let the task run that ran; those that are new, or run otherwise, when they are due."""
        for index in self._by_mask.values():
            tasks[index].next_ns = _NEVER
        index = self._by_mask.get(record.task, -1)
        if index >= 0:
            task: Task = tasks[index]
            task.next_ns = record.now_ns
            task.last_ns = record.now_ns - record.dt_ns

    def _compare(self, number: int, at: int) -> None:
        control = self._control
        slot = control.ring + (control.latest & (RING - 1)) * control.ring_stride + ctypes.sizeof(Snapshot)
        for which, (source, target, count) in enumerate(self._order.outputs):
            before = self._words[at + source : at + source + count]
            after = self._new_words[slot // 8 + target : slot // 8 + target + count]
            if before != after and which not in self._differing:
                self._differing[which] = (number, which, before.tolist(), after.tolist())

    def _fault(self) -> Sequence[int]:
        for index, task in enumerate(self._program.tasks):
            if task.mask & self._control.fault_mask:
                return index, task.fault_code, task.fault_line, task.fault_file
        return ()


def main(block: int, code: int, tape: int) -> None:
    os.nice(_NICE)
    order = Rehearse(**json.load(sys.stdin))
    json.dump(_Stage(block, code, tape, order).run()._asdict(), sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
