"""ST4003: a named argument is for a parameter that exists.

Accepted: VAR t : TON; END_VAR t(IN := TRUE, PT := T#1s);
Rejected: VAR t : TON; END_VAR t(INN := TRUE, PT := T#1s);
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
        if each.kind == "unknown":
            yield Diagnostic("ST4003", each.text, each.at, each.end, each.remedy)
