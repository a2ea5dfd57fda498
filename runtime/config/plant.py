"""A plant folder, loaded and checked: the one thing that every section is built from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from runtime.config.models import AlarmConfig, PlantFile
from runtime.config.positions import Document
from runtime.config.taglist import TagList
from runtime.contract import Component, Stepper, Tag
from runtime.errors import Finding, Place

PLANT_FILE = "plant.yaml"
# Names of the kernel's own components and sources: no driver and no app has one of them.
RESERVED = (
    "operator", "kernel", "alarms", "historian", "history-sink", "api", "gate", "backup", "clock", "config",
    "journal", "rack",
)  # fmt: skip


def _as_it_is(path: Path) -> Path:
    return path


@dataclass
class Applied:
    """Where a component that starts, or starts anew, reads a file or folder of the plant.

    Attributes:
        of: returns the path itself, or a copy of what was applied where it was edited since; it waits for
            the disk.
    """

    of: Callable[[Path], Path] = _as_it_is


@dataclass(frozen=True)
class Plant:
    """A plant folder with everything resolved but nothing started.

    Attributes:
        file: the head of the folder, usually `plant.yaml`.
        state: folder for stores, caches and sockets; made when the plant starts.
        tags: all tags, those declared by sections included.
        content: where the folder's files are read from when it is not the folder itself: a kept version.
        applied: for what reads files of the folder later, when it starts.
    """

    file: Path
    head: PlantFile
    document: Document
    tags: TagList
    tag_places: dict[str, Place]
    alarms: tuple[AlarmConfig, ...]
    content: Path | None = None
    applied: Applied = field(default_factory=Applied, compare=False)

    @property
    def folder(self) -> Path:
        return self.content or self.file.parent

    @property
    def name(self) -> str:
        return self.head.plant

    @property
    def root(self) -> str:
        return self.head.root

    @property
    def state(self) -> Path:
        return state_folder(self.file, self.head)

    def path(self, relative: str) -> Path:
        """Return a file of the plant folder."""
        return self.folder / relative

    def place(self, *key: str | int) -> Place:
        """Return where a key of the plant file stands."""
        return self.document.place(*key)

    def place_of(self, tag: Tag) -> Place:
        """Return where a tag is defined."""
        return self.tag_places.get(tag.path, self.document.place())


def state_folder(file: Path, head: PlantFile) -> Path:
    """Return where a plant keeps its stores: each plant file of a folder has its own."""
    if head.state is not None:
        return file.parent / head.state
    home = file.parent / ".ironworks"
    return home if file.name == PLANT_FILE else home / file.stem


def make_folder(folder: Path) -> None:
    """Make a folder of the plant's state and those around it that are not there.

    Nobody else may look in: journal and kept versions hold hashes of secrets. What root makes belongs to
    the account of the folder that was there: a plant is to run under its own.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o750, exist_ok=True)
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        for each in reversed(missing):
            owner = each.parent.stat()
            os.chown(each, owner.st_uid, owner.st_gid)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a section adds to the plant: tags (whole paths, usually under `sys/`) and alarms."""

    tags: Sequence[Tag] = ()
    alarms: Sequence[AlarmConfig] = ()


WIRING = ("path", "data_type", "access", "source", "device", "address", "variable")


@dataclass(frozen=True, slots=True)
class Basis:
    """What a component is built from: it starts anew when any of that changes, and goes on otherwise.

    Attributes:
        tags: those that the component looks up when it is built or starts.
        facts: what of these tags matters to it.
        files: files of the plant folder that it reads.
        config: its part of the section, where it shares the section with others.
        adapts: what of this (`tag`, `file`) may change while it runs: by a method `renew` that the kernel
            awaits then, after `prepare` where it has that (`runtime.online.Changeable`).
    """

    tags: Sequence[Tag] = ()
    facts: Sequence[str] = WIRING
    files: Sequence[Path] = field(default=())
    config: Any = None
    adapts: Collection[str] = ()


class Plugin(Protocol):
    """How a package brings a section of the plant file to life; found through an entry point.

    A plugin that runs another plant file of the folder may have `plants(config)`, which yields their names.
    One may have `basis(plant, config)`, which returns a `Basis` for each component by name, so that
    `ironworks config apply` leaves alone what a change does not concern. Without it a driver is built from
    the tags of its name, and the components of any other section from all tags.
    `key` in all methods is where the section stands in the plant file: `("plc",)` or `("drivers", 2)`.
    `plugin` objects are cheap to import: heavy libraries load in `build` and `steppers`.
    """

    Config: type[BaseModel]

    def declare(self, folder: Path, root: str, config: Any) -> Declared:
        """Return the tags and alarms that the section adds; called before tags have ids.

        Raises:
            ConfigError: a file that the section names is wrong.
        """
        ...

    def check(self, plant: Plant, config: Any, key: tuple[str | int, ...]) -> Iterator[Finding]:
        """Yield what is wrong with the section, given all tags. Nothing is started."""
        ...

    def build(self, plant: Plant, config: Any) -> Iterable[Component]:
        """Return the components that the kernel runs."""
        ...

    def steppers(self, plant: Plant, config: Any) -> Iterable[Stepper]:
        """Return what takes part in virtual time (`ironworks test`); drivers return nothing."""
        ...
