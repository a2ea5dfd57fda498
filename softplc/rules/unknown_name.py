"""ST2003: every name that is used is declared.

Accepted: VAR speed : INT; END_VAR speed := 1;
Rejected: VAR speed : INT; END_VAR sped := 1;
Source: IEC 61131-3:2013, 6.5.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.scope import Scope
from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY, Enum
from softplc.rules.context import Context, meant, of_method
from softplc.symbols import Pou
from softplc.syntax import Name

ON = (Name,)


def _instances(pou: Pou, context: Context) -> list[str]:
    """Return the names of a program's instances."""
    if pou.kind != "PROGRAM":
        return []
    resources = (each for one in context.project.configurations for each in one.resources)
    instances = (each for resource in resources for each in resource.instances)
    return [each.name for each in instances if Scope(context.project).unit(each.type_name) is pou]


def check(node: Name, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a name without meaning, or with one that is no value."""
    if isinstance(node.ref, Pou) and node.type is None:
        kind = node.ref.kind
        remedy = {
            "FUNCTION": f"call it: {node.name}(...)",
            "FUNCTION_BLOCK": "declare an instance of it and use that",
            "PROGRAM": "programs run in tasks; profile codesys names their variables",
        }.get(kind, "declare an instance of it and use that")
        what = kind.lower().replace("_", " ")
        yield context.error("ST2003", f"{node.name} is a {what}, not a variable", node, remedy)
    elif isinstance(node.ref, Pou) and len(_instances(node.ref, context)) > 1:
        shown = ", ".join(_instances(node.ref, context))
        message = f"{node.name} has several instances: {shown}"
        yield context.error("ST2003", message, node, "a program that is named has one instance at most")
    elif node.ref is None and node.type is None:
        if len(context.scope.meanings(node.name)) > 1:
            return  # ambiguous: told there
        space = context.scope.namespace(node.name)
        if space is not None:
            message = f"{node.name} is a namespace, not a variable"
            yield context.error("ST2003", message, node, f"name what is in it: {space}.x")
            return
        if node.name.upper() == "SUPER" and context.scope.owner is not None:
            message = f"{context.scope.owner.name} extends nothing: SUPER means nothing here"
            yield context.error("ST2003", message, node, "use THIS, or extend a unit")
            return
        if node.name.upper() in ("THIS", "SUPER"):
            remedy = "it stands in function blocks and classes, for the instance"
            yield context.error("ST2003", f"{node.name} means nothing here", node, remedy)
            return
        type_ = context.scope.type(node.name) or ELEMENTARY.get(node.name.upper())
        if type_ is not None or node.name.upper() in ("STRING", "WSTRING"):
            values = [each[0] for each in type_.values.values()] if isinstance(type_, Enum) else []
            remedy = f"write {node.name}#{values[0]} or the like" if values else "declare a variable of it"
            yield context.error("ST2003", f"{node.name} is a type, not a variable", node, remedy)
            return
        method = context.scope.owner.find_method(node.name) if context.scope.owner is not None else None
        if method is not None:
            message, remedy = of_method(method, node.name)
            yield context.error("ST2003", message, node, remedy)
            return
        remedy = meant(node.name, context.scope.names())
        if "." in node.name:
            yield context.error("ST2003", f"there is no {node.name}", node, remedy)
            return
        remedy = remedy or f"declare {node.name} in a VAR block"
        yield context.error("ST2003", f"there is no variable {node.name}", node, remedy)
