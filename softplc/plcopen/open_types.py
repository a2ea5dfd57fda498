"""Types of variables that the translation adds: that of the value which the variable takes.

Such a variable is declared as ANY in the text; here ANY becomes the expression whose type it has.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.writes import nodes
from softplc.plcopen.scope import OPEN
from softplc.syntax import (
    Assign,
    Call,
    Expr,
    Name,
    NamedSpec,
    OfSpec,
    PouDecl,
    Statement,
    Unit,
    VarDecl,
)


def complete(unit: Unit) -> None:
    """Give every variable declared as ANY the type of its value."""
    for pou in unit.pous:
        for each in (pou, *pou.methods):
            open_ = [
                decl
                for block in each.blocks
                if block.section in ("VAR", "VAR_TEMP")
                for decl in block.declarations
                if isinstance(decl.spec, NamedSpec) and decl.spec.name.upper() == OPEN
            ]
            if open_:
                _complete(each, open_)


def _complete(pou: PouDecl, declarations: list[VarDecl]) -> None:
    by_name = {each.name.casefold(): each for each in declarations}
    for body in _bodies(pou):
        for node in nodes(body):
            for target, value, output in _given(node):
                name = target.name.casefold()
                decl = by_name.pop(name, None)
                if decl is not None:
                    decl.spec = OfSpec(decl.spec.at, decl.spec.end, value, output)
    for decl in by_name.values():
        decl.spec = NamedSpec(decl.spec.at, decl.spec.end, "BOOL")


def _bodies(pou: PouDecl) -> Iterator[list[Statement]]:
    yield pou.body
    for method in pou.methods:
        if method.kind == "ACTION":
            yield method.body
    if pou.chart is not None:
        for action in pou.chart.actions:
            yield action.body
        for transition in pou.chart.transitions:
            yield transition.before


def _given(node: object) -> Iterator[tuple[Name, Expr, str]]:
    """Yield the variables that a node gives a value: with that, or with the call and the output of it."""
    if isinstance(node, Assign) and isinstance(node.target, Name):
        yield node.target, node.value, ""
    if isinstance(node, Call):
        for each in node.arguments:
            if each.output and isinstance(each.value, Name):
                yield each.value, node, each.name
