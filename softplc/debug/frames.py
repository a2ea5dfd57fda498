"""Frames: the calls that a stopped program is in, and the variables of each."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from softplc.application import is_hidden
from softplc.debug.evaluate import Where
from softplc.debug.values import Value, members
from softplc.iectypes import Array, BlockType, OpenArray, Struct, Type
from softplc.layout import POINTER_SIZE
from softplc.lower.sites import HEAD, Runs, Site
from softplc.pipeline import Stoppable
from softplc.symbols import Instance, Pou, Variable

_FRAME = struct.Struct("<QiiQQ")
DEEPEST = 1_000  # nothing calls itself, so that no program comes near
INPUTS, OUTPUTS = ("VAR_INPUT",), ("VAR_OUTPUT", "RESULT")


@dataclass(frozen=True, slots=True)
class Frame:
    """A routine that is running: innermost first; `site` is None before its first statement."""

    runs: Runs
    site: Site | None
    self_address: int
    local: int
    name: str

    @property
    def where(self) -> Where:
        runs = self.runs
        return Where(runs.pou, runs.instance, self.self_address, self.local, runs.seen_from)


@dataclass(frozen=True, slots=True)
class Scope:
    """A group of variables of a frame, or of the whole program."""

    name: str
    hint: str
    variables: list[Value]
    expensive: bool = False


class Stack:
    """Reads the frames of one program; `start` is where its image lies."""

    def __init__(self, stoppable: Stoppable, start: int) -> None:
        self._stoppable = stoppable
        self._start = start
        self._project = stoppable.declarations.project

    def depth(self) -> int:
        """Return how many routines are running."""
        return sum(1 for _ in self._raw())

    def _raw(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield unit, site, self and local of each frame."""
        (address,) = struct.unpack("<Q", ctypes.string_at(self._start + self._stoppable.sites.base + HEAD, 8))
        for _ in range(DEEPEST):
            if not address:
                return
            address, unit, site, self_, local = _FRAME.unpack(ctypes.string_at(address, _FRAME.size))
            yield unit, site, self_, local

    def units(self) -> list[Pou]:
        """Return the units that are running, innermost first."""
        return [self._stoppable.sites.runs[unit].pou for unit, *_ in self._raw()]

    def where(self) -> Where:
        """Return the innermost frame, for what is evaluated there."""
        unit, _, self_, local = next(self._raw())
        runs = self._stoppable.sites.runs[unit]
        return Where(runs.pou, runs.instance, self_, local, runs.seen_from)

    def frames(self) -> list[Frame]:
        sites = self._stoppable.sites
        found: list[Frame] = []
        for unit, number, self_, local in self._raw():
            runs = sites.runs[unit]
            site = sites.all[number] if number >= 0 else None
            found.append(Frame(runs, site, self_, local, self._name(runs, self_)))
        return found

    def _name(self, runs: Runs, self_: int) -> str:
        """Return what runs as people name it: a program instance, the path of a block, a function."""
        pou, owner = runs.pou, runs.pou.owner
        if runs.instance is not None:
            name = runs.instance.name
            return name if pou is runs.instance.pou else f"{name}.{pou.decl.name}"
        if pou.kind == "FUNCTION":
            return pou.name
        at = self_
        if pou.kind == "METHOD":
            at = int.from_bytes(ctypes.string_at(self_, POINTER_SIZE), "little")
        of = owner or pou
        path = self.path(at - self._start, of) or of.name
        return f"{path}.{pou.decl.name}" if owner is not None else path

    # Where an instance lies ----------------------------------------------------------------------

    def path(self, offset: int, pou: Pou) -> str:
        """Return the path of the block instance at an offset of the image, empty where it has none."""
        for name, type_, at in self._roots():
            if at <= offset < at + type_.size:
                inside = _descend(type_, offset - at, pou)
                if inside is not None:
                    return name + inside
        return ""

    def _roots(self) -> Iterator[tuple[str, Type, int]]:
        for variable in self._project.globals.values():
            if variable.type is not None and variable.offset >= 0:
                yield variable.name, variable.type, variable.offset
        for instance, places in self._stoppable.sites.layout.programs.items():
            for variable, (offset, _) in places.items():
                if variable.type is not None:
                    yield f"{instance.name}.{variable.name}", variable.type, offset

    # Variables -----------------------------------------------------------------------------------

    def scopes(self, frame: Frame) -> list[Scope]:
        """Return the variables of a frame by what they are for; groups without any are left out."""
        groups = (
            Scope("Inputs", "arguments", self._own(frame, INPUTS)),
            Scope("In/outs", "arguments", self._own(frame, ("VAR_IN_OUT",))),
            Scope("Outputs", "returnValue", self._own(frame, OUTPUTS)),
            Scope(
                "Locals", "locals", [*self._this(frame), *self._own(frame, ("VAR", "VAR_TEMP", "VAR_STAT"))]
            ),
        )
        return [each for each in groups if each.variables]

    def globals(self) -> list[Value]:
        """Return the global variables."""
        return [
            self._global(each)
            for each in self._project.globals.values()
            if each.type is not None and not is_hidden(each.name)
        ]

    def programs(self) -> list[tuple[str, list[Value]]]:
        """Return the program instances with their variables."""
        return [
            (instance.name, [self._of_program(instance, each) for each in places if _is_seen(each)])
            for instance, places in self._stoppable.sites.layout.programs.items()
        ]

    def located(self, region: str) -> list[Value]:
        """Return the variables in a region of the process image, by address."""
        found: list[tuple[int, int, Value]] = []
        for variable in self._project.globals.values():
            if variable.address[1:2].upper() == region and variable.type is not None:
                value = self._global(variable)
                name = f"{variable.address.upper()} {variable.name}"
                found.append((value.address, value.bit, _renamed(value, name)))
        for instance, places in self._stoppable.sites.layout.programs.items():
            for variable in places:
                address = instance.address_of(variable)
                if address[1:2].upper() == region and variable.type is not None:
                    value = self._of_program(instance, variable)
                    name = f"{address.upper()} {instance.name}.{variable.name}"
                    found.append((value.address, value.bit, _renamed(value, name)))
        return [value for _, _, value in sorted(found, key=lambda each: each[:2])]

    def _own(self, frame: Frame, sections: tuple[str, ...]) -> list[Value]:
        found = [
            self._variable(frame, each) for each in _variables(frame.runs.pou) if each.section in sections
        ]
        return [each for each in found if each is not None]

    def _this(self, frame: Frame) -> list[Value]:
        """Return the instance that a method or an action runs on."""
        owner = frame.runs.pou.owner
        if owner is None or not isinstance(owner.type, BlockType) or frame.runs.instance is not None:
            return []
        at = frame.self_address
        if frame.runs.pou.kind == "METHOD":
            at = int.from_bytes(ctypes.string_at(at, POINTER_SIZE), "little")
        return [Value("THIS", owner.type, at, -1, "THIS")]

    def _variable(self, frame: Frame, variable: Variable) -> Value | None:
        """Return a variable as the routine of a frame has it."""
        pou, name, type_ = frame.runs.pou, variable.name, variable.type
        if type_ is None:
            return None
        if variable.elsewhere:
            seen = variable.seen_from(frame.runs.seen_from) if variable.target is not None else None
            return _renamed(self._global(seen), name) if seen is not None else None
        if variable.temporary:
            kept = self._start + pou.kept if pou.kept >= 0 else frame.local
            return Value(name, type_, kept + variable.offset, -1, name) if kept else None
        instance = frame.runs.instance
        if instance is not None and variable in self._stoppable.sites.layout.programs[instance]:
            return _renamed(self._of_program(instance, variable), name)
        at = frame.self_address + variable.offset
        if variable.by_reference and not isinstance(type_, OpenArray):
            at = int.from_bytes(ctypes.string_at(at, POINTER_SIZE), "little")
            if not at:
                return None
        return Value(name, type_, at, -1, name, variable.constant)

    def _global(self, variable: Variable) -> Value:
        if variable.type is None:
            raise AssertionError(f"{variable.name} has no type")
        at = self._start + variable.offset
        name = variable.name
        return Value(name, variable.type, at, variable.bit, name, variable.constant)

    def _of_program(self, instance: Instance, variable: Variable) -> Value:
        offset, bit = self._stoppable.sites.layout.programs[instance][variable]
        if variable.type is None:
            raise AssertionError(f"{variable.name} has no type")
        path = f"{instance.name}.{variable.name}"
        return Value(variable.name, variable.type, self._start + offset, bit, path, variable.constant)


