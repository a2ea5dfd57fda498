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
from softplc.symbols import Pou, is_first

ON = (Pou,)
PARAMETERS = ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for methods that do not fit what they replace."""
    owner = pou.owner
    if pou.kind == "INTERFACE":
        yield from _interface(pou)
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
        if model is None:
            continue
        more = is_first(context.project, pou)
        if not _alike(pou, model, more):
            mine, theirs = shown(pou.name), shown(model.name)
            what = "lacks parameters of" if more else "has other parameters or another result than"
            message = f"{mine} {what} {theirs}"
            if "$" in name:
                message = f"{mine} is of another type than {theirs}"
            remedy = f"declare them as in {theirs}, more may follow" if more else f"declare it as in {theirs}"
            yield Diagnostic("ST2022", message, at, end, remedy)
            return


def _interface(pou: Pou) -> Iterator[Diagnostic]:
    """Check that what an interface has and inherits under one name is the same."""
    found: dict[str, Pou] = {}
    for method in (each for one in pou.all_interfaces() for each in one.methods.values()):
        first = found.setdefault(shown(method.decl.name).casefold(), method)
        of_property = "$" in method.decl.name and "$" in first.decl.name
        if first is method or (_same_type(first, method) if of_property else _alike(first, method)):
            continue
        mine, theirs = shown(first.name), shown(method.name)
        what = "is of another type than" if of_property else "has other parameters or another result than"
        at, name = (first.at, first.decl.name) if first.owner is pou else (pou.at, pou.decl.name)
        remedy = f"declare it as in {theirs}" if first.owner is pou else "extend one of the two"
        yield Diagnostic("ST2022", f"{mine} {what} {theirs}", at, at + len(shown(name)), remedy)
        return


def _same_type(one: Pou, other: Pou) -> bool:
    """Tell whether two accessors are of properties of one type."""
    mine, theirs = ([each.type for each in unit.parameters("VAR_INPUT", "RESULT")] for unit in (one, other))
    if not mine or not theirs or mine[0] is None or theirs[0] is None:
        return True
    return same(mine[0], theirs[0])


def _other_type(pou: Pou, owner: Pou) -> Iterator[Diagnostic]:
    """Check a GET beside a SET that is inherited, and the other way round."""
    name = pou.decl.name
    other = f"{shown(name)}{SET if name.endswith(GET) else GET}"
    found = owner.base.find_method(other) if owner.base is not None and "$" in name else None
    if found is None or owner.base is None or owner.base.find_method(name) is not None:
        return
    if not _same_type(pou, found):
        theirs = found.parameters("VAR_INPUT", "RESULT")[0].type
        message = f"{shown(pou.name)} is of another type than {shown(found.name)}"
        end = pou.at + len(shown(name))
        yield Diagnostic("ST2022", message, pou.at, end, f"declare it as {theirs}")


def _alike(one: Pou, other: Pou, more: bool = False) -> bool:
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
