"""ST3007: from outside, inputs of a function block may be set and outputs read; the rest is its own.

Accepted: VAR t : TON; q : BOOL; END_VAR t.IN := TRUE; q := t.Q;
Rejected: VAR t : TON; END_VAR t.Q := TRUE;
In profile codesys local variables may be read.
Source: IEC 61131-3:2013, 6.6.3.2, table 40.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BlockType
from softplc.profiles import current
from softplc.rules.context import Context, Write
from softplc.spaces import within
from softplc.symbols import Variable
from softplc.syntax import BitAccess, Call, Expr, Index, Member, Name

ON = (Member, Write, Call)


def check(subject: Member | Write | Call, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for access past the interface of a function block."""
    if isinstance(subject, Call):
        binding = subject.binding
        used = (binding.referred or binding.instance) if binding is not None else None
        yield from _only_read(used or subject.callee, context)
        return
    if isinstance(subject, Write):
        yield from _only_read(subject.target, context)
        node = subject.target
        while isinstance(node, Index) or (
            isinstance(node, Member) and not isinstance(node.base.type, BlockType)
        ):
            node = node.base
        if _is_this(node):
            return
        if isinstance(node, Member) and isinstance(node.ref, Variable) and node.ref.section == "VAR_OUTPUT":
            message = f"{node.name} is an output of {node.base.type}: it cannot be {subject.why}"
            yield context.error("ST3007", message, node, "only the block itself sets its outputs")
        return
    if _is_hidden(subject, context) and not (current().objects and _is_local(subject.ref)):
        yield _hidden(subject)


def _is_hidden(node: Member, context: Context) -> bool:
    ref = node.ref
    if _is_this(node) or not isinstance(ref, Variable) or _is_open(ref, context):
        return False
    return not _offered(ref) and not _of_program(ref)


def _hidden(node: Member) -> Diagnostic:
    message = f"{node.name} is not in the interface of {node.base.type}"
    return Diagnostic("ST3007", message, node.name_at, node.end, "make it VAR_INPUT or VAR_OUTPUT")


def _is_local(ref: object) -> bool:
    """Tell whether it is a variable that profile codesys lets be read from outside."""
    return isinstance(ref, Variable) and ref.section == "VAR" and ref.access == "PROTECTED"


def _only_read(node: Expr, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a local variable that is changed from outside, called, or lent."""
    while isinstance(node, Index | Member | BitAccess) and current().objects:
        if isinstance(node, Member) and _is_local(node.ref) and _is_hidden(node, context):
            yield _hidden(node)
            return
        node = node.base


def _is_open(variable: Variable, context: Context) -> bool:
    """Tell whether its access specifier lets it be seen from here."""
    if variable.access == "INTERNAL" and variable.pou is not None:
        return within(context.scope.space.name.casefold(), variable.pou.decl.space.name.casefold())
    return variable.access == "PUBLIC"


def _offered(variable: Variable) -> bool:
    return variable.section in ("VAR_INPUT", "VAR_OUTPUT") and not variable.by_reference


def _of_program(variable: Variable) -> bool:
    """Tell whether it is a variable of a program, which profile codesys lets be seen everywhere."""
    return variable.pou is not None and variable.pou.kind == "PROGRAM" and variable.section == "VAR"


def _is_this(node: Expr) -> bool:
    return (
        isinstance(node, Member)
        and isinstance(node.base, Name)
        and node.base.name.upper() in ("THIS", "SUPER")
    )
