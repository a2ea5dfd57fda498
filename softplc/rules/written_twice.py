"""ST6004: an output is not assigned twice in one scan, unconditionally or by two programs (a warning).

Accepted: VAR q AT %QX0.0 : BOOL; a : BOOL; END_VAR q := FALSE; IF a THEN q := TRUE; END_IF;
Rejected: VAR q AT %QX0.0 : BOOL; a : BOOL; END_VAR q := a; q := NOT a;
Source: IEC 61131-3:2013, 6.5.5 (the standard lets it be); only the last value reaches the plant.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.usage import usage_of
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou, Project, Variable
from softplc.syntax import Assign, Name

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each assignment that makes an earlier one vain."""
    writers: dict[Variable, Pou] = {}
    for pou in project.pous.values():
        if pou.kind != "PROGRAM":
            continue
        last: dict[Variable, Assign] = {}
        for statement in pou.decl.body:
            if not isinstance(statement, Assign) or not isinstance(statement.target, Name):
                continue
            target = statement.target
            variable = target.ref.end_of_chain if isinstance(target.ref, Variable) else None
            if variable is None or not variable.address.upper().startswith("%Q"):
                continue
            if variable in last:
                message = f"{variable.name} is already assigned in this scan: the value before is lost"
                yield Diagnostic("ST6004", message, target.at, target.end, "assign it once", WARNING)
            last[variable] = statement
        for written, places in usage_of(pou).writes.items():
            first = writers.setdefault(written, pou)
            if first is not pou and written.address.upper().startswith("%Q"):
                message = f"{written.name} is also written by {first.name}: the last program wins"
                place = places[0]
                yield Diagnostic("ST6004", message, place.at, place.end, "write it in one program", WARNING)
