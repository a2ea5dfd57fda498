"""Writer: the lines of one routine, its blocks and its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softplc import ir
from softplc.codegen.ranges import Key, Range
from softplc.faults import Fault
from softplc.iectypes import Elementary

if TYPE_CHECKING:
    from softplc.codegen.emit import Emitter


class Writer:
    """Collects LLVM text."""

    def __init__(self, emitter: Emitter, routine: ir.Routine) -> None:
        self.emitter = emitter
        self.routine = routine
        self.lines: list[str] = []
        self.block = "entry"
        self.registers: dict[Key, str] = {}  # control variables of FOR loops
        self.ranges: dict[
            Key, tuple[Elementary, Range]
        ] = {}  # what those among them can be whose limits are constants
        self.tops: dict[str, int] = {}  # where the bodies of their loops begin, among the lines
        self.elements: dict[tuple[str, str, int, int], str] = {}  # addresses that were computed there
        self.renamed: dict[int, str] = {}  # slots whose text is built at another address
        self.known: dict[ir.Once, str] = {}
        self._count = 0
        self.register_types: dict[str, Elementary] = {}
        self._faults: list[tuple[str, int, int]] = []

    def fresh(self) -> str:
        self._count += 1
        return f"%t{self._count}"

    def label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def add(self, text: str) -> str:
        """Write an instruction and return the name of its result."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def fault_if(self, condition: str, fault: Fault, line: int) -> None:
        """Leave the routine with a fault where the condition holds."""
        if not self.emitter.checks:
            return
        good = self.label("ok")
        self._faults.append((self.block, int(fault), line))
        self.do(f"br i1 {condition}, label %fault, label %{good}, !prof !0")
        self.start(good)

    def value(self, expr: ir.Expr) -> str:
        """Write an expression and return the name of its value."""
        raise NotImplementedError

    def step(self, step: ir.Step) -> str:
        """Return the bytes that an index leads on, after its check."""
        raise NotImplementedError
