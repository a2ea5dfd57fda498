"""Projects: which files are compiled together: those of a plant, or one alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.config import load_yaml
from runtime.errors import PlantError
from softplc.lsp.analysis import Analysis
from softplc.lsp.trees import Trees
from softplc.plcopen.xml import decode, is_xml
from softplc.profiles import IEC, PROFILES, Profile

MOST_LEVELS = 12
DEFAULT = ("plc/*.st",)


@dataclass(slots=True)
class Project:
    """Files that belong together.

    Attributes:
        folder: of the plant, or None for a file that is in none.
        opened: texts of the editor by file name, newer than those on disk.
        analysis: of the texts as they are.
        good: the last analysis without syntax errors.
        told: what was published of each file.
        trees: of the files, for the next analysis.
    """

    folder: Path | None
    patterns: tuple[str, ...] = ()
    opened: dict[str, str] = field(default_factory=dict)
    analysis: Analysis | None = None
    good: Analysis | None = None
    stale: bool = True
    told: dict[str, object] = field(default_factory=dict)
    trees: Trees = field(default_factory=Trees)

    def sources(self) -> dict[str, str]:
        """Return every text by its file's name; what cannot be read is left out."""
        found: dict[str, str] = {}
        for file in files_of(self.folder, self.patterns) if self.folder is not None else ():
            if str(file) in self.opened:
                continue
            try:
                found[str(file)] = _text_of(file)
            except (OSError, UnicodeDecodeError):
                continue  # `st check` tells; an editor that opens it sees for itself
        return dict(sorted((found | self.opened).items()))

    def profile(self) -> Profile:
        """Return the dialect that the plant file names."""
        section = _section(self.folder / "plant.yaml", "plc") if self.folder is not None else None
        name = section.get("profile") if isinstance(section, Mapping) else None
        return PROFILES.get(str(name), IEC)

    def fresh(self) -> Analysis:
        """Return what is known of the texts as they are now."""
        if self.stale or self.analysis is None:
            self.analysis = Analysis(self.sources(), self.profile(), self.trees)
            self.stale = False
            if not self.analysis.broken:
                self.good = self.analysis
        return self.analysis


def _text_of(file: Path) -> str:
    return decode(file.read_bytes()) if is_xml(file.name) else file.read_text(encoding="utf-8-sig")


def files_of(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of a plant's program."""
    try:
        return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    except (ValueError, NotImplementedError, OSError):
        return []


def plant_of(file: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Return the plant folder whose program a file belongs to, with the globs of its files."""
    for folder in list(file.parents)[:MOST_LEVELS]:
        plant = folder / "plant.yaml"
        if plant.is_file():
            patterns = _patterns(plant)
            return (folder, patterns) if file in files_of(folder, patterns) else None
    return None


def bound_in(folder: Path, name: str) -> str:
    """Return where the tag list first binds a tag to a variable of a name, as FILE:LINE, or nothing."""
    file = _section(folder / "plant.yaml", "tags")
    if not isinstance(file, str):
        return ""
    try:
        lines = (folder / file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""  # `ironworks check` tells
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    head = next(csv.reader(lines[:1]), [])
    column = head.index("variable") if "variable" in head else 0
    for number, line in enumerate(lines[1:], 2):
        cells = next(csv.reader([line]), [])
        if word.search(cells[column] if column and len(cells) > column else line):
            return f"{file}:{number}"
    return ""


def _patterns(plant: Path) -> tuple[str, ...]:
    section = _section(plant, "plc")
    sources = section.get("sources") if isinstance(section, Mapping) else None
    return tuple(map(str, sources)) if isinstance(sources, list) else DEFAULT


def _section(plant: Path, key: str) -> object:
    """Return a part of a plant file; None where it is not there, or is being written."""
    try:
        data = load_yaml(plant).data
    except PlantError:
        return None
    return data.get(key) if isinstance(data, Mapping) else None
