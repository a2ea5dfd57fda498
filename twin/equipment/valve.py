"""A valve that lets liquid into a tank."""

from __future__ import annotations

from typing import Any, ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.equipment.pump import Pump
from twin.equipment.tank import Tank
from twin.model.equipment import ValveModel


class Valve(Equipment):
    """Moves at constant speed towards the wanted position."""

    __slots__ = ("from_pct", "pump", "since_ns", "tank")
    STATE: ClassVar[tuple[str, ...]] = ("from_pct", "since_ns")
    tank: Tank

    def __init__(self, name: str, model: ValveModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.from_pct = 0.0
        self.since_ns = 0
        self.pump: Pump | None = None
        self.out = {"position_pct": 0.0, "opened": False, "closed": True, "fault": False}

    def connect(self, others: dict[str, Any]) -> None:
        self.tank = others[self.model.into]
        self.tank.inlets.append(self)
        if self.model.pump:
            self.pump = others[self.model.pump]
            self.pump.fed.append(self.tank)

    def command(self, signal: str, value: bool | int | float) -> None:
        self._hold()
        super().command(signal, value)

    def on_command(self, signal: str) -> None:
        self.after("moved", self.model.stroke)
        self.tank.sync()

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "moved":
            self.tank.sync()

    def on_fault(self) -> None:
        self._hold()
        super().on_fault()
        self.tank.sync()

    @property
    def wanted_pct(self) -> float:
        """Return where it is sent."""
        default = 100.0 if self.commands.get("open", False) else 0.0
        return min(100.0, max(0.0, self.number("position_sp_pct", default)))

    def position_pct(self) -> float:
        """Return where it is."""
        if self.out["fault"]:
            return self.from_pct
        stroke = self.model.stroke
        way = 100.0 * (self.calendar.now_ns - self.since_ns) / stroke if stroke else 100.0
        wanted = self.wanted_pct
        return (
            min(wanted, self.from_pct + way) if wanted > self.from_pct else max(wanted, self.from_pct - way)
        )

    def flow_lpm(self) -> float:
        """Return the flow now: proportional to position, and to the pump's where one feeds it."""
        part = self.pump.part() if self.pump else 1.0
        return float(
            self.model.flow_lpm * self.position_pct() / 100 * part * max(0.0, 1 + self.effect("flow"))
        )

    def refresh(self) -> None:
        position = self.position_pct()
        self.out |= {"position_pct": position, "opened": position >= 99.5, "closed": position <= 0.5}

    def _hold(self) -> None:
        """Begin a new movement from where it is."""
        self.from_pct = self.position_pct()
        self.since_ns = self.calendar.now_ns
        self.out["fault"] = self.stopped_by_fault
