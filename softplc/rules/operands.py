"""ST3002: the operands of an operator have types it takes.

Accepted: VAR a, b : BOOL; i : INT; END_VAR a := b AND i > 3;
Rejected: VAR a, b : BOOL; i : INT; END_VAR a := b AND i;
Source: IEC 61131-3:2013, 7.3.2 and tables 29 to 33.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.expressions import COMPARISONS
from softplc.diagnostics import Diagnostic
from softplc.iectypes import Elementary, Type, base_of, in_class, is_literal_type
from softplc.rules.context import Context
from softplc.syntax import Binary, Unary

ON = (Binary, Unary)


def check(node: Binary | Unary, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an operation that has no result."""
    if node.type is not None:
        return
    if isinstance(node, Unary):
        if node.operand.type is not None:
            message = f"{node.op} cannot be applied to {node.operand.type}"
            yield context.error("ST3002", message, node, _remedy(node.op, node.operand.type))
        return
    left, right = node.left.type, node.right.type
    if left is None or right is None:
        return
    zero = node.op == "/" and node.right.value == 0 and node.right.value is not None
    if node.operand_type is not None and zero:
        yield context.error("ST3002", "division by zero", node, "divide by something else")
        return
    if node.op == "**" and node.operand_type is not None:
        yield context.error("ST3002", "this power is no number, or too large for one", node, "choose others")
        return
    message = f"{node.op} cannot be applied to {left} and {right}"
    yield context.error("ST3002", message, node, _remedy(node.op, left, right))


def _remedy(op: str, *types: Type) -> str:
    kinds = {each.kind for each in map(base_of, types) if isinstance(each, Elementary)}
    if op in COMPARISONS and len(types) > 1 and "bool" in kinds and kinds != {"bool"}:
        return "compare twice: a < b AND b < c"
    if op in ("+", "-") and "time" in kinds and len(types) > 1 and is_literal_type(types[-1]):
        return "write a duration such as T#5s"
    if op in ("AND", "OR", "XOR", "NOT"):
        if kinds & {"int", "uint"}:
            return (
                "logic works on BOOL, BYTE, WORD, DWORD and LWORD: convert with INT_TO_WORD(...) or the like"
            )
        return "logic works on BOOL, BYTE, WORD, DWORD and LWORD"
    if kinds & {"bits"}:
        return "arithmetic works on numbers: convert with WORD_TO_UINT(...) or the like"
    if op == "MOD" and "real" in kinds:
        return "MOD works on whole numbers"
    if op == "-" and kinds == {"uint"}:
        return "unsigned numbers have no sign: convert with TO_DINT(...)"
    if any(in_class(each, "ANY_CHARS") for each in types) and op not in COMPARISONS:
        return "join texts with CONCAT(...)" if op == "+" else ""
    return "convert one of the operands" if len(types) > 1 else ""
