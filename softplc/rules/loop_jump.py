"""ST5001: EXIT and CONTINUE stand in a loop.

Accepted: VAR i : INT; END_VAR FOR i := 1 TO 3 DO EXIT; END_FOR;
Rejected: VAR i : INT; END_VAR EXIT;
Source: IEC 61131-3:2013, 7.3.3.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.syntax import Continue, Exit

ON = (Exit, Continue)


def check(node: Exit | Continue, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a jump that has nowhere to go."""
    if context.loops == 0:
        word = type(node).__name__.upper()
        yield context.error("ST5001", f"{word} stands outside any loop", node, "use RETURN to leave the POU")
