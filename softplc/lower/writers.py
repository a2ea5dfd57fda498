"""Writers: code that notes which statement of a program writes one variable, for `ironworks plc why`."""

from __future__ import annotations

from typing import NamedTuple

from softplc import ir
from softplc.iectypes import BOOL, DINT, UDINT, UINT, ULINT, USINT, Elementary
from softplc.lower.branches import Way
from softplc.lower.marks import Marks, inside, written
from softplc.source import SourceSet
from softplc.symbols import Project
from softplc.syntax import Statement

_WIDTHS: tuple[tuple[int, Elementary], ...] = ((8, ULINT), (4, UDINT), (2, UINT), (1, USINT))
_LIBRARY = "library/"
_LONGEST = 400


class Writer(NamedTuple):
    """A statement: where it begins, in which POU, and its text up to the first semicolon."""

    file: str
    line: int
    pou: str
    text: str


def _text(sources: SourceSet, at: int) -> str:
    source = sources.at(at)
    text = source.text[at - source.base : at - source.base + _LONGEST]
    return " ".join(text.partition(";")[0].split()) + ";"


class Writers(Marks):
    """Looks at the variable around each statement; what changed was written by the statement that ran.

    Its cells lie behind the image: what the variable was when it was looked at last, which statement has
    changed it last (from 1; 0 for none), which one began last.

    Attributes:
        statements: those that are noted, in order of their numbers.
    """

    def __init__(self, project: Project, sources: SourceSet, base: int, place: tuple[int, int, int]) -> None:
        """`place` is the variable's offset and bytes, and its bit or -1."""
        super().__init__(project, sources, base)
        self._offset, self._bytes, self._bit = place
        self._number: dict[int, int] = {}
        self.statements: list[Writer] = []
        for pou in written(project):
            for statement in inside(pou.decl.body):
                file, line = self._line(statement)
                if not file.casefold().startswith(_LIBRARY):
                    text = _text(sources, statement.at)
                    self.statements.append(Writer(file, line, pou.name, text))
                    self._number[id(statement)] = len(self.statements)
        self.kept = base
        self.writer = base + -(-self._bytes // 8) * 8
        self.current = self.writer + 4

    @property
    def size(self) -> int:
        return self.current + 4 - self.base

    @property
    def ran(self) -> range:
        return range(0)  # what FB_Init writes is an initial value

    def of(self, statement: Statement) -> list[ir.Stmt]:
        """Return what gives a change to the statement that began last: it handed over to this one."""
        number = self._number.get(id(statement))
        if number is None:
            return []
        began = ir.Load(DINT, ir.Place("image", self.current))
        return [*self._look(began), self._store(self.current, number)]

    def after(self, statement: Statement) -> list[ir.Stmt]:
        """Return what gives a change to this statement."""
        number = self._number.get(id(statement))
        return self._look(ir.Const(DINT, number)) if number is not None else []

    def went(self, way: Way) -> list[ir.Stmt]:
        return []

    def _look(self, whose: ir.Expr) -> list[ir.Stmt]:
        changed: ir.Expr | None = None
        keep: list[ir.Stmt] = []
        for at, type_ in self._parts():
            bit = self._bit
            place, kept = ir.Place("image", self._offset + at, bit=bit), ir.Place("image", self.kept + at)
            now = ir.Load(type_, place)
            other = ir.Op(BOOL, "<>", (now, ir.Load(type_, kept)))
            changed = ir.Op(BOOL, "OR", (changed, other)) if changed is not None else other
            keep.append(ir.Store(kept, now, type_))
        if changed is None:
            return []
        note = ir.Store(ir.Place("image", self.writer), whose, DINT)
        return [ir.If(changed, [*keep, note], [])]

    def _parts(self) -> list[tuple[int, Elementary]]:
        if self._bit >= 0:
            return [(0, BOOL)]
        parts: list[tuple[int, Elementary]] = []
        at = 0
        for width, type_ in _WIDTHS:
            while self._bytes - at >= width:
                parts.append((at, type_))
                at += width
        return parts

    @staticmethod
    def _store(at: int, number: int) -> ir.Stmt:
        return ir.Store(ir.Place("image", at), ir.Const(DINT, number), DINT)
