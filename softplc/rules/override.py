"""ST2022: a method that replaces another says OVERRIDE, has its parameters and result, and may replace it.

Accepted: CLASS A METHOD PUBLIC m : INT m := 1; END_METHOD END_CLASS CLASS B EXTENDS A METHOD PUBLIC
    OVERRIDE m : INT m := 2; END_METHOD END_CLASS
Rejected: CLASS A METHOD PUBLIC m : INT m := 1; END_METHOD END_CLASS CLASS B EXTENDS A METHOD PUBLIC m : INT
    m := 2; END_METHOD END_CLASS
Source: IEC 61131-3:2013, 6.6.5.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.properties import GET, SET, shown
from softplc.diagnostics import Diagnostic
from softplc.iectypes import same
from softplc.profiles import current
from softplc.rules.context import Context
from softplc.symbols import Pou

ON = (Pou,)
PARAMETERS = ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for methods that do not fit what they replace."""
    owner = pou.owner
    if pou.kind != "METHOD" or owner is None or owner.kind == "INTERFACE":
        return
    at, end, name = pou.at, pou.at + len(shown(pou.decl.name)), pou.decl.name
    replaced = owner.base.find_method(name) if owner.base is not None else None
    if replaced is None and "OVERRIDE" in pou.decl.modifiers:
        yield Diagnostic("ST2022", f"there is no method {name} to override", at, end, "remove OVERRIDE")
    elif replaced is not None and "OVERRIDE" not in pou.decl.modifiers and not current().objects:
        yield Diagnostic("ST2022", f"{pou.name} replaces {replaced.name}", at, end, "add OVERRIDE")
    elif replaced is not None and "FINAL" in replaced.decl.modifiers:
        yield Diagnostic("ST2022", f"{replaced.name} is FINAL", at, end, "give the method another name")
    yield from _other_type(pou, owner)
    models = [replaced, *(each.methods.get(name.casefold()) for each in owner.all_interfaces())]
    for model in models:
        if model is not None and not _alike(pou, model):
            mine, theirs = shown(pou.name), shown(model.name)
            message = f"{mine} has other parameters or another result than {theirs}"
            if "$" in name:
                message = f"{mine} is of another type than {theirs}"
            yield Diagnostic("ST2022", message, at, end, f"declare it as in {theirs}")
            return


def _other_type(pou: Pou, owner: Pou) -> Iterator[Diagnostic]:
    """Check a GET beside a SET that is inherited, and the other way round."""
    name = pou.decl.name
    other = f"{shown(name)}{SET if name.endswith(GET) else GET}"
    found = owner.base.find_method(other) if owner.base is not None and "$" in name else None
    if found is None or owner.base is None or owner.base.find_method(name) is not None:
        return
    mine, theirs = ([each.type for each in unit.parameters("VAR_INPUT", "RESULT")] for unit in (pou, found))
    if mine and theirs and mine[0] is not None and theirs[0] is not None and not same(mine[0], theirs[0]):
        message = f"{shown(pou.name)} is of another type than {shown(found.name)}"
        end = pou.at + len(shown(name))
        yield Diagnostic("ST2022", message, pou.at, end, f"declare it as {theirs[0]}")


def _alike(one: Pou, other: Pou) -> bool:
    """Tell whether two methods have the same parameters in the same order, and the same result."""
    mine, theirs = one.parameters(*PARAMETERS, "RESULT"), other.parameters(*PARAMETERS, "RESULT")
    return len(mine) == len(theirs) and all(
        a.section == b.section
        and (a.section == "RESULT" or a.name.casefold() == b.name.casefold())
        and (a.type is None or b.type is None or same(a.type, b.type))
        for a, b in zip(mine, theirs, strict=True)
    )
