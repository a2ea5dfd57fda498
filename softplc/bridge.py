"""The component `plc`: carries tags into the scan core and its outputs, facts and faults out.

An input of bad quality holds the last good value (the variable's initial value before the first
one) and is counted in `sys/plc/inputs_held`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.config import TagList
from runtime.contract import Batch, Changes, Command, Component, Event, Port, Quality, Tag
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.online import OnlineView, Wish
from runtime.settled import settled
from softplc.build import Build
from softplc.compiler import COMPILERS
from softplc.controls import Controls, RestartAskedError, Running, of_force
from softplc.core.kinds import Text, Variable
from softplc.core.remote import CoreProcess, Options
from softplc.core.scancore import ScanCore
from softplc.core.stats import TaskFault
from softplc.facts import OWNER, Facts
from softplc.forcebook import ForceBook
from softplc.happenings import Happenings
from softplc.image import check_limits
from softplc.launch import Launcher
from softplc.online.change import Prepared, carry_out, examined, on_stage
from softplc.online.live import Program
from softplc.online.restart import TRIAL_NS, beginning_anew
from softplc.record.notes import CHANGE, START, WRITE, Note
from softplc.record.programs import Kept
from softplc.record.recorder import Recorder, RecordOptions
from softplc.record.service import recording, written
from softplc.restarts import Restarts
from softplc.wiring import FaultPolicy, OnFault, Wiring, fault_text, wire

log = logging.getLogger(__name__)

_FACTS_NS = SECOND_NS
_DRIFT_NS = 1_000_000
_DIED_NS = 60 * SECOND_NS


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """How the PLC runs; see `softplc.section.PlcConfig`."""

    publish_ns: int = 20_000_000
    watchdog_ns: int = 0
    trial_ns: int = 3_000_000_000
    policy: FaultPolicy = field(default_factory=FaultPolicy)
    core: Options = field(default_factory=Options)
    record: RecordOptions = field(default_factory=RecordOptions)


class CoreDiedError(PlantError):
    """The core's process is gone, and nobody has asked for that."""


