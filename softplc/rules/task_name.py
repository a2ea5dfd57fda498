"""ST2041: task names are unique within a RESOURCE.

Accepted: CONFIGURATION C RESOURCE R ON PLC TASK fast(PRIORITY := 1); TASK slow(PRIORITY := 9);
    END_RESOURCE END_CONFIGURATION
Rejected: CONFIGURATION C RESOURCE R ON PLC TASK fast(PRIORITY := 1); TASK FAST(PRIORITY := 9);
    END_RESOURCE END_CONFIGURATION
Source: IEC 61131-3:2013, 6.8.2; identifiers ignore case (6.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.syntax import ResourceDecl

ON = (ResourceDecl,)


def check(resource: ResourceDecl, context: Context) -> Iterator[Diagnostic]:
    """Yield one finding for each task or instance whose name was already taken."""
    for what, names in (("task", resource.tasks), ("program instance", resource.instances)):
        seen: set[str] = set()
        for each in names:
            key = each.name.casefold()
            if key in seen:
                yield context.error(
                    "ST2041", f"{what} {each.name} is already declared", each, "rename one of the two"
                )
            seen.add(key)
