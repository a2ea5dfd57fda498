"""Marks: a byte of the image for each line with a statement and each way of one, set when it runs."""

from __future__ import annotations

from collections.abc import Iterator

from softplc import ir
from softplc.iectypes import BOOL
from softplc.lower.branches import Branches, Way
from softplc.source import SourceSet
from softplc.symbols import Pou, Project, all_pous
from softplc.syntax import Case, For, If, Repeat, Statement, While


class Marks:
    """Where the statements of a program begin, those of units that nothing calls included.

    `lines` are (file, line) by number, `ways` (file, line, what) after them; the mark of each is the byte
    `base` + number of the image.
    """

    def __init__(self, project: Project, sources: SourceSet, base: int) -> None:
        self.base = base
        self._sources = sources
        self.branches = Branches(sources)
        self._numbers: dict[tuple[str, int], int] = {}
        statements = [each for pou in written(project) for each in inside(pou.decl.body)]
        for statement in statements:
            self._numbers.setdefault(self._line(statement), len(self._numbers))
        self._ways: dict[Way, int] = {}
        for statement in statements:
            for way in self.branches.of(statement):
                self._ways.setdefault(way, len(self._numbers) + len(self._ways))

    @property
    def lines(self) -> list[tuple[str, int]]:
        return list(self._numbers)

    @property
    def ways(self) -> list[Way]:
        return list(self._ways)

    @property
    def size(self) -> int:
        return len(self._numbers) + len(self._ways)

    @property
    def ran(self) -> range:
        """Return the bytes of the image that tell what ran."""
        return range(self.base, self.base + self.size)

    def of(self, statement: Statement) -> list[ir.Stmt]:
        """Return what sets the mark of a statement."""
        return self._set(self._numbers.get(self._line(statement)))

    def after(self, statement: Statement) -> list[ir.Stmt]:
        """Return what follows a statement."""
        return []

    def went(self, way: Way) -> list[ir.Stmt]:
        """Return what sets the mark of a way."""
        return self._set(self._ways.get(way))

    def _set(self, number: int | None) -> list[ir.Stmt]:
        if number is None:
            return []
        return [ir.Store(ir.Place("image", self.base + number), ir.Const(BOOL, True), BOOL)]

    def _line(self, statement: Statement) -> tuple[str, int]:
        source = self._sources.at(statement.at)
        return source.name, source.place(statement.at)[0]


def written(project: Project) -> Iterator[Pou]:
    """Yield the units that somebody wrote."""
    return (each for each in all_pous(project) if not each.made_up)


def inside(body: list[Statement]) -> Iterator[Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, If):
            for _, inner in statement.branches:
                yield from inside(inner)
            yield from inside(statement.otherwise)
        elif isinstance(statement, Case):
            for branch in statement.branches:
                yield from inside(branch.body)
            yield from inside(statement.otherwise)
        elif isinstance(statement, For | While | Repeat):
            yield from inside(statement.body)
