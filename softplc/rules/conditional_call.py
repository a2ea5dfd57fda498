"""ST6007: a block that measures time or looks for edges is called in every scan (a warning).

What counts: an instance of a timer, counter or edge block of the standard with one call only, and that under
a condition. Whoever calls it in several places does it on purpose.
Accepted: VAR t : TON; a : BOOL; END_VAR t(IN := a, PT := T#1s);
Rejected: VAR t : TON; a : BOOL; END_VAR IF a THEN t(IN := TRUE, PT := T#1s); END_IF;
Source: IEC 61131-3:2013, 6.6.3.5.3 and 6.6.3.5.5: its time and last input stand still while it is not called.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from softplc.bind.writes import nodes
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou, Variable
from softplc.syntax import Call, CallStatement, Case, Expr, For, If, Index, Name, Repeat, Statement, While

ON = (Pou,)
BLOCKS = re.compile(r"(TON|TOF|TP)(_L?TIME)?|[RF]_TRIG|CT(U|D|UD)(_[A-Z]+)?", re.IGNORECASE)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each instance whose only call may not come."""
    if pou.kind not in ("PROGRAM", "FUNCTION_BLOCK"):
        return
    suspects = [
        (call, variable)
        for call in _conditional(pou.decl.body, under=False)
        if (variable := _instance(call)) is not None
    ]
    if not suspects:
        return
    calls = Counter(_instance(node) for node in nodes(pou.decl.body) if isinstance(node, Call))
    for call, variable in suspects:
        if calls[variable] == 1 and call.binding is not None and call.binding.pou is not None:
            message = f"{variable.name} stands still while the condition does not hold"
            remedy = f"call the {call.binding.pou.name} in every scan, and let the condition decide its input"
            yield Diagnostic("ST6007", message, call.at, call.end, remedy, WARNING)


def _instance(call: Call) -> Variable | None:
    """Return the variable whose timer, counter or edge block is called."""
    binding = call.binding
    if binding is None or binding.pou is None or not binding.pou.library:
        return None
    callee: Expr = call.callee
    while isinstance(callee, Index):
        callee = callee.base
    if not isinstance(callee, Name) or not isinstance(callee.ref, Variable):
        return None
    return callee.ref if BLOCKS.fullmatch(binding.pou.name) else None


def _conditional(statements: list[Statement], *, under: bool) -> Iterator[Call]:
    for each in statements:
        if isinstance(each, CallStatement):
            if under and isinstance(each.call, Call):
                yield each.call
        elif isinstance(each, If):
            for _, body in each.branches:
                yield from _conditional(body, under=True)
            yield from _conditional(each.otherwise, under=True)
        elif isinstance(each, Case):
            for branch in each.branches:
                yield from _conditional(branch.body, under=True)
            yield from _conditional(each.otherwise, under=True)
        elif isinstance(each, While):
            yield from _conditional(each.body, under=True)
        elif isinstance(each, For | Repeat):
            yield from _conditional(each.body, under=under)
