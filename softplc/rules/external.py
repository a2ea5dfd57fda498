"""ST2012: VAR_EXTERNAL names a global variable of the same type.

Accepted: VAR_GLOBAL g : INT; END_VAR PROGRAM P VAR_EXTERNAL g : INT; END_VAR g := 1; END_PROGRAM
Rejected: VAR_GLOBAL g : INT; END_VAR PROGRAM P VAR_EXTERNAL g : DINT; END_VAR g := 1; END_PROGRAM
Source: IEC 61131-3:2013, 6.5.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import same
from softplc.rules.context import Context, Declared

ON = (Declared,)


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for an external without its global."""
    variable = declared.variable
    if variable.section != "VAR_EXTERNAL" or variable.type is None:
        return
    target = variable.target
    if variable.decl is not None and variable.decl.init is not None:
        message = f"{variable.name} has its value from VAR_GLOBAL"
        yield Diagnostic("ST2012", message, variable.at, variable.end, "write the value there")
    elif target is None:
        names = [each.name for each in context.project.global_names()]
        remedy = did_you_mean(variable.name, names) or "declare it in VAR_GLOBAL"
        message = f"there is no global variable {variable.name}"
        yield Diagnostic("ST2012", message, variable.at, variable.end, remedy)
    else:
        meant = [target] if target.choices is None else list(target.choices.values())
        types = [each.type for each in meant if each.type is not None]
        if types and len(types) == len(meant) and not any(same(each, variable.type) for each in types):
            message = f"the global {target.name} is {types[0]}, not {variable.type}"
            yield Diagnostic("ST2012", message, variable.at, variable.end, f"declare it as {types[0]}")
