"""ST6002: what is read is also written: local variables without initial value, outputs, results (a warning).

Accepted: FUNCTION F : INT VAR b : INT := 3; END_VAR F := b; END_FUNCTION
Rejected: FUNCTION F : INT VAR b : INT; END_VAR F := b; END_FUNCTION
Source: IEC 61131-3:2013, 6.5.1 (the standard does not ask for it).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.application import is_hidden
from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import Elementary
from softplc.rules.context import Context
from softplc.symbols import Pou, Variable, is_first

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each variable that only has its initial value."""
    usage = context.usage(pou)
    for variable in pou.variables.values():
        if variable.pou is not pou or variable.constant or is_hidden(variable.name):
            continue
        if variable.init is not None or variable in usage.writes or variable.access == "PUBLIC":
            continue
        if variable.address:
            continue  # the field writes it
        if variable.section == "RESULT" and is_first(context.project, pou):
            continue  # nobody asks FB_Init
        if variable.section in ("VAR_OUTPUT", "RESULT"):
            if pou.decl.body and variable.type is not None:  # what is not there yet needs no telling
                what = "the result" if variable.section == "RESULT" else f"the output {variable.name}"
                message = f"{what} of {pou.name} is never written"
                yield Diagnostic("ST6002", message, variable.at, variable.end, "write it", WARNING)
        elif _is_local(variable, pou) and isinstance(variable.type, Elementary) and variable in usage.reads:
            message = f"{variable.name} is read but never written"
            remedy = "write it, give it an initial value, or make it CONSTANT"
            yield Diagnostic("ST6002", message, variable.at, variable.end, remedy, WARNING)


def _is_local(variable: Variable, pou: Pou) -> bool:
    return variable.section == "VAR_TEMP" or (variable.section == "VAR" and pou.kind != "PROGRAM")
