"""ST2009: located variables do not share a part of their bytes (a warning).

One variable may lie wholly inside another, and an address may be used twice.
Accepted: VAR w AT %QW0 : WORD; b AT %QX1.0 : BOOL; v AT %QW1 : WORD; END_VAR w := v; b := TRUE; v := 1;
Rejected: VAR w AT %QD0 : ARRAY[0..1] OF DWORD; v AT %QW3 : ARRAY[0..1] OF WORD; END_VAR w[0] := 1; v[0] := 1;
Source: IEC 61131-3:2013, 6.5.5; that numbers count in their own size is the implementer's choice.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.addresses import parse_address
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Project, Variable

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for each variable that shares only some of its bytes with an earlier one."""
    variables = list(project.globals.values())
    for pou in project.pous.values():
        variables += pou.variables.values()
    spans: list[tuple[str, int, int, Variable]] = []
    for variable in variables:
        address = parse_address(variable.address) if variable.address else None
        if address is None or variable.type is None or address.size == 0:
            continue
        spans.append((address.region, address.offset, address.offset + variable.type.size, variable))
    spans.sort(key=lambda each: (each[0], each[1], -each[2]))
    reach: tuple[str, int, int, Variable] | None = None
    for span in spans:
        region, start, end, variable = span
        if reach is not None and reach[0] == region and start < reach[2] < end:
            at = variable.address_at
            message = f"{variable.address} shares bytes with {reach[3].address} of {reach[3].name}"
            remedy = f"addresses count in their own size: the byte after {reach[3].name} is {reach[2]}"
            yield Diagnostic("ST2009", message, at, at + len(variable.address), remedy, WARNING)
        if reach is None or reach[0] != region or end > reach[2]:
            reach = span
