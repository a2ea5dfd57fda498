"""A rehearsal: the changed program on the inputs that the running one takes meanwhile."""

from __future__ import annotations

import asyncio
import ctypes
import json
import mmap
import os
import subprocess
from collections.abc import Iterator, Sequence

from runtime.clock import SECOND_NS
from runtime.contract import Port, Value
from runtime.errors import PlantError
from runtime.online import DifferenceLine, RehearsalView
from softplc.core.kinds import Text
from softplc.core.remote import own_process
from softplc.core.scancore import ScanCore
from softplc.core.stats import TaskFault
from softplc.launch import Launcher
from softplc.online.live import Live, Program
from softplc.online.offer import Offer
from softplc.online.plan import Migration
from softplc.online.records import TapeHead, TapeRecord
from softplc.online.rehearse import Rehearse, Rehearsed
from softplc.wiring import fault_text

_MOST_BYTES = 64 << 20
_MOST_NS = 120 * SECOND_NS
_PATIENCE_NS = 10 * SECOND_NS
_CHILD_S = 120
_STEP_S = 0.01
_ALIGN = 64


class Tape:
    """Memory in which a core keeps so many scans.

    Attributes:
        fd: this process's descriptor.
    """

    def __init__(self, core: ScanCore, scans: int) -> None:
        """Make it.

        Raises:
            PlantError: it would be too large.
        """
        control = core.control
        stride = ctypes.sizeof(TapeRecord) + 8 * (control.input_count + control.output_count)
        records = -(-(ctypes.sizeof(TapeHead) + control.image_size) // _ALIGN) * _ALIGN
        size = records + scans * stride
        if size > _MOST_BYTES:
            most = max(0, (_MOST_BYTES - records) // stride)
            text = f"{scans:,} scans of this program are too much for a rehearsal"
            raise PlantError(text, f"rehearse up to {most:,}")
        self.fd = os.memfd_create("plc-tape")
        os.ftruncate(self.fd, size)
        self._memory = mmap.mmap(self.fd, size)
        self._head = TapeHead.from_buffer(self._memory, 0)
        self._head.capacity, self._head.stride = scans, stride
        self._head.image, self._head.records = ctypes.sizeof(TapeHead), records

    @property
    def full(self) -> bool:
        return bool(self._head.count >= self._head.capacity)

    def close(self) -> None:
        os.close(self.fd)


async def rehearsed(
    port: Port, live: Live, launcher: Launcher, new: Program, ways: tuple[Migration, Migration], scans: int
) -> RehearsalView:
    """Run a changed program beside the one that runs for so many scans of all tasks together.

    Raises:
        PlantError: it takes too long or too much memory, or cannot be done.
    """
    core, old = live.core, live.program
    _check_time(core, scans)
    tape = Tape(core, scans)
    try:
        live.written = []
        try:
            await _recorded(port, live, core, tape)
        finally:
            written, live.written = live.written or [], None
        build, wiring = new.build, new.wiring
        offer = await asyncio.to_thread(launcher.offer, live.process, old.build, build, wiring, ways, 0)
        try:
            inputs = _matched(core.input_rows, offer.new.input_rows)
            outputs = _matched(core.output_rows, offer.new.output_rows)
            order = Rehearse(
                scans, core.control.input_count, core.control.output_count,
                [*inputs.values()], [*outputs.values()],
                [*_steady(core, offer)], [*_writes(new, written)],
            )  # fmt: skip
            done = await asyncio.to_thread(_run, offer, tape, order)
        finally:
            offer.close()
    finally:
        tape.close()
    return _told(port, offer, new, [*outputs], done)


def _check_time(core: ScanCore, scans: int) -> None:
    per_second = sum(SECOND_NS / task.interval_ns for task in core.tasks)
    if scans * SECOND_NS > _MOST_NS * per_second:
        most = int(_MOST_NS * per_second / SECOND_NS)
        text = f"{scans:,} scans take {scans / per_second:,.0f} s"
        raise PlantError(text, f"rehearse up to {most:,}")


async def _recorded(port: Port, live: Live, core: ScanCore, tape: Tape) -> None:
    """Let the core keep its scans until the tape is full."""
    control = core.control
    control.tape_pid, control.tape_fd = os.getpid(), tape.fd
    core.post("tape_wanted")
    live.process.wake()
    end_ns = port.clock.steady_ns() + _MOST_NS + _PATIENCE_NS
    try:
        while not tape.full:
            if not live.alive or live.core is not core:
                raise PlantError("the PLC was started anew meanwhile", "try again")
            if core.control.fault_mask == (1 << len(core.tasks)) - 1:
                raise PlantError("no task runs: all are stopped by a fault", "change it without a rehearsal")
            if port.clock.steady_ns() > end_ns:
                raise PlantError("the PLC core does not answer", "see `ironworks plc top`")
            await port.clock.sleep(_STEP_S)
    finally:
        control.tape_fd = -1
        core.post("tape_wanted")


def _matched(
    old: dict[int, tuple[int, int]], new: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int, int]]:
    """Return what both have, by key: first word in each, and how many."""
    return {
        key: (source, new[key][0], count)
        for key, (source, count) in old.items()
        if key in new and new[key][1] == count
    }


def _steady(core: ScanCore, offer: Offer) -> Iterator[tuple[int, int]]:
    """Yield the tasks that run as often as they did: their mask before, their number now."""
    for source, target in offer.pairs:
        if core.tasks[source].interval_ns == offer.new.tasks[target].interval_ns:
            yield core.records[source].mask, target


def _writes(
    program: Program, written: Sequence[tuple[int, int, int | str]]
) -> Iterator[tuple[int, list[list[int]]]]:
    """Yield what people wrote meanwhile, as it lies in the new program."""
    places = {bound.key: bound.variable for bound in program.wiring.outputs}
    for number, key, value in written:
        variable = places.get(key)
        if variable is None:
            continue
        raws = variable.pack(str(value)) if isinstance(variable, Text) else [int(value)]
        signed = [raw - (1 << 64) if raw >> 63 else raw for raw in raws]
        parts = zip(variable.parts, signed, strict=True)
        yield number, [[part.offset, part.kind, part.bit, raw] for part, raw in parts]


def _run(offer: Offer, tape: Tape, order: Rehearse) -> Rehearsed:
    """Let a child process rehearse. Waits.

    Raises:
        PlantError: it cannot.
    """
    fds = (*offer.fds, tape.fd)
    command, environment = own_process("softplc.online.rehearse", *fds)
    try:
        done = subprocess.run(
            command, input=json.dumps(order._asdict()), capture_output=True, text=True, pass_fds=fds,
            env=environment, timeout=_CHILD_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise PlantError(f"the rehearsal took more than {_CHILD_S} s", "rehearse fewer scans") from exc
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise PlantError(f"the rehearsal failed: {last[0][:300]}", "change it without, or report this")
    return Rehearsed(**json.loads(done.stdout))


def _told(port: Port, offer: Offer, new: Program, keys: Sequence[int], done: Rehearsed) -> RehearsalView:
    texts = {bound.key: bound.variable for bound in new.wiring.outputs if isinstance(bound.variable, Text)}

    def value(key: int, words: Sequence[int]) -> Value:
        if key in texts:
            return texts[key].unpack(words)
        return port.tags[key].data_type.decode(words[0])

    lines = []
    for scan, which, before, after in done.differences:
        key = keys[which]
        lines.append(DifferenceLine(scan, port.tags[key].path, value(key, before), value(key, after)))
    longest = {task.name: ns / 1000 for task, ns in zip(offer.new.tasks, done.longest_ns, strict=True) if ns}
    fault = ""
    if done.fault:
        index, code, line, file = done.fault
        stopped = TaskFault(offer.new.tasks[index].name, code, line, file)
        fault = fault_text(stopped, new.build.application)
    return RehearsalView(done.scans, done.differing, tuple(lines), longest, fault)
