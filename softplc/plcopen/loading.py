"""Loading: a project in PLCopen XML to the tree of its program."""

from __future__ import annotations

from dataclasses import replace

from softplc.diagnostics import Diagnostic
from softplc.parser import parse
from softplc.plcopen.notes import Note, Notes
from softplc.plcopen.open_types import complete
from softplc.plcopen.project import Project, lists_of
from softplc.plcopen.reading import read
from softplc.plcopen.text import Text
from softplc.profiles import IEC, Profile
from softplc.source import SourceSet
from softplc.syntax import Unit


def load(
    name: str, text: str, texts: SourceSet, profile: Profile = IEC
) -> tuple[Unit, list[Diagnostic], list[Diagnostic]]:
    """Read a project; return its tree, what is wrong with it, and what is only doubtful."""
    notes = Notes()
    root = read(text, notes)
    written = Text()
    if root is not None:
        for _, code in Project(root, notes, profile).parts():
            written.add(code)
    marks: list[tuple[int, Note]] = []
    for note in notes.found:
        marks.append((written.length, note))
        written.add(note.origin.code("\n"))
    source = texts.take(written.source(name, text))
    unit, findings = parse(source, replace(profile, objects=True))
    complete(unit)
    if root is not None and profile.loose:
        unit.lists = lists_of(root)
    told = [
        Diagnostic(
            note.code, note.message, source.base + at, source.base + at + 1, note.remedy, note.severity
        )
        for at, note in marks
    ]
    errors = [each for each in told if each.severity == "error"]
    return unit, errors + findings, [each for each in told if each.severity != "error"]


def translation(text: str, profile: Profile) -> list[tuple[str, int]]:
    """Return the parts of a project, in their order in the text: file they belong to, length."""
    notes = Notes()
    root = read(text, notes)
    if root is None:
        return []
    return [(name, len(str(code))) for name, code in Project(root, notes, profile).parts()]
