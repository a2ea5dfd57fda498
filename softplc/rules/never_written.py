"""ST6002: a local variable without initial value that is read is also written (a warning).

Accepted: FUNCTION F : INT VAR b : INT := 3; END_VAR F := b; END_FUNCTION
Rejected: FUNCTION F : INT VAR b : INT; END_VAR F := b; END_FUNCTION
Source: IEC 61131-3:2013, 6.5.1 (the standard does not ask for it).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.usage import usage_of
from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import Elementary
from softplc.rules.context import Context
from softplc.symbols import Pou, is_hidden

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each local variable that is only read."""
    usage = usage_of(pou)
    for variable in pou.variables.values():
        local = variable.section == "VAR_TEMP" or (variable.section == "VAR" and pou.kind != "PROGRAM")
        if not local or variable.pou is not pou or variable.constant or is_hidden(variable.name):
            continue
        plain = (
            isinstance(variable.type, Elementary) and variable.init is None and variable.access != "PUBLIC"
        )
        if plain and not variable.address and variable in usage.reads and variable not in usage.writes:
            message = f"{variable.name} is read but never written"
            remedy = "write it, give it an initial value, or make it CONSTANT"
            yield Diagnostic("ST6002", message, variable.at, variable.end, remedy, WARNING)
