"""Where items come from."""

from __future__ import annotations

from typing import ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.base import SECOND_NS, SHORTEST_NS
from twin.equipment.flow import Flow, Item
from twin.model.equipment import SourceModel


class Source(Flow):
    """Makes the next item ready after each interval; it waits for room, and so does the interval after it.

    What is left of an interval goes on at another pace from the moment that one is commanded.
    """

    __slots__ = ("pace", "ready", "serial")
    STATE: ClassVar[tuple[str, ...]] = ("pace", "ready", "serial")

    def __init__(self, name: str, model: SourceModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.pace = 1.0
        self.ready = False
        self.serial = 0
        self.out = {"running": False, "blocked": False, "fault": False, "count": 0}

    def start(self) -> None:
        self._update()

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "ready":
            self.ready = True
            self._deliver()

    def on_command(self, signal: str) -> None:
        self._update()

    def on_fault(self) -> None:
        super().on_fault()
        self._update()

    def on_room(self) -> None:
        self._deliver()

    def held(self) -> int:
        return 0

    @property
    def running(self) -> bool:
        return self.commanded and not self.stopped_by_fault and self._pace() > 0

    def _pace(self) -> float:
        nominal_bpm = 60 * SECOND_NS / float(self.model.every.mean_ns)
        return self.number("speed_bpm", nominal_bpm) / nominal_bpm * max(0.0, 1 + self.effect("speed"))

    def _update(self) -> None:
        self.out["fault"] = self.stopped_by_fault
        self.out["running"] = running = self.running
        if not running:
            self.cancel("ready")
        elif self.ready:
            self._deliver()
        elif "ready" not in self.due:
            self._next()
        elif (pace := self._pace()) != self.pace:
            left_ns = self.due["ready"][0] - self.calendar.now_ns
            self.after("ready", round(left_ns * self.pace / pace))
            self.pace = pace

    def _next(self) -> None:
        self.pace = self._pace()
        interval = round(self.model.every.sample(self.random) / self.pace)
        self.after("ready", max(SHORTEST_NS, interval))

    def _deliver(self) -> None:
        if not (self.ready and self.running):
            return
        self.serial += 1
        if self.hand_on(Item(self.serial, self.calendar.now_ns)):
            self.out["count"] = self.serial
            self.ready = False
            self._next()
        else:
            self.serial -= 1
        self.out["blocked"] = self.ready
