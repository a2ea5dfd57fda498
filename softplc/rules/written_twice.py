"""ST6004: an output or global is not written twice in one scan, so that the first value is lost (a warning).

What counts: two writes of one program that run in every scan, with nothing between that reads the value,
the writes of blocks that it calls included; a write of another program, where the variable is at %Q, or both
are sure to write it and neither reads it.
Accepted: VAR q AT %QX0.0 : BOOL; a : BOOL; END_VAR q := FALSE; IF a THEN q := TRUE; END_IF;
Rejected: VAR q AT %QX0.0 : BOOL; a : BOOL; END_VAR q := a; q := NOT a;
Source: IEC 61131-3:2013, 6.5.5 (the standard lets it be); only the last value reaches the plant.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.resources import instances_in_several, path_of
from softplc.bind.usage import usage_of
from softplc.bind.writes import (
    Known,
    Root,
    Target,
    is_output,
    leaves,
    nodes,
    read_by,
    reads,
    root_of,
    sure_writes,
    target_of,
    written_by,
)
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou, Project
from softplc.syntax import Deref, Name, Node

ON = (Project,)


def check(project: Project, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each write that makes another vain."""
    reads_of: dict[Pou, set[Root]] = {}
    known: Known = {}
    for pou in project.pous.values():
        if pou.kind in ("PROGRAM", "FUNCTION_BLOCK") and not pou.library:
            yield from _twice(pou, reads_of, known)
    yield from _by_two(project, reads_of, known)


def _twice(pou: Pou, reads_of: dict[Pou, set[Root]], known: Known) -> Iterator[Diagnostic]:
    """Find writes in one body that nothing can see."""
    written = [target for statement in pou.decl.body for target, _ in written_by(statement, known)]
    if len(written) == len(set(written)):
        return
    last: set[Target] = set()
    for statement in pou.decl.body:
        seen = read_by(statement, reads_of)
        unknown = leaves(statement) or any(isinstance(node, Deref) for node in nodes(statement))
        last = set() if unknown else {each for each in last if each[0] not in seen}
        for target, place in written_by(statement, known):
            if target in last:
                message = f"{_name(target, place)} is already written in this scan: the value before is lost"
                yield Diagnostic("ST6004", message, place.at, place.end, "write it once", WARNING)
            last.add(target)


def _by_two(project: Project, reads_of: dict[Pou, set[Root]], known: Known) -> Iterator[Diagnostic]:
    """Find what two program instances write; a third is not told."""
    instances = _instances(project)
    if len(instances) < 2:
        return
    writers: dict[Target, str] = {}
    told: set[Target] = set()
    for name, pou, resource in instances:
        for target, place in _writes(pou, known, resource).items():
            first = writers.setdefault(target, name)
            if first == name or target in told:
                continue
            told.add(target)
            if is_output(target[0]) or not _is_read(target[0], instances, reads_of):
                message = f"{_name(target, place)} is written by {first} and by {name}: the last program wins"
                yield Diagnostic("ST6004", message, place.at, place.end, "write it in one program", WARNING)


def _is_read(root: Root, instances: list[tuple[str, Pou, str]], reads_of: dict[Pou, set[Root]]) -> bool:
    """Tell whether a program instance reads what others write."""
    return any(
        root in reads(pou, reads_of) or any(_seen(each, resource) == root for each in reads(pou, reads_of))
        for _, pou, resource in instances
    )


def _seen(root: Root, resource: str) -> Root:
    """Return what a root is in a resource."""
    if isinstance(root, str) or root.choices is None:
        return root
    seen = root.seen_from(resource)
    return root_of(seen) if seen is not None else root


def _writes(pou: Pou, known: Known, resource: str) -> dict[Target, Node]:
    """Return what a program writes: globals only if that is sure, outputs always."""
    found: dict[Target, Node] = {}
    for (root, way), place in sure_writes(pou.decl.body, known):
        found.setdefault((_seen(root, resource), way), place)
    for unit in _called(pou, set()):
        for variable, places in usage_of(unit).writes.items():
            if not is_output(_seen(root_of(variable), resource)):
                continue
            for place in places:
                written = target_of(place)
                if written is not None:
                    found.setdefault((_seen(written[0], resource), written[1]), place)
    return found


def _called(pou: Pou, seen: set[Pou]) -> set[Pou]:
    if pou not in seen and not pou.library:
        seen.add(pou)
        for each in pou.uses:
            _called(each, seen)
    return seen


def _instances(project: Project) -> list[tuple[str, Pou, str]]:
    """Return the program instances by name, program and key of the resource."""
    if not project.configurations:
        programs = (pou for pou in project.pous.values() if pou.kind == "PROGRAM")
        return [(pou.name, pou, "") for pou in programs if pou not in project.called]
    several = instances_in_several(project)
    declared = [
        (path_of(each.name, resource.name, several), each.type_name.casefold(), resource.name.casefold())
        for configuration in project.configurations
        for resource in configuration.resources
        for each in resource.instances
        if configuration.name or project.pous.get(each.type_name.casefold()) not in project.called
    ]
    return [(name, project.pous[key], resource) for name, key, resource in declared if key in project.pous]


def _name(target: Target, place: Node) -> str:
    root, way = target
    if isinstance(place, Name):
        return place.name
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in way]
    return (root if isinstance(root, str) else root.name) + "".join(parts)
