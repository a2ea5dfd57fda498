"""ST2010: a constant is never written.

Accepted: VAR CONSTANT n : INT := 3; END_VAR VAR x : INT; END_VAR x := n;
Rejected: VAR CONSTANT n : INT := 3; END_VAR n := 4;
Source: IEC 61131-3:2013, 6.5.6.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context, Write
from softplc.symbols import Variable
from softplc.syntax import BitAccess, Index, Member, Name

ON = (Write,)


def check(write: Write, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a write into a constant or a part of one."""
    node = write.target
    while isinstance(node, Index | Member | BitAccess):
        node = node.base
    if (
        isinstance(node, Name)
        and isinstance(node.ref, Variable)
        and (node.ref.constant or node.ref.end_of_chain.constant)
    ):
        message = f"{node.ref.name} is a constant: it cannot be {write.why}"
        yield context.error("ST2010", message, write.target, "declare it without CONSTANT")
