"""ST3005: an index is a whole number within the limits, one for each dimension.

Accepted: VAR a : ARRAY[1..3] OF INT; i : INT; END_VAR a[3] := a[i];
Rejected: VAR a : ARRAY[1..3] OF INT; END_VAR a[4] := 0;
Of a string it is the position of a character, from 1.
Source: IEC 61131-3:2013, 6.5.3, and 6.4.2.2 for strings.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.expressions import PARTS, is_copy
from softplc.diagnostics import Diagnostic
from softplc.iectypes import (
    Array,
    Elementary,
    OpenArray,
    Pointer,
    String,
    base_of,
    has_bits,
    in_class,
    is_position,
)
from softplc.rules.context import Context, of_copy
from softplc.syntax import BitAccess, Index

ON = (Index, BitAccess)


def check(node: Index | BitAccess, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for indices and bits that are not there."""
    base = node.base.type
    if base is None:
        return
    if isinstance(node, BitAccess):
        if node.type is None:
            message = f"{base} has no part {node.size}{node.number}"
            whole, bits = base_of(base), PARTS[node.size].bits if node.size != "X" else 1
            remedy = "parts exist of BYTE, WORD, DWORD, LWORD and integers"
            if isinstance(whole, Elementary) and has_bits(whole.kind) and whole.bits > bits:
                remedy = f"{node.size}0 to {node.size}{whole.bits // bits - 1} exist"
            yield context.error("ST3005", message, node, remedy)
        return
    if isinstance(base, String) and not is_copy(node.base):
        yield from _character(node, base, context)
        return
    if isinstance(base, OpenArray):
        if len(node.indices) != base.rank:
            message = f"{len(node.indices)} indices for {base.rank} dimensions"
            yield context.error("ST3005", message, node, f"the type is {base}")
        return
    if isinstance(base, Pointer):
        if len(node.indices) != 1:
            yield context.error(
                "ST3005", f"{base} takes one index", node, "it counts elements from the first"
            )
        elif node.indices[0].type is not None and not is_position(node.indices[0].type):
            message = f"an index is a whole number, not {node.indices[0].type}"
            yield context.error("ST3005", message, node.indices[0])
        return
    if is_copy(node.base):
        yield context.error("ST3005", of_copy(node.base, "elements"), node, "assign it to a variable first")
        return
    if not isinstance(base, Array):
        yield context.error("ST3005", f"{base} is no array", node, "remove the index")
        return
    if len(node.indices) != len(base.ranges):
        message = f"{len(node.indices)} indices for {len(base.ranges)} dimensions"
        yield context.error("ST3005", message, node, f"the type is {base}")
        return
    for index, (low, high) in zip(node.indices, base.ranges, strict=True):
        if index.type is not None and not is_position(index.type):
            yield context.error("ST3005", f"an index is a whole number, not {index.type}", index)
        elif isinstance(index.value, int) and not low <= index.value <= high:
            yield context.error("ST3005", f"index {index.value} is outside {low}..{high}", index)


def _character(node: Index, base: String, context: Context) -> Iterator[Diagnostic]:
    first = node.indices[0]
    if len(node.indices) > 1:
        yield context.error("ST3005", f"{len(node.indices)} indices for one position", node, "give one")
    elif first.type is not None and not in_class(first.type, "ANY_INT"):
        yield context.error("ST3005", f"an index is a whole number, not {first.type}", first)
    elif isinstance(first.value, int) and not 1 <= first.value <= base.capacity:
        message = f"position {first.value} is outside 1..{base.capacity}"
        yield context.error("ST3005", message, first, "the first character is [1]")
