"""ST2001: every type that is named exists.

Accepted: VAR x : INT; END_VAR
Rejected: VAR x : INTT; END_VAR
Source: IEC 61131-3:2013, 6.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc import library
from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY
from softplc.rules.context import Context, meant
from softplc.rules.type_limits import STRINGS
from softplc.syntax import NamedSpec

ON = (NamedSpec,)
ELSEWHERE = {  # what other languages call the elementary types
    "INTEGER": "INT",
    "BOOLEAN": "BOOL",
    "FLOAT": "REAL",
    "FLOAT32": "REAL",
    "DOUBLE": "LREAL",
    "FLOAT64": "LREAL",
    "SHORT": "INT",
    "LONG": "DINT",
    "UNSIGNED": "UINT",
    "INT8": "SINT",
    "INT16": "INT",
    "INT32": "DINT",
    "INT64": "LINT",
    "UINT8": "USINT",
    "UINT16": "UINT",
    "UINT32": "UDINT",
    "UINT64": "ULINT",
    "STR": "STRING",
    "TEXT": "STRING",
    "DATETIME": "DT",
    "TIMER": "TON",
    "COUNTER": "CTU",
}


def check(spec: NamedSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a type name that nothing declares."""
    if spec.resolved is not None or spec.name.upper() in (*STRINGS, *ELEMENTARY):
        return
    project = context.project
    keys = context.scope.meanings(spec.name)
    if len(keys) > 1 or any(key in project.type_keys for key in keys):
        return  # ambiguous, or declared, but wrong: told there
    pou = context.scope.unit(spec.name)
    if pou is not None:
        kind = pou.kind.lower().replace("_", " ")
        yield context.error(
            "ST2001", f"{pou.name} is a {kind}, not a type", spec, "name a type or function block"
        )
        return
    known = [
        *ELEMENTARY,
        *STRINGS,
        *library.names(),
        *(each.space.full(each.name) for each in project.type_decls),
    ]
    known += [each.name for each in project.pous.values() if each.kind == "FUNCTION_BLOCK"]
    remedy = meant(spec.name, known)
    if spec.name.upper() in ELSEWHERE:
        remedy = f"did you mean {ELSEWHERE[spec.name.upper()]}?"
    yield context.error("ST2001", f"there is no type {spec.name}", spec, remedy)
