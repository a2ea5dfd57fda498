"""Variables that have the type of an expression: those that networks of PLCopen XML need between elements."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from softplc.bind.expressions import Expressions
from softplc.bind.writes import nodes
from softplc.iectypes import Type
from softplc.symbols import Pou, Variable
from softplc.syntax import Binary, Call, Expr, Name, OfSpec, Unary

COMPARED = ("=", "<>", "<", ">", "<=", ">=")
CHOOSING = ("EN", "G", "K")  # inputs that have a type of their own


def settle_open(typer: Expressions, pou: Pou) -> None:
    """Give these variables their types; one may wait for another, in a loop for a part of itself."""
    waiting = [each for each in pou.variables.values() if each.decl and isinstance(each.decl.spec, OfSpec)]
    before = -1
    while waiting and len(waiting) != before:
        before = len(waiting)
        waiting = [each for each in waiting if not _settle(typer, each, whole=True)]
        if waiting and len(waiting) == before:
            names = {each.name.casefold() for each in waiting}
            looped = (each for each in waiting if _names(each) & names)  # a wrong value gets no type
            found = next((each for each in looped if _settle(typer, each, whole=False)), None)
            waiting = [each for each in waiting if each is not found]


def _names(variable: Variable) -> set[str]:
    spec = variable.decl.spec if variable.decl is not None else None
    value = spec.value if isinstance(spec, OfSpec) else None
    return {each.name.casefold() for each in nodes(value) if isinstance(each, Name)}


def _settle(typer: Expressions, variable: Variable, *, whole: bool) -> bool:
    spec = variable.decl.spec if variable.decl is not None else None
    if not isinstance(spec, OfSpec):
        return True
    value = deepcopy(spec.value)  # the parts keep what they are marked with
    type_ = _whole(typer, value, spec.output) if whole else _part(typer, value)
    variable.type = spec.resolved = type_
    return type_ is not None


def _whole(typer: Expressions, value: Expr, output: str) -> Type | None:
    type_ = typer.value(value)
    if not output:
        return type_
    binding = value.binding if isinstance(value, Call) else None
    parameter = binding.pou.variables.get(output.casefold()) if binding and binding.pou else None
    return parameter.type if parameter is not None else None


def _part(typer: Expressions, value: Expr) -> Type | None:
    """Return the type of an operand that has one: operators and generic functions yield what they take."""
    for each in _operands(value):
        found = typer.value(each) or _part(typer, each)
        if found is not None:
            return found
    return None


def _operands(value: Expr) -> Iterator[Expr]:
    if isinstance(value, Unary):
        yield value.operand
    elif isinstance(value, Binary) and value.op not in COMPARED:
        yield from (value.left, value.right)
    elif isinstance(value, Call):
        for argument in reversed(value.arguments):
            if argument.value is not None and not argument.output and argument.name.upper() not in CHOOSING:
                yield argument.value
