"""The files of a plant, whether it runs or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.config import Plant, PlantFile


def plant_head(plant: str | None) -> PlantFile:
    """Return the head of the plant file that is meant.

    Raises:
        ConnectError: no plant is named, and none runs.
        ConfigError: the plant file is wrong.
    """
    return _load(plant)[1]


def journal_file(plant: str | None) -> Path:
    """Return where the journal of a plant is, whether it is there yet or not.

    Raises:
        ConnectError: no plant is named, and none runs.
        ConfigError: the plant file is wrong.
    """
    return state_of(plant) / "journal.sqlite"


def state_of(plant: str | None) -> Path:
    """Return the state folder of a plant, whether it is there yet or not.

    Raises:
        ConnectError: no plant is named, and none runs.
        ConfigError: the plant file is wrong.
    """
    from runtime.config.plant import state_folder

    return state_folder(*_load(plant))


def plain_plant(plant: str | None) -> Plant:
    """Return the plant that is meant without its tags and alarms: they may be wrong.

    Raises:
        ConnectError: no plant is named, and none runs.
        ConfigError: the plant file is wrong.
    """
    from runtime.config import Document, Plant, TagList

    file, head = _load(plant)
    return Plant(file, head, Document(file, {}), TagList([], head.root), {}, ())


def plant_file_of(plant: str | None) -> Path:
    """Return the plant file that is meant, be it right or wrong.

    Raises:
        ConnectError: no plant is named, and none runs.
    """
    from runtime.endpoint import plant_file
    from runtime.errors import ConnectError

    file = plant_file(plant)
    if file is None:
        raise ConnectError("no plant is named, and none runs", "name its folder with --plant")
    return file


def _load(plant: str | None) -> tuple[Path, PlantFile]:
    from runtime.config import PlantFile, load_model

    file = plant_file_of(plant)
    return file, load_model(PlantFile, file)[0]
