"""Programs under test: which files they are, each compiled once in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.config import load_yaml, validate
from runtime.errors import ConfigError, Finding, Place, PlantError

if TYPE_CHECKING:
    from softplc.application import Application
    from softplc.diagnostics import CompileError
    from softplc.section import PlcConfig

PLANT_FILE = "plant.yaml"
EXAMPLE = '@pytest.mark.plc("plc/*.st")'


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a test asks for: texts by name, and their dialect."""

    sources: Mapping[str, str]
    profile: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.profile, *self.sources.items()


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program and the texts it comes from."""

    application: Application
    sources: Mapping[str, str]
    profile: str

    def source_line(self, file: str, line: int) -> str:
        """Return a line of the source; empty for the library's."""
        lines = self.sources.get(file, "").splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""


class Programs:
    """What was compiled in this session, failures included; as many as there are different sources."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Program | CompileError] = {}

    def get(self, wanted: Wanted) -> Program:
        """Return the compiled program.

        Raises:
            CompileError: it is wrong.
        """
        import softplc

        found = self._known.get(wanted.key)
        if found is None:
            try:
                application = softplc.compile(sources=wanted.sources, profile=wanted.profile)
                found = Program(application, wanted.sources, wanted.profile)
            except softplc.CompileError as exc:
                found = exc
            self._known[wanted.key] = found
        if isinstance(found, Program):
            return found
        raise found


def plant_folder(test: Path) -> Path | None:
    """Return the nearest folder above a test that holds a plant.yaml."""
    return next((each for each in test.parents if (each / PLANT_FILE).is_file()), None)


def wanted(test: Path, patterns: Sequence[str] = (), profile: str | None = None) -> Wanted:
    """Return what a test file asks for: files by pattern, or the program of its plant.

    Patterns count from the nearest folder above the test, up to its plant, where they match anything; the
    name of a folder stands for the ST files in it.

    Raises:
        ConfigError: there is no such plant, section or file.
    """
    from softplc.build import read_sources

    plant = plant_folder(test)
    if not patterns and plant is None:
        text = f"no plant.yaml in any folder above {test.name}"
        raise PlantError(text, f"name the program's files: {EXAMPLE}")
    config = _section(plant) if plant is not None else None
    own = config.profile if config is not None else "iec"
    if patterns or plant is None:
        folder = _home(test, plant, patterns)
        files = [f"{each}/*.st" if (folder / each).is_dir() else each for each in patterns]
        return Wanted(read_sources(folder, files), profile or own)
    if config is None:
        text = "the plant has no section plc: whose program could be tested"
        raise ConfigError(
            [Finding(text, Place(plant / PLANT_FILE, 1), f"add it, or name the files: {EXAMPLE}")]
        )
    return Wanted(read_sources(plant, config.sources), profile or own)


def _home(test: Path, plant: Path | None, patterns: Sequence[str]) -> Path:
    """Return the nearest folder in which the patterns mean something; the test's own where none does."""
    for folder in test.parents:
        try:
            if any((folder / each).exists() or any(folder.glob(each)) for each in patterns):
                return folder
        except (ValueError, NotImplementedError):
            break
        if folder == plant or (folder / ".git").exists():
            break
    return test.parent


def _section(plant: Path) -> PlcConfig | None:
    from softplc.section import PlcConfig

    document = load_yaml(plant / PLANT_FILE)
    if not isinstance(document.data, Mapping) or not isinstance(document.data.get("plc"), Mapping):
        return None
    return validate(PlcConfig, document, "plc")
