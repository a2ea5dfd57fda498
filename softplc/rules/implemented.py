"""ST2021: a class or function block that is not ABSTRACT has every method it owes.

Accepted: INTERFACE I METHOD m : INT END_METHOD END_INTERFACE CLASS C IMPLEMENTS I METHOD PUBLIC m : INT
    m := 1; END_METHOD END_CLASS
Rejected: INTERFACE I METHOD m : INT END_METHOD END_INTERFACE CLASS C IMPLEMENTS I END_CLASS
Source: IEC 61131-3:2013, 6.6.5.5 and 6.6.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.properties import shown
from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for each method that is only promised."""
    if pou.kind not in ("CLASS", "FUNCTION_BLOCK") or "ABSTRACT" in pou.decl.modifiers:
        return
    owed: dict[str, Pou] = {}
    for interface in pou.all_interfaces():
        owed.update(interface.methods)
    base = pou.base
    while base is not None:
        owed.update({k: m for k, m in base.methods.items() if "ABSTRACT" in m.decl.modifiers})
        base = base.base
    owed.update({k: m for k, m in pou.methods.items() if "ABSTRACT" in m.decl.modifiers})
    for method in owed.values():
        found = pou.find_method(method.decl.name)
        if found is None or "ABSTRACT" in found.decl.modifiers:
            name, accessor = shown(method.decl.name), method.decl.name.partition("$")[2].upper()
            what = f"{accessor} of property" if accessor else "method"
            message = f"{pou.name} has no {what} {name}, which {shown(method.name)} asks for"
            remedy = (
                f"write {'PROPERTY' if accessor else 'METHOD'} PUBLIC {name}, or make {pou.name} ABSTRACT"
            )
            yield Diagnostic("ST2021", message, pou.at, pou.at + len(pou.name), remedy)
