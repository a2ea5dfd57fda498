"""Usage: which variables the body of a unit reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.iectypes import BlockType
from softplc.symbols import Pou, Variable
from softplc.syntax import (
    Assign,
    Attempt,
    BitAccess,
    Call,
    Deref,
    Expr,
    For,
    Index,
    Member,
    Name,
    Node,
    inner,
)


@dataclass(slots=True)
class Usage:
    """Variables that are read, and those that are written with the places where."""

    reads: set[Variable] = field(default_factory=set)
    writes: dict[Variable, list[Expr]] = field(default_factory=dict)

    def take(self, other: Usage) -> None:
        self.reads |= other.reads
        for variable, places in other.writes.items():
            self.writes.setdefault(variable, []).extend(places)


def usage_of(pou: Pou) -> Usage:
    """Return what the body of one unit uses; methods and heirs of a block or class count as its body."""
    usage = Usage()
    units = [pou]
    if pou.kind in ("FUNCTION_BLOCK", "CLASS", "PROGRAM"):
        units = [each for unit in pou.descendants() for each in (unit, *unit.methods.values())]
    for unit in units:
        _visit(unit.decl.body, usage)
        _visit([each.init for each in unit.variables.values() if each.pou is unit], usage)
    return usage


def body_usage(body: object) -> Usage:
    """Return what statements or an expression use."""
    usage = Usage()
    _visit(body, usage)
    return usage


def _visit(node: object, usage: Usage) -> None:
    if isinstance(node, list | tuple):
        for each in node:
            _visit(each, usage)
    elif isinstance(node, Assign | Attempt):
        _write(node.target, usage)
        _visit(node.value, usage)
    elif isinstance(node, For):
        _write(node.variable, usage)
        _visit([node.variable, node.first, node.last, node.step, node.body], usage)
    elif isinstance(node, Call):
        _call(node, usage)
    elif isinstance(node, Name):
        if isinstance(node.ref, Variable):
            usage.reads.add(node.ref.end_of_chain)
    elif isinstance(node, Member) and (own := _own(node)) is not None:
        usage.reads.add(own.end_of_chain)
    elif isinstance(node, Node):
        for name in inner(node):
            _visit(getattr(node, name), usage)


def _call(node: Call, usage: Usage) -> None:
    binding = node.binding
    if node.rewritten is not None or binding is None:
        _visit(node.rewritten, usage)
        if binding is not None:
            _visit(binding.enable, usage)
            if binding.enable_out is not None:
                _write(binding.enable_out, usage)
        return
    if not isinstance(node.callee, Name) or isinstance(node.callee.ref, Variable):
        _visit(node.callee, usage)
    if isinstance(node.callee, Name) and isinstance(node.callee.ref, Variable):
        usage.writes.setdefault(node.callee.ref.end_of_chain, []).append(node.callee)
    seen: set[int] = set()
    for parameter, value in binding.inputs:
        if parameter.section == "VAR_IN_OUT":
            _write(value, usage)
        _visit(value, usage)
        seen.add(id(value))
    for _, target, _ in binding.outputs:
        _write(target, usage)
        seen.add(id(target))
    if binding.enable_out is not None:
        _write(binding.enable_out, usage)
        seen.add(id(binding.enable_out))
    if binding.referred is not None:
        _write(binding.referred, usage)
    for argument in node.arguments:
        if argument.value is not None and id(argument.value) not in seen:
            _visit(argument.value, usage)


def _write(target: Expr, usage: Usage) -> None:
    """Note the variable a target belongs to; indices on the way are read."""
    node = target
    while isinstance(node, Index | Member | BitAccess | Deref):
        if isinstance(node, Index):
            _visit(node.indices, usage)
        if isinstance(node, Deref):
            _visit(node.base, usage)
            return
        own = _own(node) if isinstance(node, Member) else None
        if own is not None:
            usage.writes.setdefault(own.end_of_chain, []).append(target)
            return
        node = node.base
    if isinstance(node, Name) and isinstance(node.ref, Variable):
        usage.writes.setdefault(node.ref.end_of_chain, []).append(target)


def _own(node: Member) -> Variable | None:
    """Return the variable that THIS.x or SUPER.x means."""
    base = node.base
    itself = isinstance(base, Name) and base.ref is None and isinstance(base.type, BlockType)
    return node.ref if itself and isinstance(node.ref, Variable) else None
