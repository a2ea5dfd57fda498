"""Soft PLC: the IEC 61131-3 Structured Text compiler, its simulator and the scan core."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softplc.application import Application, Symbol, TaskInfo
    from softplc.diagnostics import CompileError, Diagnostic
    from softplc.simulator import PlcFaultError, Simulator

__all__ = [
    "Application",
    "CompileError",
    "Diagnostic",
    "PlcFaultError",
    "Simulator",
    "Symbol",
    "TaskInfo",
    "check",
    "compile",
]

_HOMES = {
    "Application": "application",
    "Symbol": "application",
    "TaskInfo": "application",
    "CompileError": "diagnostics",
    "Diagnostic": "diagnostics",
    "PlcFaultError": "simulator",
    "Simulator": "simulator",
}


def compile(  # noqa: A001
    *paths: str | Path, sources: Mapping[str, str] | None = None, profile: str = "iec"
) -> Application:
    """Compile ST files and texts (`sources`: name to text) into one application; profile `iec` or `codesys`.

    Raises:
        CompileError: the program is wrong; `diagnostics` has every finding.
        PlantError: there is no such profile.
    """
    from softplc.pipeline import compile_application
    from softplc.profiles import profile_of

    return compile_application(paths, sources or {}, profile_of(profile))


def check(
    *paths: str | Path, sources: Mapping[str, str] | None = None, profile: str = "iec"
) -> list[Diagnostic]:
    """Return what there is to say about ST files and texts: errors, or warnings where there are none."""
    from softplc.diagnostics import CompileError
    from softplc.pipeline import checked
    from softplc.profiles import profile_of
    from softplc.source import SourceSet

    chosen = profile_of(profile)
    try:
        return checked(paths, sources or {}, SourceSet(), chosen).warnings
    except CompileError as exc:
        return list(exc.diagnostics)


def __getattr__(name: str) -> Any:
    """Import public names when they are first used."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"softplc.{_HOMES[name]}"), name)
    raise AttributeError(name)
