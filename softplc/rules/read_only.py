"""ST2018: an input that is an ARRAY[*] or a block instance is the caller's: it is only read.

Accepted: FUNCTION_BLOCK F VAR_INPUT t : TON; END_VAR VAR_OUTPUT q : BOOL; END_VAR q := t.Q;
    END_FUNCTION_BLOCK PROGRAM P VAR f : F; t : TON; END_VAR t(IN := TRUE, PT := T#1s); f(t := t); END_PROGRAM
Rejected: FUNCTION_BLOCK F VAR_INPUT t : TON; END_VAR VAR_OUTPUT q : BOOL; END_VAR t(IN := TRUE); q := t.Q;
    END_FUNCTION_BLOCK PROGRAM P VAR f : F; t : TON; END_VAR f(t := t); END_PROGRAM
Source: IEC 61131-3:2013, 6.6.3.2, table 40; 6.5.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context, Write
from softplc.symbols import Variable
from softplc.syntax import BitAccess, Call, Expr, Index, Member, Name

ON = (Call, Write)


def check(subject: Call | Write, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a write into such an input, or a call of it."""
    node: Expr = subject.target if isinstance(subject, Write) else subject.callee
    why = subject.why if isinstance(subject, Write) else "called"
    place = node
    while isinstance(place, Index | Member | BitAccess) and isinstance(subject, Write):
        place = place.base
    variable = place.ref if isinstance(place, Name) else None
    if not isinstance(variable, Variable):
        return
    if variable.lent or (variable.section == "VAR_INPUT" and variable.by_reference):
        message = f"{variable.name} is only read here: it cannot be {why}"
        remedy = "declare it without CONSTANT" if variable.lent else "declare it in VAR_IN_OUT"
        yield context.error("ST2018", message, node, remedy)
