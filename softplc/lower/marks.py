"""Marks: a byte of the image for each line with a statement, set when one of its statements runs."""

from __future__ import annotations

from collections.abc import Iterator

from softplc import ir
from softplc.iectypes import BOOL
from softplc.source import SourceSet
from softplc.symbols import Project, all_pous
from softplc.syntax import Case, For, If, Repeat, Statement, While


class Marks:
    """Where the statements of a program begin, those of units that nothing calls included.

    `lines` are (file, line) by number; the mark of each is the byte `base` + number of the image.
    """

    def __init__(self, project: Project, sources: SourceSet, base: int) -> None:
        self.base = base
        self._sources = sources
        self._numbers: dict[tuple[str, int], int] = {}
        for pou in all_pous(project):
            for statement in _inside(pou.decl.body):
                self._numbers.setdefault(self._line(statement), len(self._numbers))

    @property
    def lines(self) -> list[tuple[str, int]]:
        return list(self._numbers)

    def of(self, statement: Statement) -> list[ir.Stmt]:
        """Return what sets the mark of a statement."""
        number = self._numbers.get(self._line(statement))
        if number is None:
            return []
        return [ir.Store(ir.Place("image", self.base + number), ir.Const(BOOL, True), BOOL)]

    def _line(self, statement: Statement) -> tuple[str, int]:
        source = self._sources.at(statement.at)
        return source.name, source.place(statement.at)[0]


def _inside(body: list[Statement]) -> Iterator[Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, If):
            for _, inner in statement.branches:
                yield from _inside(inner)
            yield from _inside(statement.otherwise)
        elif isinstance(statement, Case):
            for branch in statement.branches:
                yield from _inside(branch.body)
            yield from _inside(statement.otherwise)
        elif isinstance(statement, For | While | Repeat):
            yield from _inside(statement.body)
