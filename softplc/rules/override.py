"""ST2022: a method that replaces another says OVERRIDE, has its parameters and result, and may replace it.

Accepted: CLASS A METHOD PUBLIC m : INT m := 1; END_METHOD END_CLASS CLASS B EXTENDS A METHOD PUBLIC
    OVERRIDE m : INT m := 2; END_METHOD END_CLASS
Rejected: CLASS A METHOD PUBLIC m : INT m := 1; END_METHOD END_CLASS CLASS B EXTENDS A METHOD PUBLIC m : INT
    m := 2; END_METHOD END_CLASS
Source: IEC 61131-3:2013, 6.6.5.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import same
from softplc.profiles import current
from softplc.rules.context import Context
from softplc.symbols import Pou, is_first

ON = (Pou,)
PARAMETERS = ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for methods that do not fit what they replace."""
    owner = pou.owner
    if pou.kind != "METHOD" or owner is None or owner.kind == "INTERFACE":
        return
    at, end, name = pou.at, pou.at + len(pou.decl.name), pou.decl.name
    replaced = owner.base.find_method(name) if owner.base is not None else None
    if replaced is None and "OVERRIDE" in pou.decl.modifiers:
        yield Diagnostic("ST2022", f"there is no method {name} to override", at, end, "remove OVERRIDE")
    elif replaced is not None and "OVERRIDE" not in pou.decl.modifiers and not current().objects:
        yield Diagnostic("ST2022", f"{pou.name} replaces {replaced.name}", at, end, "add OVERRIDE")
    elif replaced is not None and "FINAL" in replaced.decl.modifiers:
        yield Diagnostic("ST2022", f"{replaced.name} is FINAL", at, end, "give the method another name")
    models = [replaced, *(each.methods.get(name.casefold()) for each in owner.all_interfaces())]
    for model in models:
        if model is None:
            continue
        more = is_first(context.project, pou)
        if not _alike(pou, model, more):
            what = "lacks parameters of" if more else "has other parameters or another result than"
            message = f"{pou.name} {what} {model.name}"
            remedy = f"declare them as in {model.name}{', more may follow' * more}"
            yield Diagnostic("ST2022", message, at, end, remedy)
            return


def _alike(one: Pou, other: Pou, more: bool) -> bool:
    """Tell whether two methods have the same parameters in the same order, and the same result.

    FB_Init may have `more` of them behind those of its base, and its result means nothing.
    """
    sections = PARAMETERS if more else (*PARAMETERS, "RESULT")
    mine, theirs = one.parameters(*sections), other.parameters(*sections)
    mine = mine[: len(theirs)] if more else mine
    return len(mine) == len(theirs) and all(
        a.section == b.section
        and (a.section == "RESULT" or a.name.casefold() == b.name.casefold())
        and (a.type is None or b.type is None or same(a.type, b.type))
        for a, b in zip(mine, theirs, strict=True)
    )
