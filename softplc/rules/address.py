"""ST2008: a direct address is well formed, has its variable's size, and stands in programs and globals.

Accepted: VAR x AT %IX0.0 : BOOL; w AT %QW1 : INT; END_VAR
Rejected: VAR x AT %IX0.0 : INT; END_VAR
Source: IEC 61131-3:2013, 6.5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, Array, BlockType
from softplc.layout import parse_address
from softplc.rules.context import Context, Declared
from softplc.symbols import Variable
from softplc.syntax import Direct

ON = (Declared, Direct)
FORM = "addresses look like %IX0.0, %IB2, %QW4, %MD8 or %ML16; %QW4 is the bytes 8 and 9"
_BIT = re.compile(r"%([IQM])X?([0-9]+)", re.IGNORECASE)
SIZES = {1: "B", 2: "W", 4: "D", 8: "L"}


def check(subject: Declared | Direct, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for addresses that cannot be."""
    if isinstance(subject, Direct):
        if parse_address(subject.address) is None:
            message = f"{subject.address} is no direct address"
            yield context.error("ST2008", message, subject, _form(subject.address))
        return
    variable = subject.variable
    if not variable.address:
        return
    at, end = variable.address_at, variable.address_at + len(variable.address)
    address = parse_address(variable.address)
    if address is None:
        yield Diagnostic(
            "ST2008", f"{variable.address} is no direct address", at, end, _form(variable.address)
        )
        return
    if variable.pou is not None and variable.pou.kind != "PROGRAM":
        what = variable.pou.kind.lower().replace("_", " ")
        remedy = "declare it in a PROGRAM or VAR_GLOBAL"
        yield Diagnostic("ST2008", f"a {what} has no located variables", at, end, remedy)
        return
    yield from _size(variable, address.size, at, end)


def _form(address: str) -> str:
    """Return how to write an address: bits are counted in their byte."""
    found = _BIT.fullmatch(address)
    if found is None:
        return FORM
    region, number = found.group(1).upper(), int(found.group(2))
    return f"write %{region}X{number // 8}.{number % 8} for bit {number}"


def _size(variable: Variable, size: int, at: int, end: int) -> Iterator[Diagnostic]:
    type_ = variable.type
    if type_ is None:
        return
    element = type_
    while isinstance(element, Array):
        element = element.element
    if isinstance(element, BlockType):
        yield Diagnostic("ST2008", f"{type_} cannot be located", at, end, "remove AT")
    elif size == 0 and type_ is not BOOL:
        letter = SIZES.get(type_.size, "B")
        yield Diagnostic(
            "ST2008", f"a bit cannot hold {type_}", at, end, f"use %{variable.address[1]}{letter}..."
        )
    elif size and type_ is BOOL:
        yield Diagnostic("ST2008", "a BOOL is one bit", at, end, f"use %{variable.address[1]}X<byte>.<bit>")
    elif size and element is type_ and type_.size != size:
        wanted = SIZES.get(type_.size)
        remedy = f"use %{variable.address[1]}{wanted}..." if wanted else "remove AT"
        yield Diagnostic(
            "ST2008", f"{variable.address} has {size} bytes, {type_} {type_.size}", at, end, remedy
        )