class Bridge:
    """Compiles the program, starts or finds its core, then keeps tags and core in step.

    A core that was killed is started again with the state that its last whole scan left; one that an earlier
    kernel has left scanning is taken over. What is stopped in order starts warm: with what is retained.

    Attributes:
        folder: where record, retained variables and forces of the core are kept, in the plant's state.
        controller: what people see and do of the program.
    """

    name = OWNER

    def __init__(self, make: Callable[[], Build], options: BridgeOptions, folder: Path) -> None:
        self._make = make
        self._options = options
        self._book = ForceBook(folder)
        self.controller = Controls(self._book, self._restart_task)
        self._recorder: Recorder | None = None
        if options.record.budget:
            self._recorder = Recorder(folder / "record", options.record, self._standing)
            self.controller.noted, self.controller.recorder = self._recorder.note, self._recorder
        self._launcher = Launcher(folder, options.core, options.watchdog_ns, self._book, self._recorder)
        self._live: _Live | None = None
        self._prepared: Prepared | None = None

    def _standing(self) -> Iterable[Note]:
        return [of_force(each) for each in self._book.entries]

    async def run(self, port: Port) -> None:
        try:
            with COMPILERS.kept_ready():
                await self._run(port)
        except BaseException as exc:
            self.controller.failed(str(exc) or "it was stopped")
            raise

    async def _run(self, port: Port) -> None:
        await asyncio.to_thread(self._book.load, port.clock.now_ns())
        program = await self._compiled(port.tags)
        while True:
            inputs = np.array([bound.key for bound in program.wiring.inputs], np.int32)
            changes = port.changes(inputs)  # anew for each core: it begins with the present values
            try:
                program = await self._scan(port, program, changes)
            finally:
                changes.close()

    async def _compiled(self, tags: Iterable[Tag]) -> Program:
        build = await asyncio.to_thread(self._make)
        wiring = wire(tags, build.application, self._options.policy)
        errors = [each for each in wiring.problems if each.severity == "error"]
        if errors:
            first = errors[0]
            raise PlantError(f"{first.tag.path}: {first.text}", first.remedy or "run `ironworks check`")
        return Program(build, wiring)

    async def prepare(self, successor: Component, tags: TagList, wish: Wish) -> OnlineView:
        """Get ready for an online change; see `runtime.online.Changeable`."""
        live, self._prepared = self._live, None
        if not isinstance(successor, Bridge):
            raise TypeError(f"{type(successor).__name__} is no PLC")
        if live is None:
            return OnlineView(OWNER, reason="it does not run", remedy="see `ironworks components list`")
        new = await successor._compiled(tags)
        old, launcher = live.program, self._launcher
        ways, view = await asyncio.to_thread(examined, old, new, self._book, wish)
        if wish.rehearse and not (view.same or view.reason):
            view = await on_stage(live.port, live, launcher, new, ways, view, wish.rehearse)

        def adopt() -> None:
            self._make, self._options = successor._make, successor._options

        if not view.reason:
            self._prepared = Prepared(old, new, ways, view, adopt)
        return view

    async def renew(self) -> None:
        """Carry out what was prepared; see `runtime.online.Changeable`."""
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            return
        live = self._live
        if live is None or live.program is not prepared.before:
            raise PlantError("the PLC has started anew meanwhile", "try again")
        if not prepared.view.same:
            async with self.controller.turn:
                await live.become(prepared, self._options.trial_ns)
        prepared.adopt()

    async def _restart_task(self, name: str, cold: bool) -> None:
        """Begin the programs of a task anew, between two scans; whatever stands still scans again.

        Raises:
            PlantError: there is no such task, or it fails again at once.
        """
        async with self.controller.turn:
            live = self._live
            if live is None:
                raise ConnectError("the PLC does not run", "see `ironworks components list`")
            change = await asyncio.to_thread(beginning_anew, live.program, name, cold=cold)
            try:
                await live.become(change, TRIAL_NS)
            except PlantError as exc:
                text = f"task {name} does not begin anew: {exc.text}"
                raise WriteRejectedError(text, "see to the cause, then try again") from exc
        log.warning("task %s began anew: %s", name, "cold" if cold else "warm")

    def _policy_of(self, task: str) -> OnFault:
        return self._options.policy.of(task)

    async def _scan(self, port: Port, program: Program, changes: Changes) -> Program:
        """Live with one core until it dies or is to start anew; no pause is needed, unless it died young.

        Returns the program that it had come to.
        """
        async with self.controller.turn:
            process = await self._obtained(port, program, changes.take())
        died = restart = None
        options = self._options
        restarts = Restarts(port, self._policy_of, self._restart_task)
        live = _Live(
            port,
            program,
            process,
            self._launcher,
            self.controller,
            options.publish_ns,
            changes,
            restarts,
            self._recorder,
        )
        self._live = live
        try:
            # A task of its own: a task group that takes in a loss leaves its task counted as being
            # cancelled (Python 3.11), which below would look as if we were to end.
            await asyncio.create_task(live.run())
        except* RestartAskedError as asked:
            restart = asked.exceptions[0]
        except* CoreDiedError as group:
            died = group.exceptions[0]
        finally:
            self._live = None
            program = live.ended()
            if not await asyncio.shield(asyncio.to_thread(self._launcher.release, program.build, process)):
                log.error("the scan loop did not end in time")
            if self._recorder is not None:
                await asyncio.shield(asyncio.to_thread(written, self._recorder.end))
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # swallowed by a task group that was ending anyway
            raise asyncio.CancelledError
        if isinstance(restart, RestartAskedError):
            log.warning("the PLC starts anew: %s", "cold" if restart.cold else "warm")
            if restart.cold:
                await asyncio.to_thread(self._launcher.forget_retained)
        elif died is None:
            return program
        elif not self._launcher.may_go_on:
            raise died
        else:
            log.error("%s; it goes on from its last scan", died)
            port.health(False, str(died))
        self._spoil(port, program.wiring, process)
        return program

    @staticmethod
    def _spoil(port: Port, wiring: Wiring, process: CoreProcess) -> None:
        """Leave no good value of a core that is gone."""
        ids = [bound.key for bound in wiring.outputs]
        shown = [process.core.shown(key) for key in ids]
        text = {row: value for row, value in enumerate(shown) if isinstance(value, str)}
        raw = np.array([0 if isinstance(value, str) else value for value in shown], np.uint64)
        port.submit(Batch.of(ids, raw, port.clock.now_ns(), Quality.BAD_NOT_CONNECTED, text))

    async def _obtained(self, port: Port, program: Program, present: Batch | None) -> CoreProcess:
        """Return a core that scans; whoever cancels this meanwhile leaves none behind."""
        launcher, now_ns = self._launcher, port.clock.now_ns()
        build, wiring = program.build, program.wiring
        job = asyncio.create_task(asyncio.to_thread(launcher.obtain, build, wiring, present, now_ns))
        if await settled(job):
            await asyncio.to_thread(launcher.release, build, job.result())
            raise asyncio.CancelledError
        return job.result()


