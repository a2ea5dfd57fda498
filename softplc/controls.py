"""What people see and do of the running program: watch, force, figures, restart; the gate judges before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.contract import Clock, PlcOutline, Port, Tag
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.plcview import (
    FORCED,
    WATCHED,
    EndedForce,
    ForceOrder,
    ForceView,
    InputView,
    PlcFigures,
    PlcValues,
    ProgramView,
    RecordView,
    SpreadView,
    Target,
    TaskView,
    VariableView,
    WhyView,
    WorstScan,
)
from softplc.build import Build
from softplc.core.forces import Forced, Forces
from softplc.core.layout import FORCES, WATCH_BYTES, WATCH_RANGES
from softplc.core.remote import CoreProcess
from softplc.core.stats import ProgramStats, Spread, TaskStats
from softplc.core.watched import Picture, Watched
from softplc.forcebook import Entry, ForceBook, Held
from softplc.lookup import Found, Lookup, joined
from softplc.outline import outlined
from softplc.record.answer import answered
from softplc.record.notes import FORCE, RELEASE, RESTART, Note
from softplc.record.recorder import Recorder
from softplc.record.service import written
from softplc.wiring import Wiring, fault_text

_ANSWER_NS = 2 * SECOND_NS
_RESTART_S = 60.0
_STEP_S = 0.001
_VALUES = 20_000
_NOT_RUNNING = "the PLC does not run"


class RestartAskedError(Exception):
    """The program is to begin anew."""

    def __init__(self, *, cold: bool) -> None:
        super().__init__("restart")
        self.cold = cold


class Bindings:
    """Which tags are bound to which bits of the image."""

    def __init__(self, wiring: Wiring) -> None:
        bound = (*wiring.inputs, *wiring.outputs)
        self._ids = np.array([each.key for each in bound], np.int64)
        self._bits = np.array([each.variable.bits for each in bound], np.int64).reshape(-1, 2)

    def at(self, bits: tuple[int, int]) -> tuple[int, ...]:
        """Return the ids of the tags bound to a part of these bits (first, and the one behind the last)."""
        touched = (self._bits[:, 0] < bits[1]) & (bits[0] < self._bits[:, 1])
        return tuple(self._ids[touched].tolist())


@dataclass(frozen=True, slots=True)
class Running:
    """A core that scans, and what runs on it."""

    build: Build
    wiring: Wiring
    process: CoreProcess
    lookup: Lookup
    forces: Forces
    watched: Watched
    port: Port
    bindings: Bindings
    outline: PlcOutline

    @classmethod
    def of(cls, build: Build, wiring: Wiring, process: CoreProcess, port: Port) -> Running:
        core = process.core
        lookup = Lookup(build.application)
        bindings = Bindings(wiring)
        outline = outlined(build.application)
        return cls(build, wiring, process, lookup, Forces(core), Watched(core), port, bindings, outline)

    def tags(self, bits: tuple[int, int]) -> tuple[str, ...]:
        """Return the paths of the tags bound to a part of the image."""
        return tuple(self.port.tags[id_].path for id_ in self.bindings.at(bits))


class Controls:
    """The `runtime.plcview.Controller` of a plant's PLC.

    Attributes:
        book: what is forced.
        turn: who changes forces, or the core in which they are, takes it.
        looking: who watches takes it.
        noted: takes what people do, for the record of scans.
        recorder: writes that record.
    """

    def __init__(self, book: ForceBook, restart_task: Callable[[str, bool], Awaitable[None]]) -> None:
        """`restart_task` begins the programs of a task anew: name, and whether cold."""
        self.book = book
        self._restart_task = restart_task
        self.turn = asyncio.Lock()
        self.looking = asyncio.Lock()
        self.noted: Callable[[Note], None] = lambda note: None
        self.recorder: Recorder | None = None
        self._asking = asyncio.Lock()
        self._running: Running | None = None
        self._ended_forces = 0
        self._restart: asyncio.Future[None] | None = None
        self._asked = asyncio.Event()
        self._cold = False

    # The bridge's side.

    def begin(self, running: Running) -> None:
        """Take up a core that scans."""
        self._running = running
        self._ended_forces = -1
        if self._restart is not None and not self._restart.done():
            self._restart.set_result(None)

    def end(self) -> None:
        """Let go of the core."""
        self._running = None

    def failed(self, why: str) -> None:
        """Tell who asked for a restart that nothing scans again."""
        if self._restart is not None and not self._restart.done():
            self._restart.set_exception(ConnectError(f"the PLC does not come up again: {why}"))

    def notice(self) -> None:
        """Learn what the core has ended by itself."""
        running = self._running
        if running is None or running.process.core.control.forces_ended == self._ended_forces:
            return
        self._ended_forces = running.process.core.control.forces_ended
        self.book.learn(running.forces)
        self.book.mark(running.forces)

    async def restart_asked(self) -> None:
        """Wait until somebody asks for a restart.

        Raises:
            RestartAskedError: somebody has.
        """
        await self._asked.wait()
        self._asked.clear()
        raise RestartAskedError(cold=self._cold)

    # The kernel's side.

    def figures(self) -> PlcFigures:
        running = self._required()
        stats = running.process.core.stats()
        offset_ns = running.process.core.control.source_offset_ns
        return PlcFigures(
            running.process.scheduling(), stats.scans, stats.aborts, stats.held_inputs, len(self.book.held),
            tuple(_task(each, offset_ns, running.build) for each in stats.tasks),
        )  # fmt: skip

    def outline(self) -> PlcOutline | None:
        return self._running.outline if self._running is not None else None

    def worst(self, task: str) -> WorstScan:
        running = self._required()
        core = running.process.core
        index = core.task_index(task)
        found = core.worst(index)
        name = core.tasks[index].name
        if found is None:
            return WorstScan(name, 0, 0, 0.0, None)
        inputs = None
        if found.inputs is not None:
            values = [(id_, core.input_value(found.inputs, id_)) for id_ in core.input_rows]
            inputs = tuple(_input(running.port.tags[id_], value) for id_, value in values)
        at_ns = found.at_ns + core.control.source_offset_ns
        return WorstScan(name, found.scan, at_ns, found.took_ns / 1000, inputs)

    async def read(self, paths: Sequence[str]) -> PlcValues:
        if len(paths) > WATCHED:
            raise PlantError(f"{len(paths)} paths are too many", f"read up to {WATCHED} at once")
        async with self.looking:
            while True:
                running = self._required()
                found = [running.lookup.find(path) for path in paths]
                ranges = joined(span for each in found for span in each.spans)
                _check_size(found, ranges)
                try:
                    picture = await self._looked(running, ranges)
                    break
                except ConnectError:
                    if self._running in (running, None):
                        raise  # else another program has taken over meanwhile
        forced = [each.forced.variable.bits for each in list(self.book.held.values())]

        def decode() -> tuple[VariableView, ...]:
            image = memoryview(bytearray(running.build.application.image_size))
            at = 0
            for offset, size in ranges:
                image[offset : offset + size] = picture.data[at : at + size]
                at += size
            return tuple(_shown(running, each, image, forced) for each in found)

        return PlcValues(picture.scans, picture.at_ns, await asyncio.to_thread(decode))

    def target(self, path: str) -> Target:
        running = self._required()
        symbol = running.lookup.symbol(path)
        if symbol.read_only:
            raise WriteRejectedError(
                f"{symbol.path} is READ_ONLY", "force the variable behind the access path"
            )
        if running.build.application.is_constant(symbol.path):
            raise WriteRejectedError(f"{symbol.path} is a constant", "change it in the program")
        return Target(symbol.path, symbol.type, running.bindings.at(running.lookup.variable(symbol).bits))

    def forces(self) -> tuple[ForceView, ...]:
        running = self._running
        return tuple(self._view(each, running) for each in self.book.entries)

    async def force(self, order: ForceOrder) -> ForceView:
        async with self.turn:
            running = self._required()
            symbol = running.lookup.symbol(order.path)
            value, raws = running.lookup.parse(symbol, order.value)
            number, now_ns = self.book.next, running.port.clock.now_ns()
            until_ns = now_ns + order.for_ns if order.for_ns else 0
            entry = Entry(
                number, symbol.path, symbol.declared, value, now_ns, until_ns, order.actor, order.reason
            )
            steady_ns = monotonic_ns() + order.for_ns if order.for_ns else 0
            forced = Forced(number, running.lookup.variable(symbol), raws, steady_ns)
            self._check_room(entry, forced)
            await self._until(running, lambda: running.forces.settled)
            await self.book.add(entry, forced)
            self.noted(of_force(entry))
            await self._hand_over(running)
            return self._view(entry, running)

    async def release(self, paths: Sequence[str], *, actor: str = "", reason: str = "") -> None:
        async with self.turn:
            wanted = {path.casefold() for path in paths}
            gone = [each for each in self.book.entries if each.path.casefold() in wanted]
            running = self._running
            if running is not None:
                await self._until(running, lambda: running.forces.settled)
            await self.book.remove(each.number for each in gone)
            if running is not None:
                now_ns = running.port.clock.now_ns()
                for each in gone:
                    self.noted(
                        Note(RELEASE, now_ns, number=each.number, target=each.path, actor=actor, text=reason)
                    )
                await self._hand_over(running)

    def ended(self) -> tuple[EndedForce, ...]:
        return tuple(
            EndedForce(entry.number, entry.path, entry.type, entry.value, entry.actor, why)
            for entry, why in list(self.book.over.values())
        )

    async def forget(self, numbers: Sequence[int]) -> None:
        await self.book.remove(numbers)  # not in turn: who audits must not wait for a PLC that starts

    def record(self) -> RecordView:
        if self.recorder is None:
            return RecordView(0)
        figures = self.recorder.figures
        return RecordView(
            self.recorder.options.budget, figures.scans, figures.bytes, figures.lost, figures.error
        )

    async def why(self, path: str, at: str = "", run: int | None = None) -> WhyView:
        if self.recorder is None:
            raise WriteRejectedError("no scans are recorded", "set `plc: record: {disk_limit_mib: 256}`")
        async with self._asking:  # one at a time: it takes a processor for a second
            await asyncio.to_thread(written, self.recorder.drain)
            return await asyncio.to_thread(answered, self.recorder.folder, path, at, run)

    async def restart(self, *, cold: bool, task: str = "", actor: str = "", reason: str = "") -> None:
        now_ns = self._required().port.clock.now_ns()
        value = "cold" if cold else "warm"
        self.noted(Note(RESTART, now_ns, target=task, value=value, actor=actor, text=reason))
        if task:
            await self._restart_task(task, cold)
            return
        if self._restart is not None and not self._restart.done():
            raise WriteRejectedError("the PLC is starting anew already", "wait until it scans")
        self._restart = asyncio.get_running_loop().create_future()
        self._cold = cold
        self._asked.set()
        try:
            async with asyncio.timeout(_RESTART_S):
                await self._restart
        except TimeoutError:
            text = f"the PLC does not scan again after {_RESTART_S:g} s"
            raise ConnectError(text, "see `ironworks components list`") from None

    # Helpers.

    async def _looked(self, running: Running, ranges: Sequence[tuple[int, int]]) -> Picture:
        watched = running.watched
        await self._until(running, lambda: watched.answered)
        watched.ask(ranges)
        await self._until(running, lambda: watched.answered)
        return watched.picture()

    def _required(self) -> Running:
        if self._running is None:
            raise ConnectError(_NOT_RUNNING, "see `ironworks components list`")
        return self._running

    async def _until(self, running: Running, condition: Callable[[], bool]) -> None:
        """Wait for the scan loop, for a bounded time.

        Raises:
            ConnectError: it does not answer.
        """
        clock: Clock = running.port.clock
        end_ns = clock.steady_ns() + _ANSWER_NS
        while not condition():
            if self._running is not running or not running.process.alive:
                raise ConnectError(_NOT_RUNNING, "see `ironworks components list`")
            if clock.steady_ns() > end_ns:
                text = f"the PLC did not answer within {_ANSWER_NS / SECOND_NS:g} s"
                raise ConnectError(text, "a scan takes too long: see `ironworks plc top`")
            await clock.sleep(_STEP_S)

    async def _hand_over(self, running: Running) -> None:
        """Give the core what the book says, and wait until it goes by that.

        Raises:
            ConnectError: it does not in time; the book stands, and it will.
        """
        self.book.hand_over(running.forces)
        try:
            await self._until(running, lambda: running.forces.settled)
        except ConnectError as exc:
            text = f"{exc.text}; what is forced changes with its next scan: see `ironworks plc forces`"
            raise ConnectError(text, exc.remedy) from exc

    def _check_room(self, entry: Entry, forced: Forced) -> None:
        first, behind = forced.variable.bits
        others = [each for each in self.book.held.values() if each.forced.variable != forced.variable]
        for each in others:
            low, high = each.forced.variable.bits
            if low < behind and first < high:
                text = f"{entry.path} shares memory with {each.entry.path}, which is forced"
                raise WriteRejectedError(text, f"release it first: ironworks plc unforce {each.entry.path}")
        if len(others) >= FORCED:
            raise WriteRejectedError(f"{FORCED} variables are forced already", "release some")
        words = sum(len(each.forced.raws) for each in others) + len(forced.raws)
        if words > FORCES:
            raise WriteRejectedError(
                f"all forces together need {words} words, more than {FORCES}", "release some texts"
            )

    def _view(self, entry: Entry, running: Running | None) -> ForceView:
        tags: tuple[str, ...] = ()
        until_ns = entry.until_ns
        held: Held | None = self.book.held.get(entry.number)
        if running is not None and held is not None:
            tags = running.tags(held.forced.variable.bits)
            if remaining_ns := self.book.remaining_ns(entry.number):
                until_ns = running.port.clock.now_ns() + remaining_ns
        return ForceView(
            entry.path, entry.type, entry.value, entry.since_ns, until_ns, entry.actor, entry.reason, tags
        )


def of_force(entry: Entry) -> Note:
    """Return what the record is told of a force."""
    return Note(
        FORCE, entry.since_ns, number=entry.number, target=entry.path, value=entry.value,
        actor=entry.actor, text=entry.reason,
    )  # fmt: skip


def _check_size(found: Sequence[Found], ranges: Sequence[tuple[int, int]]) -> None:
    """Refuse what is too much for one look.

    Raises:
        PlantError: it is.
    """
    count = sum(each.count for each in found)
    size = sum(length for _, length in ranges)
    if count > _VALUES or size > WATCH_BYTES or len(ranges) > WATCH_RANGES:
        text = f"{count} values of {size} bytes are too much for one look"
        raise PlantError(text, f"name parts: up to {_VALUES} values of {WATCH_BYTES} bytes together")


def _shown(
    running: Running, found: Found, image: memoryview, forced: Sequence[tuple[int, int]]
) -> VariableView:
    tags = running.tags(next(found.bits)) if found.symbol is not None else ()
    return VariableView(
        found.path, found.type, running.lookup.read(found, image), _touched(found, forced), tags
    )


def _touched(found: Found, forced: Sequence[tuple[int, int]]) -> bool:
    return any(low < behind and first < high for first, behind in found.bits for low, high in forced)


def _task(stats: TaskStats, offset_ns: int, build: Build) -> TaskView:
    return TaskView(
        stats.name, stats.interval_ns, stats.priority, stats.watchdog_ns,
        stats.scans, stats.overruns, stats.skipped, _spread(stats.execution), _spread(stats.latency),
        stats.worst_scan, stats.worst_ns + offset_ns if stats.worst_ns else 0,
        fault_text(stats.fault, build.application) if stats.fault else "",
        stats.fault.scan if stats.fault else 0,
        stats.fault.at_ns + offset_ns if stats.fault and stats.fault.at_ns else 0,
        tuple(_program(each, stats.interval_ns) for each in stats.programs),
    )  # fmt: skip


def _program(stats: ProgramStats, interval_ns: int) -> ProgramView:
    share = stats.total_ns / (stats.scans * interval_ns) if stats.scans else 0.0
    return ProgramView(stats.name, stats.scans, _spread(stats.execution), share, stats.worst_scan)


def _input(tag: Tag, value: int | str) -> InputView:
    shown = value if isinstance(value, str) else tag.data_type.decode(value)
    return InputView(tag.path, tag.variable, shown)


def _spread(spread: Spread) -> SpreadView:
    return SpreadView(
        spread.last_us, spread.min_us, spread.p50_us, spread.p99_us, spread.p999_us, spread.max_us
    )
