"""Typed intermediate representation: structured statements over places in memory.

Names are gone: a place is a base, a constant byte offset and checked dynamic indices. Everything
the standard leaves implicit (conversions, evaluation order, checks) is explicit here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.iectypes import Elementary

Number = bool | int | float
LENGTH, CAPACITY, UNITS = "text:length", "text:capacity", "text:units"  # tags of the parts of texts


@dataclass(slots=True, eq=False)
class Step:
    """A dynamic array index: address += (index - low) * stride, after the check 0 <= index - low < count."""

    index: Expr
    low: int | Expr
    count: int | Expr
    stride: int | Expr
    line: int


@dataclass(slots=True, eq=False)
class Place:
    """A place in memory. `base`: image, self, local, slot, pointer or ref (read from `pointer`), or object.

    Attributes:
        slot: number of the stack slot, where base is `slot`.
        line: where a reference is followed, for the fault if it is NULL.
        bit: bit within the byte, for packed BOOLs in the process image; else -1.
        tag: names the declared variable or member that a scalar access is to, where nothing else of another
            tag can lie at its bytes; empty where that is not known. A place inside of this one has none.
        address, size: where base is `object`, the pointer that is followed, and the bytes that must lie in
            its object; `begin` asks instead that it points at the object's begin.
    """

    base: str
    offset: int
    steps: tuple[Step, ...] = ()
    bit: int = -1
    slot: int = 0
    pointer: Place | None = None
    line: int = 0
    address: Expr | None = None
    size: int = 0
    begin: bool = False
    tag: str = ""

    def at(self, offset: int, step: Step | None = None, bit: int = -1) -> Place:
        """Return the place `offset` bytes further, or at an index."""
        steps = (*self.steps, step) if step else self.steps
        size = max(self.size - offset, 0)
        there = self.offset + offset
        return Place(
            self.base, there, steps, bit, self.slot, self.pointer, self.line, self.address, size, self.begin
        )


# Expressions -----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Const:
    type: Elementary
    value: Number


@dataclass(slots=True, eq=False)
class Load:
    type: Elementary
    place: Place


@dataclass(slots=True, eq=False)
class Op:
    """An operation on operands of one type; comparisons yield BOOL. `line` is for faults."""

    type: Elementary
    op: str
    args: tuple[Expr, ...]
    line: int = 0


@dataclass(slots=True, eq=False)
class Convert:
    """A conversion: `round` (reals to nearest even, saturating), `trunc`, `wrap`, `bits` or `truth`."""

    type: Elementary
    arg: Expr
    mode: str


@dataclass(slots=True, eq=False)
class Choose:
    """One of several values by a selector, evaluated eagerly; out of range faults."""

    type: Elementary
    selector: Expr
    choices: tuple[Expr, ...]
    line: int


@dataclass(slots=True, eq=False)
class Lazy:
    """AND or OR whose right side is evaluated only if it decides."""

    type: Elementary
    op: str
    left: Expr
    right: Expr


@dataclass(slots=True, eq=False)
class After:
    """A value that needs statements to run first, such as a function call."""

    type: Elementary
    body: list[Stmt]
    value: Expr


@dataclass(slots=True, eq=False)
class Once:
    """A value that is used several times in one expression and evaluated at its first use."""

    type: Elementary
    arg: Expr


@dataclass(slots=True, eq=False)
class AddressOf:
    """A reference to a place: its offset in the image."""

    type: Elementary
    place: Place


@dataclass(slots=True, eq=False)
class PointerTo:
    """A pointer to a place in an object, which must lie in the first `limit` bytes of the image."""

    type: Elementary
    place: Place
    object: Place
    size: int
    limit: int
    line: int


@dataclass(slots=True, eq=False)
class PointerOp:
    """An operation on a pointer: `move` by bytes, `text` (of a string), `position` as a number."""

    type: Elementary
    op: str
    pointer: Expr
    bytes: Expr | None = None


@dataclass(slots=True, eq=False)
class Query:
    """A number from the string helpers: length, compare, find, first or to_real."""

    type: Elementary
    op: str
    strings: tuple[Text, ...]


@dataclass(slots=True, eq=False)
class Now:
    """Task time in ns."""

    type: Elementary


Expr = (
    Const
    | Load
    | Op
    | Convert
    | Choose
    | Lazy
    | After
    | Once
    | AddressOf
    | PointerTo
    | PointerOp
    | Query
    | Now
)


@dataclass(slots=True, eq=False)
class Text:
    """A string operand: a place, or a constant where `constant` is given; `body` runs first.

    `wide` tells that its characters are of 16 bits.
    """

    place: Place | None
    constant: bytes | None = None
    body: list[Stmt] = field(default_factory=list)
    capacity: int = 0
    wide: bool = False


# Statements ------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Store:
    place: Place
    value: Expr
    type: Elementary
    limits: tuple[int, int] | None = None
    line: int = 0


@dataclass(slots=True, eq=False)
class Copy:
    """Copy bytes between two places that may be the same."""

    target: Place
    source: Place
    size: int


@dataclass(slots=True, eq=False)
class Fill:
    """Copy constant bytes to a place."""

    target: Place
    data: bytes


@dataclass(slots=True, eq=False)
class Clear:
    """Make a string empty; `capacity` is written where the place is fresh."""

    target: Place
    capacity: int = -1


@dataclass(slots=True, eq=False)
class Append:
    """Append to a string: `count` characters of `source` from `start` (from 0), clamped to what there is.

    `wide` is the target's; where the source differs, all of it is converted.
    """

    target: Place
    source: Text
    start: Expr | None = None
    count: Expr | None = None
    wide: bool = False


@dataclass(slots=True, eq=False)
class AppendNumber:
    """Append a number as text; `style` is int, uint, real with `digits`, or char for a single character."""

    target: Place
    value: Expr
    style: str
    digits: int = 0


@dataclass(slots=True, eq=False)
class SetText:
    """Assign a string, cut to the capacity of the target, which is given where it is known."""

    target: Place
    source: Text
    capacity: int = -1


@dataclass(slots=True, eq=False)
class Splice:
    """Put a text (none: nothing) in the place of `count` characters of a string from `start` (from 0).

    Both are clamped to what there is; the text is no part of the string, and as wide. What is beyond the
    capacity is cut.
    """

    target: Place
    source: Text | None
    start: Expr
    count: Expr
    capacity: int
    wide: bool


@dataclass(slots=True, eq=False)
class StorePointer:
    """Store the address of a place: a VAR_IN_OUT argument."""

    place: Place
    target: Place


@dataclass(slots=True, eq=False)
class Call:
    """Call a routine with its instance or frame; a fault in it goes on to the caller."""

    routine: str
    instance: Place


@dataclass(slots=True, eq=False)
class If:
    condition: Expr
    then: list[Stmt]
    otherwise: list[Stmt]


@dataclass(slots=True, eq=False)
class Switch:
    """CASE: branches are ranges (low, high) and bodies."""

    selector: Expr
    branches: list[tuple[list[tuple[int, int]], list[Stmt]]]
    otherwise: list[Stmt]


@dataclass(slots=True, eq=False)
class Loop:
    """WHILE (`before`) and REPEAT (`until`): leaves when the condition says so; asks before a next round."""

    condition: Expr
    until: bool
    body: list[Stmt]
    line: int
    ask: int = -1


@dataclass(slots=True, eq=False)
class Count:
    """FOR: limits are evaluated once; stops at the limit of the type instead of wrapping.

    `private` says that only this routine's statements can reach the control variable.
    """

    place: Place
    type: Elementary
    first: Expr
    last: Expr
    step: int | Expr
    body: list[Stmt]
    line: int
    limits: tuple[int, int] | None = None
    private: bool = False
    ask: int = -1


@dataclass(slots=True, eq=False)
class Ask:
    """Ask the debugger at a site whether to go on; the routine has a frame."""

    site: int


@dataclass(slots=True, eq=False)
class Lap:
    """Tell the host, if it asks, that a program of the task has run; `number` counts those of all tasks."""

    number: int


@dataclass(slots=True, eq=False)
class Jump:
    """EXIT, CONTINUE or RETURN."""

    kind: str


Stmt = (
    Store
    | Copy
    | Fill
    | Clear
    | Append
    | AppendNumber
    | SetText
    | Splice
    | StorePointer
    | Call
    | If
    | Switch
    | Loop
    | Count
    | Lap
    | Ask
    | Jump
)


@dataclass(slots=True, eq=False)
class Routine:
    """One function of object code.

    Attributes:
        slots: sizes of the stack slots.
        file: index of the source file, for faults.
        local: initial bytes of the stack frame, empty where there is none.
        exported: a task's entry, called by the host with the image.
        unit: name of the unit that it is of, for faults.
        frame: its number for the debugger, which finds its frame while it runs; else -1.
        given: what is evaluated for the debugger: its stack frame is that of a routine that is stopped, and
            its first slot is where the result goes; the host hands over both.
    """

    name: str
    body: list[Stmt]
    file: int
    slots: list[int] = field(default_factory=list)
    local: bytes = b""
    exported: bool = False
    inline: bool = True
    unit: str = ""
    frame: int = -1
    given: bool = False


@dataclass(slots=True, eq=False)
class Module:
    """All routines.

    Attributes:
        debug: where in the image the debugger's table lies, -1 without one.
        first: the routine that runs once on the initial image, empty without one.
        places: file and line of the globals and variables of programs by path, where there is that routine.
    """

    routines: list[Routine]
    debug: int = -1
    first: str = ""
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, by the number that a fault has."""
        return tuple(dict.fromkeys(each.unit for each in self.routines))
