"""Which moments of a machine are judged: once a cycle, steady, with good values. Live and in fits alike."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from apps.sdk import Parameters, Quality, Values

SPEED_CHANGE = 0.005


class Moment(Enum):
    """What a step is: a finished cycle to judge, time within one, a standstill, or missing values."""

    CYCLE = "cycle"
    WITHIN = "within"
    PAUSED = "paused"
    BAD = "bad"


class Cycle(NamedTuple):
    """A moment, with the features and the speed of a finished cycle; `quality` is that of the worst input."""

    moment: Moment
    features: tuple[float, ...] = ()
    speed: float = 1.0
    quality: int = Quality.GOOD


class Cycles:
    """Finds the cycles of one machine in the values of its signals."""

    def __init__(self, parameters: Parameters) -> None:
        equipment = parameters["equipment"]

        def path(name: str) -> str:
            return f"{equipment}/{parameters[name]}"

        def paths(name: str) -> tuple[str, ...]:
            listed = parameters[name]
            assert isinstance(listed, list)
            return tuple(f"{equipment}/{each}" for each in listed)

        settle = parameters["settle"]
        assert isinstance(settle, int)
        self.features = paths("features")
        self._unless = paths("unless")
        self._trigger = path("trigger")
        self._running = path("running")
        self._speed = path("speed") if parameters["speed"] else None
        self._needed = (*self.features, *self._unless, self._trigger, self._running)
        if self._speed:
            self._needed += (self._speed,)
        self._settle = settle
        self._wait = settle
        self._last_speed = 0.0
        self._last_cycle_ns: int | None = None

    def look(self, values: Values) -> Cycle:
        """Return what this moment is."""
        worst = 0
        for path in self._needed:
            reading = values.get(path)
            worst = max(worst, Quality.BAD_WAITING_FOR_INITIAL_DATA if reading is None else reading.quality)
        if not Quality.is_good(worst):
            self._wait = self._settle
            return Cycle(Moment.BAD, quality=worst)
        if not values.value(self._running) or any(values.value(path) for path in self._unless):
            self._wait = self._settle
            return Cycle(Moment.PAUSED)
        speed = (values.number(self._speed) or 0.0) if self._speed else 1.0
        if abs(speed - self._last_speed) > SPEED_CHANGE * abs(speed):
            self._last_speed = speed
            self._wait = self._settle
        finished_ns = values[self._trigger].source_ns
        if finished_ns == self._last_cycle_ns:
            return Cycle(Moment.WITHIN)
        self._last_cycle_ns = finished_ns
        if self._wait > 0:
            self._wait -= 1
            return Cycle(Moment.WITHIN)
        return Cycle(Moment.CYCLE, tuple(values.number(path) or 0.0 for path in self.features), speed)
