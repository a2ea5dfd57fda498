"""The head of a remote I/O rack."""

from __future__ import annotations

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.model.equipment import RackModel


class RackHead(Equipment):
    """Counts on as long as it lives."""

    __slots__ = ()

    def __init__(self, name: str, model: RackModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.out = {"heartbeat": 1}

    def start(self) -> None:
        self.after("beat", self.model.beat)

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "beat":
            self.out["heartbeat"] += 1
            self.after("beat", self.model.beat)
