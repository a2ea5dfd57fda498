"""What rules look at: the syntax nodes, and the uses of values that the walk meets on its way."""

from __future__ import annotations

from dataclasses import dataclass

from softplc.bind.declare import Declarations
from softplc.bind.scope import Scope
from softplc.diagnostics import Diagnostic
from softplc.iectypes import Type
from softplc.symbols import Pou, Project, Variable
from softplc.syntax import Call, Expr, Init, Node


@dataclass(slots=True)
class Context:
    """Where the walk is."""

    declarations: Declarations
    project: Project
    scope: Scope
    pou: Pou | None = None
    loops: int = 0

    @staticmethod
    def error(code: str, message: str, node: Node, remedy: str = "") -> Diagnostic:
        return Diagnostic(code, message, node.at, node.end, remedy)


@dataclass(slots=True)
class Use:
    """A value goes where a type is wanted: assignment, argument, limit."""

    value: Expr
    target: Type


@dataclass(slots=True)
class Condition:
    """A value decides: IF, WHILE, REPEAT."""

    value: Expr


@dataclass(slots=True)
class Write:
    """A variable is written: assignment, output, VAR_IN_OUT, control variable."""

    target: Expr
    why: str


@dataclass(slots=True)
class Initial:
    """A variable, member or type has an initialiser."""

    init: Init
    target: Type


@dataclass(slots=True)
class Declared:
    """A variable is declared."""

    variable: Variable


@dataclass(slots=True)
class Constant:
    """A value must be known at compile time."""

    value: Expr
    what: str


@dataclass(slots=True)
class Statement:
    """A call stands as a statement."""

    call: Call


@dataclass(slots=True)
class CalledAsValue:
    """A call stands where a value is wanted."""

    call: Call
