"""ST6003: REAL values are not compared with = or <>, except with 0 (a warning).

Accepted: VAR a, b : REAL; q : BOOL; END_VAR q := ABS(a - b) < 0.001 OR a = 0.0;
Rejected: VAR a, b : REAL; q : BOOL; END_VAR q := a = b;
Source: IEC 61131-3:2013, table 33 (the standard lets it be); IEEE 754 rounds what looks equal.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import in_class
from softplc.rules.context import Context
from softplc.syntax import Binary, Expr, Name

ON = (Binary,)


def check(node: Binary, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for a comparison that rounding decides."""
    if node.op not in ("=", "<>") or not in_class(node.operand_type, "ANY_REAL"):
        return
    if node.left.value is not None and node.right.value is not None:
        return
    if 0 in (node.left.value, node.right.value) or _same(node.left, node.right):
        return
    message = f"{node.op} on {node.operand_type} depends on rounding"
    yield Diagnostic("ST6003", message, node.at, node.end, "compare ABS(a - b) with a small number", WARNING)


def _same(left: Expr, right: Expr) -> bool:
    """Tell whether a variable is compared with itself, which asks for NaN."""
    return isinstance(left, Name) and isinstance(right, Name) and left.ref is right.ref
