"""ST2046: the globals of a RESOURCE are there for the programs of that resource, and for what they use.

What several resources declare means in each of them its own, and elsewhere that of the configuration.
Accepted: CONFIGURATION C RESOURCE R ON PLC VAR_GLOBAL g : INT; END_VAR PROGRAM p1 : P; END_RESOURCE
    RESOURCE S ON PLC VAR_GLOBAL g : INT; END_VAR PROGRAM p2 : P; END_RESOURCE END_CONFIGURATION
    PROGRAM P VAR_EXTERNAL g : INT; END_VAR g := 1; END_PROGRAM
Rejected: CONFIGURATION C RESOURCE R ON PLC VAR_GLOBAL g : INT; END_VAR PROGRAM p1 : P; END_RESOURCE
    RESOURCE S ON PLC PROGRAM p2 : P; END_RESOURCE END_CONFIGURATION
    PROGRAM P VAR_EXTERNAL g : INT; END_VAR g := 1; END_PROGRAM
Source: IEC 61131-3:2013, 6.5.2.2 and 6.8.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.resources import Named, named_in, reached_from
from softplc.bind.writes import nodes
from softplc.diagnostics import Diagnostic
from softplc.iectypes import same
from softplc.rules.context import Context
from softplc.symbols import Pou, Project, Variable
from softplc.syntax import InstanceDecl, Name, ResourceDecl

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield one finding for each unit and name that has no variable, or another one, where the unit runs."""
    if not any(each.resource for each in project.globals.values()):
        return
    named: dict[Pou, list[Named]] = {}
    told: set[tuple[Pou, Variable]] = set()
    for configuration in project.configurations:
        for resource in configuration.resources:
            yield from _connections(resource)
            for instance in resource.instances:
                start = context.scope.unit(instance.type_name)
                for pou in sorted(reached_from(start), key=lambda each: each.name) if start else ():
                    if pou not in named:
                        named[pou] = list(named_in(pou))
                    for each in named[pou]:
                        why = _problem(each, resource)
                        if why and (pou, each.variable) not in told:
                            told.add((pou, each.variable))
                            yield _finding(each, why, _way(instance, start, pou))


def _problem(named: Named, resource: ResourceDecl) -> tuple[str, str] | None:
    """Return what is wrong with a name in a unit that runs in a resource, and what to do."""
    key, variable = resource.name.casefold(), named.variable
    where = f"resource {resource.name}" if resource.name else "no resource"
    seen = variable.seen_from(key)
    owners = [variable] if variable.choices is None else list(variable.choices.values())
    if seen is None or seen.resource not in ("", key):
        shown = " and ".join(dict.fromkeys(_owner(each) for each in owners))
        remedy = f"declare it in {where} too, or in the CONFIGURATION for all"
        if not resource.name:
            remedy = "declare it in the CONFIGURATION, or let the program run in the resource"
        return f"{variable.name} is there in {shown} only, and this runs in {where}", remedy
    if named.external is not None:
        if not _has_type(seen, named.external) and any(_has_type(each, named.external) for each in owners):
            return f"{variable.name} is {seen.type} in {where}", "give it one type, or another name"
    elif named.node is not None and variable.type is None and seen.type is not None:
        return f"{variable.name} has another type in each resource", "say which with VAR_EXTERNAL"
    return None


def _has_type(variable: Variable, external: Variable) -> bool:
    return variable.type is None or external.type is None or same(variable.type, external.type)


def _owner(variable: Variable) -> str:
    return f"resource {variable.resource}"


def _way(instance: InstanceDecl, start: Pou | None, pou: Pou) -> str:
    return f"as {instance.name}" if start is pou else f"through {instance.name}"


def _finding(named: Named, why: tuple[str, str], way: str) -> Diagnostic:
    place = named.external or named.node
    if place is None:
        raise AssertionError("a name without a place")
    message, remedy = why
    return Diagnostic("ST2046", f"{message}, {way}", place.at, place.end, remedy)


def _connections(resource: ResourceDecl) -> Iterator[Diagnostic]:
    """Check what the tasks and program instances of a resource name by themselves."""
    values = [each.value for instance in resource.instances for each in instance.arguments]
    for node in nodes([*values, *(each.single for each in resource.tasks)]):
        if isinstance(node, Name) and isinstance(node.ref, Variable) and node.ref.resource:
            problem = _problem(Named(node.ref, node, None), resource)
            if problem is not None:
                message, remedy = problem
                yield Diagnostic("ST2046", message, node.at, node.end, remedy)
