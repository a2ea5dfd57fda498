"""ST5003: FOR counts with a variable of a whole number type, by a step of that type that is not zero.

Accepted: VAR i : INT; END_VAR FOR i := 10 TO 1 BY -1 DO ; END_FOR;
Rejected: VAR r : REAL; END_VAR FOR r := 1.0 TO 2.0 DO ; END_FOR;
Source: IEC 61131-3:2013, 7.3.3.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Elementary, Enum, base_of, converts, in_class
from softplc.rules.context import Context
from softplc.syntax import For

ON = (For,)


def check(node: For, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for loops that cannot count."""
    type_ = node.variable.type
    if type_ is None:
        return
    if not (in_class(type_, "ANY_INT") or (isinstance(type_, Enum) and not type_.strict)):
        yield context.error("ST5003", f"FOR counts whole numbers, not {type_}", node.variable, "use WHILE")
        return
    step = node.step
    if step is None or step.type is None:
        return
    if step.value == 0:
        yield context.error("ST5003", "a step of zero never ends", step, "choose another step")
        return
    base = base_of(type_)
    if isinstance(step.value, int) and isinstance(base, Elementary) and in_class(step.type, "ANY_INT"):
        low, high = base.limits
        if not min(low, -high) <= step.value <= high:
            yield context.error("ST5003", f"{step.value} is no step for {type_}", step)
    elif not converts(step.type, type_):
        yield context.error(
            "ST5003", f"the step is {step.type}, the variable {type_}", step, f"convert it to {base}"
        )
