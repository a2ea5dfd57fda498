"""ST3008: ^ follows a reference.

Accepted: VAR n : INT; r : REF_TO INT; END_VAR r := REF(n); IF r <> NULL THEN r^ := 1; END_IF;
Rejected: VAR n : INT; m : INT; END_VAR m := n^;
Source: IEC 61131-3:2013, 6.4.4.10.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Pointer, Reference
from softplc.rules.context import Context
from softplc.syntax import Deref

ON = (Deref,)


def check(node: Deref, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for ^ after something else."""
    base = node.base.type
    if base is not None and (not isinstance(base, Reference | Pointer) or base.target is None):
        yield context.error("ST3008", f"{base} is no reference", node, "remove ^")
