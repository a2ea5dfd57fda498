"""ST6009: a timer, counter, edge or other library block does not begin anew with each call (a warning).

That is what an instance in VAR_TEMP does, or in a function or method. Blocks that hold such a block count.
Accepted: FUNCTION_BLOCK F VAR_INPUT a : BOOL; END_VAR VAR t : TON; END_VAR t(IN := a, PT := T#1s);
    END_FUNCTION_BLOCK
Rejected: FUNCTION F : BOOL VAR_INPUT a : BOOL; END_VAR VAR t : TON; END_VAR t(IN := a, PT := T#1s); F := t.Q;
    END_FUNCTION
Source: IEC 61131-3:2013, 6.6.1.2 and 6.6.2.1: a function has no state, and VAR_TEMP lasts for a call.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import Array, BlockType, Struct, Type
from softplc.rules.context import Context, Declared
from softplc.symbols import Pou

ON = (Declared,)


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for an instance that lasts for a call only."""
    variable, pou = declared.variable, context.pou
    if pou is None or not variable.temporary or variable.by_reference:
        return
    block = _lasting(variable.type)
    if block is None:
        return
    section = "VAR_TEMP" if variable.section == "VAR_TEMP" else pou.kind.lower()
    message = f"{variable.name} begins anew with each call: {block.name} in a {section} keeps nothing"
    remedy = "declare it where it lasts, and hand it in as VAR_IN_OUT"
    if pou.kind == "FUNCTION_BLOCK":
        remedy = "declare it in VAR"
    if pou.kind == "METHOD":
        remedy = "declare it in VAR of the block"
    yield Diagnostic("ST6009", message, variable.at, variable.end, remedy, WARNING)


def _lasting(type_: Type | None) -> Pou | None:
    """Return the library block that a variable is or holds."""
    if isinstance(type_, Array):
        return _lasting(type_.element)
    if isinstance(type_, Struct):
        return next(filter(None, (_lasting(each.type) for each in type_.fields.values())), None)
    if not isinstance(type_, BlockType):
        return None
    if type_.pou.library:
        return type_.pou if type_.pou.kind == "FUNCTION_BLOCK" else None
    own = (
        each
        for each in type_.pou.variables.values()
        if not (each.elsewhere or each.temporary or each.by_reference)
    )
    return next(filter(None, (_lasting(each.type) for each in own)), None)
