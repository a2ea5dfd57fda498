"""ST2003: every name that is used is declared.

Accepted: VAR speed : INT; END_VAR speed := 1;
Rejected: VAR speed : INT; END_VAR sped := 1;
Source: IEC 61131-3:2013, 6.5.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context, meant
from softplc.symbols import Pou
from softplc.syntax import Name

ON = (Name,)


def check(node: Name, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a name without meaning, or with one that is no value."""
    if isinstance(node.ref, Pou):
        kind = node.ref.kind
        remedy = {
            "FUNCTION": f"call it: {node.name}(...)",
            "FUNCTION_BLOCK": "declare an instance of it and use that",
            "PROGRAM": "programs run in tasks",
        }.get(kind, "declare an instance of it and use that")
        what = kind.lower().replace("_", " ")
        yield context.error("ST2003", f"{node.name} is a {what}, not a variable", node, remedy)
    elif node.ref is None and node.type is None:
        if len(context.scope.meanings(node.name)) > 1:
            return  # ambiguous: told there
        space = context.scope.namespace(node.name)
        if space is not None:
            message = f"{node.name} is a namespace, not a variable"
            yield context.error("ST2003", message, node, f"name what is in it: {space}.x")
            return
        remedy = meant(node.name, context.scope.names())
        if "." in node.name:
            yield context.error("ST2003", f"there is no {node.name}", node, remedy)
            return
        remedy = remedy or f"declare {node.name} in a VAR block"
        yield context.error("ST2003", f"there is no variable {node.name}", node, remedy)
