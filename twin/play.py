"""A plant with its PLC in virtual time, from folder to figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.config import parse_duration_ns
from runtime.errors import PlantError
from runtime.testing.virtual import VirtualPlant
from twin.faults import PREFIX, name_of, resolve
from twin.kpi import figures
from twin.stepper import TwinStepper


def play(folder: Path, duration: str, seed: int | None, faults: list[str]) -> dict[str, Any]:
    """Play a plant for a duration and return its figures.

    Raises:
        PlantError: the folder is wrong, has no twin, or the duration is none.
    """
    try:
        span_ns = parse_duration_ns(duration)
    except ValueError as exc:
        raise PlantError(f"--for: {exc}") from exc
    plant = VirtualPlant(folder, {} if seed is None else {"twin": {"seed": seed}}, record=False)
    stepper = next((each for each in plant.steppers if isinstance(each, TwinStepper)), None)
    if stepper is None:
        raise PlantError(f"{folder} has no twin", "add `twin: {model: twin.yaml}` to plant.yaml")
    known = [name_of(tag.path) for tag in plant.plant.tags if tag.path.startswith(PREFIX)]
    for each in faults:
        resolve(each, known)
        plant.fault(each)
    began = monotonic_ns()
    plant.run_for(span_ns / SECOND_NS)
    return {
        "plant": plant.plant.name,
        "seed": stepper.engine.model.seed,
        "plant_s": plant.seconds,
        "wall_s": round((monotonic_ns() - began) / SECOND_NS, 3),
        "items": stepper.engine.balance(),
        "equipment": figures(stepper.engine),
        "alarms": sorted(plant.active_alarms()),
        "raised": {alarm["name"]: alarm["count"] for alarm in plant.alarms() if alarm["count"]},
    }
