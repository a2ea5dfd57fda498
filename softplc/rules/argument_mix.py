"""ST4007: a call has named or positional arguments, not both.

Accepted: VAR i : INT; END_VAR i := SEL(G := TRUE, IN0 := i, IN1 := 2);
Rejected: FUNCTION F : INT VAR_INPUT a, b : INT; END_VAR F := a + b; END_FUNCTION PROGRAM P VAR i : INT;
    END_VAR i := F(1, b := 2); END_PROGRAM
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
        if each.kind == "mixed":
            yield Diagnostic("ST4007", each.text, each.at, each.end, each.remedy)
