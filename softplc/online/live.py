"""What an online change needs of the bridge: the program that runs, and who follows its core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runtime.contract import Changes
from softplc.build import Build
from softplc.core.remote import CoreProcess
from softplc.core.scancore import ScanCore
from softplc.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program, and what of it is bound to tags."""

    build: Build
    wiring: Wiring

    def is_like(self, other: Program) -> bool:
        """Tell whether it is the same program, bound in the same way."""
        bound = [(each.wiring.inputs, each.wiring.outputs, each.wiring.policy) for each in (self, other)]
        return self.build == other.build and bound[0] == bound[1]


class Live(Protocol):
    """A running core, as the bridge follows it.

    Attributes:
        beside: another core that is to get the same inputs.
        written: number, tag id and raw pattern or text of each write, while somebody wants to know.
    """

    changes: Changes
    beside: ScanCore | None
    written: list[tuple[int, int, int | str]] | None

    @property
    def process(self) -> CoreProcess: ...
    @property
    def core(self) -> ScanCore: ...
    @property
    def program(self) -> Program: ...
    @property
    def alive(self) -> bool: ...

    def go_over(self, program: Program, core: ScanCore, *, back_to: Program | None) -> None:
        """Follow another core; `back_to` is what was before while it may yet be left again."""
        ...
