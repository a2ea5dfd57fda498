"""The twin as a `Stepper`: commands in, plant time forward, readings out."""

from __future__ import annotations

import numpy as np

from runtime.contract import Batch, DataType, Quality, Tag
from twin.binding import Binding
from twin.engine.engine import Engine
from twin.equipment.base import Equipment, Reading
from twin.faults import name_of
from twin.model import TwinModel


class Outlet:
    """The bound readings of one machine, and what was sent of them."""

    __slots__ = ("_frozen", "_machine", "_out", "_readings", "_sent")

    def __init__(self, machine: Equipment, readings: list[tuple[Tag, str]]) -> None:
        self._machine = machine
        self._readings = readings
        self._sent: list[Reading | None] = [None] * len(readings)
        self._out: dict[str, Reading] = {}
        self._frozen: dict[str, Reading] = {}

    def collect(self, ids: list[int], raw: list[int]) -> None:
        """Append tag id and pattern of each reading that moved enough."""
        machine = self._machine
        if machine.out == self._out and machine.frozen == self._frozen:
            return
        self._out = machine.out.copy()
        self._frozen = machine.frozen
        for index, (tag, signal) in enumerate(self._readings):
            value, last = machine.read(signal), self._sent[index]
            if value == last:
                continue
            band = tag.deadband if tag.compression == "deadband" else 0.0  # a line is drawn from all readings
            if isinstance(value, float) and last is not None and abs(value - last) <= band:
                continue
            self._sent[index] = value
            ids.append(tag.id)
            raw.append(_encode(tag.data_type, value))


class TwinStepper:
    """The same object in wall time, in virtual time and in tests.

    A command whose quality is not good counts as 0: a rack whose controller is gone drops its outputs.
    Readings go out when they change, numbers when they moved by more than their tag's deadband.
    """

    name = "twin"

    def __init__(
        self, model: TwinModel, bindings: list[Binding], faults: list[Tag], speed: float = 1.0
    ) -> None:
        commands: dict[str, list[str]] = {}
        for each in bindings:
            if each.command:
                commands.setdefault(each.equipment, []).append(each.signal)
        self.period_ns = model.period
        self.engine = Engine(model, {name: tuple(signals) for name, signals in commands.items()})
        self._speed = speed
        self._start_ns: int | None = None
        self._commands = {each.tag.id: each for each in bindings if each.command}
        self._fault_tags = {tag.id: tag for tag in faults}
        self._fault_values = dict.fromkeys(self._fault_tags, 0.0)
        self._fault_sent: dict[int, float] = {}
        self.reads = np.array(sorted({*self._commands, *self._fault_tags}), np.int32)
        self._outlets = [
            Outlet(
                machine,
                [(each.tag, each.signal) for each in bindings if each.equipment == name and not each.command],
            )
            for name, machine in self.engine.equipment.items()
        ]

    def step(self, now_ns: int, changed: Batch | None) -> Batch | None:
        """Play until now with the commands of before, then take the new ones."""
        if self._start_ns is None:
            self._start_ns = now_ns
        self.engine.advance(round((now_ns - self._start_ns) * self._speed))
        if changed is not None:
            self._take(changed)
        return self._give(now_ns)

    def skip(self, ns: int) -> None:
        """Leave out time in which nobody played, such as a machine's sleep."""
        if self._start_ns is not None:
            self._start_ns += ns

    def _take(self, changed: Batch) -> None:
        for sample in changed:
            if sample.id in self._fault_tags:
                if not Quality.is_bad(sample.quality):
                    severity = float(self._fault_tags[sample.id].data_type.decode(sample.raw))
                    self._fault_values[sample.id] = self._fault_sent[sample.id] = severity
                    equipment, fault = name_of(self._fault_tags[sample.id].path).split(".", 1)
                    self.engine.equipment[equipment].set_fault(fault, severity)
                continue
            binding = self._commands[sample.id]
            good = Quality.is_good(sample.quality)
            value = binding.tag.data_type.decode(sample.raw) if good else 0
            if not isinstance(value, str):
                self.engine.equipment[binding.equipment].command(binding.signal, value)

    def _give(self, now_ns: int) -> Batch | None:
        self.engine.refresh()
        ids: list[int] = []
        raw: list[int] = []
        for outlet in self._outlets:
            outlet.collect(ids, raw)
        for id_, severity in self._fault_values.items():
            if self._fault_sent.get(id_) != severity:
                self._fault_sent[id_] = severity
                ids.append(id_)
                raw.append(self._fault_tags[id_].data_type.encode(severity))
        return Batch.of(ids, raw, now_ns) if ids else None


def _encode(data_type: DataType, value: Reading) -> int:
    """Pack a reading; counters roll over as those of a device do."""
    limits = data_type.limits
    if limits is not None and isinstance(value, int) and not isinstance(value, bool):
        low, high = int(limits[0]), int(limits[1])
        value = low + (value - low) % (high - low + 1)
    return data_type.encode(value)
