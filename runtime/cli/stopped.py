"""The files of a plant, whether it runs or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import ConnectError, PlantError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.config import Plant, PlantFile

T = TypeVar("T")


def runs(plant: str | None) -> bool:
    """Tell whether the plant that is meant runs, or its files are to be looked at.

    Raises:
        ConnectError: no plant is named, and none runs, or several do.
        PlantError: there is no such plant.
    """
    from runtime.endpoint import find, plant_file

    try:
        find(plant)
    except ConnectError as exc:
        if plant_file(plant) is None:
            remedy = f"{exc.remedy}\n  of a stopped one, name the folder with --plant"
            raise ConnectError(exc.text, remedy) from exc
        return False
    return True


def from_journal(
    plant: str | None,
    online: Callable[[PlantClient], Awaitable[T]],
    type_: type[T],
    query: Callable[..., Any],
    *args: Any,
) -> T:
    """Ask the plant if it runs, else run a query of `runtime.journal` on its file; the answer is the same.

    Raises:
        ConnectError: no plant is named, and none runs, or several do.
        PlantError: the plant has no journal yet, or it cannot be read.
    """
    import msgspec

    from runtime.cli.session import ask
    from runtime.clock import WallClock
    from runtime.journal import Journal

    if runs(plant):
        return ask(plant, online)
    file = journal_file(plant)
    if not file.is_file():
        raise PlantError(f"{file}: no journal yet", "the plant makes it at its first start")
    found = Journal(file, WallClock()).read_now(query, *args)
    return msgspec.convert(found, type_, from_attributes=True)


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

    file = plant_file(plant)
    if file is None:
        raise ConnectError("no plant is named, and none runs", "name its folder with --plant")
    return file


def _load(plant: str | None) -> tuple[Path, PlantFile]:
    from runtime.config import PlantFile, load_model

    file = plant_file_of(plant)
    return file, load_model(PlantFile, file)[0]
