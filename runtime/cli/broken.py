"""Commands that packages bring: one that cannot be imported must not take the command line with it."""

from __future__ import annotations

from typing import Any

from runtime import registry
from runtime.errors import PlantError


def load_command(group: str, name: str) -> Any:
    """Return what stands behind a name, or a command that says why it is not available."""
    try:
        return registry.load(group, name)
    except PlantError as exc:
        error = exc

    def command() -> None:
        raise error

    command.__doc__ = f"Not available: {error.text}."
    return command
