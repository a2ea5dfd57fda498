"""ST2044: a path of VAR_CONFIG or VAR_ACCESS leads to a variable of the type that it says.

Accepted: PROGRAM P VAR x : INT; END_VAR x := 1; END_PROGRAM CONFIGURATION C RESOURCE R ON PLC PROGRAM p1 :
    P; END_RESOURCE VAR_ACCESS a : R.p1.x : INT READ_WRITE; END_VAR END_CONFIGURATION
Rejected: PROGRAM P VAR x : INT; END_VAR x := 1; END_PROGRAM CONFIGURATION C RESOURCE R ON PLC PROGRAM p1 :
    P; END_RESOURCE VAR_ACCESS a : R.p1.y : INT READ_WRITE; END_VAR END_CONFIGURATION
Source: IEC 61131-3:2013, 6.8.1, table 62.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.address import misfit
from softplc.rules.context import Context
from softplc.symbols import Project

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield what was found while paths were followed."""
    yield from project.paths
    for each in project.access:
        if each.path.address:
            yield from misfit(each.path.type, each.path.address, each.at)
