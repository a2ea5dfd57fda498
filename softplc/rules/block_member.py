"""ST3007: from outside, inputs of a function block may be set and outputs read; the rest is its own.

Accepted: VAR t : TON; q : BOOL; END_VAR t.IN := TRUE; q := t.Q;
Rejected: VAR t : TON; END_VAR t.Q := TRUE;
Source: IEC 61131-3:2013, 6.6.3.2, table 40.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BlockType
from softplc.rules.context import Context, Write
from softplc.spaces import within
from softplc.symbols import Variable
from softplc.syntax import Expr, Index, Member, Name

ON = (Member, Write)


def check(subject: Member | Write, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for access past the interface of a function block."""
    if isinstance(subject, Write):
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
    ref = subject.ref
    if _is_this(subject) or (isinstance(ref, Variable) and _is_open(ref, context)):
        return
    if isinstance(ref, Variable) and not _offered(ref) and not _of_program(ref):
        message = f"{subject.name} is not in the interface of {subject.base.type}"
        yield Diagnostic("ST3007", message, subject.name_at, subject.end, "make it VAR_INPUT or VAR_OUTPUT")


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
