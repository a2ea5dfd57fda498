"""ST3004: a literal has a value of the type it is used as.

Accepted: VAR s : SINT; END_VAR s := -128;
Rejected: VAR s : SINT; END_VAR s := 128;
Source: IEC 61131-3:2013, 6.3.2 and table 10.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY, Elementary, Interface, Subrange, Type, base_of, converts
from softplc.profiles import current
from softplc.rules.context import Context, Use
from softplc.syntax import Binary, Expr, Literal, Unary

ON = (Use, Literal)


def is_untyped(node: Expr) -> bool:
    """Tell whether an expression is made of literals without a type of their own."""
    if isinstance(node, Literal):
        return node.kind in ("int", "real") and not node.type_name
    if isinstance(node, Unary):
        return is_untyped(node.operand)
    if isinstance(node, Binary):
        return is_untyped(node.left) and is_untyped(node.right) and node.value is not None
    return False


def check(subject: Use | Literal, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a literal that does not fit."""
    if isinstance(subject, Literal):
        yield from _typed(subject, context)
        return
    value, target = subject.value, subject.target
    number = value.value
    if value.type is None or number is None:
        return
    if isinstance(target, Subrange) and isinstance(number, int) and converts(value.type, target):
        if not target.low <= number <= target.high:
            message = f"{number} is outside {target.low}..{target.high}"
            yield context.error("ST3004", message, value, f"choose a value of {target}")
        return
    if (converts(value.type, target) and not _is_too_large(number, target)) or not is_untyped(value):
        return
    yield context.error("ST3004", f"{_shown(number)} is no value of {target}", value, _remedy(target, number))


def _is_too_large(number: bool | int | float | str, target: Type) -> bool:
    """Tell whether a number would turn negative, as profile codesys lets a ULINT be a LINT."""
    base = base_of(target)
    return (
        isinstance(number, int)
        and isinstance(base, Elementary)
        and base.kind == "int"
        and (number > base.limits[1])
    )


def _shown(number: bool | int | float | str) -> str:
    return str(number)


def _remedy(target: Type, number: bool | int | float | str) -> str:
    base = base_of(target)
    if isinstance(base, Interface) and current().objects:
        return "assign an instance of a block that implements it, or 0"
    if not isinstance(base, Elementary):
        return ""
    if base.kind == "bool":
        return "write TRUE or FALSE"
    if base.kind in ("time", "date", "tod", "dt"):
        samples = {
            "time": "T#1s",
            "date": "D#2024-02-29",
            "tod": "TOD#12:00:00",
            "dt": "DT#2024-02-29-12:00:00",
        }
        return f"write a literal such as {samples[base.kind]}"
    if base.kind == "real":
        return "use LREAL"
    if isinstance(number, float):
        return f"{base} takes whole numbers"
    low, high = (target.low, target.high) if isinstance(target, Subrange) else base.limits
    return f"{target} goes from {low} to {high}"


def _typed(node: Literal, context: Context) -> Iterator[Diagnostic]:
    """Check `SINT#200`."""
    if node.type is not None or node.kind == "wrong":
        return
    known = ELEMENTARY.get(node.type_name.upper()) or context.scope.type(node.type_name)
    if known is None and len(context.scope.meanings(node.type_name)) > 1:
        return  # ambiguous: told there
    if known is None and node.type_name.upper() in ("STRING", "WSTRING"):
        quote = "'" if node.type_name.upper() == "STRING" else '"'
        remedy = f"write {node.type_name}#{quote}..{quote}"
        yield context.error("ST3004", f"{node.literal} is no text", node, remedy)
    elif known is None:
        yield context.error("ST3004", f"there is no type {node.type_name}", node)
    else:
        yield context.error("ST3004", f"{node.literal} is no value of {node.type_name}", node)
