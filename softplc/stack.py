"""Stack: what the deepest chain of calls needs, which is known because nothing calls itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc import ir
from softplc.diagnostics import Diagnostic
from softplc.iectypes import align_up
from softplc.symbols import Pou

LIMIT = 4 << 20
_OVERHEAD, _ALIGN = 256, 16


@dataclass(slots=True)
class Frames:
    """What each unit takes on the stack by itself, in bytes, and which units it calls."""

    own: dict[Pou, int] = field(default_factory=dict)
    calls: dict[Pou, list[Pou]] = field(default_factory=dict)

    def add(self, pou: Pou, routines: list[ir.Routine], calls: list[Pou]) -> None:
        """Take in the routines of a unit, each on top of the last; of instances, the largest counts."""
        parts = [size for each in routines for size in (*each.slots, len(each.local), _OVERHEAD)]
        size = sum(align_up(each, _ALIGN) for each in parts)
        self.own[pou] = max(size, self.own.get(pou, 0))
        self.calls[pou] = calls

    def excess(self) -> list[Diagnostic]:
        """Return what to tell where a chain of calls needs more than there is."""
        deepest: dict[Pou, int] = {}
        worst = max(self.own, key=lambda pou: self._needed(pou, deepest), default=None)
        if worst is None or deepest[worst] <= LIMIT:
            return []
        chain = [worst]
        while self.calls.get(chain[-1]):
            chain.append(max(self.calls[chain[-1]], key=lambda pou: deepest.get(pou, 0)))
        largest = max(chain, key=lambda pou: self.own.get(pou, 0))
        at, end = largest.decl.name_at, largest.decl.name_at + len(largest.decl.name)
        needed, own = deepest[worst] >> 10, self.own[largest] >> 10
        where = f"{own} of them in {largest.name}" if largest is not worst else f"{own} of them its own"
        message = f"{worst.name} needs {needed} KiB of stack, {where}; there are {LIMIT >> 10}"
        remedy = "make its arrays and strings smaller, or keep them in a function block"
        return [Diagnostic("ST9002", message, at, end, remedy)]

    def _needed(self, pou: Pou, deepest: dict[Pou, int]) -> int:
        """Return what a unit and all that it calls need at most, each looked at once."""
        if pou not in deepest:
            inner = max((self._needed(each, deepest) for each in self.calls.get(pou, ())), default=0)
            deepest[pou] = self.own.get(pou, 0) + inner
        return deepest[pou]
