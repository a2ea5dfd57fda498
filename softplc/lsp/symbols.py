"""Symbols and their occurrences: which declaration each name in the text means."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass, field

from softplc.bind.properties import GET, SET, shown
from softplc.iectypes import Enum
from softplc.symbols import EnumValue, Pou, Variable
from softplc.syntax import (
    TypeDecl,
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name means.

    Attributes:
        key: the same for all occurrences.
        kind: variable, field, value, type, unit, task, action, instance or function
            (of the standard, without a place).
        what: Variable, VarDecl of a field, EnumValue, TypeDecl, Pou, or None.
    """

    key: Hashable
    kind: str
    name: str
    what: object = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name in the text; global offsets. `declares` where it is the declaration that others mean."""

    at: int
    end: int
    symbol: Symbol
    declares: bool = False
    writes: bool = False


class Index:
    """Every occurrence of one examination, in order of place."""

    def __init__(self, found: list[Occurrence], fields: dict[int, dict[str, Symbol]]) -> None:
        """`fields` are the members of each structure, by the identity of its type."""
        self.fields = fields
        once: dict[tuple[int, Hashable], Occurrence] = {}
        for each in found:  # an assignment's target is met as a name as well
            known = once.get((each.at, each.symbol.key))
            if known is None or each.declares or each.writes:
                once[each.at, each.symbol.key] = each
        self.found = sorted(once.values(), key=lambda each: (each.at, each.end))
        self._starts = [each.at for each in self.found]
        self._by_key: dict[Hashable, list[Occurrence]] = {}
        for each in self.found:
            self._by_key.setdefault(each.symbol.key, []).append(each)

    def at(self, offset: int) -> Occurrence | None:
        """Return the name that an offset is in, or just behind."""
        for place in range(bisect_right(self._starts, offset) - 1, -1, -1):
            each = self.found[place]
            if each.at <= offset <= each.end:
                return each
            if offset - each.at > 1 << 12:
                break
        return None

    def of(self, symbol: Symbol) -> list[Occurrence]:
        return self._by_key.get(symbol.key, [])

    def between(self, start: int, end: int) -> list[Occurrence]:
        first = bisect_right(self._starts, start - 1)
        return self.found[first : bisect_right(self._starts, end)]


def variable_symbol(variable: Variable) -> Symbol:
    """Return the symbol of a variable: of what it refers to, for VAR_EXTERNAL and results."""
    final = variable.end_of_chain
    final = final.common or final  # one name, whatever resource it is in
    if final.section == "RESULT" and final.pou is not None:
        return unit_symbol(final.pou)
    return Symbol(("variable", id(final)), "variable", final.name, final)


def unit_symbol(pou: Pou) -> Symbol:
    """Return the symbol of a unit; a method has that of the first it overrides or implements."""
    name = pou.decl.name
    if pou.kind == "METHOD" and pou.owner is not None:
        key, property_ = name.casefold(), shown(name)
        accessors = (f"{property_}{GET}", f"{property_}{SET}") if property_ != name else (key,)
        first = next(
            (found for each in accessors if (found := _first_method(pou.owner, each.casefold()))), pou
        )
        return Symbol(("method", id(first)), "unit", property_, pou)
    return Symbol(("unit", id(pou)), "unit", name, pou)


def _first_method(owner: Pou, key: str) -> Pou | None:
    for parent in (*owner.interfaces, owner.base):
        found = _first_method(parent, key) if parent is not None else None
        if found is not None:
            return found
    return owner.methods.get(key)


def value_symbol(enum: Enum, key: str, value: EnumValue | None = None) -> Symbol:
    name, number = enum.values.get(key, (key, 0))
    return Symbol(("value", enum.name.casefold(), key), "value", name, value or EnumValue(name, enum, number))


def type_symbol(decl: TypeDecl) -> Symbol:
    """Return the symbol of a declared type."""
    return Symbol(("type", decl.at), "type", decl.name, decl)
