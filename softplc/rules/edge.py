"""ST2015: R_EDGE and F_EDGE stand at BOOL inputs of function blocks and programs.

Accepted: FUNCTION_BLOCK B VAR_INPUT go : BOOL R_EDGE; END_VAR VAR n : INT; END_VAR IF go THEN n := n + 1;
    END_IF; END_FUNCTION_BLOCK
Rejected: FUNCTION_BLOCK B VAR_INPUT go : INT R_EDGE; END_VAR VAR n : INT; END_VAR n := go; END_FUNCTION_BLOCK
Source: IEC 61131-3:2013, 6.6.3.4, table 40.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL
from softplc.rules.context import Context, Declared

ON = (Declared,)


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an edge of what has none."""
    variable = declared.variable
    if variable.decl is None or not variable.decl.edge or variable.type is None:
        return
    kind = variable.pou.kind if variable.pou is not None else ""
    if (
        variable.type is not BOOL
        or variable.section != "VAR_INPUT"
        or kind not in ("FUNCTION_BLOCK", "PROGRAM")
    ):
        message = f"{variable.name} cannot have {variable.decl.edge}"
        remedy = "only BOOL inputs of function blocks and programs have edges: use R_TRIG or F_TRIG"
        yield Diagnostic("ST2015", message, variable.at, variable.end, remedy)
