"""ST4010: a call that stands for a value yields one.

Accepted: VAR t : TON; q : BOOL; END_VAR t(IN := TRUE); q := t.Q;
Rejected: VAR t : TON; q : BOOL; END_VAR q := t(IN := TRUE);
Source: IEC 61131-3:2013, 6.6.1 and 7.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import CalledAsValue, Context
from softplc.syntax import Name

ON = (CalledAsValue,)


def check(called: CalledAsValue, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a function block or a function without result."""
    binding = called.call.binding
    if binding is None or binding.pou is None or binding.problems:
        return
    pou = binding.pou
    if pou.kind in ("FUNCTION_BLOCK", "PROGRAM"):
        callee = called.call.callee
        name = callee.name if isinstance(callee, Name) else "the instance"
        message = f"the call of a {pou.kind.lower().replace('_', ' ')} has no value"
        yield context.error(
            "ST4010", message, called.call, f"call it as a statement, then read {name}.output"
        )
    elif pou.decl.result is None:
        yield context.error(
            "ST4010", f"{pou.name} has no result", called.call, f"declare FUNCTION {pou.name} : type"
        )
