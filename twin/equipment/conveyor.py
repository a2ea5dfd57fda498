"""An accumulating belt, exact between events."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.base import SECOND_NS
from twin.equipment.flow import Flow, Item
from twin.model.equipment import ConveyorModel

EPSILON_MM = 1e-6
RAMP_NS = SECOND_NS // 2  # between two speeds, while a fault grows


class Conveyor(Flow):
    """Items move with the belt until they meet the one in front, or the end.

    Positions are kept for one instant (`at_ns`) and moved forward in closed form: between events the
    speed is constant, and an item's way is the lesser of its free way and the way left by the one in front.
    """

    __slots__ = ("at_ns", "items", "positions_mm", "speed_mm_s")
    STATE: ClassVar[tuple[str, ...]] = ("at_ns", "items", "positions_mm", "speed_mm_s")

    def __init__(self, name: str, model: ConveyorModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.at_ns = 0
        self.speed_mm_s = 0.0
        spacing = max(model.pitch_mm, model.length_mm / max(1, model.initial))
        self.positions_mm = deque(model.length_mm - spacing * index for index in range(model.initial))
        self.items: deque[Item] = deque(Item(0, 0) for _ in range(model.initial))
        self.out = {"running": False, "fault": False, "items": 0, "count": 0}
        self.out |= dict.fromkeys(model.eyes, False)

    def start(self) -> None:
        self._update()

    def _wanted_mm_s(self) -> float:
        if not self.commanded or self.stopped_by_fault:
            return 0.0
        wanted = max(0.0, self.number("speed_mm_s", self.model.speed_mm_s))
        return wanted * max(0.0, 1 + self.effect("speed"))

    def advance(self) -> None:
        """Move every item to where it is now, the belt having run at one speed since last time."""
        now = self.calendar.now_ns
        way = self.speed_mm_s * (now - self.at_ns) / SECOND_NS
        self.at_ns = now
        if way <= 0 or not self.positions_mm:
            return
        limit = self.model.length_mm
        for index, position in enumerate(self.positions_mm):
            moved = min(position + way, max(position, limit))
            self.positions_mm[index] = moved
            limit = moved - self.model.pitch_mm

    def take(self, item: Item) -> bool:
        self.advance()
        if not self._entrance_free() or self.speed_mm_s <= 0:
            return False
        self.positions_mm.append(0.0)
        self.items.append(item)
        self._plan()
        return True

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "ramp":
            self._update()
        else:
            self.on_room()

    def on_command(self, signal: str) -> None:
        self._update()

    def on_fault(self) -> None:
        super().on_fault()
        self._update()

    def on_room(self) -> None:
        self.advance()
        self._discharge()
        if self.speed_mm_s > 0 and self._entrance_free():
            self.tell_room()
        self._plan()

    def refresh(self) -> None:
        self.advance()
        half = self.model.item_mm / 2
        for eye, at in self.model.eyes.items():
            self.out[eye] = any(abs(position - at) <= half for position in self.positions_mm)
        self.out["items"] = len(self.items)

    def held(self) -> int:
        return len(self.items)

    def _update(self) -> None:
        """Take a new speed over: first move with the old one."""
        self.advance()
        self.speed_mm_s = self._wanted_mm_s()
        self.out["fault"] = self.stopped_by_fault
        self.out["running"] = self.speed_mm_s > 0
        now = self.calendar.now_ns
        if any("speed" in each.model.effects and each.grows(now) for each in self.faults.values()):
            self.after("ramp", RAMP_NS)
        self.on_room()

    def _entrance_free(self) -> bool:
        return not self.positions_mm or self.positions_mm[-1] >= self.model.pitch_mm - EPSILON_MM

    def _discharge(self) -> None:
        """Hand on the item at the end; a belt that stands lets nothing go."""
        while self.items and self.speed_mm_s > 0:
            if self.positions_mm[0] < self.model.length_mm - EPSILON_MM or not self.hand_on(self.items[0]):
                return
            self.items.popleft()
            self.positions_mm.popleft()
            self.out["count"] += 1

    def _plan(self) -> None:
        """Schedule when the first item meets the end and when the last one clears the entrance."""
        speed = self.speed_mm_s
        arrives = "end" in self.due  # also at this very instant, where another event came before its own
        self.cancel("end")
        self.cancel("entrance")
        if speed <= 0 or not self.positions_mm:
            return
        to_end = self.model.length_mm - self.positions_mm[0]
        if to_end > EPSILON_MM:
            self.after("end", self._time_ns(to_end, speed))
        elif arrives:
            self.after("end", 0)
        to_clear = self.model.pitch_mm - self.positions_mm[-1]
        if to_clear > EPSILON_MM and not self._queue_full():
            self.after("entrance", self._time_ns(to_clear, speed))

    def _queue_full(self) -> bool:
        """Tell whether items stand closed up from the end to the entrance, so that nothing moves."""
        closed_up: float = self.model.length_mm - self.model.pitch_mm * (len(self.items) - 1)
        return abs(self.positions_mm[-1] - closed_up) <= EPSILON_MM

    @staticmethod
    def _time_ns(way_mm: float, speed_mm_s: float) -> int:
        return int(way_mm / speed_mm_s * SECOND_NS) + 1
