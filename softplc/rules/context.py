"""What rules look at: the syntax nodes, and the uses of values that the walk meets on its way."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.bind.declare import Declarations
from softplc.bind.scope import Scope
from softplc.bind.usage import Usage, usage_of
from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import Type
from softplc.symbols import Pou, Project, Variable
from softplc.syntax import Call, Expr, Init, Member, Name, Node


@dataclass(slots=True)
class Context:
    """Where the walk is."""

    declarations: Declarations
    project: Project
    scope: Scope
    pou: Pou | None = None
    loops: int = 0
    declared: Variable | None = None
    _usages: dict[Pou, Usage] = field(default_factory=dict)

    def usage(self, pou: Pou) -> Usage:
        """Return what the body of a unit uses."""
        if pou not in self._usages:
            self._usages[pou] = usage_of(pou)
        return self._usages[pou]

    @staticmethod
    def error(code: str, message: str, node: Node, remedy: str = "") -> Diagnostic:
        return Diagnostic(code, message, node.at, node.end, remedy)


def meant(name: str, known: list[str]) -> str:
    """Return a remedy for an unknown name: the same name in a namespace comes first."""
    given, _, last = name.casefold().rpartition(".")
    if given:
        inside = [each for each in known if each.casefold().rpartition(".")[0] == given]
        return did_you_mean(name, inside or known) or (f"there are {', '.join(inside)}" if inside else "")
    for each in known:
        space, _, own = each.rpartition(".")
        if space and own.casefold() == last and each.casefold() != name.casefold():
            return f"did you mean {each}? write it in full, or USING {space};"
    return did_you_mean(name, known)


def of_copy(node: Expr, parts: str) -> str:
    """Return why no part of what a call or a property yields can be named."""
    what = f"{node.name} is a property: it yields" if isinstance(node, Name | Member) else "a call yields"
    return f"{what} a copy, whose {parts} cannot be named"


def of_method(method: Pou, name: str) -> tuple[str, str]:
    """Return why a method or an action is no value, and what to write."""
    what = "an action" if method.kind == "ACTION" else "a method"
    return f"{name} is {what}, not a variable", f"call it: {name}(...)"


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
