"""ST2017: no variable is named like an elementary type.

Accepted: VAR int_value : INT; END_VAR int_value := 1;
Rejected: VAR INT : INT; END_VAR INT := 1;
Source: IEC 61131-3:2013, 6.1.3: the names of elementary types are keywords.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY
from softplc.rules.context import Context, Declared

ON = (Declared,)
LONG = ("LTIME", "LDATE", "LTOD", "LDT", "CHAR", "WCHAR")  # names that older tools have not
TYPES = {*ELEMENTARY, "STRING", "WSTRING"}


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a variable that could be taken for a type."""
    variable = declared.variable
    name = variable.name.upper()
    if name in TYPES and not (context.project.profile.loose and name in LONG):
        message = f"{variable.name} is the name of a type"
        yield Diagnostic("ST2017", message, variable.at, variable.end, "choose another name")
