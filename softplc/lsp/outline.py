"""Outline: the declarations of a file as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from softplc.application import is_hidden
from softplc.syntax import EnumSpec, PouDecl, StructSpec, TypeDecl, Unit, VarBlock


@dataclass(frozen=True, slots=True)
class Entry:
    """A declaration: where its text lies and where its name, global offsets.

    Kinds: those of units, and type, field, value, variable, constant, configuration, resource, task,
    instance.
    """

    name: str
    kind: str
    detail: str
    at: int
    end: int
    name_at: int
    children: list[Entry] = field(default_factory=list)


def outline(unit: Unit) -> list[Entry]:
    """Return what a file declares, in order of place."""
    found = [_type(each) for each in unit.types]
    found += [entry for block in unit.globals for entry in _variables(block)]
    found += [_pou(each) for each in unit.pous]
    for each in (one for one in unit.configurations if one.name):
        children = [entry for block in each.blocks for entry in _variables(block)]
        for resource in each.resources:
            parts = [entry for block in resource.blocks for entry in _variables(block)]
            parts += [_leaf(task.name, "task", "", task.at) for task in resource.tasks]
            parts += [_leaf(one.name, "instance", one.type_name, one.at) for one in resource.instances]
            if resource.name:
                children.append(
                    Entry(resource.name, "resource", "", resource.at, resource.end, resource.at, parts)
                )
            else:
                children += parts
        found.append(Entry(each.name, "configuration", "", each.at, each.end, each.at, children))
    return sorted(found, key=lambda entry: entry.at)


def walk(entries: list[Entry], owner: str = "") -> Iterator[tuple[Entry, str]]:
    """Yield every entry with the name of the one it is in."""
    for each in entries:
        yield each, owner
        yield from walk(each.children, each.name)


def _leaf(name: str, kind: str, detail: str, at: int) -> Entry:
    return Entry(name, kind, detail, at, at + len(name), at)


def _type(decl: TypeDecl) -> Entry:
    children: list[Entry] = []
    if isinstance(decl.spec, StructSpec):
        children = [_leaf(each.name, "field", "", each.at) for each in decl.spec.fields]
    elif isinstance(decl.spec, EnumSpec):
        children = [_leaf(name, "value", "", at) for name, _, at in decl.spec.values]
    return Entry(decl.name, "type", "", decl.at, max(decl.end, decl.spec.end), decl.at, children)


def _variables(block: VarBlock) -> Iterator[Entry]:
    kind = "constant" if block.constant else "variable"
    for each in block.declarations:
        if not is_hidden(each.name):
            yield _leaf(each.name, kind, block.section, each.at)


def _pou(decl: PouDecl) -> Entry:
    children = [entry for block in decl.blocks for entry in _variables(block)]
    methods = {each.name_at: _pou(each) for each in decl.methods}  # a property has two in one place
    children += methods.values()
    return Entry(decl.name.partition("$")[0], decl.kind, decl.kind, decl.at, decl.end, decl.name_at, children)
