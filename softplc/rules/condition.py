"""ST3003: a condition is BOOL.

Accepted: VAR i : INT; END_VAR IF i <> 0 THEN i := 0; END_IF;
Rejected: VAR i : INT; END_VAR IF i THEN i := 0; END_IF;
Source: IEC 61131-3:2013, 7.3.3.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, in_class
from softplc.rules.context import Condition, Context

ON = (Condition,)


def check(condition: Condition, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a condition of another type."""
    type_ = condition.value.type
    if type_ is None or type_ is BOOL:
        return
    remedy = "compare it: ... <> 0" if in_class(type_, "ANY_NUM") else ""
    yield context.error("ST3003", f"a condition is BOOL, not {type_}", condition.value, remedy)
