"""ST3001: a value is converted implicitly only where nothing can be lost.

Accepted: VAR i : INT; d : DINT; r : REAL; END_VAR d := i; r := i; i := DINT_TO_INT(d);
Rejected: VAR i : INT; d : DINT; END_VAR i := d;
Source: IEC 61131-3:2013, 6.4.2.4, figure 11.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.references import unreferable
from softplc.diagnostics import Diagnostic
from softplc.iectypes import (
    WCHAR,
    BlockType,
    Elementary,
    Enum,
    Interface,
    Pointer,
    String,
    Type,
    base_of,
    converts,
    in_class,
)
from softplc.library.functions import convertible
from softplc.rules.context import Context, Use
from softplc.rules.literal import is_untyped
from softplc.syntax import Expr, Literal

ON = (Use,)


def check(use: Use, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a value whose type does not convert to what is wanted."""
    value, target = use.value, use.target
    source = value.type
    if source is None:
        return
    if isinstance(target, BlockType):
        yield context.error(
            "ST3001", f"instances of {target} cannot be assigned", value, "call the instance instead"
        )
        return
    if isinstance(target, Interface) and isinstance(source, BlockType) and converts(source, target):
        why = unreferable(value)
        if why:
            yield context.error("ST3001", f"there is no reference to {why}", value, "declare it in VAR")
        return
    if converts(source, target) or is_untyped(value):
        return
    remedy = _quotes(value, target) or remedy_for(source, target)
    yield context.error("ST3001", f"{source} does not convert to {target}", value, remedy)


def _quotes(value: Expr, target: Type) -> str:
    """Return how to write a literal of text so that it is one of the target's."""
    wanted = base_of(target)
    text = in_class(wanted, "ANY_CHARS") and isinstance(value, Literal) and not value.type_name
    if not text or not isinstance(value.type, String):
        return ""
    wide = wanted.wide if isinstance(wanted, String) else wanted is WCHAR
    if wide != value.type.wide:
        return f"write it in {'double' if wide else 'single'} quotes"
    return f"{target} is one character"


def remedy_for(source: Type, target: Type) -> str:
    """Return the conversion function to use."""
    plain, wanted = base_of(source), base_of(target)
    if isinstance(wanted, Pointer):
        return "a pointer is made by ADR" if isinstance(plain, Elementary) else "keep to what it points to"
    if plain is None or wanted is None:
        return ""
    if isinstance(wanted, Enum):
        values = ", ".join(name for name, _ in list(wanted.values.values())[:6])
        return f"assign one of {values}"
    if not isinstance(wanted, Elementary | String) or not convertible(plain, wanted):
        return ""
    before, after = (each.plain if isinstance(each, String) else str(each) for each in (plain, wanted))
    return f"convert it with {before}_TO_{after}(...)"
