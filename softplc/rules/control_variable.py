"""ST5004: the control variable of a FOR is not written in its body.

Accepted: VAR i, n : INT; END_VAR FOR i := 1 TO 10 DO n := n + i; END_FOR;
Rejected: VAR i : INT; END_VAR FOR i := 1 TO 10 DO i := i + 1; END_FOR;
In profile codesys it may be: many leave a loop by it.
Source: IEC 61131-3:2013, 7.3.3.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.usage import body_usage
from softplc.diagnostics import Diagnostic
from softplc.profiles import current
from softplc.rules.context import Context
from softplc.symbols import Variable
from softplc.syntax import For, Name

ON = (For,)


def check(node: For, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for the first write to the control variable."""
    if current().loose:
        return  # CODESYS lets it: its static analysis warns
    control = node.variable
    if not isinstance(control, Name) or not isinstance(control.ref, Variable):
        return
    for place in body_usage(node.body).writes.get(control.ref.end_of_chain, ())[:1]:
        message = f"{control.name} counts this loop: it shall not be altered in its body"
        yield Diagnostic("ST5004", message, place.at, place.end, "use WHILE, or EXIT")