def _variables(pou: Pou) -> list[Variable]:
    """Return the variables of a unit that its source names; an action has those of its owner."""
    of = pou.owner if pou.kind == "ACTION" and pou.owner is not None else pou
    found = [each for each in of.variables.values() if not is_hidden(each.name)]
    if pou.kind == "ACTION":
        return [each for each in found if each.section != "VAR_TEMP"]
    return found + ([pou.result] if pou.result is not None and pou.result not in found else [])


def _is_seen(variable: Variable) -> bool:
    return variable.type is not None and not is_hidden(variable.name)


def _renamed(value: Value, name: str) -> Value:
    expression = name if name.isidentifier() else value.expression
    return Value(name, value.type, value.address, value.bit, expression, value.constant)


def _descend(type_: Type, offset: int, pou: Pou) -> str | None:
    """Return the rest of a path that leads to an instance of a unit, None where there is none."""
    if isinstance(type_, BlockType):
        if offset == 0 and (type_.pou is pou or pou in type_.pou.descendants() or type_.pou.offers(pou)):
            return ""
        parts = [(each.name, each.type, each.offset) for each in members(type_.pou)]
    elif isinstance(type_, Struct):
        parts = [(each.name, each.type, each.offset) for each in type_.fields.values()]
    elif isinstance(type_, Array):
        number, rest = divmod(offset, type_.stride) if type_.stride else (0, 0)
        inside = _descend(type_.element, rest, pou)
        return None if inside is None else f"[{_index(type_, number)}]{inside}"
    else:
        return None
    for name, inner, at in parts:
        if inner is not None and at <= offset < at + inner.size:
            inside = _descend(inner, offset - at, pou)
            if inside is not None:
                return f".{name}{inside}"
    return None


def _index(array: Array, number: int) -> str:
    texts: list[str] = []
    for low, high in reversed(array.ranges):
        number, own = divmod(number, high - low + 1)
        texts.append(str(low + own))
    return ", ".join(reversed(texts))
