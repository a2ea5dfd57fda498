"""ST2016: ARRAY[*] stands for parameters of VAR_IN_OUT, and for inputs of functions and methods.

Accepted: FUNCTION Last : INT VAR_IN_OUT a : ARRAY[*] OF INT; END_VAR Last := a[UPPER_BOUND(a, 1)];
    END_FUNCTION
Rejected: PROGRAM P VAR a : ARRAY[*] OF INT; END_VAR END_PROGRAM
Source: IEC 61131-3:2013, 6.5.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, OpenArray, Reference, Struct, Type
from softplc.rules.context import Context, Declared

ON = (Declared,)


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an array without limits where memory is needed."""
    variable = declared.variable
    on_stack = variable.pou is not None and variable.pou.on_stack
    allowed = variable.section == "VAR_IN_OUT" or (variable.section == "VAR_INPUT" and on_stack)
    if allowed and isinstance(variable.type, OpenArray):
        return
    if _holds_open(variable.type):
        message = f"{variable.name} needs the limits of its array"
        yield Diagnostic(
            "ST2016", message, variable.at, variable.end, "ARRAY[*] is for VAR_IN_OUT and inputs of functions"
        )


def _holds_open(type_: Type | None) -> bool:
    if isinstance(type_, Array):
        return _holds_open(type_.element)
    if isinstance(type_, Reference):
        return isinstance(type_.target, OpenArray)
    if isinstance(type_, Struct):
        return any(_holds_open(each.type) for each in type_.fields.values())
    return isinstance(type_, OpenArray)
