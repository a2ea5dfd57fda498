"""ST2001: every type that is named exists.

Accepted: VAR x : INT; END_VAR
Rejected: VAR x : INTT; END_VAR
Source: IEC 61131-3:2013, 6.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc import library
from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import ELEMENTARY
from softplc.rules.context import Context
from softplc.rules.type_limits import STRINGS
from softplc.syntax import NamedSpec

ON = (NamedSpec,)


def check(spec: NamedSpec, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a type name that nothing declares."""
    if spec.resolved is not None or spec.name.upper() in (*STRINGS, *ELEMENTARY):
        return
    key = spec.name.casefold()
    project = context.project
    if key in (each.name.casefold() for each in project.type_decls):
        return  # declared, but wrong: told there
    pou = project.pous.get(key)
    if pou is not None:
        kind = pou.kind.lower().replace("_", " ")
        yield context.error(
            "ST2001", f"{pou.name} is a {kind}, not a type", spec, "name a type or function block"
        )
        return
    known = [*ELEMENTARY, *STRINGS, *library.names(), *(each.name for each in project.type_decls)]
    known += [each.name for each in project.pous.values() if each.kind == "FUNCTION_BLOCK"]
    yield context.error("ST2001", f"there is no type {spec.name}", spec, did_you_mean(spec.name, known))
