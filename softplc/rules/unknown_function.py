"""ST4001: what is called is a function or an instance of a function block.

Accepted: VAR r : REAL; END_VAR r := SQRT(r);
Rejected: VAR r : REAL; END_VAR r := SQRTT(r);
Source: IEC 61131-3:2013, 6.6.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc import library
from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY, Alias, Array, BlockType
from softplc.library.functions import FUNCTIONS
from softplc.rules.context import Context, meant
from softplc.symbols import Pou, Variable
from softplc.syntax import Call, Name

ON = (Call,)
PROGRAMS = "programs run in tasks: make it a FUNCTION_BLOCK; profile codesys calls programs by name"


def check(node: Call, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a call of what cannot be called."""
    binding = node.binding
    if node.rewritten is not None:
        return
    if binding is not None and (
        binding.pou
        or binding.function
        or binding.conversion
        or binding.referred
        or binding.bound
        or binding.problems
    ):
        return
    callee = node.callee
    sizes = isinstance(callee, Name) and callee.name.upper() in ("SIZEOF", "XSIZEOF")
    if sizes and context.project.profile.pointers:
        return  # its argument is wrong: told there
    if not isinstance(callee, Name):
        if callee.type is not None:
            yield context.error("ST4001", f"{callee.type} cannot be called", callee)
        return
    ref = context.scope.lookup(callee.name)
    if ref is None and len(context.scope.meanings(callee.name)) > 1:
        return  # ambiguous: told there
    if isinstance(ref, Variable):
        if ref.type is not None:
            remedy = f"indices stand in brackets: {callee.name}[...]" if isinstance(ref.type, Array) else ""
            message = f"{callee.name} is {ref.type}: it cannot be called"
            yield context.error("ST4001", message, callee, remedy)
        return
    if isinstance(ref, Pou):
        what = ref.kind.lower().replace("_", " ")
        remedy = PROGRAMS if ref.kind == "PROGRAM" else "declare an instance and call that"
        message = f"{callee.name} is a {what}: it cannot be called itself"
        yield context.error("ST4001", message, callee, remedy)
        return
    named = context.scope.type(callee.name)
    if isinstance(named.type if isinstance(named, Alias) else named, BlockType):
        message = f"{callee.name} is a function block: it cannot be called itself"
        yield context.error("ST4001", message, callee, "declare an instance and call that")
        return
    if library.source_of(callee.name) is not None:
        message = f"{callee.name.upper()} is a function block"
        yield context.error("ST4001", message, callee, "declare an instance of it and call that")
        return
    known = [*FUNCTIONS, *(each.name for each in context.project.pous.values() if each.kind == "FUNCTION")]
    if context.pou is not None:
        known += [each.name for each in context.pou.variables.values()]
    remedy = meant(callee.name, known)
    if callee.name.upper() in ELEMENTARY:
        remedy = f"convert it with TO_{callee.name.upper()}(...)"
    yield context.error("ST4001", f"there is no function {callee.name}", callee, remedy)
