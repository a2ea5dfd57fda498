"""IR to LLVM assembly text: text is several times faster to make than builder objects."""

from __future__ import annotations

import re

from softplc import ir
from softplc.codegen.pointers import HELPERS
from softplc.codegen.runtime import strings
from softplc.codegen.statements import Statements
from softplc.codegen.values import quoted

_CALLED = re.compile(r"call ({[^}]*}|\S+) @(llvm\.[a-z0-9_.]+)\(([^)]*)\)")
_ARGUMENT_TYPE = re.compile(r"\s*(\S+)")


class Emitter:
    """Collects the text of one module."""

    def __init__(self) -> None:
        self.constants: dict[bytes, str] = {}
        self.uses_strings = self.uses_wide = False
        self.uses_pointers = False
        self.largest = 0

    def data(self, data: bytes) -> str:
        """Return the name of a constant with these bytes."""
        name = self.constants.get(data)
        if name is None:
            name = self.constants[data] = f"@iw.data.{len(self.constants)}"
        return name

    def module(self, module: ir.Module) -> str:
        texts = [self._routine(each) for each in module.routines]
        if self.uses_strings:
            texts.append(strings(self.uses_wide))
        if self.uses_pointers:
            texts.append(HELPERS)
        body = "\n".join(texts)
        return "\n".join((*self._constants(), body, *_declarations(body), _WEIGHTS))

    def _constants(self) -> list[str]:
        return [
            f'{name} = private unnamed_addr constant [{len(data)} x i8] c"{quoted(data)}", align 16'
            for data, name in self.constants.items()
        ]

    def _routine(self, routine: ir.Routine) -> str:
        writer = Statements(self, routine)
        writer.block_of(routine.body)
        self.largest = max(self.largest, len(writer.lines))
        return writer.finish()


_WEIGHTS = '!0 = !{!"branch_weights", i32 1, i32 1048575}'


def _declarations(text: str) -> list[str]:
    """Declare every intrinsic that is called."""
    found: dict[str, str] = {}
    for result, name, arguments in _CALLED.findall(text):
        if name not in found:
            types = [m.group(1) for m in map(_ARGUMENT_TYPE.match, arguments.split(",")) if m]
            found[name] = f"declare {result} @{name}({', '.join(types)})"
    return list(found.values())
