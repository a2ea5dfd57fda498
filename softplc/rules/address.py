"""ST2008: a direct address is well formed, has its variable's size, and stands in programs and globals.

Accepted: VAR x AT %IX0.0 : BOOL; w AT %QW1 : INT; END_VAR
Rejected: VAR x AT %IX0.0 : INT; END_VAR
Source: IEC 61131-3:2013, 6.5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from softplc.addresses import parse_address
from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, Array, BlockType, Type
from softplc.profiles import current
from softplc.rules.context import Context, Declared
from softplc.symbols import Variable, is_partial
from softplc.syntax import Direct

ON = (Declared, Direct)
FORM = "addresses look like %IX0.0, %IB2, %QW4, %MD8 or %ML16; %QW4 is the bytes 8 and 9"
PARTIAL = re.compile(r"%[IQM]\*", re.IGNORECASE)
SHARED = ("FUNCTION_BLOCK", "VAR_STAT")  # in profile codesys also what VAR of a block locates
SIZES = {1: "B", 2: "W", 4: "D", 8: "L"}


def check(subject: Declared | Direct, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for addresses that cannot be."""
    if isinstance(subject, Direct):
        if parse_address(subject.address) is None:
            message = f"{subject.address} is no direct address"
            yield context.error("ST2008", message, subject, FORM)
        return
    variable = subject.variable
    if not variable.address:
        return
    at, end = variable.address_at, variable.address_at + len(variable.address)
    if is_partial(variable.address):
        yield from _partial(variable, at, end)
        return
    address = parse_address(variable.address)
    if address is None:
        yield Diagnostic("ST2008", f"{variable.address} is no direct address", at, end, FORM)
        return
    kind = variable.pou.kind if variable.pou is not None else "PROGRAM"
    if variable.pou is not None and kind != "PROGRAM" and (kind, variable.section) != SHARED:
        what, which = variable.pou.kind.lower().replace("_", " "), "variables"
        remedy = "declare it in a PROGRAM or VAR_GLOBAL, or give it AT %I* here and an address in VAR_CONFIG"
        if current().objects and variable.pou.kind == "FUNCTION_BLOCK":
            which, remedy = variable.section, remedy.replace("in a", "in VAR, a", 1)
        yield Diagnostic("ST2008", f"a {what} has no located {which}", at, end, remedy)
        return
    yield from misfit(variable.type, variable.address, at)


def _partial(variable: Variable, at: int, end: int) -> Iterator[Diagnostic]:
    """Check `AT %I*`: VAR_CONFIG gives the address of each instance, so there must be instances."""
    if PARTIAL.fullmatch(variable.address) is None:
        yield Diagnostic("ST2008", f"{variable.address} is no address", at, end, "write %I*, %Q* or %M*")
    elif variable.pou is None or variable.pou.kind not in ("PROGRAM", "FUNCTION_BLOCK", "CLASS"):
        message = f"{variable.name} has no instances: {variable.address} cannot be completed"
        yield Diagnostic("ST2008", message, at, end, "write the whole address, such as %IX0.0")
    elif holds_block(variable.type):
        yield Diagnostic("ST2008", f"{variable.type} cannot be located", at, end, "remove AT")


def holds_block(type_: Type | None) -> bool:
    while isinstance(type_, Array):
        type_ = type_.element
    return isinstance(type_, BlockType)


def misfit(type_: Type | None, text: str, at: int) -> Iterator[Diagnostic]:
    """Yield a finding where a variable of the type cannot lie at a direct address that is well formed."""
    address, end = parse_address(text), at + len(text)
    if type_ is None or address is None:
        return
    element, size = type_, address.size
    while isinstance(element, Array):
        element = element.element
    if holds_block(type_):
        yield Diagnostic("ST2008", f"{type_} cannot be located", at, end, "remove AT")
    elif size == 0 and type_ is not BOOL:
        letter = SIZES.get(type_.size, "B")
        yield Diagnostic("ST2008", f"a bit cannot hold {type_}", at, end, f"use %{text[1]}{letter}...")
    elif size and type_ is BOOL:
        yield Diagnostic("ST2008", "a BOOL is one bit", at, end, f"use %{text[1]}X<byte>.<bit>")
    elif size and element is type_ and type_.size != size:
        wanted = SIZES.get(type_.size)
        remedy = f"use %{text[1]}{wanted}..." if wanted else "remove AT"
        yield Diagnostic("ST2008", f"{text} has {size} bytes, {type_} {type_.size}", at, end, remedy)
