"""ST2045: a variable AT %I* gets its address from VAR_CONFIG, once in each instance.

Accepted: PROGRAM P VAR x AT %Q* : INT; END_VAR x := 1; END_PROGRAM CONFIGURATION C RESOURCE R ON PLC PROGRAM
    p1 : P; END_RESOURCE VAR_CONFIG R.p1.x AT %QW4 : INT; END_VAR END_CONFIGURATION
Rejected: PROGRAM P VAR x AT %Q* : INT; END_VAR x := 1; END_PROGRAM CONFIGURATION C RESOURCE R ON PLC PROGRAM
    p1 : P; END_RESOURCE END_CONFIGURATION
Source: IEC 61131-3:2013, 6.5.5.2 and 6.5.6.2, tables 16 and 62.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from softplc.addresses import parse_address
from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType, Type
from softplc.rules.address import FORM, PARTIAL, holds_block, misfit
from softplc.rules.context import Context
from softplc.symbols import Pou, Project, Setting, Variable, is_partial
from softplc.syntax import ConfigurationDecl

ON = (Project, ConfigurationDecl)
Key = tuple[int, ...]


def check(subject: Project | ConfigurationDecl, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for addresses that are missing, and for those of VAR_CONFIG that cannot be."""
    project = context.project
    holders = _holders(project)
    if not holders and not project.settings:
        return
    if isinstance(subject, Project):
        yield from _missing("", project.globals.values(), set(), holders)
        if not subject.configurations:
            for pou in subject.pous.values():
                if pou.kind == "PROGRAM":
                    yield from _missing(pou.name, pou.variables.values(), set(), holders)
        return
    for resource in subject.resources:
        for instance in resource.instances:
            pou_of = context.scope.unit(instance.type_name)
            if pou_of is None or pou_of.kind != "PROGRAM":
                continue
            given: set[Key] = set()
            for setting in project.settings.get(instance, ()):
                if setting.address:
                    yield from _given(setting, given)
            yield from _missing(f"{resource.name}.{instance.name}", pou_of.variables.values(), given, holders)


def _given(setting: Setting, given: set[Key]) -> Iterator[Diagnostic]:
    """Check one address, and note what it is for."""
    path, text = setting.path, setting.address
    at, end = setting.address_at, setting.address_at + len(setting.address)
    key = (id(path.root), *(each if isinstance(each, int) else id(each) for each in path.steps))
    variable = path.variable
    wanted = variable.address if variable is not None else ""
    if parse_address(text) is None:
        yield Diagnostic("ST2045", f"{text} is no direct address", at, end, FORM)
    elif variable is None or not is_partial(wanted):
        what = f"is declared AT {wanted}" if wanted else "is not declared AT %I*, %Q* or %M*"
        name = variable.name if variable is not None else "what is no variable of its own"
        yield Diagnostic("ST2045", f"{name} {what}: it cannot be placed here", at, end, "remove AT")
    elif text[1].upper() != wanted[1].upper():
        message = f"{variable.name} is declared AT {wanted}: {text} is elsewhere"
        yield Diagnostic("ST2045", message, at, end, f"use %{wanted[1].upper()}...")
    elif key in given:
        yield Diagnostic(
            "ST2045", f"{variable.name} has its address already", at, end, "remove one of the two"
        )
    else:
        yield from misfit(path.type, text, at)
    given.add(key)


def _missing(
    instance: str, variables: Iterable[Variable], given: set[Key], holders: set[Pou]
) -> Iterator[Diagnostic]:
    search = _Search(given, holders)
    for variable in variables:
        path = search.inside(variable, (id(variable),), variable.name)
        if path is None:
            continue
        found, text = path
        text = f"{instance}.{text}".lstrip(".")
        message = f"{text} has no address: {found.address} is to be completed by VAR_CONFIG"
        letter = found.address[1].upper()
        remedy = f"add VAR_CONFIG {text} AT %{letter}... : {found.type}; END_VAR"
        if variable.pou is None:
            message = f"{text} can have no address: VAR_CONFIG reaches program instances only"
            remedy = f"declare {variable.name} in a PROGRAM"
        end = found.address_at + len(found.address)
        yield Diagnostic("ST2045", message, found.address_at, end, remedy)


@dataclass(slots=True)
class _Search:
    """Looks for variables that have no address: `given` have one, `holders` are the blocks to look into."""

    given: set[Key]
    holders: set[Pou]

    def inside(self, variable: Variable, key: Key, text: str) -> tuple[Variable, str] | None:
        """Return the first variable without address, with its path."""
        if variable.elsewhere or variable.by_reference:
            return None
        if _is_open(variable):
            return (variable, text) if key not in self.given else None
        return self._below(variable.type, key, text)

    def _below(self, type_: Type | None, key: Key, text: str) -> tuple[Variable, str] | None:
        pou = _block(type_)
        if pou not in self.holders:
            return None
        found: tuple[Variable, str] | None = None
        if isinstance(type_, Array):
            for number in range(type_.count):
                found = self._below(type_.element, (*key, number), f"{text}[{_index(type_, number)}]")
                if found is not None:
                    break
        elif pou is not None:
            for member in pou.variables.values():
                found = self.inside(member, (*key, id(member)), f"{text}.{member.name}")
                if found is not None:
                    break
        return found


def _block(type_: Type | None) -> Pou | None:
    while isinstance(type_, Array):
        type_ = type_.element
    return type_.pou if isinstance(type_, BlockType) else None


def _is_open(variable: Variable) -> bool:
    """Tell whether a variable waits for an address; what cannot have one is told where it is declared."""
    return PARTIAL.fullmatch(variable.address) is not None and not holds_block(variable.type)


def _holders(project: Project) -> set[Pou]:
    """Return the blocks that have variables AT %I* somewhere inside, but not those that hold themselves."""
    inside = {
        pou: {_block(each.type) for each in pou.variables.values() if not each.elsewhere}
        for pou in project.pous.values()
    }
    found = _grown({pou for pou in inside if any(map(_is_open, pou.variables.values()))}, inside, any)
    return _grown(set(), {pou: inside[pou] & found for pou in found}, all)


def _grown(
    found: set[Pou], inside: Mapping[Pou, Set[Pou | None]], enough: Callable[[Iterable[bool]], bool]
) -> set[Pou]:
    """Return the blocks whose inner blocks, any or all, belong to the result too."""
    before = -1
    while len(found) != before:
        before = len(found)
        found |= {pou for pou, blocks in inside.items() if enough(each in found for each in blocks)}
    return found


def _index(type_: Array, number: int) -> str:
    parts: list[str] = []
    for low, high in reversed(type_.ranges):
        number, rest = divmod(number, high - low + 1)
        parts.append(str(low + rest))
    return ", ".join(reversed(parts))
