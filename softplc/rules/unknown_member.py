"""ST2004: a member that is named exists in the structure, function block or enumeration.

Accepted: VAR t : TON; q : BOOL; END_VAR q := t.Q;
Rejected: VAR t : TON; q : BOOL; END_VAR q := t.X;
Source: IEC 61131-3:2013, 6.4.4.6 and 6.6.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.expressions import is_copy
from softplc.bind.properties import GET, SET, shown
from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import ELEMENTARY, Array, BlockType, Enum, Interface, Pointer, Reference, Struct
from softplc.profiles import current
from softplc.rules.context import Context, meant, of_copy, of_method
from softplc.syntax import Member, Name, TypedName

ON = (Member, TypedName)


def check(node: Member | TypedName, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a member that is not there."""
    if node.type is not None:
        return
    if isinstance(node, TypedName):
        yield from _value(node, node.type_name, node.name, context)
        return
    base = node.base.type
    if isinstance(node.base, Name) and base is None:
        if node.base.ref is None and context.scope.type(node.base.name) is not None:
            yield from _value(node, node.base.name, node.name, context)
        return
    if base is None:
        return
    names: list[str] = []
    if isinstance(base, Struct):
        names = [each.name for each in base.fields.values()]
        if node.name.casefold() in base.fields:
            if is_copy(node.base):
                message = of_copy(node.base, "members")
                yield context.error("ST2004", message, node, "assign it to a variable first")
            return
    elif isinstance(base, BlockType | Interface):
        if node.name.casefold() in base.pou.variables:
            return
        method = base.pou.find_method(node.name)
        if method is not None:
            message, remedy = of_method(method, node.name)
            yield Diagnostic("ST2004", message, node.name_at, node.end, remedy)
            return
        if not current().objects and any(base.pou.find_method(node.name + each) for each in (GET, SET)):
            message = f"{node.name} is a property of {base}"
            yield Diagnostic(
                "ST2004", message, node.name_at, node.end, "properties belong to the profile codesys"
            )
            return
        names = [each.name for each in base.pou.parameters("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")]
        names += list(
            dict.fromkeys(shown(each.decl.name) for each in base.pou.methods.values() if not each.made_up)
        )
    else:
        remedy = "give an index first" if isinstance(base, Array) else ""
        if isinstance(base, Reference | Pointer):
            remedy = f"follow it first: ^.{node.name}"
        yield Diagnostic("ST2004", f"{base} has no members", node.name_at, node.end, remedy)
        return
    remedy = did_you_mean(node.name, names) or (f"it has {', '.join(names)}" if names else "")
    if node.name.upper() in ("THIS", "SUPER"):
        remedy = f"{node.name.upper()} stands at the begin only; what is inherited needs no name before it"
    yield Diagnostic("ST2004", f"{base} has no member {node.name}", node.name_at, node.end, remedy)


def _value(node: Member | TypedName, type_name: str, name: str, context: Context) -> Iterator[Diagnostic]:
    type_ = context.scope.type(type_name)
    if not isinstance(type_, Enum):
        if len(context.scope.meanings(type_name)) > 1:
            return  # ambiguous: told there
        if type_ is not None or type_name.upper() in ELEMENTARY:
            yield context.error("ST2004", f"{name} is no value of {type_name}", node, "write one that it has")
            return
        known = [each.space.full(each.name) for each in context.project.type_decls]
        remedy = meant(type_name, known)
        yield context.error("ST2004", f"there is no enumeration {type_name}", node, remedy)
        return
    names = [each[0] for each in type_.values.values()]
    remedy = did_you_mean(name, names) or f"it has {', '.join(names)}"
    yield context.error("ST2004", f"{type_} has no value {name}", node, remedy)
