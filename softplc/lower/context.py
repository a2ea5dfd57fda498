"""Context of one routine: where its variables are, and the stack slots it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from softplc import ir
from softplc.addresses import parse_address
from softplc.iectypes import (
    LINT,
    STRING_HEADER,
    UINT,
    Array,
    BlockType,
    Elementary,
    OpenArray,
    Pointer,
    String,
    Struct,
    Type,
    align_up,
    is_plain,
)
from softplc.layout import POINTER_SIZE, Layout, Sizes, scalar_of
from softplc.source import SourceSet
from softplc.symbols import Instance, Pou, Project, Variable
from softplc.syntax import BitAccess, Deref, Direct, Expr, Index, Member, Name

SMALL_SLOT = 64
PART_BYTES = {"B": 1, "W": 2, "D": 4}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A routine that calls the method of an instance's class: class numbers by the method's routine."""

    name: str
    methods: dict[str, list[int]]


class LoweringError(Exception):
    """The compiler contradicts itself: a rule should have refused this program."""


class Context:
    """What expressions and statements of one routine share."""

    def __init__(
        self,
        project: Project,
        layout: Layout,
        sizes: Sizes,
        sources: SourceSet,
        pou: Pou | None,
        instance: Instance | None = None,
        resource: str = "",
    ) -> None:
        """`resource` is the key of the resource that the routine runs in, as far as it matters."""
        self.project = project
        self.layout = layout
        self.sizes = sizes
        self.sources = sources
        self.pou = pou
        self.instance = instance
        self.resource = resource
        self.slots: list[int] = []
        self._free: dict[int, list[int]] = {}
        self._taken: list[list[int]] = []
        self.yielded: dict[int, ir.Place] = {}  # where the references lie that calls yield
        self.calls: set[Pou] = set()
        self.dispatches: dict[str, Dispatch] = {}
        self._located = [layout.regions[each] for each in "IQM" if each in layout.regions]

    def line(self, at: int) -> int:
        return self.sources.line(at)

    def slot(self, size: int) -> ir.Place:
        """Return a place on the stack that nothing else uses until the end of the statement.

        Large ones are used again by later statements, so that the stack does not grow with the routine.
        """
        if size <= SMALL_SLOT:
            self.slots.append(size)
            return ir.Place("slot", 0, slot=len(self.slots) - 1)
        size = align_up(size, SMALL_SLOT)
        free = self._free.get(size)
        number = free.pop() if free else len(self.slots)
        if number == len(self.slots):
            self.slots.append(size)
        if self._taken:
            self._taken[-1].append(number)
        return ir.Place("slot", 0, slot=number)

    @contextmanager
    def statement_slots(self) -> Iterator[None]:
        """Give what one statement took back at its end."""
        self._taken.append([])
        yield
        for number in self._taken.pop():
            self._free.setdefault(self.slots[number], []).append(number)

    # Places --------------------------------------------------------------------------------------

    def variable(self, variable: Variable) -> ir.Place:
        """Return the place of a variable as seen from this routine."""
        variable = variable.end_of_chain
        if variable.choices is not None:
            return self._of_resource(variable)
        if variable.edge is not None and self.pou is not None:
            own = self.pou.variables.get(variable.name.casefold()) is variable
            variable = variable.edge if own else variable
        pou = variable.pou
        if pou is None:
            return self._global(variable.offset, variable.bit)
        if variable.temporary:
            return (
                ir.Place("image", pou.kept + variable.offset)
                if pou.kept >= 0
                else ir.Place("local", variable.offset)
            )
        if pou.kind == "PROGRAM":
            offset, bit = self.layout.programs[self.instance_of_program(pou)][variable]
            return self._global(offset, bit)
        place = ir.Place("self", variable.offset)
        if self.pou is not None and self.pou.kind == "METHOD" and pou is not self.pou:
            place = self.this().at(variable.offset)
        if variable.by_reference:
            return ir.Place("pointer", 0, pointer=place)
        return replace(place, tag=member_tag(variable))

    def _of_resource(self, variable: Variable) -> ir.Place:
        """Return the place of what a name means in the resource of this routine."""
        seen = variable.seen_from(self.resource)
        if seen is None:
            raise LoweringError(f"{variable.name} has no variable in resource {self.resource}")
        return self._global(seen.offset, seen.bit)

    def symbol(self, name: str, pou: Pou) -> str:
        """Return the routine of a unit; each resource has its own where they mean other variables."""
        return f"{name}${self.resource}" if pou in self.project.varying else name

    def instance_of_program(self, program: Pou) -> Instance:
        """Return the instance of a program that is meant here: that which runs, else the only one."""
        here = self.instance
        instance = here if here is not None and here.pou is program else self.layout.instance_of(program)
        if instance is None:
            raise LoweringError(f"{program.name} has no instance")
        return instance

    def _global(self, offset: int, bit: int) -> ir.Place:
        """Return the place of a variable in the image; what is located may share its bytes with others."""
        located = any(0 <= offset - start < size for start, size in self._located)
        return ir.Place("image", offset, bit=bit, tag="" if located else f"@{offset}")

    def this(self) -> ir.Place:
        """Return the instance a method or the body of a function block runs on."""
        if self.pou is not None and self.pou.kind == "METHOD":
            return ir.Place("pointer", 0, pointer=ir.Place("self", 0))
        return ir.Place("self", 0)

    def place(self, node: Expr) -> ir.Place | None:
        """Return the place an expression denotes, or None if it denotes a value only."""
        place = self._place(got(node))
        if place is not None and place.base == "object" and node.type is not None:
            place.size = node.type.size
        return place

    def _place(self, node: Expr) -> ir.Place | None:
        if isinstance(node, Name):
            if isinstance(node.ref, Variable):
                return self._followed(node, self.variable(node.ref))
            return self.this() if isinstance(node.type, BlockType) else None
        if isinstance(node, Direct):
            address = parse_address(node.address)
            if address is None:
                raise LoweringError(node.address)
            return ir.Place("image", self.layout.absolute(address), bit=address.bit)
        if isinstance(node, Member):
            return self._followed(node, self._member(node))
        if isinstance(node, BitAccess):
            base = self.place(node.base)
            if base is None:
                return None
            if node.size == "X":
                return base.at(node.number // 8, bit=node.number % 8)
            return base.at(node.number * PART_BYTES[node.size])
        if isinstance(node, Index):
            return self._followed(node, self._index(node))
        if isinstance(node, Deref) and isinstance(node.base.type, Pointer):
            return self._object(node.base, node.base.type, node)
        if isinstance(node, Deref):
            reference = self.place(node.base)
            if reference is None:
                return None
            return ir.Place("ref", 0, pointer=reference, line=self.line(node.at))
        return self.yielded.get(id(node))

    def _followed(self, node: Name | Member | Index, place: ir.Place | None) -> ir.Place | None:
        """Return what a variable of REFERENCE TO refers to."""
        if place is None or not node.followed:
            return place
        return ir.Place("ref", 0, pointer=place, line=self.line(node.at))

    def _member(self, node: Member) -> ir.Place | None:
        type_ = node.base.type
        key = node.name.casefold()
        if isinstance(type_, BlockType) and type_.pou.kind == "PROGRAM":
            return self.variable(type_.pou.variables[key])
        base = self.place(node.base)
        if base is None:
            return None
        if isinstance(type_, Struct):
            member = type_.fields[key]
            shared = type_.overlap or member.fixed or not base.tag
            tag = "" if shared else f"{type_.name}.{key}".casefold()
            return replace(base.at(member.offset, bit=member.bit), tag=tag)
        if isinstance(type_, BlockType):
            variable = node.ref
            if not isinstance(variable, Variable):
                raise LoweringError(f"{type_} has no {node.name}")
            inner = base.at(variable.offset)
            if variable.by_reference:
                return ir.Place("pointer", 0, pointer=inner)
            return replace(inner, tag=member_tag(variable) if base.tag else "")
        return None

    def _object(self, pointer: Expr, type_: Pointer, node: Expr) -> ir.Place:
        """Return what a pointer points to; what is more than its bytes is reached from its begin only."""
        begin = not is_plain(type_.target)
        return ir.Place("object", 0, address=self.expr(pointer), line=self.line(node.at), begin=begin)

    def _index(self, node: Index) -> ir.Place | None:
        if isinstance(node.base.type, Pointer):
            there, target = self._object(node.base, node.base.type, node), node.base.type.target
            if target is None:
                raise LoweringError("pointer to nothing")
            count = 1 << 31 if is_plain(target) else 1  # the next may be of another type
            step = ir.Step(self.expr(node.indices[0]), 0, count, target.size, there.line)
            return there.at(0, step)
        base = self.place(node.base)
        array = node.base.type
        if base is not None and isinstance(array, OpenArray):
            return self._open_index(node, base, array)
        if base is not None and isinstance(array, String):
            return self._character_place(node, base, array)
        if base is None or not isinstance(array, Array):
            return None
        stride = array.stride
        strides: list[int] = []
        for low, high in reversed(array.ranges):
            strides.append(stride)
            stride *= high - low + 1
        strides.reverse()
        tag = base.tag
        for index, (low, high), size in zip(node.indices, array.ranges, strides, strict=True):
            if index.value is not None:
                base = base.at((int(index.value) - low) * size)
            else:
                step = ir.Step(self.expr(index), low, high - low + 1, size, self.line(index.at))
                base = base.at(0, step)
        return replace(base, tag=tag)

    def _character_place(self, node: Index, base: ir.Place, text: String) -> ir.Place:
        """Return the place of a character: it is there as far as the string reaches now."""
        length = ir.Convert(LINT, ir.Load(UINT, replace(base, tag=ir.LENGTH)), "wrap")
        index = node.indices[0]
        step = ir.Step(self.expr(index), 1, length, text.unit, self.line(index.at))
        return base.at(STRING_HEADER, step)

    def _open_index(self, node: Index, base: ir.Place, array: OpenArray) -> ir.Place:
        bounds = [self.bounds(node.base, number) for number in range(array.rank)]
        stride: int | ir.Expr = array.stride
        strides: list[int | ir.Expr] = []
        for low, high in reversed(bounds):
            strides.append(stride)
            factor = ir.Const(LINT, stride) if isinstance(stride, int) else stride
            stride = ir.Op(LINT, "*", (factor, _count(low, high)))
        for index, (low, high), size in zip(node.indices, bounds, reversed(strides), strict=True):
            step = ir.Step(self.expr(index), low, _count(low, high), size, self.line(index.at))
            base = base.at(0, step)
        return base

    def bounds(self, node: Expr, dimension: int) -> tuple[ir.Expr, ir.Expr]:
        """Return the limits of one dimension of an ARRAY[*]."""
        place = self.descriptor(node)
        low, high = (place.at(POINTER_SIZE + 16 * dimension + each) for each in (0, 8))
        return ir.Load(LINT, low), ir.Load(LINT, high)

    def descriptor(self, node: Expr) -> ir.Place:
        """Return where pointer and limits of an ARRAY[*] lie."""
        place = self.place(node)
        if place is None or place.pointer is None:
            raise LoweringError("ARRAY[*] without parameter")
        return place.pointer

    def expr(self, node: Expr, target: Type | None = None) -> ir.Expr:
        """Lower a scalar expression, converted to the target type where one is given."""
        raise NotImplementedError


def _count(low: ir.Expr, high: ir.Expr) -> ir.Expr:
    return ir.Op(LINT, "+", (ir.Op(LINT, "-", (high, low)), ir.Const(LINT, 1)))


def member_tag(variable: Variable) -> str:
    """Name a variable of a unit, the same from inside and outside of it."""
    return f"{variable.pou.name}:{variable.offset}".casefold() if variable.pou is not None else ""


def got(node: Expr) -> Expr:
    """Return the call that an expression is if it names a property."""
    getter = node.getter if isinstance(node, Name | Member) else None
    return getter or node


def machine(type_: Type | None) -> Elementary:
    """Return the elementary type that carries a scalar."""
    scalar = scalar_of(type_) if type_ is not None else None
    if scalar is None:
        raise LoweringError(f"{type_} is no scalar")
    return scalar
