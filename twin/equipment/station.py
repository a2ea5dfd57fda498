"""A machine that works on one item at a time."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.base import SECOND_NS, SHORTEST_NS
from twin.equipment.flow import Flow, Item
from twin.equipment.tank import Tank
from twin.model.equipment import StationModel

RETRY_NS = SECOND_NS // 2


class Station(Flow):
    """Takes an item, works, hands it on; blocks after service.

    Work is measured as `left_ns`, at the speed `ratio`; another speed holds from when it is commanded. A
    stop, failure or fault pauses it; it goes on where it was. Time to failure counts down while it works.
    """

    __slots__ = (
        "began_ns", "cycle_ns", "down", "finished", "item", "left_ns", "load", "load_ns",
        "nominal_bpm", "ratio", "share_ns", "since_ns", "state", "tank", "to_failure_ns",
    )  # fmt: skip
    STATE: ClassVar[tuple[str, ...]] = (
        "began_ns", "cycle_ns", "down", "finished", "item", "left_ns", "load", "load_ns", "ratio",
        "share_ns", "since_ns", "state", "to_failure_ns",
    )  # fmt: skip

    def __init__(self, name: str, model: StationModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.nominal_bpm = 60 * SECOND_NS / float(model.cycle.mean_ns)
        self.tank: Tank | None = None
        self.item: Item | None = None
        self.finished = False
        self.down = False
        self.began_ns: int | None = None
        self.left_ns = 0
        self.cycle_ns = 0
        self.ratio = 1.0
        self.to_failure_ns = model.failure.mttf.sample(self.random) if model.failure else None
        self.load = 0.0
        self.load_ns = 0
        self.state = "stopped"
        self.share_ns: dict[str, int] = {}
        self.since_ns = 0
        self.out = {
            "running": False, "busy": False, "starved": False, "blocked": False, "fault": False,
            "count": 0, "rejects": 0, "cycle_s": round(model.cycle.mean_ns / SECOND_NS, 3),
        }  # fmt: skip
        self.out |= {each: value.mean for each, value in model.values.items() if value.each_cycle}
        self._measure_running()

    def connect(self, others: dict[str, Any]) -> None:
        super().connect(others)
        if self.model.uses:
            self.tank = others[self.model.uses.tank]

    def start(self) -> None:
        if any(not value.each_cycle for value in self.model.values.values()):
            self.after("sample", self.model.sample)
        self._update()

    # -- flow --------------------------------------------------------------------------------------

    def take(self, item: Item) -> bool:
        if self.item is not None or not self.running:
            return False
        if self.tank is not None and not self.tank.draw(self.model.uses.litres):
            self.after("retry", RETRY_NS)
            return False
        self.item = item
        self._draw_load()
        stretch = max(0.1, 1 + self.effect("cycle") + self.model.cycle_load * self.load)
        self.ratio = self.speed_ratio
        cycle_ns = round(self.model.cycle.sample(self.random) * stretch / self.ratio)
        self.cycle_ns = max(SHORTEST_NS, cycle_ns)
        self.left_ns = self.cycle_ns
        self._work()
        return True

    def on_room(self) -> None:
        if self.finished and self.running:
            self._leave()

    def held(self) -> int:
        return int(self.item is not None)

    # -- events ------------------------------------------------------------------------------------

    def on_event(self, event: str) -> None:
        super().on_event(event)
        match event:
            case "done":
                self._finish()
            case "fail":
                self._pause()
                self.down = True
                self.to_failure_ns = self.model.failure.mttf.sample(self.random)
                self.after("repaired", self.model.failure.mttr.sample(self.random))
                self._update()
            case "repaired":
                self.down = False
                self._update()
            case "retry":
                self._invite()
            case "sample":
                self._draw_load()
                self._measure_running()
                self.after("sample", self.model.sample)

    def on_command(self, signal: str) -> None:
        ratio = self.speed_ratio
        if self.item is not None and ratio > 0 and ratio != self.ratio:
            self._pause()
            left_ns = round(self.left_ns * self.ratio / ratio)
            self.cycle_ns += left_ns - self.left_ns
            self.left_ns, self.ratio = left_ns, ratio
        self._update()

    def on_fault(self) -> None:
        super().on_fault()
        self._update()

    @property
    def speed_ratio(self) -> float:
        """Return the speed, 1 at nominal."""
        return self.number("speed_bpm", self.nominal_bpm) / self.nominal_bpm

    @property
    def running(self) -> bool:
        return self.commanded and not self.down and not self.stopped_by_fault and self.speed_ratio > 0

    def _update(self) -> None:
        """Go on or stop, as commands and faults want it."""
        self.out["fault"] = self.down or self.stopped_by_fault
        self.out["running"] = running = self.running
        self._say()
        if not running:
            self._pause()
        elif self.item is None:
            self._invite()
        elif self.finished:
            self._leave()
        elif self.began_ns is None:
            self._work()

    def _work(self) -> None:
        self.began_ns = self.calendar.now_ns
        if self.to_failure_ns is not None and self.to_failure_ns < self.left_ns:
            self.after("fail", self.to_failure_ns)
        else:
            self.after("done", self.left_ns)
        self._say()

    def _pause(self) -> None:
        if self.began_ns is not None:
            self._spend()
            self.cancel("done")
            self.cancel("fail")
        self._say()

    def _spend(self) -> None:
        """Book the work done since it began."""
        if self.began_ns is not None:
            spent = self.calendar.now_ns - self.began_ns
            self.left_ns = max(0, self.left_ns - spent)
            if self.to_failure_ns is not None:
                self.to_failure_ns = max(0, self.to_failure_ns - spent)
            self.began_ns = None

    def _finish(self) -> None:
        self._spend()
        self.finished = True
        self.out["cycle_s"] = self.cycle_ns / SECOND_NS
        self._measure_cycle()
        if self._is_reject():
            self.out["rejects"] += 1
            self._free()
        else:
            self._leave()

    def _leave(self) -> None:
        if self.item is not None and self.hand_on(self.item):
            self.out["count"] += 1
            self._free()
        else:
            self._say()

    def _free(self) -> None:
        self.item = None
        self.finished = False
        self._invite()

    def _invite(self) -> None:
        if self.item is None and self.running:
            self.tell_room()
        self._say()

    # -- what it says ------------------------------------------------------------------------------

    def _say(self) -> None:
        """Bring its status up to date, and book the time in the state that ends."""
        out = self.out
        running = bool(out["running"])
        out["busy"] = busy = self.began_ns is not None
        out["blocked"] = blocked = running and self.finished
        out["starved"] = starved = running and self.item is None
        if out["fault"]:
            state = "fault"
        else:
            state = "busy" if busy else "blocked" if blocked else "starved" if starved else "stopped"
        if state != self.state:
            self._book()
            self.state = state

    def _book(self) -> None:
        now = self.calendar.now_ns
        self.share_ns[self.state] = self.share_ns.get(self.state, 0) + now - self.since_ns
        self.since_ns = now

    def shares_ns(self) -> dict[str, int]:
        """Return the time spent so far in each state: fault, busy, blocked, starved, stopped."""
        self._book()
        return dict(self.share_ns)

    def _draw_load(self) -> None:
        """Move the load on: an Ornstein-Uhlenbeck process, exact for any step."""
        if self.model.load is not None:
            now = self.calendar.now_ns
            keep = math.exp(-(now - self.load_ns) / self.model.load.time)
            self.load = self.load * keep + self.noise.gauss(0, 1) * math.sqrt(1 - keep * keep)
            self.load_ns = now

    def _measure(self, name: str) -> float:
        value = self.model.values[name]
        reading = value.mean + value.per_speed * (self.speed_ratio - 1) + value.per_load * self.load
        return float(reading + self.effect(name) + self.noise.gauss(0, 1) * value.noise)

    def _measure_cycle(self) -> None:
        for name, value in self.model.values.items():
            if value.each_cycle:
                self.out[name] = self._measure(name)

    def _measure_running(self) -> None:
        for name, value in self.model.values.items():
            if not value.each_cycle:
                if value.idle is None or self.out["running"]:
                    self.out[name] = self._measure(name)
                else:
                    self.out[name] = value.idle + self.noise.gauss(0, 1) * value.noise * 0.2

    def _is_reject(self) -> bool:
        chance = float(self.model.reject_rate) + self.effect("reject_rate")
        rejected: bool = chance > 0 and self.random.random() < chance
        for name, limit in self.model.rejects.items():
            value = self.out[name]
            rejected |= limit.below is not None and value < float(limit.below)
            rejected |= limit.above is not None and value > float(limit.above)
        return rejected
