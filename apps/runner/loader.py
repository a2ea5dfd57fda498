"""Loads an app's code from its folder."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from apps.errors import AppError
from apps.sdk import App

LONGEST = 1000


def attribute(folder: Path, entry: str) -> Any:
    """Import `module:attribute` of an app's folder.

    Raises:
        AppError: there is no such thing, or the import failed.
    """
    module, _, name = entry.partition(":")
    try:
        return getattr(import_module(f"{_package(folder)}.{module}"), name)
    except Exception as exc:
        remedy = f"correct {folder / module.replace('.', '/')}.py"
        module = exc.name or "" if isinstance(exc, ModuleNotFoundError) else ""
        missing = module.partition(".")[0]
        if missing and ((folder / f"{missing}.py").is_file() or (folder / missing).is_dir()):
            remedy = f"modules of the app's own folder have a dot before them: from .{module} import ..."
        elif missing:
            remedy = f"install the package that has it into {sys.prefix}"
        text = f"{entry} of {folder.name} cannot be loaded{told(exc, folder)}"
        raise AppError(text, remedy) from exc


def app_class(folder: Path, entry: str) -> type[App]:
    """Return an app's class.

    Raises:
        AppError: it cannot be loaded, or is no App.
    """
    kind = attribute(folder, entry)
    if not (isinstance(kind, type) and issubclass(kind, App)):
        raise AppError(f"{entry} of {folder.name} is no App", "derive the class from apps.sdk.App")
    return kind


def told(exc: Exception, folder: Path) -> str:
    """Return where in an app's folder an exception came from, and the beginning of what it says."""
    files = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(exc.__traceback__)]
    own = [f" at {file.name}:{line}" for file, line in files if file.is_relative_to(folder)]
    text = str(exc).encode(errors="backslashreplace").decode()
    return f"{own[-1] if own else ''}: {type(exc).__name__}: {text[:LONGEST]}"


def _package(folder: Path) -> str:
    """Make a folder a package of a name of its own; its modules import each other by dots."""
    name = f"ironworks_app_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return name
