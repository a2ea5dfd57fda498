"""ST2013: array limits are whole numbers, the lower not above the upper, and the array fits the memory.

Accepted: VAR a : ARRAY[-1..3, 0..0] OF INT; END_VAR
Rejected: VAR a : ARRAY[3..1] OF INT; END_VAR
Source: IEC 61131-3:2013, 6.4.4.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.declare import MAX_IMAGE_BYTES
from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.syntax import ArraySpec

ON = (ArraySpec,)


def check(spec: ArraySpec, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for limits that make no array."""
    good = 0
    for low, high in spec.ranges:
        first, last = low.value, high.value
        if isinstance(first, int) and isinstance(last, int):
            if first > last:
                yield context.error(
                    "ST2013", f"lower limit {first} is above upper limit {last}", low, "swap them"
                )
            else:
                good += 1
        else:
            for limit in (low, high):
                if limit.value is not None and not isinstance(limit.value, int):
                    yield context.error("ST2013", "array limits are whole numbers", limit)
    if good == len(spec.ranges) and spec.resolved is None and spec.element.resolved is not None:
        yield context.error(
            "ST2013", f"the array is larger than {MAX_IMAGE_BYTES >> 20} MiB", spec, "make it smaller"
        )
