"""ST2060: networks of a chart have one initial step each, name steps that exist, use its actions, give times.

Accepted: PROGRAM P VAR q : BOOL; END_VAR INITIAL_STEP a: q(L, T#1s); END_STEP STEP b: END_STEP TRANSITION
    FROM a TO b := q; END_TRANSITION TRANSITION FROM b TO a := NOT q; END_TRANSITION END_PROGRAM
Rejected: PROGRAM P VAR q : BOOL; END_VAR INITIAL_STEP a: q(N); END_STEP TRANSITION FROM a TO c := q;
    END_TRANSITION END_PROGRAM
Source: IEC 61131-3:2013, 6.7.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Project

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield what was noted while charts became statements."""
    yield from project.charts
