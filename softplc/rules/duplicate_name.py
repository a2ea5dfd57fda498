"""ST2002: a name is declared once in its scope; case does not tell names apart.

Accepted: VAR a : INT; b : INT; END_VAR
Rejected: VAR a : INT; A : INT; END_VAR
Source: IEC 61131-3:2013, 6.1.2 and 6.5.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Project

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for each second declaration."""
    for each in project.duplicates:
        message = f"{each.what} {each.name} is already declared"
        yield Diagnostic("ST2002", message, each.at, each.end, "rename or remove one of the two")
