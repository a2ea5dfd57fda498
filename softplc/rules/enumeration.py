"""ST2052: an enumeration is based on an integer or bit string type, and its values are numbers of that type.

Accepted: TYPE C : USINT (Red := 3, Green); D : DWORD (All := 16#FFFF_FFFF); END_TYPE
Rejected: TYPE C : USINT (Red := 255, Green); END_TYPE
Source: IEC 61131-3:2013, 6.4.4.2 and 6.4.4.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import ELEMENTARY, INT_LITERAL, Enum, Type, in_class
from softplc.rules.context import Context
from softplc.syntax import EnumSpec

ON = (EnumSpec,)
BASES = [name for name, type_ in ELEMENTARY.items() if type_.kind in ("int", "uint", "bits")]


def check(spec: EnumSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for a base that has no whole numbers, and for values that do not fit it."""
    if spec.base and spec.base.upper() not in BASES:
        remedy = did_you_mean(spec.base, BASES) or "use an integer or bit string type"
        yield context.error("ST2052", f"an enumeration cannot be based on {spec.base}", spec, remedy)
        return
    enum = spec.resolved
    if not isinstance(enum, Enum):
        return
    low, high = enum.base.limits
    for text, value, at in spec.values:
        number = enum.values[text.casefold()][1]
        if value is not None and value.type is not None and not _is_whole(value.type):
            yield context.error("ST2052", f"{text} cannot be {value.type}", value, "write a whole number")
        elif not low <= number <= high:
            remedy = f"{enum.base} goes from {low} to {high}"
            message = f"{number}, the value of {text}, is no {enum.base}"
            yield Diagnostic("ST2052", message, at, at + len(text), remedy)


def _is_whole(type_: Type) -> bool:
    kinds = ("ANY_INT", "ANY_BIT")
    return type_ is INT_LITERAL or isinstance(type_, Enum) or any(in_class(type_, each) for each in kinds)
