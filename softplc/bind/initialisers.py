"""Initialisers: marks each expression in them with the type of what it initialises."""

from __future__ import annotations

from softplc.bind.expressions import Expressions
from softplc.iectypes import Array, BlockType, Struct, Type
from softplc.syntax import ArrayInit, Expr, Init


def mark_init(typer: Expressions, init: Init, type_: Type | None) -> None:
    """Mark an initialiser."""
    if isinstance(init, Expr):
        typer.value(init, type_)
        return
    if isinstance(init, ArrayInit):
        element = type_.element if isinstance(type_, Array) else None
        for count, value in init.items:
            if count is not None:
                typer.value(count)
            if value is not None:
                spread = isinstance(value, ArrayInit) and value.spread
                mark_init(typer, value, type_ if spread else element)
        return
    for name, value, _ in init.items:
        member: Type | None = None
        if isinstance(type_, Struct):
            field = type_.fields.get(name.casefold())
            member = field.type if field else None
        elif isinstance(type_, BlockType):
            variable = type_.pou.find_variable(name.casefold())
            member = variable.type if variable else None
        mark_init(typer, value, member)
