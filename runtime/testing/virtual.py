"""A whole plant in virtual time: twin, PLC, apps and alarms stepped by hand, deterministic by seed.

No sockets, threads or asyncio: the drivers are left out, and the twin hands its signals to the
tags that the drivers would read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime.alarms.engine import AlarmEngine
from runtime.assembly import Assembly, assemble
from runtime.bus import Bus, Mailbox
from runtime.clock import SECOND_NS, ManualClock
from runtime.config.models import parse_duration_ns
from runtime.contract import Access, Actor, Batch, PlcOutline, Quality, Role, Stepper, Tag, Value
from runtime.errors import ConfigError
from runtime.gate.expression import parse_expression
from runtime.gate.policy import judge
from runtime.tagtable import TagTable, initial_values

RECORD_ROWS = 20_000_000
ENGINEER = Actor("test", Role.ADMIN, "test")


class VirtualPlant:
    """A plant folder that plays as fast as the machine can.

    `plant["tank/level_pct"]` is a value, None while its quality is bad. `settings` change sections
    for this play: `{"twin": {"seed": 7}}`. Without `record` there is no `history`, and days need no memory.
    """

    def __init__(
        self,
        target: Path | str | Assembly,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        record: bool = True,
    ) -> None:
        assembly = target if isinstance(target, Assembly) else assemble(Path(target))
        assembly = _changed(assembly, settings or {})
        findings = [each for each in assembly.check() if each.severity == "error"]
        if findings:
            raise ConfigError(findings)
        self.plant = assembly.plant
        self.clock = ManualClock()
        self.start_ns = self.clock.now_ns()
        self.table = TagTable(self.plant.tags)
        self.bus = Bus(self.table)
        self._alarms = AlarmEngine(self.plant.alarms, self.plant.tags)
        everything = np.arange(len(self.table), dtype=np.int32)
        self._record = self.bus.journal(everything, RECORD_ROWS) if record else None
        self._recorded: list[Batch] = []
        self._queue: list[tuple[int, int, Stepper, Mailbox]] = []
        self.steppers = self._ordered(assembly)
        for order, stepper in enumerate(self.steppers):
            mine = (tag for tag in self.plant.tags if tag.source == stepper.name)
            own = [tag.id for tag in mine if tag.access is Access.READ_WRITE]
            reads = np.union1d(stepper.reads, np.array(own, np.int32)).astype(np.int32)
            heapq.heappush(self._queue, (self.start_ns, order, stepper, self.bus.mailbox(reads)))
        self._set_initial_values()

    @staticmethod
    def _ordered(assembly: Assembly) -> list[Stepper]:
        """The twin moves first in each instant, then the PLC, then apps."""
        rank = {"twin": 0, "plc": 1}
        entries = sorted(assembly.sections, key=lambda entry: rank.get(entry.name, 2))
        return [each for entry in entries for each in entry.plugin.steppers(assembly.plant, entry.config)]

    def _set_initial_values(self) -> None:
        tags = [tag for tag in self.plant.tags if tag.source == "operator"]
        if tags:
            self._publish(initial_values(tags, self.start_ns))

    @property
    def outline(self) -> PlcOutline | None:
        """Return what its PLC runs; None without one."""
        found = (getattr(stepper, "outline", None) for stepper in self.steppers)
        return next((each for each in found if isinstance(each, PlcOutline)), None)

    @property
    def seconds(self) -> float:
        """Plant time since the start."""
        return (self.clock.now_ns() - self.start_ns) / SECOND_NS

    def run_for(self, duration: str | float) -> None:
        """Play for a duration, such as `30s` or a number of seconds."""
        span_ns = parse_duration_ns(duration) if isinstance(duration, str) else round(duration * SECOND_NS)
        end_ns = self.clock.now_ns() + span_ns
        queue = self._queue
        while True:
            due_ns = queue[0][0] if queue else end_ns + 1
            alarm_ns = self._alarms.next_due_ns()
            if alarm_ns is not None and alarm_ns <= min(due_ns, end_ns):
                self.clock.set_ns(max(alarm_ns, self.clock.now_ns()))
                self._alarms.on_time(self.clock.now_ns())
                continue
            if due_ns > end_ns:
                break
            _, order, stepper, mailbox = queue[0]
            self.clock.set_ns(due_ns)
            changed = stepper.step(due_ns, mailbox.take())
            heapq.heapreplace(queue, (due_ns + stepper.period_ns, order, stepper, mailbox))
            if changed is not None and len(changed):
                self._publish(changed)
        self.clock.set_ns(end_ns)
        self._alarms.on_time(end_ns)

    def run_until(self, path: str, value: Value, timeout: str = "10min", step: str = "100ms") -> float:
        """Play until a tag has a value; returns the seconds it took.

        Raises:
            TimeoutError: it did not within the time.
        """
        began = self.seconds
        limit_s = parse_duration_ns(timeout) / SECOND_NS
        while self[path] != value:
            if self.seconds - began > limit_s:
                raise TimeoutError(f"{path} is {self[path]!r} after {timeout}, not {value!r}")
            self.run_for(step)
        return self.seconds - began

    def __getitem__(self, path: str) -> Value | None:
        return self.table.value(self._tag(path))

    def quality(self, path: str) -> Quality | int:
        return int(self.table.quality[self._tag(path).id])

    def write(self, path: str, value: Value, actor: Actor = ENGINEER) -> None:
        """Write as a person would, through the gate's rules.

        Raises:
            WriteRejectedError: says why.
        """
        tag = self._tag(path)
        interlock = parse_expression(tag.interlock) if tag.interlock else None
        raw, text = judge(tag, value, actor, self.table, interlock)
        self._publish(Batch.of([tag.id], [raw], self.clock.now_ns(), text={} if text is None else {0: text}))

    def force(self, path: str, value: Value, quality: int = Quality.GOOD) -> None:
        """Set any tag as its source would: for faults of sensors and links."""
        tag = self._tag(path)
        text = {0: value} if isinstance(value, str) else {}
        self._publish(Batch.of([tag.id], [tag.data_type.encode(value)], self.clock.now_ns(), quality, text))

    def fault(self, name: str, severity: float = 1.0) -> None:
        """Give the twin a fault, such as `capper.wear`; severity 0 clears it."""
        self.write(f"sys/twin/fault/{name.replace('.', '/')}", severity)

    def active_alarms(self) -> set[str]:
        """Return the names of the alarms whose condition holds."""
        return {str(alarm["name"]) for alarm in self.alarms() if alarm["active"]}

    def alarms(self) -> list[dict[str, Any]]:
        """Return every alarm with its state, as the API tells it."""
        return [alarm.as_dict() for alarm in self._alarms.alarms()]

    def acknowledge(self, name: str, actor: Actor = ENGINEER, comment: str = "") -> None:
        self._alarms.acknowledge(name, actor, comment, self.clock.now_ns())

    def history(self, path: str) -> list[tuple[float, Value]]:
        """Return (seconds since start, value) of every good change of a tag."""
        tag = self._tag(path)
        rows = []
        for batch in self.batches():
            for row in np.flatnonzero((batch.ids == tag.id) & (batch.quality >> 30 == 0)).tolist():
                value = tag.data_type.decode(int(batch.raw[row]), batch.text.get(row))
                rows.append(((int(batch.source_ns[row]) - self.start_ns) / SECOND_NS, value))
        return rows

    def batches(self) -> Iterator[Batch]:
        """Yield everything that was published since the start, in order."""
        while self._record is not None and (batch := self._record.take()) is not None:
            self._recorded.append(batch)
        return iter(self._recorded)

    def _tag(self, path: str) -> Tag:
        try:
            return self.table[path]
        except KeyError:
            raise KeyError(f"no tag {path!r}; {self.plant.tags.close_to(path)}") from None

    def _publish(self, batch: Batch) -> None:
        self.bus.publish(batch)
        self._alarms.on_batch(batch, self.clock.now_ns())


def _changed(assembly: Assembly, settings: Mapping[str, Mapping[str, Any]]) -> Assembly:
    sections = tuple(
        replace(entry, config=entry.config.model_copy(update=dict(settings[entry.name])))
        if entry.name in settings
        else entry
        for entry in assembly.sections
    )
    return replace(assembly, sections=sections)
