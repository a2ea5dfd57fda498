"""Resolution by name alone: what a way such as `tank.level` means in a scope, without a tree of the text."""

from __future__ import annotations

from softplc.bind.scope import Scope
from softplc.iectypes import BlockType, Struct
from softplc.lsp.analysis import Analysis
from softplc.lsp.spot import type_of
from softplc.lsp.standard import about
from softplc.lsp.symbols import Symbol, type_symbol, unit_symbol, value_symbol, variable_symbol
from softplc.symbols import EnumValue, Pou, Variable


def symbol_named(analysis: Analysis, scope: Scope, way: list[str]) -> Symbol | None:
    """Return the symbol at the end of a way."""
    name = way[-1]
    if len(way) > 1:
        return _member(analysis, scope, way)
    ref = scope.lookup(name)
    if isinstance(ref, Variable):
        return variable_symbol(ref)
    if isinstance(ref, Pou):
        return unit_symbol(ref)
    if isinstance(ref, EnumValue):
        return value_symbol(ref.type, name.casefold(), ref)
    decl = next(
        (each for each in analysis.project.type_decls if each.name.casefold() == name.casefold()), None
    )
    if decl is not None:
        return type_symbol(decl)
    return Symbol(("function", name.upper()), "function", name.upper()) if about(name)[0] else None


def _member(analysis: Analysis, scope: Scope, way: list[str]) -> Symbol | None:
    owner, key = type_of(way[:-1], scope), way[-1].casefold()
    if isinstance(owner, Struct):
        return analysis.field(owner, key)
    if isinstance(owner, BlockType):
        variable = owner.pou.find_variable(key)
        method = owner.pou.find_method(key)
        if variable is not None:
            return variable_symbol(variable)
        return unit_symbol(method) if method is not None else None
    return None
