"""ST2020: EXTENDS and IMPLEMENTS name units that can be extended and interfaces.

Accepted: CLASS A END_CLASS CLASS B EXTENDS A END_CLASS
Rejected: CLASS FINAL A END_CLASS CLASS B EXTENDS A END_CLASS
Source: IEC 61131-3:2013, 6.6.5.4 and 6.6.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Project

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield what was noted while the units were linked."""
    yield from project.heritage
