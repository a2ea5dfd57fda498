"""Program: what is debugged, compiled so that it can be stopped, and where its files are."""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runtime.errors import PlantError
from softplc import library
from softplc.lower.sites import Site
from softplc.pipeline import Stoppable, compile_stoppable
from softplc.profiles import profile_of
from softplc.simulator import DEFAULT_DT_NS
from softplc.symbols import Pou, all_pous

PLANT_FILE = "plant.yaml"
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file as an editor names it; `site` is its number."""

    site: int
    line: int
    column: int


class Program:
    """A program with its sources by name; names count from `folder`."""

    def __init__(self, folder: Path, sources: dict[str, str], profile: str, *, library_too: bool) -> None:
        self.folder = folder
        self.sources = sources
        self.stoppable: Stoppable = compile_stoppable(sources, profile_of(profile), library=library_too)
        self.sites: list[Site] = self.stoppable.sites.all

    @property
    def period_ns(self) -> int:
        """Return the greatest time between scans that fits all tasks, 10 ms where no task has an interval."""
        intervals = [task.interval_ns for task in self.stoppable.application.tasks if task.interval_ns]
        return math.gcd(*intervals) if intervals else DEFAULT_DT_NS

    @cached_property
    def edited(self) -> list[str]:
        """Return the sources that are another text on disk."""
        return [name for name, text in self.sources.items() if not self._is_on_disk(name, text)]

    def _is_on_disk(self, name: str, text: str) -> bool:
        try:
            return _text_of(self.folder / name) == text
        except PlantError:
            return False

    @cached_property
    def _names(self) -> dict[Path, str]:
        return {(self.folder / name).resolve(): name for name in self.sources}

    def name_of(self, path: str) -> str | None:
        """Return the source that a file is, None for a file of something else."""
        return self._names.get((self.folder / path).resolve())

    def path_of(self, name: str) -> str | None:
        """Return the path of a source's file, those of the library included; None for another text."""
        if name in self.edited:
            return None
        if name in self.sources:
            return str((self.folder / name).resolve())
        file = library.block_files().get(Path(name).stem.casefold())
        return str(file) if file is not None else None

    def places(self, name: str) -> list[Place]:
        """Return where a file can be stopped: of what begins at one line of a unit, the first."""
        found: dict[tuple[int, Pou], Place] = {}
        for number, site in enumerate(self.sites):
            if site.file != name or site.what == "loop":
                continue
            place = Place(number, site.line, site.column)
            known = found.setdefault((site.line, site.pou), place)
            if site.column < known.column:
                found[site.line, site.pou] = place
        return sorted(found.values(), key=lambda each: (each.line, each.column))

    def place_at(self, name: str, line: int, column: int = 0) -> list[Place]:
        """Return where a breakpoint at a line is: there, or at the next line with code of the same unit.

        Raises:
            PlantError: there is no such place.
        """
        unit = self._unit_at(name, line)
        here = [each for each in self.places(name) if each.line >= line]
        if unit is not None:
            here = [each for each in here if self.sites[each.site].pou is unit]
            if not here:
                raise PlantError(f"nothing that runs calls {unit.name}", "call it, and restart")
        if not here:
            raise PlantError("there is no code at this line or behind it", "choose a line with a statement")
        if column:
            return (self._at_column(name, line, column) or here)[:1]
        return [each for each in here if each.line == here[0].line]

    def _unit_at(self, name: str, line: int) -> Pou | None:
        """Return the innermost unit whose text has a line."""
        texts = self.stoppable.texts
        found: list[tuple[int, Pou]] = []
        for pou in all_pous(self.stoppable.declarations.project):
            source = texts.at(pou.decl.at)
            first, last = source.place(pou.decl.at)[0], source.place(max(pou.decl.at, pou.decl.end - 1))[0]
            if source.name == name and first <= line <= last:
                found.append((last - first, pou))
        return min(found, key=lambda each: each[0])[1] if found else None

    def every_place(self, name: str) -> list[Place]:
        """Return every place of a file, several of a line too."""
        found = {
            (site.line, site.column): Place(number, site.line, site.column)
            for number, site in enumerate(self.sites)
            if site.file == name and site.what != "loop"
        }
        return [found[each] for each in sorted(found)]

    def _at_column(self, name: str, line: int, column: int) -> list[Place]:
        there = [each for each in self.every_place(name) if each.line == line]
        return [each for each in there if each.column >= column] or there[-1:]

    def units(self) -> dict[str, Pou]:
        """Return every unit by the casefolded name that people use: methods as UNIT.METHOD."""
        found: dict[str, Pou] = {}
        for pou in all_pous(self.stoppable.declarations.project):
            owner = f"{pou.owner.name}." if pou.owner is not None else ""
            found[f"{owner}{pou.decl.name if pou.owner else pou.name}".casefold()] = pou
        return found

    def first_site(self, pou: Pou) -> int | None:
        """Return where a unit begins."""
        numbers = [n for n, site in enumerate(self.sites) if site.pou is pou]
        return min(numbers, key=lambda n: (self.sites[n].line, self.sites[n].column), default=None)


def load(wanted: Sequence[str], home: Path, profile: str | None, *, library_too: bool = False) -> Program:
    """Compile a plant's program, or files.

    Raises:
        PlantError: there is nothing of that name, or it cannot be read.
        CompileError: the program is wrong.
    """
    paths = [home / each for each in wanted]
    if not paths:
        raise PlantError("nothing to debug was named", "set `program` to a plant folder or to ST files")
    for path in paths:
        if not path.exists():
            raise PlantError(f"{path} does not exist", "set `program` to a plant folder or to ST files")
    first = paths[0].parent if paths[0].name == PLANT_FILE else paths[0]
    if len(paths) == 1 and first.is_dir() and (first / PLANT_FILE).is_file():
        from softplc.testing.program import wanted as of_plant

        found = of_plant(first.resolve() / PLANT_FILE, (), profile)
        return Program(found.folder, dict(found.sources), found.profile, library_too=library_too)
    files = [file for path in paths for file in _files(path)]
    folder = home.resolve()
    sources = {_name(file, folder): _text_of(file) for file in files[:MOST_FILES]}
    return Program(folder, sources, profile or "iec", library_too=library_too)


def _files(path: Path) -> list[Path]:
    path = path.resolve()
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.st"))
    if not found:
        raise PlantError(
            f"there is no plant.yaml and no ST file in {path}", "name a plant folder, or ST files"
        )
    return found


def _text_of(file: Path) -> str:
    from softplc.build import read_sources

    return read_sources(file.parent, [glob.escape(file.name)])[file.name]


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
