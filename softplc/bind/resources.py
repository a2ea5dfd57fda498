"""Resources: what each one declares for itself, and which units mean something else in each of them.

A global that only one resource has keeps its name as its path. Where several have one of the same name, or
where the configuration has it as well, the path begins with the resource, and the name leads to one variable
with a choice for each resource. The same goes for the names of tasks and program instances.

Source: IEC 61131-3:2013, 6.5.2.2, 6.8.1 and 6.8.2, table 62.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from softplc.bind.writes import nodes
from softplc.iectypes import same
from softplc.symbols import Duplicate, Pou, Project, Variable, all_pous
from softplc.syntax import InstanceDecl, Name, ResourceDecl, TaskDecl, VarBlock


def declared_twice(blocks: list[tuple[str, list[VarBlock]]]) -> set[str]:
    """Return the keys of globals that several resources have, or one of them and what is outside of them."""
    owners: dict[str, set[str]] = {}
    if not any(resource and own for resource, own in blocks):
        return set()
    for resource, own in blocks:
        for block in own:
            for decl in block.declarations:
                owners.setdefault(block.space.key(decl.name), set()).add(resource.casefold())
    return {key for key, found in owners.items() if len(found) > 1}


def add_choice(project: Project, key: str, variable: Variable) -> None:
    """Note what a name means in the resource that declares the variable."""
    common = project.common.get(key)
    if common is None:
        name = variable.name[len(variable.resource) + 1 :] if variable.resource else variable.name
        common = Variable(name, "VAR_GLOBAL", None, None, variable.at, variable.end, choices={})
        common.space, common.decl = variable.space, variable.decl
        project.common[key] = common
    if common.choices is not None:
        common.choices[variable.resource] = variable
    common.constant |= variable.constant
    variable.common = common


def agree(common: Variable, constant: Callable[[Variable], None]) -> None:
    """Give a name that several resources have what they agree in: its type, and the value of a constant."""
    first, *others = (common.choices or {}).values()
    for each in (first, *others):
        if each.constant:
            constant(each)
    if first.type is None or not all(
        each.type is not None and same(each.type, first.type) for each in others
    ):
        return
    common.type = first.type
    if all(each.constant and each.value == first.value for each in (first, *others)):
        common.value = first.value


def name_clashes(project: Project) -> Iterator[Duplicate]:
    """Yield the resources that are declared twice, and those whose paths begin like those of others."""
    heads = {each.name.casefold(): each.at for each in project.globals.values() if not each.resource}
    several = instances_in_several(project)
    needed = {each.resource for each in project.globals.values() if each.common is not None}
    everything = [each for one in project.configurations for each in one.resources]
    for resource in everything:
        for each in resource.instances:
            if each.name.casefold() in several:
                needed.add(resource.name.casefold())
            else:
                heads[each.name.casefold()] = each.at
    for configuration in project.configurations:
        seen: dict[str, int] = {}
        for resource in configuration.resources:
            key, end = resource.name.casefold(), resource.at + len("RESOURCE")
            if key in seen and resource.name:
                yield Duplicate(resource.name, "resource", resource.at, end, seen[key])
            elif key in needed and key in heads:
                what = "program instance or variable"
                yield Duplicate(resource.name, what, resource.at, end, heads[key])
            seen[key] = resource.at


def instances_in_several(project: Project) -> set[str]:
    """Return the keys of program instances that several resources have."""
    return _in_several(project, lambda resource: resource.instances)


def tasks_in_several(project: Project) -> set[str]:
    """Return the keys of tasks that several resources have."""
    return _in_several(project, lambda resource: resource.tasks)


def _in_several(
    project: Project, members: Callable[[ResourceDecl], Iterable[TaskDecl | InstanceDecl]]
) -> set[str]:
    every = (each for one in project.configurations for each in one.resources)
    found = Counter(key for each in every for key in {one.name.casefold() for one in members(each)})
    return {key for key, count in found.items() if count > 1}


def path_of(name: str, resource: str, several: set[str]) -> str:
    """Return the name of a task or instance as it is known outside of its resource."""
    return f"{resource}.{name}" if resource and name.casefold() in several else name


# What units mean -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named:
    """A global that a unit names: by VAR_EXTERNAL, or where it uses it."""

    variable: Variable
    node: Name | None
    external: Variable | None


def named_in(pou: Pou) -> Iterator[Named]:
    """Yield the globals of resources that a unit names, each place of them."""
    for each in pou.variables.values():
        if each.section == "VAR_EXTERNAL" and each.target is not None and _of_resource(each.target):
            yield Named(each.target, None, each)
    inits = [each.init for each in pou.variables.values() if each.pou is pou]
    for node in nodes([pou.decl.body, inits]):
        if isinstance(node, Name) and isinstance(node.ref, Variable) and _of_resource(node.ref):
            yield Named(node.ref, node, None)


def _of_resource(variable: Variable) -> bool:
    return bool(variable.resource) or variable.choices is not None


def reached_from(pou: Pou) -> set[Pou]:
    """Return a unit and all that it uses, directly or through others."""
    found, waiting = {pou}, [pou]
    while waiting:
        for each in _used(waiting.pop()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def _used(pou: Pou) -> set[Pou]:
    return pou.uses if pou.base is None else {*pou.uses, pou.base}


def find_varying(project: Project) -> None:
    """Find the units that mean another variable in each resource, themselves or by what they use."""
    if not project.common:
        return
    units = all_pous(project)
    users: dict[Pou, list[Pou]] = {}
    for pou in units:
        for each in _used(pou):
            users.setdefault(each, []).append(pou)
    waiting = [pou for pou in units if any(each.variable.choices is not None for each in named_in(pou))]
    while waiting:
        pou = waiting.pop()
        if pou not in project.varying:
            project.varying.add(pou)
            waiting += users.get(pou, [])