class _Live:
    """One running core and its port; see also `softplc.online.change.Live`."""

    def __init__(
        self,
        port: Port,
        program: Program,
        process: CoreProcess,
        launcher: Launcher,
        controls: Controls,
        publish_ns: int,
        changes: Changes,
        restarts: Restarts,
        recorder: Recorder | None,
    ) -> None:
        self._recorder = recorder
        self.port = port
        self.program = program
        self.process = process
        self.core = process.core
        self.changes = changes
        self.beside: ScanCore | None = None
        self.written: list[tuple[int, int, int | str]] | None = None
        self._before: tuple[Program, ScanCore] | None = None
        self._launcher = launcher
        self._controls = controls
        self._restarts = restarts
        self._forces = len(controls.book.held)
        self._publish_ns = publish_ns
        self._places = {bound.key: bound for bound in program.wiring.outputs}
        self._facts = Facts(port.tags)
        self._happenings = Happenings(port, program, process.core, controls.book, process.missed)
        self._pending: deque[tuple[int, Command]] = deque()
        self._died_until_ns = port.clock.steady_ns() + _DIED_NS if launcher.died else 0
        self._damaged = bool(launcher.damaged)
        self._store_error = 0
        self._fault_mask = 0
        self._facts_due_ns = 0

    async def run(self) -> None:
        scheduling = self.process.scheduling()
        log.info("PLC scans: %s", scheduling)
        self.port.health(True, scheduling)
        if self.process.alone_ns:
            self._tell_found()
        self._tell_state()
        self._begin_controls()
        self._begin_record()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._controls.restart_asked())
                group.create_task(self._restarts.run())
                group.create_task(self._follow())
                group.create_task(self._take_commands())
                group.create_task(self._publish_for_ever())
                if self._recorder is not None:
                    group.create_task(recording(self.port, self._recorder))
        finally:
            self._happenings.tell()
            self._controls.end()
            self._refuse("the PLC has stopped")

    def _begin_controls(self) -> None:
        program = self.program
        self._controls.begin(Running.of(program.build, program.wiring, self.process, self.port))

    def _begin_record(self) -> None:
        if self._recorder is None:
            return
        program, tags = self.program, self.port.tags
        self._recorder.follow(self.core, lambda: Kept.of(program.build, program.wiring, tags))
        now_ns, alone_ns = self.port.clock.now_ns(), self.process.alone_ns
        text = f"found scanning, after {alone_ns / 1e9:.1f} s without a kernel" if alone_ns else ""
        self._recorder.note(Note(START, now_ns, text=text))

    # Online change.

    @property
    def alive(self) -> bool:
        return self.process.alive

    async def become(self, prepared: Prepared, trial_ns: int) -> None:
        """Take another program over.

        Raises:
            PlantError: the one before runs; says why.
        """
        build, wiring = prepared.program.build, prepared.program.wiring
        offer = await asyncio.to_thread(
            self._launcher.offer, self.process, self.program.build, build, wiring, prepared.ways, trial_ns
        )
        await carry_out(self.port, self, self._launcher, offer, prepared)

    def go_over(self, program: Program, core: ScanCore, *, back_to: Program | None) -> None:
        """Follow another core; writes that the one before has not shown are written anew."""
        left, self._before = self.core, (back_to, self.core) if back_to is not None else None
        self._happenings.follow(program, core)
        if core is left:
            return
        self.program, self.core, self.process.core = program, core, core
        self._places = {bound.key: bound for bound in program.wiring.outputs}
        self._begin_controls()
        if self._recorder is not None:
            tags = self.port.tags
            self._recorder.follow(core, lambda: Kept.of(program.build, program.wiring, tags))
            self._recorder.note(Note(CHANGE, self.port.clock.now_ns()))
        self._fault_mask = core.control.collected_faults
        self._tell_state()
        self._tell_health(core.faults() if self._fault_mask else ())
        pending, self._pending = self._pending, deque()
        for number, command in pending:
            if back_to is not None and number <= left.control.write_tail:
                command.done()
            else:
                self._take(command)

    def ended(self) -> Program:
        """Return the program to go on with: a change that was on trial is not made."""
        if self._before is not None:
            self.program, self.core = self._before
            self.process.core = self.core
            self._launcher.resolve(self.program.build)
        return self.program

    # Values.

    def _tell_found(self) -> None:
        alone_s = self.process.alone_ns / 1e9
        text = f"the PLC core (pid {self.process.pid}) was scanning: taken over after {alone_s:.1f} s alone"
        text += ", with stale inputs" if self.process.was_stale else ""
        log.warning("%s", text)
        data = {"pid": self.process.pid, "alone_s": alone_s, "stale": self.process.was_stale}
        data["scans"] = self.core.control.scans
        self.port.emit(Event("plc.found", OWNER, self.port.clock.now_ns(), text, data))

    async def _follow(self) -> None:
        async for batch in self.changes:
            for core in filter(None, (self.core, self.beside)):
                core.write_inputs(batch.ids, batch.raw, batch.quality, batch.text)

    async def _take_commands(self) -> None:
        async for command in self.port.commands():
            self._take(command)

    def _take(self, command: Command) -> None:
        bound = self._places.get(command.tag.id)
        stopped = [fault.task for fault in self.core.faults() if bound and fault.task in bound.tasks]
        if bound is None:
            command.failed(f"{command.tag.path} is not a variable of the program")
        elif stopped:
            command.failed(f"task {stopped[0]} is stopped by a fault")
        else:
            self._write(command, bound.variable)

    def _write(self, command: Command, variable: Variable | Text) -> None:
        refusal = self._refusal(command, variable)
        if refusal:
            command.failed(refusal)
            return
        if isinstance(variable, Text):
            number = self.core.write(variable, command.text or "")
        else:
            number = self.core.write(variable, command.raw)
        if number is None:
            command.failed("more writes are waiting than the PLC can take; try again")
            return
        self._pending.append((number, command))
        if self._recorder is not None:
            value = command.text if isinstance(variable, Text) else command.tag.data_type.decode(command.raw)
            self._recorder.note(
                Note(
                    WRITE, self.port.clock.now_ns(), number=number, target=command.tag.path,
                    value=value, actor=command.by,
                )
            )  # fmt: skip
        if self.written is not None:
            value = command.text or "" if isinstance(variable, Text) else command.raw
            self.written.append((number, command.tag.id, value))

    def _refusal(self, command: Command, variable: Variable | Text) -> str:
        """Return why the variable cannot have the value, or nothing."""
        if isinstance(variable, Text):
            return variable.refusal(command.text or "")
        symbol = self.program.wiring.limited.get(command.tag.id)
        if symbol is not None:
            try:
                check_limits(symbol, int(command.tag.data_type.decode(command.raw)))
            except PlantError as exc:
                return str(exc)
        return ""

    async def _publish_for_ever(self) -> None:
        clock = self.port.clock
        due_ns = clock.steady_ns()
        while True:
            self._publish()
            due_ns = max(due_ns + self._publish_ns, clock.steady_ns())
            await clock.sleep_until(due_ns)

    def _publish(self) -> None:
        if not self.process.alive:
            raise CoreDiedError(self.process.why(), "it is started again by itself")
        now_ns = self.port.clock.now_ns()
        if self.beside is None and self.core.word("handed"):
            raise PlantError("the PLC core has gone back to the program before", "it starts anew")
        self._keep_time(now_ns)
        self.core.control.beat_ns = monotonic_ns()
        self._happenings.tell()
        self._controls.notice()
        changed = self.core.collect()
        if changed is not None:
            self._submit(changed)
        while self._pending and self._pending[0][0] <= self.core.writes_taken:
            self._pending.popleft()[1].done()
        if self.core.control.collected_faults != self._fault_mask:
            self._tell_faults()
        if self._forces != len(self._controls.book.held):
            self._tell_state()
        steady_ns = self.port.clock.steady_ns()
        if 0 < self._died_until_ns <= steady_ns or self._store_error != self.core.control.store_error:
            self._died_until_ns = 0 if self._died_until_ns <= steady_ns else self._died_until_ns
            self._store_error = self.core.control.store_error
            self._tell_state()
        if steady_ns >= self._facts_due_ns:
            self._facts_due_ns = steady_ns + _FACTS_NS
            self.port.submit(self._facts.timing(self.core.stats(), now_ns))

    def _submit(self, changed: Batch) -> None:
        """Hand outputs in, but those of tags that a change of the configuration has taken away just now."""
        try:
            self.port.submit(changed)
        except PermissionError:
            tags = self.port.tags
            own = [tags[id_].source == OWNER for id_ in changed.ids.tolist()]
            self.port.submit(changed.take(np.array(own, np.bool_)))

    def _keep_time(self, now_ns: int) -> None:
        """Follow steps of the wall clock in source times; the program's own time never jumps."""
        offset_ns = now_ns - monotonic_ns()
        if abs(offset_ns - self.core.control.source_offset_ns) > _DRIFT_NS:
            self.core.control.source_offset_ns = offset_ns

    def _tell_faults(self) -> None:
        self._fault_mask = self.core.control.collected_faults
        faults = self.core.faults()
        self._tell_state()
        self._tell_health(faults)
        self._restarts.note(faults)
        if len(faults) == len(self.core.tasks):
            self._refuse(fault_text(faults[0], self.program.build.application))

    def _tell_health(self, faults: Sequence[TaskFault]) -> None:
        texts = [fault_text(fault, self.program.build.application) for fault in faults]
        self.port.health(not texts, "; ".join(texts) or self.process.scheduling())

    def _tell_state(self) -> None:
        fault, died = bool(self._fault_mask), self._died_until_ns > 0
        at_ns = self.port.clock.now_ns()
        lost = self._damaged or self._store_error != 0
        self._forces = len(self._controls.book.held)
        state = self._facts.state(
            fault=fault,
            running=not fault,
            at_ns=at_ns,
            died=died,
            retain=lost,
            forces=self._forces,
            forces_lost=self._controls.book.lost,
        )
        self.port.submit(state)

    def _refuse(self, reason: str) -> None:
        while self._pending:
            self._pending.popleft()[1].failed(reason)
