"""How a bench tells its figures: a table for people, one JSON object for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        goal: what it should reach, None where there is no goal.
        at_least: whether greater is better.
        compared_with: what the figure is a ratio to, or how it was taken.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = True
    compared_with: str = ""

    @property
    def holds(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def machine() -> dict[str, Any]:
    """Describe the machine, as far as figures depend on it."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def report(name: str, figures: Sequence[Figure], as_json: bool) -> None:
    """Print the figures; the JSON object is the last line."""
    if as_json:
        rows = []
        for figure in figures:
            row = asdict(figure) | {"holds": figure.holds}
            del row["at_least"]
            rows.append(row)
        typer.echo(json.dumps({"bench": name, "machine": machine(), "figures": rows}))
        return
    for figure in figures:
        goal = ""
        if figure.goal is not None:
            sign = "≥" if figure.at_least else "≤"
            goal = f"  goal {sign} {figure.goal:,.6g}: {'holds' if figure.holds else 'MISSED'}"
        note = f"  ({figure.compared_with})" if figure.compared_with else ""
        typer.echo(f"{figure.name:<34} {figure.value:>14,.6g} {figure.unit:<10}{goal}{note}")
