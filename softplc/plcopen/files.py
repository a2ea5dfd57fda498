"""Files of Structured Text, made of a project: one for the types, one for each unit and configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import PlantError
from softplc.diagnostics import CompileError, Diagnostic
from softplc.formatter import format_text
from softplc.pipeline import Examination, examine
from softplc.plcopen.loading import translation
from softplc.profiles import Profile
from softplc.source import SourceSet
from softplc.symbols import Pou
from softplc.syntax import OfSpec

_FIT = re.compile(r"[^A-Za-z0-9_-]+")
TYPES = "types"


def texts_of(name: str, text: str, profile: Profile) -> tuple[dict[str, str], list[Diagnostic]]:
    """Return files of Structured Text by name, and what there is to say about the program.

    Raises:
        CompileError: a part of the project cannot be translated.
    """
    texts = SourceSet()
    found = examine([(name, text)], texts, profile)
    if found.broken:
        raise CompileError(found.findings)
    source = texts.files[0]
    open_ = sorted(_open_types(found), reverse=True)
    files: dict[str, str] = {}
    names: dict[str, str] = {}
    at = 0
    for part, length in translation(text, profile):
        written = source.text[at : at + length]
        for start, end, type_name in open_:
            if at <= start - source.base < at + length:
                first, last = start - source.base - at, end - source.base - at
                written = written[:first] + type_name + written[last:]
        at += length
        if written.strip():
            key = _FIT.sub("_", part) or TYPES
            file = names.setdefault(key.casefold(), f"{key}.st")
            files[file] = files.get(file, "") + written
    return {file: format_text(each, file, profile) for file, each in files.items()}, found.findings


def _open_types(found: Examination) -> Iterator[tuple[int, int, str]]:
    """Yield the places where a type was left to the value, with that type."""
    units: list[Pou] = list(found.project.pous.values())
    for pou in units:
        for each in (pou, *pou.methods.values()):
            for variable in each.variables.values():
                spec = variable.decl.spec if variable.decl is not None else None
                if isinstance(spec, OfSpec) and variable.type is not None:
                    yield spec.at, spec.end, str(variable.type)


def write(files: dict[str, str], folder: Path, *, force: bool) -> None:
    """Write files into a folder.

    Raises:
        PlantError: one is there already and stays, or cannot be written.
    """
    there = [each for each in files if (folder / each).exists()]
    if there and not force:
        remedy = "choose another folder, or --force to write over it"
        raise PlantError(f"{folder / there[0]} is there already", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise PlantError(f"{folder} cannot be written: {exc.strerror}", "check its permissions") from exc
