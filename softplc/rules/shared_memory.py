"""ST2050: what shares its bytes with other variables holds values for which any bytes are good.

That is what has an address, and the members of a structure with OVERLAP: numbers, bits, characters, times,
arrays and structures of them, but no text (it has a length), references or instances.
Accepted: TYPE T : STRUCT OVERLAP a : DWORD; b : ARRAY[0..3] OF BYTE; END_STRUCT; END_TYPE
Rejected: TYPE T : STRUCT OVERLAP a : DWORD; b : STRING[3]; END_STRUCT; END_TYPE
Source: IEC 61131-3:2013, 6.4.4.5 and 6.5.5; the limit is the implementer's.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.addresses import parse_address
from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType, Type, is_plain
from softplc.rules.context import Context, Declared
from softplc.symbols import Variable, is_partial
from softplc.syntax import StructSpec

ON = (Declared, StructSpec)


def check(subject: Declared | StructSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an address or a member that would let bytes forge a length or a reference."""
    if isinstance(subject, StructSpec):
        for each in subject.fields:
            if not (subject.overlap or is_partial(each.address)) or not _is_wrong(each.spec.resolved):
                continue
            if not subject.overlap:
                message, end = f"{each.spec.resolved} cannot be located", each.address_at + len(each.address)
                yield Diagnostic("ST2050", message, each.address_at, end, "remove AT")
            else:
                message = f"{each.name} cannot overlap: {each.spec.resolved} is more than its bytes"
                yield Diagnostic("ST2050", message, each.at, each.end, "use numbers, bits, or arrays of them")
        return
    variable = subject.variable
    if variable.address and _is_wrong(variable.type) and not _told(variable):
        at, end = variable.address_at, variable.address_at + len(variable.address)
        yield Diagnostic("ST2050", f"{variable.type} cannot be located", at, end, "remove AT")


def _is_wrong(type_: Type | None) -> bool:
    """Tell whether a type holds more than plain values; one that is wrong itself is told elsewhere."""
    return type_ is not None and not is_plain(type_)


def _told(variable: Variable) -> bool:
    """Tell whether the rule on addresses refuses it anyway: a block, or a size that is not the address's."""
    type_ = variable.type
    while isinstance(type_, Array):
        type_ = type_.element
    address = parse_address(variable.address)
    if address is not None and type_ is variable.type and type_ is not None and type_.size != address.size:
        return True
    return isinstance(type_, BlockType)
