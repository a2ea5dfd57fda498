"""An accumulation table."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.flow import Flow, Item
from twin.model.equipment import BufferModel


class Buffer(Flow):
    """First in, first out; an item can leave `transit` after it came."""

    __slots__ = ("items",)
    STATE: ClassVar[tuple[str, ...]] = ("items",)

    def __init__(self, name: str, model: BufferModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.items: deque[tuple[int, Item]] = deque((0, Item(0, 0)) for _ in range(model.initial))
        self.out = {"count": 0}
        self._update()

    def start(self) -> None:
        if self.items:
            self.after("leave", 0)

    def take(self, item: Item) -> bool:
        if len(self.items) >= self.model.capacity:
            return False
        self.items.append((self.calendar.now_ns + self.model.transit, item))
        self._update()
        if len(self.items) == 1:
            self.after("leave", self.model.transit)
        return True

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "leave":
            self.on_room()

    def on_room(self) -> None:
        left = False
        while self.items and self.items[0][0] <= self.calendar.now_ns and self.hand_on(self.items[0][1]):
            self.items.popleft()
            self.out["count"] += 1
            left = True
        self._update()
        if self.items and self.items[0][0] > self.calendar.now_ns:
            self.calendar.schedule(self, "leave", self.items[0][0])
        if left:
            self.tell_room()

    def held(self) -> int:
        return len(self.items)

    def _update(self) -> None:
        level, capacity = len(self.items), self.model.capacity
        self.out |= {
            "level": level,
            "level_pct": 100.0 * level / capacity,
            "full": level >= capacity,
            "empty": level == 0,
        }
