"""Loads an app's code from its folder."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from apps.errors import AppError
from apps.sdk import App


def attribute(folder: Path, entry: str) -> Any:
    """Import `module:attribute` of an app's folder.

    Raises:
        AppError: there is no such thing, or the import failed.
    """
    module, _, name = entry.partition(":")
    try:
        return getattr(import_module(f"{_package(folder)}.{module}"), name)
    except Exception as exc:
        raise AppError(
            f"{entry} of {folder.name} cannot be loaded: {type(exc).__name__}: {exc}",
            f"correct {folder / module.replace('.', '/')}.py",
        ) from exc


def make_app(folder: Path, entry: str) -> App:
    """Make the object of an app's class.

    Raises:
        AppError: it cannot be loaded, or is no App.
    """
    kind = attribute(folder, entry)
    if not (isinstance(kind, type) and issubclass(kind, App)):
        raise AppError(f"{entry} of {folder.name} is no App", "derive the class from apps.sdk.App")
    return kind()


def _package(folder: Path) -> str:
    """Make a folder a package of a name of its own; its modules import each other by dots."""
    name = f"ironworks_app_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return name
