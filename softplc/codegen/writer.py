"""Writer: the lines of one routine, its blocks and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from softplc import ir
from softplc.codegen.ranges import Key, Range
from softplc.faults import Fault
from softplc.iectypes import Elementary
from softplc.layout import FAULT_OPERANDS

if TYPE_CHECKING:
    from softplc.codegen.emit import Emitter


MEMBERS = 2000  # addresses that are computed where a routine begins; more would be too much to keep
ENTRY = -1


class _FaultSite(NamedTuple):
    """Where a routine is left with a fault: the block, what is noted, and its text if it has its own."""

    block: str
    code: int
    line: int
    file: int
    unit: int
    unsigned: int
    cold: str


@dataclass(frozen=True, slots=True)
class Where:
    """What the text that is written belongs to: the routine itself, or a copy of another in it.

    Attributes:
        file, unit: index of the source file and of the unit, for faults.
        this: pointer to the instance or frame, and how many bytes behind it that begins.
        local, slot: name of the temporary variables, and what the names of stack slots begin with.
        end: label to return to, empty where the routine itself returns.
    """

    file: int
    unit: int
    this: tuple[str, int] = ("%self", 0)
    local: str = "%local"
    slot: str = "%slot"
    end: str = ""


class Writer:
    """Collects LLVM text.

    The address of a variable is computed once, where its routine, its loop or the copy of its block begins:
    the optimiser sees one address for all uses, whatever lies between them, and however it rearranges that.
    """

    def __init__(self, emitter: Emitter, routine: ir.Routine) -> None:
        self.emitter = emitter
        self.routine = routine
        self.lines: list[str] = []
        self.block = "entry"
        self.registers: dict[Key, str] = {}  # control variables of FOR loops
        self.ranges: dict[
            Key, tuple[Elementary, Range]
        ] = {}  # what those among them can be whose limits are constants
        self.where = Where(routine.file, emitter.units[routine.unit])
        self.head: list[str] = []  # what is computed where the routine begins
        self.anchors: dict[str, int] = dict.fromkeys(("%img", "%self", "%local"), ENTRY)
        """The line behind which more can be computed from a pointer or the control variable of a loop."""
        self.anchors |= {f"%slot{i}": ENTRY for i in range(len(routine.slots))}
        self.elements: dict[tuple[str, str, int, int], str] = {}
        """Addresses of elements by control variable, begin of the array, its lower bound and stride."""
        self._members: dict[tuple[str, int], str] = {}
        self.renamed: dict[int, str] = {}  # slots whose text is built at another address
        self.capacities: dict[int, int] = {}  # characters that the texts in slots have room for
        self.known: dict[ir.Once, str] = {}
        self._count = 0
        self.register_types: dict[str, Elementary] = {}
        self.faults: list[_FaultSite] = []

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

    def anchor(self, name: str) -> None:
        """Let what is computed from a name from now on come to this place."""
        self.anchors[name] = len(self.lines)
        self.lines.append("")

    def put(self, place: int, text: str) -> None:
        """Write an instruction behind the line of an anchor."""
        if place == ENTRY:
            self.head.append(f"  {text}")
        else:
            self.lines[place] += f"\n  {text}"

    def inside(self, base: str, offset: int) -> str:
        """Return the address so many bytes behind a pointer."""
        if not offset:
            return base
        name = self._members.get((base, offset))
        if name is None:
            place = self.anchors.get(base)
            if place is None or (place == ENTRY and len(self.head) >= MEMBERS):
                return self.add(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")
            name = self._members[base, offset] = self.fresh()
            self.put(place, f"{name} = getelementptr inbounds i8, ptr {base}, i64 {offset}")
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

    def fault_if(
        self, condition: str, fault: Fault, line: int, *operands: str, type_: Elementary | None = None
    ) -> None:
        """Leave the routine with a fault where the condition holds.

        The operands are told with it: values of a type, or of i64 without one.
        """
        if not self.emitter.checks:
            return
        good, bad = self.label("ok"), self.label("bad") if operands else "fault"
        self.do(f"br i1 {condition}, label %{bad}, label %{good}, !prof !0")
        unsigned = int(type_ is not None and not type_.signed)
        cold = self._cold(bad, operands, type_) if operands else ""
        where, block = self.where, bad if cold else self.block
        self.faults.append(_FaultSite(block, int(fault), line, where.file, where.unit, unsigned, cold))
        self.start(good)

    @staticmethod
    def _cold(label: str, operands: tuple[str, ...], type_: Elementary | None) -> str:
        """Return the block that notes the operands of a fault."""
        lines = [f"{label}:"]
        for offset, value in zip(FAULT_OPERANDS, operands, strict=False):
            wide = value
            if type_ is not None and type_.bits < 64:
                wide = f"%{label}.wide{offset}"
                widen = "sext" if type_.signed else "zext"
                lines.append(f"  {wide} = {widen} i{type_.bits} {value} to i64")
            lines.append(f"  %{label}.at{offset} = getelementptr inbounds i8, ptr %img, i64 {offset}")
            lines.append(f"  store i64 {wide}, ptr %{label}.at{offset}, align 8")
        return "\n".join((*lines, "  br label %fault"))

    def value(self, expr: ir.Expr) -> str:
        """Write an expression and return the name of its value."""
        raise NotImplementedError

    def step(self, step: ir.Step) -> str:
        """Return the bytes that an index leads on, after its check."""
        raise NotImplementedError
