"""ST2045: a variable or member AT %I* gets its address from VAR_CONFIG, once in each instance.

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
from softplc.iectypes import Array, BlockType, Field, Struct, Type
from softplc.rules.address import FORM, PARTIAL, holds_block, misfit
from softplc.rules.context import Context
from softplc.symbols import Pou, Project, Setting, Variable, is_partial
from softplc.syntax import ConfigurationDecl

ON = (Project, ConfigurationDecl)
Key = tuple[int, ...]
Holder = Pou | Struct


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
    variable = path.declared
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
    instance: str, variables: Iterable[Variable], given: set[Key], holders: set[Holder]
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
    """Looks for what has no address: `given` have one; `holders` are what to look into."""

    given: set[Key]
    holders: set[Holder]

    def inside(self, variable: Variable, key: Key, text: str) -> tuple[Variable | Field, str] | None:
        """Return the first variable or member without address, with its path."""
        if variable.elsewhere or variable.by_reference:
            return None
        if _is_open(variable):
            return (variable, text) if key not in self.given else None
        holder = _holder(variable.type)
        if isinstance(holder, Struct) and not _keeps_members(variable):
            return None
        return self._below(variable.type, key, text)

    def _below(self, type_: Type | None, key: Key, text: str) -> tuple[Variable | Field, str] | None:
        holder = _holder(type_)
        if holder not in self.holders:
            return None
        found: tuple[Variable | Field, str] | None = None
        if isinstance(type_, Array):
            for number in range(type_.count):
                found = self._below(type_.element, (*key, number), f"{text}[{_index(type_, number)}]")
                if found is not None:
                    break
        elif isinstance(holder, Struct):
            for field in holder.fields.values():
                found = self._member(field, (*key, id(field)), f"{text}.{field.name}")
                if found is not None:
                    break
        elif holder is not None:
            for member in holder.variables.values():
                found = self.inside(member, (*key, id(member)), f"{text}.{member.name}")
                if found is not None:
                    break
        return found

    def _member(self, field: Field, key: Key, text: str) -> tuple[Variable | Field, str] | None:
        if _is_open(field):
            return (field, text) if key not in self.given else None
        return self._below(field.type, key, text)


def _holder(type_: Type | None) -> Holder | None:
    """Return the block or structure that a variable is, or is an array of."""
    while isinstance(type_, Array):
        type_ = type_.element
    if isinstance(type_, BlockType):
        return type_.pou
    return type_ if isinstance(type_, Struct) else None


def _keeps_members(variable: Variable) -> bool:
    """Tell whether members of a structure have addresses: not in what is handed over or ends with a call."""
    return not variable.temporary and variable.section in ("VAR", "VAR_OUTPUT", "VAR_GLOBAL")


def _is_open(declared: Variable | Field) -> bool:
    """Tell whether something waits for an address; what cannot have one is told where it is declared."""
    return PARTIAL.fullmatch(declared.address) is not None and not holds_block(declared.type)


def _holders(project: Project) -> set[Holder]:
    """Return the blocks and structures with AT %I* somewhere inside, but not those that hold themselves."""
    inside: dict[Holder, set[Holder]] = {}
    waiting: list[Holder] = list(project.pous.values())
    for variable in project.globals.values():
        holder = _holder(variable.type)
        if isinstance(holder, Struct):
            waiting.append(holder)
    open_: set[Holder] = set()
    while waiting:
        each = waiting.pop()
        if each in inside:
            continue
        parts: list[Variable | Field] = (
            list(each.fields.values())
            if isinstance(each, Struct)
            else [one for one in each.variables.values() if not one.elsewhere]
        )
        if any(map(_is_open, parts)):
            open_.add(each)
        inside[each] = {holder for one in parts if (holder := _holder(one.type)) is not None}
        waiting += inside[each]
    if not open_:
        return open_
    found = _grown(open_, inside, any)
    return _grown(set(), {each: inside[each] & found for each in found}, all)


def _grown(
    found: set[Holder], inside: Mapping[Holder, Set[Holder]], enough: Callable[[Iterable[bool]], bool]
) -> set[Holder]:
    """Return the blocks and structures whose inner ones, any or all, belong to the result too."""
    before = -1
    while len(found) != before:
        before = len(found)
        found |= {outer for outer, inner in inside.items() if enough(each in found for each in inner)}
    return found


def _index(type_: Array, number: int) -> str:
    parts: list[str] = []
    for low, high in reversed(type_.ranges):
        number, rest = divmod(number, high - low + 1)
        parts.append(str(low + rest))
    return ", ".join(reversed(parts))
