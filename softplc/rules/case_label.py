"""ST5002: CASE selects by whole numbers, bits, text or enumerations; labels are constants, each once.

Accepted: VAR i : INT; END_VAR CASE i OF 1, 5..7: i := 0; 2: i := 1; END_CASE;
Rejected: VAR i : INT; END_VAR CASE i OF 1, 5..7: i := 0; 6: i := 1; END_CASE;
Source: IEC 61131-3:2013, 7.3.3.3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Enum, String, base_of, converts, in_class
from softplc.rules.context import Context
from softplc.rules.literal import is_untyped
from softplc.syntax import Case, Expr

ON = (Case,)


def check(node: Case, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for labels that cannot be chosen."""
    type_ = base_of(node.selector.type)
    if type_ is None:
        return
    good = isinstance(type_, Enum) or any(
        in_class(type_, each) for each in ("ANY_INT", "ANY_BIT", "ANY_CHAR")
    )
    if isinstance(type_, String):
        yield from _texts(node, context)
        return
    if not good:
        yield context.error("ST5002", f"CASE cannot select by {type_}", node.selector, "use IF")
        return
    taken: list[tuple[int, int]] = []
    for branch in node.branches:
        for low, high in branch.labels:
            finding = next((f for f in (_label(low, node, context), _label(high, node, context)) if f), None)
            if finding is not None:
                yield finding
                continue
            if not isinstance(low.value, int) or not isinstance(high.value, int):
                continue
            first, last = int(low.value), int(high.value)
            if first > last:
                yield context.error("ST5002", f"{first}..{last} is empty", low, "the lower limit comes first")
            elif any(a <= last and first <= b for a, b in taken):
                yield context.error("ST5002", "this label is already taken", low, "remove it from one branch")
            else:
                taken.append((first, last))


def _texts(node: Case, context: Context) -> Iterator[Diagnostic]:
    taken: set[str] = set()
    for branch in node.branches:
        for low, high in branch.labels:
            finding = _label(low, node, context)
            if finding is not None:
                yield finding
            elif low is not high:
                yield context.error("ST5002", "strings have no ranges", low, "name each string")
            elif str(low.value) in taken:
                yield context.error("ST5002", "this label is already taken", low, "remove it from one branch")
            taken.add(str(low.value))


def _label(label: Expr, node: Case, context: Context) -> Diagnostic | None:
    wanted = node.selector.type
    if label.type is None or wanted is None:
        return None
    if label.value is None:
        return context.error("ST5002", "a label is a constant", label, "use literals and VAR CONSTANT")
    if not converts(label.type, wanted):
        what = (
            f"{label.value} is no value of {wanted}" if is_untyped(label) else f"a label of type {label.type}"
        )
        return context.error("ST5002", f"{what}; the selector is {wanted}", label)
    return None
