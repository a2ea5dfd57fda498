"""ST4002: a call has as many arguments as there are parameters.

Accepted: VAR i : INT; END_VAR i := LIMIT(0, i, 9);
Rejected: VAR i : INT; END_VAR i := LIMIT(0, i);
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
        if each.kind == "count":
            yield Diagnostic("ST4002", each.text, each.at, each.end, each.remedy)
