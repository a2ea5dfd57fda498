"""ST4006: a VAR_IN_OUT always gets a variable, and a positional call every input.

Accepted: FUNCTION_BLOCK B VAR_IN_OUT x : INT; END_VAR x := 1; END_FUNCTION_BLOCK PROGRAM P VAR b : B; i
    : INT; END_VAR b(x := i); END_PROGRAM
Rejected: FUNCTION_BLOCK B VAR_IN_OUT x : INT; END_VAR x := 1; END_FUNCTION_BLOCK PROGRAM P VAR b : B;
    END_VAR b(); END_PROGRAM
Source: IEC 61131-3:2013, 6.6.1.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.syntax import Call

ON = (Call,)


def check(node: Call, context: Context) -> Iterator[Diagnostic]:
    """Yield what binding the arguments found."""
    for each in node.binding.problems if node.binding else ():
        if each.kind == "missing":
            yield Diagnostic("ST4006", each.text, each.at, each.end, each.remedy)
