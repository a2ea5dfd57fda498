"""ST2014: a subrange lies within its type, and a STRING is 1 to 32767 long.

Accepted: VAR x : INT (-5..5); s : STRING[10]; END_VAR
Rejected: VAR x : SINT (0..200); END_VAR
Source: IEC 61131-3:2013, 6.4.4.4 and 6.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.declare import MAX_IMAGE_BYTES
from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY, MAX_STRING_LENGTH, Struct
from softplc.rules.context import Context
from softplc.syntax import NamedSpec, StructSpec

ON = (NamedSpec, StructSpec)
STRINGS = ("STRING", "WSTRING")


def check(spec: NamedSpec | StructSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for limits or lengths the type cannot have."""
    if spec.resolved is not None:
        return
    if isinstance(spec, StructSpec):
        based = spec.base is None or isinstance(spec.base.resolved, Struct)
        if based and all(each.spec.resolved is not None for each in spec.fields):
            message = f"the structure is larger than {MAX_IMAGE_BYTES >> 20} MiB"
            yield context.error("ST2014", message, spec, "make it smaller")
        return
    if spec.length is not None and spec.length.value is not None and spec.name.upper() in STRINGS:
        message = f"a {spec.name.upper()} cannot have the length {spec.length.value}"
        yield context.error("ST2014", message, spec.length, f"choose 1 to {MAX_STRING_LENGTH}")
    elif spec.length is not None and spec.name.upper() not in STRINGS:
        message = f"{spec.name} has no length"
        yield context.error("ST2014", message, spec, f"write ARRAY[1..n] OF {spec.name}")
    if spec.low is None or spec.high is None or spec.low.value is None or spec.high.value is None:
        return
    base = ELEMENTARY.get(spec.name.upper())
    if base is None or base.kind not in ("int", "uint"):
        yield context.error("ST2014", f"{spec.name} cannot have a subrange", spec, "use an integer type")
        return
    low, high = base.limits
    message = f"{spec.low.value}..{spec.high.value} is no range of {base}"
    yield context.error("ST2014", message, spec, f"choose limits from {low} to {high}, the lower first")
