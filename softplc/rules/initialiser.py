"""ST2007: an initialiser has the shape of what it initialises.

Accepted: VAR a : ARRAY[1..3] OF INT := [1, 2(5)]; END_VAR
Rejected: VAR a : ARRAY[1..3] OF INT := [1, 2, 3, 4]; END_VAR
Source: IEC 61131-3:2013, 6.4.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import Array, BlockType, Struct, converts
from softplc.links import refers
from softplc.profiles import current
from softplc.rules.context import Context, Initial
from softplc.symbols import Variable, constant_of
from softplc.syntax import ArrayInit, Expr, StructInit

ON = (Initial,)


def check(initial: Initial, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for a list where no array is, too many elements, members unknown or given twice."""
    init, target = initial.init, initial.target
    if isinstance(init, ArrayInit):
        if not isinstance(target, Array):
            yield context.error("ST2007", f"{target} is no array", init, "write one value, without [ ]")
        elif not init.spread:
            count = _count(init)
            if count > target.count:
                message = f"{count} values for {target.count} elements"
                yield context.error("ST2007", message, init, "remove values or make the array larger")
    elif isinstance(init, StructInit):
        yield from _members(init, initial, context)
    elif isinstance(init, Expr) and isinstance(target, Array | Struct | BlockType) and init.type is not None:
        declared = context.declared
        if current().objects and converts(init.type, target):
            if declared is not None and declared.temporary and declared.init is init:
                return  # a copy, made in each call
            if _is_known(init):
                return
        sample = "[1, 2, 3]" if isinstance(target, Array) else "(member := value)"
        yield context.error("ST2007", f"one value cannot initialise {target}", init, f"write {sample}")


def _is_known(init: Expr) -> bool:
    """Tell whether an initialiser names a constant whose value is known from the start."""
    constant, seen = constant_of(init), set[Variable]()
    while constant is not None and constant not in seen:
        seen.add(constant)
        if not isinstance(constant.init, Expr):
            return not refers(constant.init)
        constant = constant_of(constant.init)
    return False


def _members(init: StructInit, initial: Initial, context: Context) -> Iterator[Diagnostic]:
    target = initial.target
    if isinstance(target, Struct):
        names = [each.name for each in target.fields.values()]
    elif isinstance(target, BlockType):
        names = [each.name for each in target.pou.variables.values()]
    else:
        yield context.error("ST2007", f"{target} has no members", init, "write one value, without names")
        return
    keys = {name.casefold() for name in names}
    if isinstance(target, BlockType):
        keys |= target.pou.other_names.keys()
    given: set[str] = set()
    for name, _, at in init.items:
        key = name.casefold()
        if key not in keys:
            remedy = did_you_mean(name, names) or f"it has {', '.join(names)}"
            yield Diagnostic("ST2007", f"{target} has no member {name}", at, at + len(name), remedy)
        elif key in given:
            yield Diagnostic("ST2007", f"{name} is given twice", at, at + len(name), "give it once")
        given.add(key)


def _count(init: ArrayInit) -> int:
    total = 0
    for count, value in init.items:
        times = count.value if count is not None and isinstance(count.value, int) else 1
        inner = _count(value) if isinstance(value, ArrayInit) and value.spread else 1
        total += int(times) * inner
    return total
