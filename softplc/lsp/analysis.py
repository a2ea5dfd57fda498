"""Analysis: what is known of the texts that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Struct
from softplc.lsp.names import index_of
from softplc.lsp.spot import Spot
from softplc.lsp.symbols import Index, Occurrence, Symbol
from softplc.lsp.trees import ROOM, Trees
from softplc.pipeline import deep_recursion, examine, uncollected
from softplc.profiles import IEC, Profile
from softplc.source import Source, SourceSet
from softplc.symbols import Pou, Project
from softplc.syntax import Unit


class Analysis:
    """Texts by name, examined once."""

    def __init__(
        self, sources: Mapping[str, str], profile: Profile = IEC, trees: Trees | None = None
    ) -> None:
        """`trees` are those of the last analysis, to go on with."""
        self.profile = profile
        self.sources = dict(sources)
        self.texts = SourceSet(ROOM)
        trees = trees or Trees()
        with uncollected():
            self._found = examine(self.sources.items(), self.texts, profile, trees.parse)
        trees.keep(each.name for each in self.texts.files)
        self._by_name = {each.name: each for each in self.texts.files}

    @property
    def project(self) -> Project:
        return self._found.project

    @property
    def findings(self) -> list[Diagnostic]:
        return self._found.findings

    @property
    def broken(self) -> bool:
        """Tell whether a syntax error hides a part of the program."""
        return self._found.broken

    @property
    def units(self) -> dict[str, Unit]:
        return self._found.units

    @cached_property
    def index(self) -> Index:
        with deep_recursion(), uncollected():
            return index_of(self._found, self.texts)

    def source(self, name: str) -> Source:
        return self._by_name[name]

    def at(self, name: str, offset: int) -> Occurrence | None:
        """Return the name at an offset of a file."""
        source = self._by_name[name]
        found = self.index.at(source.base + offset)
        return found if found is not None and self.texts.at(found.at) is source else None

    def occurrences(self, symbol: Symbol) -> list[Occurrence]:
        return self.index.of(symbol)

    def declaration(self, symbol: Symbol) -> Occurrence | None:
        return next((each for each in self.index.of(symbol) if each.declares), None)

    def field(self, struct: Struct, key: str) -> Symbol | None:
        """Return a member of a structure by its casefolded name."""
        return self.index.fields.get(id(struct), {}).get(key)

    def is_ours(self, occurrence: Occurrence) -> bool:
        """Tell whether a name lies in the user's texts, not in the library."""
        return self.texts.at(occurrence.at).name in self.sources

    def unit_at(self, spot: Spot) -> Pou | None:
        """Return the unit or method around a spot, by its name."""
        full = ".".join([*spot.namespaces, spot.unit]).casefold()
        found = self.project.pous.get(full) or self.project.pous.get(spot.unit.casefold())
        return found.methods.get(spot.method.casefold()) if found is not None and spot.method else found
