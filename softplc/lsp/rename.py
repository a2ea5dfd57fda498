"""Renaming: a name everywhere it means the same, if nothing else changes by it."""

from __future__ import annotations

import re

from runtime.errors import PlantError
from softplc.diagnostics import ERROR
from softplc.lexer import KEYWORDS
from softplc.lsp.analysis import Analysis
from softplc.lsp.symbols import Occurrence, Symbol

_IDENTIFIER = re.compile(r"_?[A-Za-z0-9]+(_[A-Za-z0-9]+)*")


def renamable(analysis: Analysis, symbol: Symbol) -> str:
    """Return why a name cannot be changed, or nothing."""
    if symbol.kind == "function":
        return f"{symbol.name} belongs to the standard"
    declared = analysis.declaration(symbol)
    if declared is None:
        return f"{symbol.name} is declared nowhere"
    if not analysis.is_ours(declared):
        return f"{symbol.name} belongs to the library"
    return "" if not analysis.broken else "there are syntax errors: correct them first"


def rename(analysis: Analysis, symbol: Symbol, name: str) -> list[Occurrence]:
    """Return the places to write the new name at.

    Raises:
        PlantError: the name cannot be changed, is none, or would then mean something else.
    """
    why = renamable(analysis, symbol)
    if why:
        raise PlantError(why)
    if not _IDENTIFIER.fullmatch(name) or name[0].isdigit() or name.upper() in KEYWORDS:
        raise PlantError(f"{name!r} is no name", "letters, digits and single underscores, and no keyword")
    places = [each for each in analysis.occurrences(symbol) if analysis.is_ours(each)]
    drawn = next((each for each in places if analysis.texts.at(each.at).mapped), None)
    if drawn is not None:
        file = analysis.texts.at(drawn.at).name
        raise PlantError(f"{symbol.name} is named in {file}", "rename it in the tool that file comes from")
    changed = Analysis(renamed(analysis, places, name), analysis.profile)
    errors = [each for each in changed.findings if each.severity == ERROR]
    before = [each for each in analysis.findings if each.severity == ERROR]
    if len(errors) > len(before):
        known = {(each.code, each.line) for each in before}
        new = next((each for each in errors if (each.code, each.line) not in known), errors[0])
        raise PlantError(f"{name} does not go: {new.message} ({new.file}:{new.line})")
    if _groups(analysis) != _groups(changed):
        raise PlantError(f"{name} does not go: other places would mean something else")
    return places


def renamed(analysis: Analysis, places: list[Occurrence], name: str) -> dict[str, str]:
    """Return the texts with another name at some places."""
    texts = dict(analysis.sources)
    for each in sorted(places, key=lambda place: place.at, reverse=True):
        source = analysis.texts.at(each.at)
        text, start = texts[source.name], each.at - source.base
        texts[source.name] = text[:start] + name + text[each.end - source.base :]
    return texts


def _groups(analysis: Analysis) -> list[int]:
    """Number the symbols in order of their first occurrence; return the number of each occurrence.

    The same numbers mean that the same names belong together.
    """
    numbers: dict[object, int] = {}
    return [
        numbers.setdefault(each.symbol.key, len(numbers))
        for each in analysis.index.found
        if analysis.is_ours(each)
    ]
