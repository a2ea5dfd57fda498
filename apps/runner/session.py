"""One app at work: readings in, outputs out. The same in a worker process and in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apps.errors import AppError
from apps.runner.loader import app_class, told
from apps.sdk import Context, Output, Quality, Reading, Values
from runtime.errors import PlantError


class Session:
    """Loads an app, sets it up and steps it; whatever it raises becomes an AppError with file and line."""

    def __init__(self, folder: Path, entry: str, context: Context) -> None:
        self._folder = folder
        self._name = context.name
        self._values = Values()
        kind = app_class(folder, entry)
        try:
            self._app = kind()
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
            return {str(path): _output(str(path), value) for path, value in made.items()}
        except (PlantError, MemoryError):
            raise
        except Exception as exc:
            raise self._told("step", exc) from exc

    def _told(self, what: str, exc: Exception) -> AppError:
        return AppError(f"{self._name}: {what} failed{told(exc, self._folder)}")


def _output(path: str, made: Any) -> Output:
    """Return an output in Python's own types: what a library computed counts the same live and in tests.

    Raises:
        AppError: it is no value.
    """
    value: Any
    quality: Any
    value, quality = made if isinstance(made, Output) else (made, Quality.GOOD)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        value = str.__str__(value)
        value.encode()  # half of a surrogate pair, as in names of files, is no text
    elif isinstance(value, int) and not isinstance(value, bool):
        value = int(value) if -(1 << 63) <= value < 1 << 64 else float(value)
    elif isinstance(value, float):
        value = float(value)
    elif value is not None and not isinstance(value, bool):
        text = f"{path}: {type(value).__name__} is no value"
        raise AppError(text, "return a bool, a number or a text; with a quality, Output(value, quality)")
    if not isinstance(quality, int | np.integer):
        raise AppError(f"{path}: {quality!r} is no quality", "take one of apps.sdk.Quality")
    return Output(value, int(quality))
