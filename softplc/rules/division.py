"""ST6008: whole numbers and durations are not divided by a constant 0, which stops the task (a warning).

REAL is not meant: that has infinities. Nor is MOD: x MOD 0 is 0. A named constant that the unit compares with
something is a switch, and is let be.
Accepted: VAR CONSTANT parts : INT := 0; END_VAR VAR i : INT; x : REAL; END_VAR
    IF parts > 0 THEN i := i / parts; END_IF; x := x / 0.0; i := i MOD 0;
Rejected: VAR CONSTANT parts : INT := 0; END_VAR VAR i : INT; END_VAR i := i / parts;
Source: IEC 61131-3:2013, 6.6.2.5.4, table 29 (an error at run time); what a fault does is the implementer's.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.expressions import COMPARISONS
from softplc.bind.writes import nodes
from softplc.diagnostics import WARNING, Diagnostic
from softplc.iectypes import Elementary, base_of
from softplc.rules.context import Context
from softplc.symbols import Variable
from softplc.syntax import Binary, Expr, Name

ON = (Binary,)


def check(node: Binary, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for a division that always faults."""
    divisor = node.right
    if node.op != "/" or node.type is None or divisor.value is None or divisor.value != 0:
        return
    types = base_of(node.operand_type), base_of(divisor.type)
    if any(isinstance(each, Elementary) and each.kind == "real" for each in types):
        return
    if _is_switch(divisor, context):
        return
    name = f": {divisor.name} is 0" if isinstance(divisor, Name) else ""
    message = f"division by zero{name}; the task stops with a fault where this runs"
    remedy = "divide by something else, or leave the division out"
    yield Diagnostic("ST6008", message, divisor.at, divisor.end, remedy, WARNING)


def _is_switch(divisor: Expr, context: Context) -> bool:
    """Tell whether the unit compares a constant that the divisor is made of."""
    constants = set(_variables(divisor))
    if not constants or context.pou is None:
        return False
    return any(
        constants & set(_variables([side for side in (each.left, each.right) if isinstance(side, Name)]))
        for each in nodes(context.pou.decl.body)
        if isinstance(each, Binary) and each.op in COMPARISONS
    )


def _variables(expressions: Expr | list[Name]) -> Iterator[Variable]:
    for node in nodes(expressions):
        if isinstance(node, Name) and isinstance(node.ref, Variable):
            yield node.ref.end_of_chain
