"""What an app developer uses: `App`, `Context`, `Values`, `Reading`, `Output`.

    from apps.sdk import App

    class Hot(App):
        def step(self, now_ns, values):
            level = values.value("tank/temperature_c")
            return {} if level is None else {"tank/hot": level > self.context.parameters["limit"]}

Paths are relative to the plant's root. Time is `now_ns`: the same app runs live, in tests and
faster than life, so it never reads a clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runtime.contract import Quality, Value

__all__ = ["App", "Context", "Output", "Quality", "Reading", "Value", "Values"]

ParameterValue = bool | int | float | str | list[str]
Parameters = Mapping[str, ParameterValue]


class Reading(NamedTuple):
    """A tag as it is now; `value` is None while the quality is bad."""

    value: Value | None
    quality: int
    source_ns: int


class Output(NamedTuple):
    """A value with a quality of its own; a plain value counts as good. None keeps the last value."""

    value: Value | None
    quality: int = Quality.GOOD


class Values(Mapping[str, Reading]):
    """The tags that the app may read, by path.

    Attributes:
        changed: paths that changed since the last step.
    """

    def __init__(self) -> None:
        self._readings: dict[str, Reading] = {}
        self.changed: frozenset[str] = frozenset()

    def __getitem__(self, path: str) -> Reading:
        return self._readings[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readings)

    def __len__(self) -> int:
        return len(self._readings)

    def value(self, path: str) -> Value | None:
        """Return a tag's value; None while its quality is bad or it has none yet."""
        reading = self._readings.get(path)
        return None if reading is None else reading.value

    def number(self, path: str) -> float | None:
        """Return a tag's value as a number; None while there is none."""
        value = self.value(path)
        return None if value is None or isinstance(value, str) else float(value)

    def take(self, changes: Mapping[str, Reading]) -> None:
        """Put new readings in; the runner's side."""
        self._readings.update(changes)
        self.changed = frozenset(changes)


@dataclass(frozen=True)
class Context:
    """What an app knows of its surroundings.

    Attributes:
        name: the app's name in this plant.
        parameters: values from the plant file, or the manifest's defaults; durations in ns.
        period_ns: time between two steps.
        reads: paths that the app gets.
        model: folder of the app's model, where the manifest names one.
    """

    name: str
    parameters: Parameters
    period_ns: int
    reads: tuple[str, ...]
    model: Path | None = None


class App:
    """Base of all Python apps."""

    context: Context

    def setup(self, context: Context) -> None:
        """Get ready, once, before the first step. Raise `apps.errors.AppError` when it is not possible."""
        self.context = context

    def step(self, now_ns: int, values: Values) -> Mapping[str, Value | Output]:
        """Return products by path; those left out stay as they are. Called once a period."""
        raise NotImplementedError("it has no `def step(self, now_ns, values)`")
