"""What runs, and what each of it is built from: the measure of what a change concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.assembly import Assembly, SectionEntry
from runtime.config import WIRING, Basis, Plant
from runtime.contract import Tag
from runtime.errors import PlantError
from runtime.versions.folder import Content, digest_of

Mark = tuple[str, str]  # what (`tag`, `file`, `config`) and its name
_GENTLE = ("drivers", "apps")


@dataclass(frozen=True)
class Unit:
    """A component, or all components of a section that cannot be told apart.

    Attributes:
        name: of the component or the section.
        gentle: an apply may restart it; others only with `--restart`.
        adapts: kinds of marks that may change while it runs.
        built_from: each thing that it is built from.
    """

    name: str
    entry: SectionEntry
    gentle: bool
    adapts: Collection[str]
    built_from: Mapping[Mark, object] = field(repr=False)

    def differs(self, other: Unit) -> set[Mark]:
        """Return what is not the same for another build of it."""
        marks = self.built_from.keys() | other.built_from.keys()
        return {mark for mark in marks if self.built_from.get(mark) != other.built_from.get(mark)}


def units_of(assembly: Assembly, content: Content) -> dict[str, Unit]:
    """Return the units of a checked plant by name; `content` has the files of its folder."""
    found: dict[str, Unit] = {}
    for entry in assembly.sections:
        for name, basis in bases_of(assembly.plant, entry).items():
            gentle = entry.key[0] in _GENTLE
            marks = dict(_marks(assembly.plant, content, entry, basis))
            found[name] = Unit(name, entry, gentle, basis.adapts, marks)
    return found


def bases_of(plant: Plant, entry: SectionEntry) -> Mapping[str, Basis]:
    """Return what the components of a section are built from, by unit."""
    told = getattr(entry.plugin, "basis", None)
    if told is not None:
        bases: Mapping[str, Basis] = told(plant, entry.config)
        return bases
    if entry.key[0] == "drivers":
        name = entry.name
        return {name: Basis([tag for tag in plant.tags if name in (tag.source, tag.device)])}
    return {entry.name: Basis([tag for tag in plant.tags if not tag.path.startswith("sys/")])}


def _marks(
    plant: Plant, content: Content, entry: SectionEntry, basis: Basis
) -> Iterator[tuple[Mark, object]]:
    config: Any = entry.config.model_dump(mode="json") if basis.config is None else basis.config
    yield ("config", entry.name), repr(config)
    facts = tuple(basis.facts or WIRING)
    for tag in basis.tags:
        yield ("tag", tag.path), _row(tag, facts)
    for file in basis.files:
        name = name_of(file, plant.folder)
        data = content.files.get(name)
        yield ("file", name), _file(file) if data is None else digest_of(data)


def _row(tag: Tag, facts: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(tag, fact) for fact in facts)


def _file(file: Path) -> str:
    try:
        return digest_of(file.read_bytes())
    except OSError as exc:
        raise PlantError(f"{file} cannot be read: {exc.strerror}", "check the file and its rights") from exc


def name_of(file: Path, folder: Path) -> str:
    """Return a file's path in the plant folder; whole where it lies outside."""
    file, folder = file.resolve(), folder.resolve()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
