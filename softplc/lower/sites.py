"""Sites: the places where a program can be stopped, and who runs there; made for the debugger alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from softplc import ir
from softplc.application import is_hidden
from softplc.layout import Layout
from softplc.source import SourceSet
from softplc.symbols import Instance, Pou
from softplc.syntax import Assign, Call, CallStatement, Expr, If, Member, Name, Node, Statement

CALLBACK, HEAD, TABLE = 0, 8, 16  # bytes from the base: what is asked, the innermost frame, a byte a site
FRAME_PREVIOUS, FRAME_UNIT, FRAME_SITE, FRAME_SELF, FRAME_LOCAL, FRAME_SIZE = 0, 8, 12, 16, 24, 32
STEP, FIRES = "_SFC_STEP", "fires$"


@dataclass(frozen=True, slots=True)
class Site:
    """A place to stop before: `node` begins at line and column of a file.

    Attributes:
        what: statement, condition (of ELSIF, of a transition), loop (its next round), step (that is active)
            or end (of the unit).
    """

    node: Node
    pou: Pou
    what: str
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Runs:
    """A routine: what unit it is, and in which program instance, if it is one of a program.

    `resource` is the key of the resource, where the unit means other variables in each.
    """

    pou: Pou
    instance: Instance | None
    resource: str = ""

    @property
    def seen_from(self) -> str:
        """Return the key of the resource whose globals count here."""
        return self.resource or (self.instance.resource if self.instance is not None else "")


class Sites:
    """Numbers the places as they are lowered; the table of `TABLE` lies at `base` in the image.

    Units of the library are passed over unless `library` is set, except those of charts.
    """

    def __init__(self, sources: SourceSet, layout: Layout, base: int, *, library: bool = False) -> None:
        self.base = base
        self.layout = layout
        self.all: list[Site] = []
        self.runs: list[Runs] = []
        self._sources = sources
        self._library = library
        self._numbers: dict[tuple[Node, str], int] = {}

    @property
    def size(self) -> int:
        return TABLE + len(self.all)

    def frame(self, pou: Pou, instance: Instance | None, resource: str = "") -> int:
        """Return the number of a routine, -1 for one that is passed over."""
        if not self._is_seen(pou):
            return -1
        self.runs.append(Runs(pou, instance, resource))
        return len(self.runs) - 1

    def before(self, statement: Statement, pou: Pou | None) -> list[ir.Stmt]:
        """Return what asks before a statement; those that a chart became are left out."""
        transition = _transition_of(statement)
        if transition is not None:
            return self.ask(transition, pou, "condition")
        return [] if _is_made(statement) else self.ask(statement, pou, "statement")

    def ask(self, node: Node, pou: Pou | None, what: str) -> list[ir.Stmt]:
        number = self.number(node, pou, what)
        return [ir.Ask(number)] if number >= 0 else []

    def end(self, pou: Pou) -> list[ir.Stmt]:
        """Return what asks at the end of a unit."""
        return self.ask(pou.decl, pou, "end")

    def number(self, node: Node, pou: Pou | None, what: str) -> int:
        """Return the number of a place, -1 in a unit that is passed over."""
        if pou is None or not self._is_seen(pou):
            return -1
        key = (node, what)
        if key not in self._numbers:
            at = max(node.at, node.end - 1) if what == "end" else node.at
            source = self._sources.at(at)
            line, column = source.place(at)
            if what == "end":
                text = source.line_text(line)
                column = len(text) - len(text.lstrip()) + 1
            self._numbers[key] = len(self.all)
            self.all.append(Site(node, pou, what, source.name, line, column))
        return self._numbers[key]

    def _is_seen(self, pou: Pou) -> bool:
        owner = pou.owner or pou
        shown = not owner.library or (self._library and not owner.name.startswith("_"))
        return shown and not pou.made_up


def step_of(statement: Statement) -> Expr | None:
    """Return the step that a statement of a chart is about."""
    call = statement.call if isinstance(statement, CallStatement) else None
    if not isinstance(call, Call) or call.binding is None or call.binding.pou is None:
        return None
    return call.callee if call.binding.pou.name == STEP else None


def _transition_of(statement: Statement) -> Expr | None:
    """Return the condition of a transition that is enabled, where a statement judges one."""
    if not isinstance(statement, If) or len(statement.branches) != 1:
        return None
    condition, body = statement.branches[0]
    fires = len(body) == 1 and isinstance(body[0], Assign) and FIRES in "".join(_names(body[0].target))
    return condition if fires else None


def _is_made(statement: Statement) -> bool:
    """Tell whether a chart became this statement: nobody wrote it."""
    if isinstance(statement, Assign):
        return any(is_hidden(each) for each in (*_names(statement.target), *_names(statement.value)))
    if isinstance(statement, CallStatement) and isinstance(statement.call, Call):
        return step_of(statement) is not None or any(map(is_hidden, _names(statement.call.callee)))
    if isinstance(statement, If) and len(statement.branches) == 1 and not statement.otherwise:
        condition, body = statement.branches[0]
        return (
            any(map(is_hidden, _names(condition)))
            or (len(body) == 1 and _transition_of(body[0]) is not None)
            or (bool(body) and all(map(_is_made, body)))
        )
    return False


def _names(node: Expr) -> Iterator[str]:
    """Yield the name that an expression begins with."""
    while isinstance(node, Member):
        node = node.base
    if isinstance(node, Name):
        yield node.name
