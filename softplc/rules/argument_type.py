"""ST4005: an argument of a standard function has a type the function takes.

Accepted: VAR w : WORD; END_VAR w := SHL(w, 1);
Rejected: VAR i : INT; END_VAR i := SHL(i, 1);
Source: IEC 61131-3:2013, 6.6.2.5.
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
        if each.kind == "type":
            yield Diagnostic("ST4005", each.text, each.at, each.end, each.remedy)
