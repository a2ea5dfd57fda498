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

_CALLED = re.compile(r"call ({[^}]*}|\S+) @(llvm\.[a-z0-9_.]+)\(([^)]*)\)")
_ARGUMENT_TYPE = re.compile(r"\s*(\S+)")
COPIES = 1500  # lines of LLVM text that all copies of blocks may have


class Emitter:
    """Collects the text of one module; without `checks` nothing faults, which only a bench wants."""

    def __init__(self, checks: bool = True) -> None:
        self.checks = checks
        self.constants: dict[bytes, str] = {}
        self.uses_strings = self.uses_wide = False
        self.uses_pointers = False
        self.largest = 0
        self.called: Counter[str] = Counter()
        self.copied: set[str] = set()
        self._tags: dict[str, int] = {}

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
        writers = [self._written(each) for each in module.routines]
        self._choose(writers)
        texts = [each.finish() for each in writers]
        if self.uses_strings:
            texts.append(strings(self.uses_wide))
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

    def _choose(self, writers: list[Statements]) -> None:
        """Choose the blocks that may be copied into their callers: small ones, while it costs little time."""
        room = COPIES
        for writer in sorted(writers, key=lambda each: len(each.lines)):
            name = writer.routine.name
            room -= len(writer.lines) * self.called[name]
            if room < 0:
                return
            self.copied.add(name)

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
