"""Which moments of a machine are judged: once a cycle, steady, with good values. Live and in fits alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from apps.errors import AppError
from apps.sdk import Parameters, Quality, Values

SPEED_CHANGE = 0.005


class Moment(Enum):
    """What a step is: a finished cycle, one to leave out, time within one, a standstill, missing values."""

    CYCLE = "cycle"
    SETTLING = "settling"
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

        settle, raise_count, of_last = (
            int(str(parameters[name])) for name in ("settle", "raise_count", "of_last")
        )
        if raise_count > of_last:
            text = f"raise_count ({raise_count}) is above of_last ({of_last}): it would never warn"
            raise AppError(text, "correct these parameters of the app in the plant file")
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

    def missing(self, values: Values) -> Iterator[str]:
        """Yield the inputs that are not good, without which nothing is judged."""
        return (path for path in self._needed if not Quality.is_good(_quality(values, path)))

    def look(self, values: Values) -> Cycle:
        """Return what this moment is."""
        worst = max(_quality(values, path) for path in self._needed)
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
            return Cycle(Moment.SETTLING)
        features = tuple(values.number(path) or 0.0 for path in self.features)
        if not all(map(math.isfinite, (*features, speed))):  # it would never leave the EWMA again
            return Cycle(Moment.BAD, quality=Quality.BAD)
        return Cycle(Moment.CYCLE, features, speed)


def _quality(values: Values, path: str) -> int:
    reading = values.get(path)
    return Quality.BAD_WAITING_FOR_INITIAL_DATA if reading is None else reading.quality
