"""Where items leave the line."""

from __future__ import annotations

from typing import Any, ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.flow import Flow, Item
from twin.model.equipment import SinkModel


class Sink(Flow):
    """Takes everything."""

    __slots__ = ("lead_ns",)
    STATE: ClassVar[tuple[str, ...]] = ("lead_ns",)

    def __init__(self, name: str, model: SinkModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.lead_ns = 0
        self.out = {"count": 0}

    def connect(self, others: dict[str, Any]) -> None:
        """Nothing follows a sink."""

    def take(self, item: Item) -> bool:
        self.out["count"] += 1
        self.lead_ns += self.calendar.now_ns - item.born_ns
        return True

    def held(self) -> int:
        return 0
