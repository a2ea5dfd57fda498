"""Writes that others see: which outputs and globals statements surely write, and which they read."""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.usage import body_usage, usage_of
from softplc.symbols import Pou, Variable, is_shared
from softplc.syntax import (
    Assign,
    Call,
    CallStatement,
    Direct,
    Expr,
    Index,
    Member,
    Name,
    Node,
    Return,
    Statement,
    inner,
)

Root = Variable | str
Target = tuple[Root, tuple[str | int, ...]]
"""A variable, or the address it lies at, and the way to a part of it."""


def root_of(variable: Variable) -> Root:
    """Return the address of a variable that has a whole one, else itself."""
    final = variable.end_of_chain
    located = final.address and not final.address.endswith("*")
    return final.address.upper() if located else final


def is_output(root: Root) -> bool:
    return isinstance(root, str) and root.startswith("%Q")


def target_of(node: Expr) -> Target | None:
    """Return what an assignment writes, if that is known before it runs and others can see it."""
    way: list[str | int] = []
    while isinstance(node, Member | Index):
        if node.followed:
            return None
        if isinstance(node, Member):
            way.insert(0, node.name.casefold())
        else:
            indices = [each.value for each in node.indices]
            if not all(isinstance(each, int) for each in indices):
                return None
            way[:0] = [int(each) for each in indices if each is not None]
        node = node.base
    if isinstance(node, Direct):
        return node.address.upper(), tuple(way)
    if isinstance(node, Name) and isinstance(node.ref, Variable) and not node.followed:
        final = node.ref.end_of_chain
        seen = (final.section == "VAR_GLOBAL" and not is_shared(final)) or is_output(root_of(node.ref))
        return (root_of(node.ref), tuple(way)) if seen else None
    return None


Known = dict[Pou, tuple[Target, ...]]
"""What units surely write, each looked at once."""


def sure_writes(statements: list[Statement], known: Known) -> Iterator[tuple[Target, Node]]:
    """Yield what the statements write each time they run, in their order, with the places where."""
    for statement in statements:
        yield from written_by(statement, known)
        if leaves(statement):
            return


def _of_unit(pou: Pou, known: Known) -> tuple[Target, ...]:
    if pou not in known:
        known[pou] = ()  # nothing calls itself: told elsewhere
        known[pou] = tuple(dict.fromkeys(target for target, _ in sure_writes(pou.decl.body, known)))
    return known[pou]


def written_by(statement: Statement, known: Known) -> Iterator[tuple[Target, Node]]:
    """Yield what one statement surely writes; units that it calls count."""
    found: Target | None
    if isinstance(statement, Assign):
        found = target_of(statement.target)
        if found is not None:
            yield found, statement.target
    elif isinstance(statement, CallStatement) and isinstance(statement.call, Call):
        binding = statement.call.binding
        if binding is None or binding.enable is not None:
            return
        if binding.pou is not None and not binding.pou.library and binding.through is None:
            yield from ((each, statement.call) for each in _of_unit(binding.pou, known))
        for _, value, _ in binding.outputs:
            found = target_of(value)
            if found is not None:
                yield found, value


def read_by(statement: Statement, reads_of: dict[Pou, set[Root]]) -> set[Root]:
    """Return what a statement may read, in the units that it calls as well."""
    found = {root_of(each) for each in body_usage(statement).reads}
    for node in nodes(statement):
        if isinstance(node, Direct):
            found.add(node.address.upper())
        elif isinstance(node, Call) and node.binding is not None and node.binding.pou is not None:
            found |= reads(node.binding.pou, reads_of)
    if isinstance(statement, Assign) and isinstance(statement.target, Direct):
        others = [each for each in nodes(statement.value) if isinstance(each, Direct)]
        if statement.target.address.upper() not in (each.address.upper() for each in others):
            found.discard(statement.target.address.upper())
    return found


def reads(pou: Pou, reads_of: dict[Pou, set[Root]]) -> set[Root]:
    """Return what a unit may read, those that it calls included; `reads_of` remembers."""
    if pou not in reads_of:
        reads_of[pou] = set()
        found = {root_of(each) for each in usage_of(pou).reads}
        for node in nodes(pou.decl.body):
            if isinstance(node, Direct):
                found.add(node.address.upper())
        for each in pou.uses:
            found |= reads(each, reads_of)
        reads_of[pou] = found
    return reads_of[pou]


def leaves(statement: Statement) -> bool:
    """Tell whether a statement may end the unit."""
    return any(isinstance(node, Return) for node in nodes(statement))


def nodes(node: object) -> Iterator[Node]:
    """Yield every node below and with one."""
    stack = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, list | tuple):
            stack.extend(each)
        elif isinstance(each, Node):
            yield each
            stack.extend([getattr(each, name) for name in inner(each)])
