"""The component `plc`: carries tags into the scan core and its outputs, facts and faults out.

An input of bad quality holds the last good value (the variable's initial value before the first
one) and is counted in `sys/plc/inputs_held`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.contract import Changes, Command, Event, Port
from runtime.errors import PlantError
from softplc.build import Build
from softplc.core.kinds import Variable
from softplc.core.scancore import ScanCore
from softplc.core.thread import ScanThread, Scheduling
from softplc.facts import OWNER, Facts
from softplc.wiring import FaultPolicy, Wiring, fault_text, make_core, wire

log = logging.getLogger(__name__)

_FACTS_NS = SECOND_NS
_DRIFT_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """How the PLC runs; see `softplc.section.PlcConfig`."""

    publish_ns: int = 20_000_000
    watchdog_ns: int = 0
    policy: FaultPolicy = field(default_factory=FaultPolicy)


class Bridge:
    """Compiles and loads the program when it starts, then keeps tags and core in step."""

    name = OWNER

    def __init__(self, make: Callable[[], Build], options: BridgeOptions) -> None:
        self._make = make
        self._options = options

    async def run(self, port: Port) -> None:
        build = await asyncio.to_thread(self._make)
        wiring = wire(port.tags, build.application, self._options.policy)
        errors = [each for each in wiring.problems if each.severity == "error"]
        if errors:
            first = errors[0]
            raise PlantError(f"{first.tag.path}: {first.text}", first.remedy or "run `ironworks check`")
        core = await asyncio.to_thread(make_core, build, wiring, self._options.watchdog_ns)
        await _Live(port, build, wiring, core, self._options.publish_ns).run()


class _Live:
    """One running core and its port."""

    def __init__(self, port: Port, build: Build, wiring: Wiring, core: ScanCore, publish_ns: int) -> None:
        self._port = port
        self._build = build
        self._core = core
        self._publish_ns = publish_ns
        self._inputs = np.array([bound.key for bound in wiring.inputs], np.int32)
        self._places = {bound.key: bound for bound in wiring.outputs}
        self._thread = ScanThread(core)
        self._facts = Facts(port.tags)
        self._scheduling = Scheduling(fifo=False, timer_slack=False, locked=False)
        self._pending: deque[tuple[int, Command]] = deque()
        self._fault_mask = 0
        self._facts_due_ns = 0

    async def run(self) -> None:
        changes = self._port.changes(self._inputs)
        try:
            present = changes.take()
            if present is not None:
                self._core.write_inputs(present.ids, present.raw, present.quality)
            self._scheduling = self._thread.start(self._port.clock.now_ns())
            log.info("PLC scans: %s", self._scheduling)
            self._port.health(True, str(self._scheduling))
            self._tell_state()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(changes))
                group.create_task(self._take_commands())
                group.create_task(self._publish_for_ever())
        finally:
            changes.close()
            ended = self._thread.stop()
            self._refuse("the PLC has stopped")
            if not ended:
                log.error("the scan loop did not end in time")

    async def _follow(self, changes: Changes) -> None:
        async for batch in changes:
            self._core.write_inputs(batch.ids, batch.raw, batch.quality)

    async def _take_commands(self) -> None:
        async for command in self._port.commands():
            bound = self._places.get(command.tag.id)
            stopped = [fault.task for fault in self._core.faults() if bound and fault.task in bound.tasks]
            if bound is None:
                command.failed(f"{command.tag.path} is not a variable of the program")
            elif stopped:
                command.failed(f"task {stopped[0]} is stopped by a fault")
            else:
                self._write(command, bound.variable)

    def _write(self, command: Command, variable: Variable) -> None:
        number = self._core.write(variable, command.raw)
        if number is None:
            command.failed("more writes are waiting than the PLC can take; try again")
        else:
            self._pending.append((number, command))

    async def _publish_for_ever(self) -> None:
        clock = self._port.clock
        due_ns = clock.steady_ns()
        while True:
            self._publish()
            due_ns = max(due_ns + self._publish_ns, clock.steady_ns())
            await clock.sleep_until(due_ns)

    def _publish(self) -> None:
        now_ns = self._port.clock.now_ns()
        self._keep_time(now_ns)
        changed = self._core.collect()
        if changed is not None:
            self._port.submit(changed)
        while self._pending and self._pending[0][0] <= self._core.writes_taken:
            self._pending.popleft()[1].done()
        if self._core.control.collected_faults != self._fault_mask:
            self._tell_faults(now_ns)
        steady_ns = self._port.clock.steady_ns()
        if steady_ns >= self._facts_due_ns:
            self._facts_due_ns = steady_ns + _FACTS_NS
            self._port.submit(self._facts.timing(self._core.stats(), now_ns))
        if not self._thread.alive:
            raise PlantError("the scan loop has ended by itself", "report this")

    def _keep_time(self, now_ns: int) -> None:
        """Follow steps of the wall clock in source times; the program's own time never jumps."""
        offset_ns = now_ns - monotonic_ns()
        if abs(offset_ns - self._core.control.source_offset_ns) > _DRIFT_NS:
            self._core.control.source_offset_ns = offset_ns

    def _tell_faults(self, now_ns: int) -> None:
        masks = self._core.control.collected_faults  # what was told before is of that snapshot
        faults = self._core.faults()
        fresh = {self._core.tasks[bit].name for bit in range(64) if (masks & ~self._fault_mask) >> bit & 1}
        self._fault_mask = masks
        texts = []
        for fault in faults:
            text = fault_text(fault, self._build.application)
            texts.append(text)
            if fault.task not in fresh:
                continue
            log.error("PLC %s", text)
            data = {
                "task": fault.task,
                "code": fault.code,
                "file": self._build.application.files[fault.file],
                "line": fault.line,
            }
            self._port.emit(Event("plc.fault", OWNER, now_ns, text, data))
        self._tell_state()
        self._port.health(False, "; ".join(texts))
        if len(faults) == len(self._core.tasks):
            self._refuse(texts[0])

    def _tell_state(self) -> None:
        fault = bool(self._fault_mask)
        self._port.submit(self._facts.state(fault=fault, running=not fault, at_ns=self._port.clock.now_ns()))

    def _refuse(self, reason: str) -> None:
        while self._pending:
            self._pending.popleft()[1].failed(reason)
