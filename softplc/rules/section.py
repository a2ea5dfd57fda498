"""ST2019: sections of variables stand in the units that have them; what lives for a call is not retained.

Accepted: CLASS C VAR RETAIN n : INT; END_VAR METHOD PUBLIC up VAR_INPUT i : INT; END_VAR n := n + i;
    END_METHOD END_CLASS
Rejected: CLASS C VAR_INPUT n : INT; END_VAR METHOD PUBLIC up n := n + 1; END_METHOD END_CLASS
Source: IEC 61131-3:2013, 6.5.2.1, 6.5.6, 6.6.5.1, 6.6.6.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context, Declared
from softplc.symbols import Pou, Variable

ON = (Declared,)
PARAMETERS = ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")
_UNITS = {
    "CLASS": "a class",
    "FUNCTION": "a function",
    "FUNCTION_BLOCK": "a function block",
    "INTERFACE": "an interface",
    "METHOD": "a method",
}


def check(declared: Declared, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a variable in a section that its unit does not have."""
    variable = declared.variable
    pou = variable.pou
    if pou is None or variable.decl is None or pou.kind not in (*_UNITS, "PROGRAM"):
        return
    if pou.kind in _UNITS and not _has(pou, variable.section):
        unit = _UNITS[pou.kind]
        if pou.owner is not None and pou.owner.kind == "INTERFACE":
            unit = "a method of an interface"
        message = f"{unit} has no {variable.section}"
        yield Diagnostic("ST2019", message, variable.at, variable.end, _remedy(pou, variable.section))
    elif variable.retain and _ends(pou, variable) and not context.project.profile.objects:
        message = f"{variable.name} cannot be RETAIN: it has no value from one call to the next"
        remedy = "declare it without RETAIN, or in VAR of a function block or program"
        yield Diagnostic("ST2019", message, variable.at, variable.end, remedy)


def _has(pou: Pou, section: str) -> bool:
    if pou.kind == "CLASS":
        return section not in (*PARAMETERS, "VAR_TEMP", "VAR_GLOBAL")
    if pou.owner is not None and pou.owner.kind == "INTERFACE":
        return section in PARAMETERS
    return pou.kind != "INTERFACE" and section != "VAR_GLOBAL"


def _remedy(pou: Pou, section: str) -> str:
    if section == "VAR_GLOBAL":
        return "declare it outside of the unit, and name it in VAR_EXTERNAL"
    if pou.kind == "CLASS":
        return "declare it in VAR, or in the method that needs it"
    return "declare it in what implements the interface"


def _ends(pou: Pou, variable: Variable) -> bool:
    """Tell whether a variable is gone with the call: it lives on a stack, or is the caller's."""
    return pou.kind in ("FUNCTION", "METHOD") or variable.section in ("VAR_TEMP", "VAR_IN_OUT")
