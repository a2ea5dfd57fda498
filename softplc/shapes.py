"""Shapes: the types of a project as the plain tables an application carries."""

from __future__ import annotations

from softplc.application import CLASS, Region, Root, Shape, is_hidden
from softplc.iectypes import (
    Array,
    BlockType,
    Enum,
    Interface,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
)
from softplc.layout import NUMBER_SIZE, Layout, Sizes, has_number, is_retained, scalar_of
from softplc.symbols import Access, Instance, Project, Variable

ACCESS = "VAR_ACCESS"
HIDDEN = ("VAR_TEMP", "VAR_EXTERNAL", "VAR_STAT", "VAR_INST", "RESULT")


class Shapes:
    """Numbers the shapes of types, each type once."""

    def __init__(self) -> None:
        self.table: list[Shape] = []
        self._known: dict[Type, int] = {}
        self._bits: dict[int, int] = {}

    def of(self, type_: Type) -> int:
        known = self._known.get(type_)
        if known is None:
            shape = self._build(type_)
            known = self._known[type_] = len(self.table)
            self.table.append(shape)
        return known

    def _bit(self, bit: int) -> int:
        """Return the shape of a BOOL that is one bit."""
        known = self._bits.get(bit)
        if known is None:
            known = self._bits[bit] = len(self.table)
            self.table.append(Shape("scalar", "BOOL", "BOOL", 1, bit=bit))
        return known

    def _number(self) -> int:
        """Return the shape of the number of a class."""
        if -1 not in self._bits:
            self._bits[-1] = len(self.table)
            self.table.append(Shape("scalar", "UDINT", CLASS, NUMBER_SIZE))
        return self._bits[-1]

    def _build(self, type_: Type) -> Shape:
        if isinstance(type_, Reference | Interface):
            return Shape("reference", _targets(type_), type_.name, type_.size)
        if isinstance(type_, Pointer):
            return Shape("pointer", type_.name, type_.name, type_.size)
        scalar = scalar_of(type_)
        if scalar is not None:
            values = dict(type_.values.values()) if isinstance(type_, Enum) else {}
            limits = (type_.low, type_.high) if isinstance(type_, Subrange) else None
            return Shape("scalar", scalar.name, type_.name, scalar.size, values=values, limits=limits)
        if isinstance(type_, String):
            return Shape("string", type_.plain, type_.name, type_.size)
        if isinstance(type_, Array):
            element = self.of(type_.element)
            return Shape(
                "array",
                type_.name,
                type_.name,
                type_.size,
                ranges=type_.ranges,
                element=element,
                stride=type_.stride,
            )
        members: list[tuple[str, int, int, str]] = []
        hidden: list[tuple[str, int, int, str]] = []
        constants: tuple[str, ...] = ()
        if isinstance(type_, Struct):
            for f in type_.fields.values():
                shape = self.of(f.type) if f.bit < 0 else self._bit(f.bit)
                where = members if _is_shown(f.name, f.type) else hidden
                where.append((f.name, f.offset, shape, "VAR"))
        elif isinstance(type_, BlockType):
            if has_number(type_.pou):
                hidden.append((CLASS, 0, self._number(), CLASS))
            own = [v for v in type_.pou.variables.values() if v.section not in HIDDEN and not v.by_reference]
            for v in own:
                if v.type is not None:
                    where = members if _is_shown(v.name, v.type) else hidden
                    where.append((v.name, v.offset, self.of(v.type), v.section))
            constants = tuple(v.name.casefold() for v in own if v.constant)
        name, size, unseen = type_.name, type_.size, tuple(hidden)
        return Shape("struct", name, name, size, tuple(members), hidden=unseen, constants=constants)


def _targets(type_: Reference | Interface) -> str:
    """Return the type of what is referred to; empty for instances that begin with a class's number."""
    target = type_.target if isinstance(type_, Reference) else None
    if target is None or (isinstance(target, BlockType) and has_number(target.pou)):
        return ""
    return target.name


def _is_shown(name: str, type_: Type) -> bool:
    """Tell whether a variable can be seen from outside: references mean nothing there."""
    while isinstance(type_, Array):
        type_ = type_.element
    return not is_hidden(name) and not isinstance(type_, Reference | Interface | Pointer)


def roots_of(
    project: Project, instances: list[Instance], layout: Layout, shapes: Shapes, sizes: Sizes
) -> tuple[tuple[Root, ...], tuple[Root, ...]]:
    """Return every global and every variable of the programs: those that are seen, and the hidden."""
    shown: list[Root] = []
    hidden: list[Root] = []
    for each in project.globals.values():
        if each.type is not None:
            kept = is_retained(None, each, sizes)
            root = _root(each.name, each, each.offset, each.bit, shapes, kept, each.address, "")
            (shown if _is_shown(each.name, each.type) else hidden).append(root)
    for instance in instances:
        for variable, (offset, bit) in layout.programs[instance].items():
            if variable.type is None:
                continue
            path, address = f"{instance.name}.{variable.name}", instance.address_of(variable)
            kept = is_retained(instance, variable, sizes)
            root = _root(path, variable, offset, bit, shapes, kept, address, instance.name)
            (shown if _is_shown(variable.name, variable.type) else hidden).append(root)
    return tuple(shown), tuple(hidden)


def access_of(
    project: Project, instances: list[Instance], layout: Layout, shapes: Shapes, retain: Region
) -> tuple[Root, ...]:
    """Return the access paths: other names of variables."""
    by_decl = {each.decl: each for each in instances}
    found: list[Root] = []
    named: list[tuple[str, Instance | None, Access]] = []
    for each in project.access:
        if each.program is None:
            named.append((each.name, by_decl.get(each.path.instance) if each.path.instance else None, each))
        else:
            owners = (instance for instance in instances if instance.pou is each.program)
            named += [(f"{instance.name}.{each.name}", instance, each) for instance in owners]
    for name, instance, each in named:
        path = each.path
        offset, bit = layout.of_path(path, instance)
        address = path.address
        if path.root is not None and not path.steps:
            address = instance.address_of(path.root) if instance is not None else path.root.address
        kept = retain.offset <= offset < retain.offset + retain.size
        shape = shapes.of(path.type)
        found.append(
            Root(name, shape, offset, bit, ACCESS, address.upper() or None, kept, "", not each.writable)
        )
    return tuple(found)


def _root(
    path: str,
    variable: Variable,
    offset: int,
    bit: int,
    shapes: Shapes,
    kept: bool,
    address: str,
    program: str,
) -> Root:
    if variable.type is None:
        raise AssertionError(f"{path} has no type")
    shape = shapes.of(variable.type)
    place = address.upper() or None
    return Root(path, shape, offset, bit, variable.section, place, kept, program, constant=variable.constant)
