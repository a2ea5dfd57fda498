"""Heritage: EXTENDS and IMPLEMENTS become links between units; what is wrong with them is noted.

Source: IEC 61131-3:2013, 6.6.5 to 6.6.7.
"""

from __future__ import annotations

from collections.abc import Callable

from softplc.bind.scope import Scope
from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.symbols import Pou, Project

PARENTS = {
    "FUNCTION_BLOCK": ("FUNCTION_BLOCK", "CLASS"),
    "CLASS": ("CLASS",),
    "INTERFACE": ("INTERFACE",),
}


def connect(project: Project, pous: list[Pou], load: Callable[[str], Pou | None]) -> None:
    """Link every unit to what it extends and implements, and number classes and blocks."""
    for pou in pous:
        kinds = PARENTS.get(pou.kind, ())
        for name, at in pou.decl.extends:
            parent = _find(project, pou, name, at, kinds, load)
            if parent is None:
                continue
            if "FINAL" in parent.decl.modifiers:
                _note(project, f"{parent.name} is FINAL: it cannot be extended", name, at, "remove EXTENDS")
            elif pou.kind == "INTERFACE":
                pou.interfaces.append(parent)
                parent.derived.append(pou)
            elif pou.base is not None:
                _note(project, f"{pou.name} can extend one unit only", name, at, "use interfaces")
            else:
                pou.base = parent
                parent.derived.append(pou)
        for name, at in pou.decl.implements:
            parent = _find(project, pou, name, at, ("INTERFACE",), load)
            if parent is not None:
                pou.interfaces.append(parent)
                parent.derived.append(pou)
    for number, pou in enumerate(project.pous.values(), 1):
        pou.number = number


def _find(
    project: Project,
    pou: Pou,
    name: str,
    at: int,
    kinds: tuple[str, ...],
    load: Callable[[str], Pou | None],
) -> Pou | None:
    found = Scope(project, pou).unit(name) or load(name)
    if found is None or found.kind not in kinds:
        known = [each.name for each in project.pous.values() if each.kind in kinds]
        what = " or ".join(each.lower().replace("_", " ") for each in kinds) or "unit to extend"
        _note(project, f"there is no {what} {name}", name, at, did_you_mean(name, known))
        return None
    if found.offers(pou):
        _note(project, f"{pou.name} would descend from itself", name, at, "break the cycle")
        return None
    return found


def _note(project: Project, message: str, name: str, at: int, remedy: str) -> None:
    project.heritage.append(Diagnostic("ST2020", message, at, at + len(name), remedy))
