"""ST2005: no function, function block or type uses itself, directly or through others.

Accepted: FUNCTION F : INT F := 1; END_FUNCTION
Rejected: FUNCTION F : INT VAR_INPUT n : INT; END_VAR F := F(n - 1); END_FUNCTION
Source: IEC 61131-3:2013, 6.6.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BlockType
from softplc.rules.context import Context
from softplc.symbols import Pou, Project, all_pous

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield one finding for each cycle."""
    for decl in context.declarations.cycles:
        yield context.error("ST2005", f"type {decl.name} contains itself", decl, "break the cycle")
    told: set[Pou] = set()
    for pou in all_pous(project):
        cycle = _cycle(pou) if pou not in told else []
        if cycle:
            told.update(cycle)
            path = " -> ".join(each.name for each in (*cycle, pou))
            end = pou.at + len(pou.name)
            if _contains(cycle):
                message, remedy = f"{pou.name} contains itself: {path}", "declare one of them in VAR_IN_OUT"
                yield Diagnostic("ST2005", message, pou.at, end, remedy)
                continue
            remedy = "use a loop instead"
            if any(each.kind == "METHOD" for each in cycle):
                remedy += "; a call through an interface counts as a call of every class that has it"
            yield Diagnostic("ST2005", f"recursion is not allowed: {path}", pou.at, end, remedy)


def _contains(cycle: list[Pou]) -> bool:
    """Tell whether each has an instance of the next."""
    return all(
        any(isinstance(each.type, BlockType) and each.type.pou is inner for each in outer.variables.values())
        for outer, inner in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    )


def _cycle(start: Pou) -> list[Pou]:
    """Return the POUs on a way from one back to itself."""
    came: dict[Pou, Pou] = {}
    waiting = [start]
    while waiting:
        pou = waiting.pop()
        for used in sorted(pou.uses, key=lambda each: each.name):
            if used is start:
                path = [pou]
                while path[-1] is not start:
                    path.append(came[path[-1]])
                return path[::-1]
            if used not in came:
                came[used] = pou
                waiting.append(used)
    return []
