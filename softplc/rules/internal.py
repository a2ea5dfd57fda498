"""ST2032: what is INTERNAL is named only in the namespace that it is declared in.

Accepted: NAMESPACE N FUNCTION INTERNAL f : INT f := 1; END_FUNCTION FUNCTION g : INT g := f(); END_FUNCTION
    END_NAMESPACE
Rejected: NAMESPACE N FUNCTION INTERNAL f : INT f := 1; END_FUNCTION END_NAMESPACE FUNCTION g : INT g :=
    N.f(); END_FUNCTION
Source: IEC 61131-3:2013, 6.9.2, table 64.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.spaces import parent, within
from softplc.symbols import Pou
from softplc.syntax import Call, Literal, Name, NamedSpec, Node, TypedName

ON = (NamedSpec, Name, TypedName, Literal, Call, Pou)


def check(
    node: NamedSpec | Name | TypedName | Literal | Call | Pou, context: Context
) -> Iterator[Diagnostic]:
    """Yield a finding for a name that is used from outside."""
    if not context.project.internal:
        return
    if isinstance(node, Pou):
        for name, at in (*node.decl.extends, *node.decl.implements):
            yield from _check(name, Node(at, at + len(name)), context)
    elif isinstance(node, Call):
        if isinstance(node.callee, Name):
            yield from _check(node.callee.name, node.callee, context)
    elif isinstance(node, TypedName | Literal):
        if node.type_name:
            yield from _check(node.type_name, node, context)
    else:
        yield from _check(node.name, node, context)


def _check(name: str, node: Node, context: Context) -> Iterator[Diagnostic]:
    scope = context.scope
    if scope.pou is not None and name.casefold() in scope.pou.variables:
        return
    keys = scope.meanings(name)
    here = scope.space.name.casefold()
    key = keys[0] if len(keys) == 1 else ""
    while key:
        if key in context.project.internal and not within(here, parent(key)):
            shown = context.project.full_names.get(key, name)
            home = context.project.spaces.get(parent(key))
            message = f"{shown} is INTERNAL: it cannot be named outside {home or 'its namespace'}"
            yield context.error("ST2032", message, node, "declare it without INTERNAL")
            return
        key = parent(key)
