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
    from softplc.lower.marks import Marks
    from softplc.section import PlcConfig

PLANT_FILE = "plant.yaml"
EXAMPLE = '@pytest.mark.plc("plc/*.st")'


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a test asks for: texts by name relative to a folder, and their dialect."""

    folder: Path
    sources: Mapping[str, str]
    profile: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.folder, self.profile, *self.sources.items()


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program and the texts it comes from; `marks` tell which lines ran, where coverage is on."""

    application: Application
    wanted: Wanted
    marks: Marks | None = None

    @property
    def folder(self) -> Path:
        return self.wanted.folder

    @property
    def sources(self) -> Mapping[str, str]:
        return self.wanted.sources

    @property
    def profile(self) -> str:
        return self.wanted.profile

    def beside(self, more: Mapping[str, str]) -> Program:
        """Compile more texts with this program.

        Raises:
            CompileError: they are wrong.
        """
        return _compiled(self.wanted, more, marked=self.marks is not None)

    def source_line(self, file: str, line: int) -> str:
        """Return a line of the source; empty for the library's."""
        lines = self.sources.get(file, "").splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""


class Programs:
    """What was compiled in this session, failures included; as many as there are different sources."""

    def __init__(self, *, marked: bool = False) -> None:
        self._marked = marked
        self._known: dict[tuple[object, ...], Program | CompileError] = {}

    def get(self, wanted: Wanted) -> Program:
        """Return the compiled program.

        Raises:
            CompileError: it is wrong.
        """
        from softplc.diagnostics import CompileError

        found = self._known.get(wanted.key)
        if found is None:
            try:
                found = _compiled(wanted, {}, marked=self._marked)
            except CompileError as exc:
                found = exc
            self._known[wanted.key] = found
        if isinstance(found, Program):
            return found
        raise found


def _compiled(wanted: Wanted, more: Mapping[str, str], *, marked: bool) -> Program:
    import softplc
    from softplc.pipeline import compile_marked
    from softplc.profiles import profile_of

    sources = {**wanted.sources, **more}
    if marked:
        application, marks = compile_marked(sources, profile_of(wanted.profile))
        return Program(application, wanted, marks)
    return Program(softplc.compile(sources=sources, profile=wanted.profile), wanted)


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
        return Wanted(folder, read_sources(folder, files), profile or own)
    if config is None:
        text = "the plant has no section plc: whose program could be tested"
        raise ConfigError(
            [Finding(text, Place(plant / PLANT_FILE, 1), f"add it, or name the files: {EXAMPLE}")]
        )
    return Wanted(plant, read_sources(plant, config.sources), profile or own)


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
