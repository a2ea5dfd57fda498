"""ST2030: a name means one thing where it stands: of two that USING brings in, one is written in full.

Accepted: NAMESPACE A TYPE T : INT; END_TYPE END_NAMESPACE NAMESPACE B TYPE T : DINT; END_TYPE END_NAMESPACE
    USING A; USING B; PROGRAM P VAR x : A.T; END_VAR x := 1; END_PROGRAM
Rejected: NAMESPACE A TYPE T : INT; END_TYPE END_NAMESPACE NAMESPACE B TYPE T : DINT; END_TYPE END_NAMESPACE
    USING A; USING B; PROGRAM P VAR x : T; END_VAR x := 1; END_PROGRAM
Source: IEC 61131-3:2013, 6.9.4, table 66.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou
from softplc.syntax import Call, Literal, Name, NamedSpec, Node, TypedName

ON = (NamedSpec, Name, TypedName, Literal, Call, Pou)


def check(
    node: NamedSpec | Name | TypedName | Literal | Call | Pou, context: Context
) -> Iterator[Diagnostic]:
    """Yield a finding for a name that several namespaces in use have."""
    if isinstance(node, Pou):
        for name, at in (*node.decl.extends, *node.decl.implements):
            yield from _check(name, Node(at, at + len(name)), context)
    elif isinstance(node, Call):
        if isinstance(node.callee, Name) and context.scope.lookup(node.callee.name) is None:
            yield from _check(node.callee.name, node.callee, context)
    elif isinstance(node, TypedName | Literal):
        if node.type_name:
            yield from _check(node.type_name, node, context)
    elif isinstance(node, NamedSpec) or context.scope.lookup(node.name) is None:
        yield from _check(node.name, node, context)


def _check(name: str, node: Node, context: Context) -> Iterator[Diagnostic]:
    if not context.project.spaces:
        return
    keys = context.scope.meanings(name)
    if len(keys) > 1:
        full = [context.project.full_names.get(key, key) for key in keys]
        message = f"{name} may be {' or '.join(full)}"
        yield context.error("ST2030", message, node, f"write which: {full[0]}")
