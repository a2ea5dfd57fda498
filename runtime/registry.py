"""Finds what packages bring: sections, drivers, commands and demos, by entry point.

Our own packages and a third party's are found the same way.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from runtime.errors import PlantError


def names(group: str) -> list[str]:
    """Return the names that a group (`sections`, `drivers`, `commands`, `demos`) holds."""
    return sorted({each.name for each in _entries(group)})


def load(group: str, name: str) -> Any:
    """Import what stands behind a name.

    Raises:
        PlantError: nothing has that name, or its package cannot be imported.
    """
    found = [each for each in _entries(group) if each.name == name]
    if not found:
        known = names(group)
        begun = [each for each in known if each.startswith(f"{name}.")]
        close = begun or get_close_matches(name, known, 1)
        wanted = " or ".join(map(repr, close))
        remedy = f"did you mean {wanted}?" if close else f"there are: {', '.join(known) or 'none'}"
        raise PlantError(f"no {group.removesuffix('s')} is named {name!r}", remedy)
    try:
        return found[0].load()
    except (ImportError, AttributeError) as exc:
        raise PlantError(
            f"{found[0].value} cannot be imported: {exc}", "reinstall the package that brings it"
        ) from exc


def _entries(group: str) -> tuple[EntryPoint, ...]:
    folders = ((folder, Path(folder or ".")) for folder in sys.path)
    state = tuple((folder, path.stat().st_mtime_ns) for folder, path in folders if path.exists())
    return _installed(group, state)


@lru_cache(maxsize=16)
def _installed(group: str, _state: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Look through all packages once, and again when one was installed: each look reads a file of each."""
    return tuple(entry_points(group=f"ironworks.{group}"))
