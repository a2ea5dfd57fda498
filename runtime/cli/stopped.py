"""The journal of a plant that does not run."""

from __future__ import annotations

from pathlib import Path


def journal_file(plant: str | None) -> Path:
    """Return where the journal of a plant is, whether it is there yet or not.

    Raises:
        ConnectError: no plant is named, and none runs.
        ConfigError: the plant file is wrong.
    """
    from runtime.client import plant_file
    from runtime.config import PlantFile, load_model
    from runtime.config.plant import state_folder
    from runtime.errors import ConnectError

    file = plant_file(plant)
    if file is None:
        raise ConnectError("no plant is named, and none runs", "name its folder with --plant")
    head, _ = load_model(PlantFile, file)
    return state_folder(file, head) / "journal.sqlite"
