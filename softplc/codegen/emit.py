"""IR to LLVM assembly text: text is several times faster to make than builder objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from softplc import ir
from softplc.codegen.pointers import HELPERS
from softplc.codegen.runtime import strings
from softplc.codegen.statements import Statements
from softplc.codegen.values import quoted
from softplc.codegen.work import Work

_CALLED = re.compile(r"call ({[^}]*}|\S+) @(llvm\.[a-z0-9_.]+)\(([^)]*)\)")
_ARGUMENT_TYPE = re.compile(r"\s*(\S+)")
COPIES = 1500  # operations that all copies of blocks may have
FRAME = 256  # bytes of the stack that a copied block may take


class Emitter:
    """Collects the text of one module; without `checks` nothing faults, which only a bench wants."""

    def __init__(self, checks: bool = True) -> None:
        self.checks = checks
        self.constants: dict[bytes, str] = {}
        self.uses_strings = self.uses_wide = False
        self.uses_pointers = False
        self.largest = 0
        self.work = Work(ir.Module([]))
        self.called: list[str] = []
        self._copied: dict[str, ir.Routine] = {}
        self._room = COPIES
        self._tags: dict[str, int] = {}
        self.units: dict[str, int] = {}
        self.debug = -1

    def data(self, data: bytes) -> str:
        """Return the name of a constant with these bytes."""
        name = self.constants.get(data)
        if name is None:
            name = self.constants[data] = f"@iw.data.{len(self.constants)}"
        return name

    def tag(self, name: str) -> str:
        """Return what says of an access that it reaches what has this tag alone; nothing where that is empty.

        Source: LLVM Language Reference, 'tbaa' metadata; accesses without it may reach anything.
        """
        return f", !tbaa !{self._tags.setdefault(name, 2 * len(self._tags) + 4)}" if name else ""

    def module(self, module: ir.Module) -> str:
        self.units = {name: number for number, name in enumerate(module.units)}
        self.debug = module.debug
        self.work = Work(module)
        if self.debug < 0:
            self._copied = self._chosen(module)
        texts = [self._written(each).finish() for each in self._needed(module)]
        if self.uses_strings:
            tags = [self.tag(each) for each in (ir.LENGTH, ir.CAPACITY, ir.UNITS)]
            texts.append(strings(self.uses_wide, *tags))
        if self.uses_pointers:
            texts.append(HELPERS)
        body = "\n".join(texts)
        return "\n".join((*self._constants(), body, *_declarations(body), _WEIGHTS, *self._metadata()))

    def _metadata(self) -> Iterator[str]:
        yield '!1 = !{!"ironworks"}'
        for name, number in self._tags.items():
            yield f'!{number - 1} = !{{!"{quoted(name.encode())}", !1, i64 0}}'
            yield f"!{number} = !{{!{number - 1}, !{number - 1}, i64 0}}"

    def _constants(self) -> list[str]:
        return [
            f'{name} = private unnamed_addr constant [{len(data)} x i8] c"{quoted(data)}", align 16'
            for data, name in self.constants.items()
        ]

    def _chosen(self, module: ir.Module) -> dict[str, ir.Routine]:
        """Choose the blocks that are copied into their callers: small ones, while it costs little time."""
        room = COPIES
        called = sum(self.work.calls.values(), Counter())
        chosen: dict[str, ir.Routine] = {}
        for routine in sorted(module.routines, key=lambda each: self.work.size[each.name]):
            if routine.inline or routine.exported or sum(routine.slots) + len(routine.local) > FRAME:
                continue
            room -= self.work.size[routine.name] * called[routine.name]
            if room < 0:
                break
            chosen[routine.name] = routine
        return chosen

    def is_small(self, name: str) -> bool:
        return name in self._copied

    def copied(self, name: str) -> ir.Routine | None:
        """Return a routine that is to be copied where it is called, None where it is to be called.

        Copies in copies take room as well, so that there is an end.
        """
        routine = self._copied.get(name)
        if routine is None or self._room < self.work.size[name]:
            return None
        self._room -= self.work.size[name]
        return routine

    def _needed(self, module: ir.Module) -> Iterator[ir.Routine]:
        """Yield what tasks run, and what is called by what was written since."""
        yield from (each for each in module.routines if each.exported)
        done: set[str] = set()
        while self.called:
            name = self.called.pop()
            if name not in done:
                done.add(name)
                yield self.work.routines[name]

    def _written(self, routine: ir.Routine) -> Statements:
        writer = Statements(self, routine)
        writer.block_of(routine.body)
        self.largest = max(self.largest, len(writer.lines))
        return writer


_WEIGHTS = """!0 = !{!"branch_weights", i32 1, i32 1048575}
!2 = !{!"branch_weights", i32 1048575, i32 1}"""


def _declarations(text: str) -> list[str]:
    """Declare every intrinsic that is called."""
    found: dict[str, str] = {}
    for result, name, arguments in _CALLED.findall(text):
        if name not in found:
            types = [m.group(1) for m in map(_ARGUMENT_TYPE.match, arguments.split(",")) if m]
            found[name] = f"declare {result} @{name}({', '.join(types)})"
    return list(found.values())
