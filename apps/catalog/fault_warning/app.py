"""The app: one step of the detector for each finished cycle, a warning when it stays above its limit."""

from __future__ import annotations

from collections import deque

import numpy as np

from apps.errors import ModelError
from apps.models.onnx import load_model
from apps.sdk import App, Context, Output, Quality, Value, Values

from .cycles import Cycle, Cycles, Moment

PRODUCTS = ("health_t2", "early_warning", "warning_cause")


class FaultWarning(App):
    """Keeps the state of the EWMA; the arithmetic is in the ONNX graph."""

    def setup(self, context: Context) -> None:
        super().setup(context)
        parameters = context.parameters
        self._model = load_model(context.model)
        self._cycles = Cycles(parameters)
        facts = self._model.card.facts
        changed = [
            name
            for name in ("equipment", "features", "trigger", "running", "speed", "smoothing")
            if self._model.card.parameters.get(name) != parameters[name]
        ]
        if changed:
            text = f"the model was made with other parameters: {', '.join(changed)}"
            raise ModelError(text, f"make it anew: ironworks app fit {context.name}")
        self._limit = float(facts["limit"])
        self._low, self._high = facts["speed_range"]
        self._unlearned = f"not judged: speed outside {self._low:.0f} to {self._high:.0f}"
        self._z = np.zeros((1, len(self._cycles.features)))
        self._above: deque[bool] = deque(maxlen=int(str(parameters["of_last"])))
        self._raise_count = int(str(parameters["raise_count"]))
        self._warning = False
        self._equipment = parameters["equipment"]

    def step(self, now_ns: int, values: Values) -> dict[str, Value | Output]:
        """Judge a finished cycle; otherwise say how far the last word still holds."""
        cycle = self._cycles.look(values)
        match cycle.moment:
            case Moment.BAD:
                made = self._unjudged(cycle.quality)
            case Moment.PAUSED:
                made = self._unjudged(Quality.UNCERTAIN_LAST_USABLE_VALUE)
            case Moment.WITHIN | Moment.SETTLING:
                made = {}
            case Moment.CYCLE if self._low <= cycle.speed <= self._high:
                made = self._judge(cycle)
            case _:  # a speed that the normal hours did not have: nothing is known of it
                made = self._unjudged(Quality.UNCERTAIN_LAST_USABLE_VALUE)
                if not self._warning:
                    made["warning_cause"] = Output(self._unlearned, Quality.UNCERTAIN_LAST_USABLE_VALUE)
        return {f"{self._equipment}/{name}": value for name, value in made.items()} | {
            f"{self._equipment}/health_limit": self._limit
        }

    @staticmethod
    def _unjudged(quality: int) -> dict[str, Value | Output]:
        return {name: Output(None, quality) for name in PRODUCTS}

    def _judge(self, cycle: Cycle) -> dict[str, Value | Output]:
        answer = self._model.run(
            {"x": np.array([cycle.features]), "given": np.array([[cycle.speed]]), "z_prev": self._z}
        )
        self._z = answer["z"]
        t2 = float(answer["t2"][0, 0])
        self._above.append(t2 > self._limit)
        if sum(self._above) >= self._raise_count:
            self._warning = True
        elif not any(self._above):
            self._warning = False
        return {
            "health_t2": t2,
            "early_warning": self._warning,
            "warning_cause": self._cause(answer["contributions"][0]) if self._warning else "",
        }

    def _cause(self, contributions: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
        index = int(np.argmax(np.abs(contributions)))
        return f"{self._cycles.features[index]} {'high' if contributions[index] > 0 else 'low'}"
