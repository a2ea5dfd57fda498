"""The PLC in virtual time: the same native code as live, one call a step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from runtime.clock import SECOND_NS
from runtime.contract import Batch, PlcOutline
from runtime.errors import PlantError
from softplc.build import Build
from softplc.core.kinds import Text
from softplc.core.watch import watch
from softplc.facts import OWNER, Facts, TagLookup
from softplc.outline import outlined
from softplc.record.programs import Kept
from softplc.record.recorder import Recorder
from softplc.wiring import FaultPolicy, fault_text, make_core, wire, writable

_WATCHDOG_NS = 5 * SECOND_NS
_DRAINED = 500  # steps


class PlcStepper:
    """Runs the tasks that are due at each step and returns the outputs that changed.

    Writes to the PLC's own tags arrive among the changes, as do its own values, which change nothing.
    """

    name = OWNER

    def __init__(self, build: Build, tags: TagLookup, policy: FaultPolicy | None = None) -> None:
        wiring = wire(tags, build.application, policy)
        errors = [each for each in wiring.problems if each.severity == "error"]
        if errors:
            raise PlantError(f"{errors[0].tag.path}: {errors[0].text}", errors[0].remedy)
        self._application = build.application
        self._build, self._wiring, self._tags = build, wiring, tags
        self._recorder: Recorder | None = None
        self._undrained = 0
        self._core = make_core(build, wiring, _WATCHDOG_NS)
        watch(self._core)
        self._facts = Facts(tags)
        self._facts_due_ns = 0
        self._fault_mask = -1
        variables = {bound.key: bound.variable for bound in wiring.outputs}
        self._commands = {tag.id: variables[tag.id] for tag in writable(tags)}
        self._is_command = np.zeros(len(tags) if self._commands else 0, np.bool_)
        self._is_command[list(self._commands)] = True
        self.period_ns = math.gcd(*(task.interval_ns for task in self._core.tasks))
        self.reads = np.array(sorted(bound.key for bound in wiring.inputs), np.int32)

    @property
    def outline(self) -> PlcOutline:
        """Return what it runs."""
        return outlined(self._application)

    def record(self, recorder: Recorder, run: int) -> None:
        """Record all scans, from the first on; `run` names them."""
        build, wiring, tags = self._build, self._wiring, self._tags
        words = recorder.options.ring_words(build, wiring)
        self._core = make_core(build, wiring, _WATCHDOG_NS, record_words=words)
        watch(self._core)
        recorder.prepare(self._core, run)
        recorder.follow(self._core, lambda: Kept.of(build, wiring, tags))
        self._recorder = recorder

    @property
    def image(self) -> bytes:
        """The program's variables, as they lie in memory."""
        return self._core.image()

    @property
    def faults(self) -> tuple[str, ...]:
        """Why tasks stand still, for people."""
        return tuple(fault_text(fault, self._application) for fault in self._core.faults())

    def step(self, now_ns: int, changed: Batch | None) -> Batch | None:
        """Latch what changed, scan what is due at `now_ns`, return what this changed."""
        core = self._core
        if changed is not None:
            core.write_inputs(changed.ids, changed.raw, changed.quality, changed.text)
            if self._commands:
                self._take_commands(changed)
        outputs = core.step(now_ns)
        if self._recorder is not None:
            self._drain(self._recorder)
        if core.control.fault_mask == self._fault_mask and now_ns < self._facts_due_ns:
            return outputs
        return Batch.joined([*([outputs] if outputs else []), *self._tell(now_ns)])

    def _drain(self, recorder: Recorder) -> None:
        self._undrained += 1
        if self._undrained >= _DRAINED:
            self._undrained = 0
            recorder.drain()

    def _take_commands(self, changed: Batch) -> None:
        for row in np.flatnonzero(self._is_command[changed.ids]).tolist():
            id_ = int(changed.ids[row])
            variable, value = self._commands[id_], int(changed.raw[row])
            wanted = changed.text.get(row, "") if isinstance(variable, Text) else value
            if wanted != self._core.shown(id_) and not changed.quality[row] >> 31:
                self._core.write(variable, wanted)

    def _tell(self, now_ns: int) -> Iterable[Batch]:
        if self._core.control.fault_mask != self._fault_mask:
            self._fault_mask = self._core.control.fault_mask
            fault = bool(self._fault_mask)
            yield self._facts.state(fault=fault, running=not fault, at_ns=now_ns)
        if now_ns >= self._facts_due_ns:
            self._facts_due_ns = now_ns + SECOND_NS
            yield self._facts.counters(self._core.stats(), now_ns)
