"""ST3006: what is written is a variable.

Accepted: VAR x : INT; END_VAR x := 1;
Rejected: TYPE C : (Red, Green); END_TYPE PROGRAM P Red := 1; END_PROGRAM
Source: IEC 61131-3:2013, 7.3.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context, Write
from softplc.symbols import EnumValue
from softplc.syntax import BitAccess, Call, Deref, Direct, Index, Member, Name

ON = (Write,)


def check(write: Write, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a target that is no place in memory."""
    node = write.target
    if isinstance(node, Name | Member) and isinstance(node.ref, EnumValue):
        yield context.error("ST3006", f"{node.name} is a value: it cannot be {write.why}", node)
        return
    if isinstance(node, Name | Member) and node.getter is not None and not node.getter.followed:
        yield context.error("ST3006", f"{node.name} has no SET: it cannot be {write.why}", node)
        return
    inner = node
    while isinstance(inner, Index | Member | BitAccess):
        if isinstance(inner, Index | Member) and inner.followed:
            return
        inner = inner.base
        if isinstance(inner, Name | Member) and inner.getter is not None:
            return  # a part of a copy: told there
    if isinstance(inner, Call) and (inner.followed or inner.binding is None or inner.binding.pou is None):
        return  # what cannot be called at all: told there
    if isinstance(inner, Call) and inner is not node:
        return  # a part of a copy: told there
    if not isinstance(inner, Name | Direct | Deref):
        yield context.error("ST3006", f"only a variable can be {write.why}", node, "name a variable")
