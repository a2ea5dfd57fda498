"""A pump with its motor."""

from __future__ import annotations

from typing import Any

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.equipment.tank import Tank
from twin.model.equipment import PumpModel


class Pump(Equipment):
    """Gives a flow in proportion to its speed, to the valves that name it or to a tank."""

    __slots__ = ("fed",)

    def __init__(self, name: str, model: PumpModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.fed: list[Tank] = []
        self.out = {"running": False, "current_a": 0.0, "fault": False}

    def connect(self, others: dict[str, Any]) -> None:
        if self.model.into:
            tank = others[self.model.into]
            tank.inlets.append(self)
            self.fed.append(tank)

    def start(self) -> None:
        self._update()
        self.after("sample", self.model.sample)

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "sample":
            self._measure()
            self.after("sample", self.model.sample)

    def on_command(self, signal: str) -> None:
        self._update()

    def on_fault(self) -> None:
        super().on_fault()
        self._update()

    def part(self) -> float:
        """Return its flow as a part of the nominal."""
        if not self.commanded or self.stopped_by_fault:
            return 0.0
        return self._speed() * max(0.0, 1 + self.effect("flow"))

    def flow_lpm(self) -> float:
        """Return the flow now."""
        return float(self.model.flow_lpm) * self.part()

    def _speed(self) -> float:
        return min(1.0, max(0.0, self.number("speed_pct", 100.0) / 100))

    def _update(self) -> None:
        self.out["fault"] = self.stopped_by_fault
        self.out["running"] = self.commanded and not self.stopped_by_fault and self._speed() > 0
        self._measure()
        for tank in self.fed:
            tank.sync()

    def _measure(self) -> None:
        current = 0.0
        if self.out["running"]:
            noise = self.noise.gauss(0, 1) * self.model.noise_a
            current = self.model.current_a * (0.3 + 0.7 * self._speed()) + self.effect("current_a") + noise
        self.out["current_a"] = max(0.0, current)
