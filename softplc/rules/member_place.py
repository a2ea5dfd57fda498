"""ST2051: a member's place in its structure is well formed, and shared by others only with OVERLAP.

Accepted: TYPE T : STRUCT a AT %W0 : INT; b AT %X2.7 : BOOL; c AT %B4 : DINT; END_STRUCT; END_TYPE
Rejected: TYPE T : STRUCT a AT %W0 : INT; b AT %B1 : BYTE; END_STRUCT; END_TYPE
Source: IEC 61131-3:2013, 6.4.4.5, table 11.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.addresses import parse_relative
from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, Struct
from softplc.rules.address import PARTIAL
from softplc.rules.context import Context
from softplc.symbols import is_partial
from softplc.syntax import StructSpec, VarDecl

ON = (StructSpec,)


def check(spec: StructSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for places that cannot be, and for members that share bytes."""
    struct = spec.resolved
    members = struct.fields if isinstance(struct, Struct) else {}
    placed: list[tuple[int, int, VarDecl]] = []
    for each in spec.fields:
        member = members.get(each.name.casefold())
        if PARTIAL.fullmatch(each.address) is not None:
            if spec.overlap:
                yield _wrong(each, f"{each.name} shares its bytes: it has no address of its own", "remove AT")
        elif each.address and parse_relative(each.address) is None:
            yield _wrong(
                each, f"{each.address} is no place in a structure", "write %B4, %W2, %D1 or %X3.0, or %I*"
            )
        elif member is not None and member.bit >= 0 and member.type is not BOOL:
            yield _wrong(each, f"a bit cannot hold {member.type}", "write %B and its first byte")
        elif member is not None:
            first = member.offset * 8 + max(member.bit, 0)
            placed.append((first, first + (1 if member.bit >= 0 else member.type.size * 8), each))
    if not spec.overlap and any(each.address and not is_partial(each.address) for each in spec.fields):
        yield from _shared(sorted(placed, key=lambda span: span[:2]))


def _shared(spans: list[tuple[int, int, VarDecl]]) -> Iterator[Diagnostic]:
    """Compare each member with the one before it that reaches furthest; spans are in bits, by their start."""
    reach, owner = 0, ""
    for start, end, each in spans:
        if start < reach:
            remedy = "choose another place, or write STRUCT OVERLAP"
            yield _wrong(each, f"{each.name} shares bytes with {owner}", remedy)
        if end > reach:
            reach, owner = end, each.name


def _wrong(decl: VarDecl, message: str, remedy: str) -> Diagnostic:
    at = decl.address_at or decl.at
    return Diagnostic("ST2051", message, at, at + len(decl.address or decl.name), remedy)
