"""ST2006: initial values, limits and lengths are constant expressions.

Accepted: VAR CONSTANT n : INT := 3; END_VAR VAR a : ARRAY[1..n] OF INT; x : INT := n * 2; END_VAR
Rejected: VAR n : INT; x : INT := n + 1; END_VAR
Source: IEC 61131-3:2013, 6.5.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType, Struct
from softplc.rules.context import Constant, Context

ON = (Constant,)


def check(use: Constant, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a value that is only known at run time."""
    value = use.value
    if value.type is None or value.value is not None or isinstance(value.type, Array | Struct | BlockType):
        return
    remedy = "use literals and VAR CONSTANT"
    yield context.error("ST2006", f"{use.what} must be a constant expression", value, remedy)
