"""Links: references, pointers and interfaces that have a target from the start.

A reference is an offset in the image, so its first value is known once everything is laid out. `REF(x)`
means the x of where the initialiser is written: a global, or a variable of the same instance.

Source: IEC 61131-3:2013, 6.4.4.10, table 12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from softplc.bind.references import object_of
from softplc.iectypes import (
    STRING_HEADER,
    Array,
    BlockType,
    Interface,
    Pointer,
    Reference,
    String,
    Struct,
    Type,
)
from softplc.layout import Layout
from softplc.symbols import Instance, Pou, Project, Variable
from softplc.syntax import ArrayInit, Call, Expr, Index, Init, Member, Name, StructInit

TEXT = 1 << 31  # the object of a pointer is the text of a string


@dataclass(frozen=True, slots=True)
class Here:
    """Where an initialiser is written: in a program instance, or in a block that lies at `base`.

    `resource` is the key of the resource that it is in.
    """

    instance: Instance | None = None
    base: int = -1
    resource: str = ""

    @property
    def outside(self) -> Here:
        """Return the same without instance: what is written there names globals only."""
        return Here(resource=self.resource)


def referred(init: Init | None) -> Expr | None:
    """Return what an initialiser refers to, if it is `REF(x)` or the instance of an interface."""
    if isinstance(init, Call) and init.binding is not None:
        return init.binding.referred
    return init if isinstance(init, Expr) and isinstance(init.type, BlockType) else None


class Links:
    """Writes references into initial values; `origin` is where these lie in the image."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.origin = 0
        self._linked: dict[Type, bool] = {}

    def image(self, data: bytearray, project: Project) -> None:
        """Write every reference of globals and program instances, and those that VAR_CONFIG gives."""
        for variable in project.globals.values():
            if variable.type is not None and variable.bit < 0:
                here = Here(resource=variable.resource)
                self.write(data, variable.offset, variable.type, variable.init, here)
        for instance, places in self.layout.programs.items():
            here = Here(instance, resource=instance.resource)
            for variable, (offset, bit) in places.items():
                if variable.type is not None and bit < 0:
                    self.write(data, offset, variable.type, variable.init, here)
            for setting in instance.settings:
                offset, bit = self.layout.of_path(setting.path, instance)
                if setting.init is not None and bit < 0:
                    self._write(data, offset, setting.path.type, setting.init, here.outside)

    def frame(self, data: bytearray, pou: Pou, variables: Iterable[Variable], resource: str) -> None:
        """Write the references of some variables of a unit that end with its call."""
        here = Here(resource=resource)
        self.origin = max(pou.kept, 0)
        for each in variables:
            if each.type is not None:
                self.write(data, each.offset, each.type, None if each.temporary else each.init, here)
        self.origin = 0

    def write(self, data: bytearray, offset: int, type_: Type, init: Init | None, here: Here) -> None:
        """Write the references of one variable: those of its type, then those of its own initialiser."""
        if self.linked(type_):
            self._write_own(data, offset, type_, here)
        if init is not None:
            self._write(data, offset, type_, init, here)

    def linked(self, type_: Type) -> bool:
        """Tell whether variables of a type have references with a target of their own."""
        known = self._linked.get(type_)
        if known is None:
            self._linked[type_] = False  # a block that holds itself was refused
            known = self._linked[type_] = any(
                refers(init) or self.linked(inner) for inner, init in _parts(type_)
            )
        return known

    def _write_own(self, data: bytearray, offset: int, type_: Type, here: Here) -> None:
        if isinstance(type_, Array):
            for number in range(type_.count):
                self.write(data, offset + number * type_.stride, type_.element, type_.init, here.outside)
        elif isinstance(type_, Struct):
            for field in type_.fields.values():
                self.write(data, offset + field.offset, field.type, field.init, here.outside)
        elif isinstance(type_, BlockType):
            for each in type_.pou.variables.values():
                own = not each.elsewhere and each.section != "VAR_TEMP" and not each.by_reference
                if own and each.type is not None:
                    inside = Here(None, self.origin + offset, here.resource)
                    self.write(data, offset + each.offset, each.type, each.init, inside)

    def _write(self, data: bytearray, offset: int, type_: Type, init: Init, here: Here) -> None:
        if isinstance(init, ArrayInit):
            if isinstance(type_, Array):
                self._write_array(data, offset, type_, init, 0, here)
        elif isinstance(init, StructInit):
            for name, value, _ in init.items:
                inner, at = _member(type_, name)
                if inner is not None:
                    self._write(data, offset + at, inner, value, here)
        elif isinstance(type_, Reference | Interface):
            target = referred(init)
            place = self._place(target, here) if target is not None else 0
            data[offset : offset + type_.size] = struct.pack("<q", place)
        elif isinstance(type_, Pointer):
            target = referred(init)
            if target is not None:
                data[offset : offset + type_.size] = self._pointer(target, type_, here)

    def _pointer(self, target: Expr, type_: Pointer, here: Here) -> bytes:
        """Return a pointer in memory: see softplc.codegen.pointers."""
        whole = object_of(target)
        at, begin = self._place(target, here), self._place(whole, here)
        end = begin + (whole.type.size if whole.type is not None else 0)
        if isinstance(target.type, String) and not isinstance(type_.target, String):
            at, begin = at + STRING_HEADER, begin + STRING_HEADER
            end = (begin + target.type.capacity + 1) | TEXT
        return struct.pack("<QII", at, begin, end)

    def _write_array(
        self, data: bytearray, offset: int, type_: Array, init: ArrayInit, index: int, here: Here
    ) -> int:
        for count, value in init.items:
            times = int(count.value) if count is not None and isinstance(count.value, int) else 1
            for _ in range(min(times, type_.count - index)):
                if isinstance(value, ArrayInit) and value.spread:
                    index = self._write_array(data, offset, type_, value, index, here)
                    continue
                if value is not None and index < type_.count:
                    self._write(data, offset + index * type_.stride, type_.element, value, here)
                index += 1
        return index

    def _place(self, node: Expr, here: Here) -> int:
        """Return the offset in the image of what is referred to."""
        if isinstance(node, Name) and isinstance(node.ref, Variable):
            variable = node.ref.seen_from(here.resource)
            if variable is None:
                raise AssertionError(f"{node.name} has no variable in resource {here.resource}")
            if variable.pou is None:
                return variable.offset
            if here.instance is not None:
                return self.layout.programs[here.instance][variable][0]
            return here.base + variable.offset
        if isinstance(node, Member) and node.base.type is not None:
            return self._place(node.base, here) + _member(node.base.type, node.name)[1]
        if isinstance(node, Index) and isinstance(node.base.type, Array):
            array, number = node.base.type, 0
            for index, (low, high) in zip(node.indices, array.ranges, strict=True):
                number = number * (high - low + 1) + int(str(index.value)) - low
            return self._place(node.base, here) + number * array.stride
        raise AssertionError("a rule should have refused this reference")


def _member(type_: Type, name: str) -> tuple[Type | None, int]:
    """Return type and offset of a member."""
    key = name.casefold()
    if isinstance(type_, Struct):
        return type_.fields[key].type, type_.fields[key].offset
    if isinstance(type_, BlockType):
        variable = type_.pou.find_variable(key)
        return (variable.type, variable.offset) if variable is not None else (None, 0)
    return None, 0


def _parts(type_: Type) -> Iterator[tuple[Type, Init | None]]:
    """Yield the types of elements and members with the initialisers they have there."""
    if isinstance(type_, Array):
        yield type_.element, type_.init
    elif isinstance(type_, Struct):
        for field in type_.fields.values():
            yield field.type, field.init
    elif isinstance(type_, BlockType):
        for each in type_.pou.variables.values():
            if each.type is not None and not each.elsewhere and each.section != "VAR_TEMP":
                yield each.type, each.init


def refers(init: Init | None) -> bool:
    """Tell whether an initialiser refers to variables."""
    if isinstance(init, ArrayInit):
        return any(refers(value) for _, value in init.items)
    if isinstance(init, StructInit):
        return any(refers(value) for _, value, _ in init.items)
    return referred(init) is not None
