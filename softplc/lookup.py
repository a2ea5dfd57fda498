"""Variables of a program by path, whole structures too: where they lie, what they are, what they have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from runtime.contract import Value
from runtime.errors import PlantError, UnknownVariableError, WriteRejectedError
from softplc.application import Application, Root, Shape, Symbol
from softplc.core import kinds
from softplc.core.kinds import Text, Variable
from softplc.image import read_value, write_value
from softplc.texts import parse_value, shown

_KINDS = {
    "SINT": kinds.I8, "USINT": kinds.U8, "BYTE": kinds.U8, "CHAR": kinds.U8,
    "INT": kinds.I16, "UINT": kinds.U16, "WORD": kinds.U16, "WCHAR": kinds.U16,
    "DINT": kinds.I32, "UDINT": kinds.U32, "DWORD": kinds.U32, "REAL": kinds.F32, "LREAL": kinds.F64,
}  # fmt: skip
_TIMES = ("TIME", "LTIME", "DATE", "LDATE", "TOD", "LTOD", "DT", "LDT")
_TEXTS = ("STRING", "WSTRING")
_GAP = 64  # bytes between two parts that are copied along rather than begin another part
_KNOWN = 8_192
_LONE = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class Found:
    """What a path means.

    Attributes:
        shape: of an array, structure or program; else there is a `symbol`.
        spans: (offset, bytes) in the image.
        count: elementary values.
    """

    path: str
    type: str
    spans: tuple[tuple[int, int], ...]
    count: int
    symbol: Symbol | None = None
    shape: Shape | None = None
    roots: tuple[Root, ...] = ()

    @property
    def bits(self) -> Iterator[tuple[int, int]]:
        """Yield first bits in the image, and those behind the last."""
        if self.symbol is not None and self.symbol.bit >= 0:
            first = 8 * self.symbol.offset + self.symbol.bit
            yield first, first + 1
        else:
            yield from ((8 * offset, 8 * (offset + size)) for offset, size in self.spans)


class Lookup:
    """Looks variables of one program up, and reads and writes their values."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._shapes = application.shapes
        self._counts: dict[int, int] = {}
        self._known: dict[str, Found] = {}  # who watches asks for the same again and again

    def find(self, path: str) -> Found:
        """Return what a path means: a variable, a part of one, or a program as a whole.

        Raises:
            UnknownVariableError: there is none.
        """
        known = self._known.get(path)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[path] = self._find(path)
        return known

    def _find(self, path: str) -> Found:
        key = path.casefold()
        of_program = tuple(root for root in self._application.roots if root.program.casefold() == key)
        if of_program and key:
            spans = [(root.offset, self._shapes[root.shape].size) for root in of_program]
            count = sum(self._count(root.shape) for root in of_program)
            name = of_program[0].program
            return Found(name, "PROGRAM", tuple(spans), count, roots=of_program)
        found = self._application.find(path)
        if isinstance(found, Symbol):
            return Found(found.path, found.declared, ((found.offset, found.size),), 1, symbol=found)
        root, shape, offset = found
        declared = root.path + path[len(root.path) :]
        spans = [(offset, shape.size)]
        return Found(declared, shape.name, tuple(spans), self._count_of(shape), shape=shape)

    def symbol(self, path: str) -> Symbol:
        """Return one elementary variable.

        Raises:
            UnknownVariableError: there is none, or the path means several.
        """
        found = self.find(path)
        if found.symbol is None:
            remedy = "name one of its elements" if found.type.startswith("ARRAY") else "name a member"
            raise UnknownVariableError(f"{found.path} is of type {found.type}: its parts are forced", remedy)
        return found.symbol

    def variable(self, symbol: Symbol) -> Variable | Text:
        """Return how an elementary variable lies in the image."""
        if symbol.type in _TEXTS:
            head = symbol.offset + 2
            capacity = int.from_bytes(self._application.initial_image[head : head + 2], "little")
            return Text(symbol.offset, capacity, symbol.type == "WSTRING")
        if symbol.type == "BOOL":
            return Variable(
                symbol.offset, kinds.BIT if symbol.bit >= 0 else kinds.BYTE_BOOL, max(symbol.bit, 0)
            )
        return Variable(symbol.offset, _KINDS.get(symbol.type, kinds.I64))

    def parse(self, symbol: Symbol, value: Value) -> tuple[Value, tuple[int, ...]]:
        """Return a value as it is shown, and its raw patterns; text is a literal of the variable's type.

        Raises:
            PlantError: it does not fit.
        """
        if isinstance(value, str):
            value = parse_value(symbol, value)
        elif symbol.type in _TIMES:
            raise PlantError(
                f"{symbol.path} is {symbol.type}: it cannot be {value!r}", "write T#5s, D#2026-05-01"
            )
        elif isinstance(value, bool) and symbol.type != "BOOL":
            said = str(value).lower()
            raise PlantError(
                f"{symbol.path} is {symbol.type}: it cannot be {said}", "force a value of its type"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise PlantError(f"{symbol.path} cannot be forced to {value}", "force a number")
        variable = self.variable(symbol)
        memory = bytearray(symbol.size)
        if isinstance(variable, Text):
            memory[2:4] = variable.capacity.to_bytes(2, "little")
        own = msgspec.structs.replace(symbol, offset=0)
        write_value(memoryview(memory), own, value)
        raws = [part.raw(bytes(memory)) for part in replace(variable, offset=0).parts]
        return self._shown(own, memoryview(memory)), tuple(raws)

    def read(self, found: Found, image: memoryview) -> Any:
        """Return the value that a variable has in an image, as it is shown."""
        if found.symbol is not None:
            return self._shown(found.symbol, image)
        if found.shape is not None:
            return self._read(found.shape, found.spans[0][0], image)
        return {
            root.path.removeprefix(f"{found.path}."): self._read_root(root, image) for root in found.roots
        }

    def _read_root(self, root: Root, image: memoryview) -> Any:
        shape = self._shapes[root.shape]
        if root.bit < 0:
            return self._read(shape, root.offset, image)
        return bool(image[root.offset] >> root.bit & 1)

    def _read(self, shape: Shape, offset: int, image: memoryview) -> Any:
        if shape.kind == "struct":
            return {
                name: self._read(self._shapes[index], offset + at, image)
                for name, at, index, _ in shape.members
            }
        if shape.kind == "array":
            return self._list(
                shape, 0, iter(range(offset, offset + shape.size + 1, max(shape.stride, 1))), image
            )
        symbol = Symbol("", offset, shape.bit, shape.size, shape.type, "", None, False, values=shape.values)
        return self._shown(symbol, image)

    def _list(self, shape: Shape, rank: int, places: Iterator[int], image: memoryview) -> list[Any]:
        """Return one dimension of an array, whose elements lie at the places to come."""
        low, high = shape.ranges[rank]
        if rank + 1 < len(shape.ranges):
            return [self._list(shape, rank + 1, places, image) for _ in range(low, high + 1)]
        element = self._shapes[shape.element]
        return [self._read(element, next(places), image) for _ in range(low, high + 1)]

    @staticmethod
    def _shown(symbol: Symbol, image: memoryview) -> Any:
        value = read_value(image, symbol)
        for name, number in symbol.values.items():
            if number == value:
                return name
        if symbol.type == "WCHAR" and ord(value) in _LONE:
            return "\ufffd"
        return shown(symbol.type, value)

    def _count(self, index: int) -> int:
        known = self._counts.get(index)
        if known is None:
            known = self._counts[index] = self._count_of(self._shapes[index])
        return known

    def _count_of(self, shape: Shape) -> int:
        if shape.kind == "struct":
            return sum(self._count(index) for _, _, index, _ in shape.members)
        if shape.kind == "array":
            return math.prod(high - low + 1 for low, high in shape.ranges) * self._count(shape.element)
        return 1


def programs_of(application: Application, task: str) -> tuple[str, ...]:
    """Return the program instances that a task runs.

    Raises:
        UnknownVariableError: there is no such task.
        WriteRejectedError: it runs blocks of other tasks' programs only.
    """
    found = [each for each in application.tasks if each.name.casefold() == task.casefold()]
    if not found:
        known = ", ".join(each.name for each in application.tasks)
        raise UnknownVariableError(f"there is no task {task!r}", f"there are: {known}")
    instances = {root.program.casefold() for root in application.roots}
    programs = tuple(name for name in found[0].programs if name.casefold() in instances)
    if not programs:
        text = f"task {found[0].name} runs no program of its own"
        raise WriteRejectedError(text, "restart the PLC, or the task of the program")
    return programs


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (offset, bytes) that cover all spans, with what lies in small gaps between."""
    out: list[tuple[int, int]] = []
    for offset, size in sorted(spans):
        if out and offset <= out[-1][0] + out[-1][1] + _GAP:
            first, length = out[-1]
            out[-1] = first, max(length, offset + size - first)
        else:
            out.append((offset, size))
    return out
