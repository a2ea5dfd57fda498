"""Properties: reading one is a call of its GET, assigning to one a call of its SET."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softplc.iectypes import BlockType, Interface, Type
from softplc.syntax import Argument, Assign, Call, Expr, Member, Name

if TYPE_CHECKING:
    from softplc.bind.expressions import Expressions

GET, SET = "$get", "$set"


def shown(name: str) -> str:
    """Return the name of a method as people know it."""
    return name.removesuffix(GET).removesuffix(SET)


def bind_getter(typer: Expressions, node: Name | Member, base: Type | None) -> Type | None:
    """Return the type of a property that a name means, and note the call that reads it."""
    callee = _accessor(typer, node, base, GET)
    if callee is None:
        return None
    node.getter = Call(node.at, node.end, callee, [])
    return typer.expr(node.getter)


def bind_setter(typer: Expressions, node: Assign) -> bool:
    """Tell whether an assignment sets a property, and note the call that does."""
    target = node.target
    base: Type | None = None
    if isinstance(target, Member):
        base = typer.expr(target.base)
    elif not isinstance(target, Name) or typer.scope.lookup(target.name) is not None:
        return False
    callee = _accessor(typer, target, base, SET)
    if callee is None:
        return False
    value = Argument(node.value.at, node.value.end, "", node.value)
    node.setter = Call(node.at, node.end, callee, [value])
    typer.expr(node.setter)
    return True


def _accessor(typer: Expressions, node: Name | Member, base: Type | None, kind: str) -> Expr | None:
    """Return the method behind a property, as it is named in a call."""
    name = f"{node.name}{kind}"
    if isinstance(node, Name):
        owner = typer.scope.owner
        found = owner.find_method(name) if owner is not None else None
        return Name(node.at, node.end, name) if found is not None else None
    if _is_super(node.base):
        owner = typer.scope.owner.base if typer.scope.owner is not None else None
    else:
        owner = base.pou if isinstance(base, BlockType | Interface) else None
        if owner is not None and node.name.casefold() in owner.variables:
            return None
    if owner is None or owner.find_method(name) is None:
        return None
    return Member(node.at, node.end, node.base, name, node.name_at)


def _is_super(node: Expr) -> bool:
    return isinstance(node, Name) and node.name.upper() == "SUPER"
