"""ST6001: a local variable is used (a warning); those of programs may be there for others.

Accepted: FUNCTION F : INT VAR_INPUT a : INT; END_VAR VAR b : INT; END_VAR b := a + 1; F := b; END_FUNCTION
Rejected: FUNCTION F : INT VAR_INPUT a : INT; END_VAR VAR b : INT; END_VAR F := a; END_FUNCTION
Source: IEC 61131-3:2013, 6.5.1 (the standard does not ask for it).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.application import is_hidden
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each local variable that nothing reads or writes."""
    usage = context.usage(pou)
    for variable in pou.variables.values():
        local = variable.section == "VAR_TEMP" or (variable.section == "VAR" and pou.kind != "PROGRAM")
        if not local or variable.pou is not pou or variable.constant or is_hidden(variable.name):
            continue
        if variable.access != "PUBLIC" and variable not in usage.reads and variable not in usage.writes:
            message = f"{variable.name} is never used"
            yield Diagnostic("ST6001", message, variable.at, variable.end, "remove it", WARNING)
