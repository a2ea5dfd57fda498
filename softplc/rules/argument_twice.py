"""ST4004: a parameter gets one argument.

Accepted: VAR t : TON; END_VAR t(IN := TRUE);
Rejected: VAR t : TON; END_VAR t(IN := TRUE, IN := FALSE);
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
        if each.kind == "twice":
            yield Diagnostic("ST4004", each.text, each.at, each.end, each.remedy)
