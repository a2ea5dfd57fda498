"""Figures of a plant in motion: what flowed, and where time went."""

from __future__ import annotations

from typing import Any

from twin.engine.engine import Engine
from twin.equipment.base import SECOND_NS
from twin.equipment.sink import Sink
from twin.equipment.station import Station
from twin.equipment.tank import Tank


def figures(engine: Engine) -> dict[str, dict[str, Any]]:
    """Return the figures of each equipment that has any; shares are of the time since the start."""
    span_ns = max(1, engine.now_ns)
    out: dict[str, dict[str, Any]] = {}
    for name, machine in engine.equipment.items():
        if isinstance(machine, Station):
            shares = {state: round(spent / span_ns, 4) for state, spent in machine.shares_ns().items()}
            out[name] = {"count": machine.out["count"], "rejects": machine.out["rejects"], **shares}
        elif isinstance(machine, Sink):
            count = int(machine.out["count"])
            out[name] = {"count": count, "per_minute": round(count * 60 * SECOND_NS / span_ns, 2)}
        elif isinstance(machine, Tank):
            machine.advance()
            out[name] = {
                "fed_l": round(machine.fed_l, 2),
                "drawn_l": round(machine.drawn_l, 2),
                "level_pct": round(machine.level_pct, 2),
                "temperature_c": round(machine.temperature_c, 2),
            }
    return out
