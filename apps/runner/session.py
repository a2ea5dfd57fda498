"""One app at work: readings in, outputs out. The same in a worker process and in virtual time."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apps.errors import AppError
from apps.runner.loader import make_app
from apps.sdk import Context, Output, Reading, Value, Values
from runtime.errors import PlantError


class Session:
    """Loads an app, sets it up and steps it; whatever it raises becomes an AppError with file and line."""

    def __init__(self, folder: Path, entry: str, context: Context) -> None:
        self._folder = folder
        self._name = context.name
        self._values = Values()
        self._app = make_app(folder, entry)
        try:
            self._app.setup(context)
        except (PlantError, MemoryError):
            raise
        except Exception as exc:
            raise self._told("setup", exc) from exc

    def step(self, now_ns: int, changes: Mapping[str, Reading]) -> dict[str, Output]:
        """Do one step.

        Raises:
            AppError: the app failed.
        """
        self._values.take(changes)
        try:
            made: Any = self._app.step(now_ns, self._values)
            if not isinstance(made, Mapping):
                kind = type(made).__name__
                raise AppError(f"{self._name}: step returned {kind}, no products by path", "{} changes none")
            return {str(path): _output(value) for path, value in made.items()}
        except (PlantError, MemoryError):
            raise
        except Exception as exc:
            raise self._told("step", exc) from exc

    def _told(self, what: str, exc: Exception) -> AppError:
        frames = traceback.extract_tb(exc.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(self._folder)]
        frame = (own or frames)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return AppError(f"{self._name}: {what} failed at {place}: {type(exc).__name__}: {exc}")


def _output(made: Value | Output) -> Output:
    """Return an output in Python's own types: what numpy computed counts the same live and in tests."""
    value, quality = made if isinstance(made, Output) else Output(made)
    return Output(value.item() if isinstance(value, np.generic) else value, int(quality))
