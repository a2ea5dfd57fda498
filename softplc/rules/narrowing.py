"""ST6006: a value is not cut where it is converted without a word (a warning).

What counts: a text into a STRING that holds less, a whole number that REAL cannot tell from its neighbours,
a real number that becomes 0 as REAL. Functions that return texts may return anything: they are let be.
Accepted: VAR s : STRING[3]; t : STRING[9]; r : REAL; END_VAR s := LEFT(t, 3); r := 16777216;
Rejected: VAR s : STRING[3]; t : STRING[9]; END_VAR s := t;
Source: IEC 61131-3:2013, 6.4.2 and 7.3.3.1 (the standard cuts the text); IEC 60559 for the range of REAL.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.fold import single
from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import REAL, String, base_of
from softplc.rules.context import Context, Use
from softplc.syntax import Deref, Expr, Index, Literal, Member, Name, Unary

ON = (Use,)


def check(use: Use, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for a value that loses something on its way."""
    value = use.value
    message = remedy = ""
    if isinstance(use.target, String) and isinstance(value.type, String):
        held = use.target.capacity
        given = value.type.capacity
        if isinstance(value, Literal) and given > held:
            message = f"the text has {given} characters, {use.target} holds {held}"
            remedy = "shorten it, or declare a longer STRING"
        elif isinstance(value, Name | Member | Index | Deref) and given > held:
            message = f"{value.type} is cut to {held} characters"
            remedy = f"write LEFT(..., {held}) if that is wanted"
    elif base_of(use.target) is REAL:
        written = _written(value)
        kept = single(float(written)) if written is not None else 0.0
        if isinstance(written, int) and kept != written:
            message = f"REAL has no {written}: it becomes {kept:.0f}"
            remedy = "use LREAL"
        elif written and not kept:
            message = f"{written} is 0 as REAL"
            remedy = "use LREAL"
    if message:
        yield Diagnostic("ST6006", message, value.at, value.end, remedy, WARNING)


def _written(value: Expr) -> float | int | None:
    """Return the number of an untyped literal as it is written."""
    inner = value.operand if isinstance(value, Unary) and value.op in "+-" else value
    if not isinstance(inner, Literal) or inner.kind not in ("int", "real") or inner.type_name:
        return None
    number = inner.literal
    return number if isinstance(number, int | float) and abs(number) <= 1e38 else None
