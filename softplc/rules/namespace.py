"""ST2031: USING names a namespace that there is, and what a namespace holds can be there.

Accepted: NAMESPACE N TYPE T : INT; END_TYPE END_NAMESPACE USING N; PROGRAM P VAR x : T; END_VAR x := 1;
    END_PROGRAM
Rejected: NAMESPACE N TYPE T : INT; END_TYPE END_NAMESPACE USING M; PROGRAM P VAR x : N.T; END_VAR x := 1;
    END_PROGRAM
Source: IEC 61131-3:2013, 6.9.3 and 6.9.4, tables 64 and 66; constants in a namespace are an extension.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.rules.context import Context, Declared
from softplc.spaces import Space

ON = (Space, Declared)


def check(subject: Space | Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for USING of nothing, and for variables in a namespace."""
    spaces = context.project.spaces
    if isinstance(subject, Declared):
        variable = subject.variable
        if variable.pou is None and variable.space is not None and variable.space.name:
            yield from _variable(subject, context)
        return
    for using in subject.usings:
        if using.name.casefold() not in spaces:
            remedy = did_you_mean(using.name, spaces.values()) or "name a namespace in full"
            yield Diagnostic("ST2031", f"there is no namespace {using.name}", using.at, using.end, remedy)


def _variable(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    variable = declared.variable
    if not variable.constant:
        message = f"{variable.name} is a variable: a namespace holds types, units and constants"
        remedy = "declare it outside, or as VAR_GLOBAL CONSTANT"
        yield Diagnostic("ST2031", message, variable.at, variable.end, remedy)
