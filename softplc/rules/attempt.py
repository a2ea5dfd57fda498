"""ST3009: ?= assigns to an interface or a reference to a class, from another one.

Accepted: INTERFACE I END_INTERFACE INTERFACE J END_INTERFACE CLASS C IMPLEMENTS I, J END_CLASS PROGRAM P
    VAR c : C; i : I; j : J; END_VAR i := c; j ?= i; END_PROGRAM
Rejected: PROGRAM P VAR a, b : INT; END_VAR a ?= b; END_PROGRAM
Source: IEC 61131-3:2013, 6.6.6.7.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BlockType, Interface, Reference, Type
from softplc.rules.context import Context
from softplc.syntax import Attempt

ON = (Attempt,)


def check(node: Attempt, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an attempt that can never depend on a class."""
    target, value = node.target.type, node.value.type
    if target is None or value is None:
        return
    if not _refers(target) or not _refers(value):
        yield context.error("ST3009", f"?= cannot assign {value} to {target}", node, "use :=")


def _refers(type_: Type) -> bool:
    return isinstance(type_, Interface) or (
        isinstance(type_, Reference) and isinstance(type_.target, BlockType)
    )
