"""A heater in a tank."""

from __future__ import annotations

from typing import Any

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.equipment.tank import Tank
from twin.model.equipment import HeaterModel


class Heater(Equipment):
    """Gives the wanted power at once; a dry-run switch cuts it where the liquid is at the outlet."""

    __slots__ = ("tank",)
    tank: Tank

    def __init__(self, name: str, model: HeaterModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.out = {"power_kw": 0.0, "fault": False}

    def connect(self, others: dict[str, Any]) -> None:
        self.tank = others[self.model.tank]
        self.tank.heaters.append(self)

    def on_command(self, signal: str) -> None:
        self.tank.sync()

    def on_fault(self) -> None:
        super().on_fault()
        self.out["fault"] = self.stopped_by_fault
        self.tank.sync()

    def power_w(self) -> float:
        """Return the power given now."""
        dry = self.tank.volume_l <= self.tank.model.dead_l or self.tank.volume_l <= 0
        if self.stopped_by_fault or dry:
            return 0.0
        default = 100.0 if self.commands.get("on", False) else 0.0
        wanted = min(100.0, max(0.0, self.number("power_sp_pct", default)))
        return float(self.model.power_kw * 1000 * wanted / 100 * max(0.0, 1 + self.effect("power")))

    def refresh(self) -> None:
        self.out["power_kw"] = self.power_w() / 1000
