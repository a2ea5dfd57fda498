"""Scopes: what a name means inside a POU, or in a namespace."""

from __future__ import annotations

from softplc.iectypes import Alias, Enum, Type
from softplc.spaces import Space
from softplc.symbols import EnumValue, Pou, Project, Ref, Variable


class Scope:
    """Looks names up: variables of the POU, then, by namespace, globals, enumeration values, POUs."""

    def __init__(
        self, project: Project, pou: Pou | None = None, space: Space | None = None, resource: str = ""
    ) -> None:
        """`resource` is the key of the resource whose own declarations these are."""
        self.project = project
        self.pou = pou
        self.resource = resource
        self.space = space or (pou.decl.space if pou is not None else Space())

    def lookup(self, name: str) -> Ref | None:
        key = name.casefold()
        project = self.project
        if self.pou is not None:
            found = self.pou.variables.get(key)
            if found is None and self.pou.owner is not None:
                found = self.pou.owner.variables.get(key)
                found = None if found is not None and found.section == "VAR_TEMP" else found
            if found is None and key == "eno":
                found = self.pou.enable_out()
            if found is not None:
                return found
            if self.pou.library:  # what a program declares changes no library block
                known = project.pous.get(key)
                return known if known is not None and known.library else None
        keys = self.space.candidates(name, self._has_value)
        if len(keys) != 1:
            return None
        key = keys[0]
        found = self._global(key)
        if found is not None:
            return found
        values = project.enum_values.get(key)
        if values:
            return values[0]
        return project.pous.get(key)

    def _has_value(self, key: str) -> bool:
        project = self.project
        return self._is_global(key) or key in project.enum_values or key in project.pous

    def _is_global(self, key: str) -> bool:
        return key in self.project.globals or key in self.project.common

    def _global(self, key: str) -> Variable | None:
        common = self.project.common.get(key)
        if common is None:
            return self.project.globals.get(key)
        return common.seen_from(self.resource) if self.resource else common

    def unit(self, name: str) -> Pou | None:
        """Return the POU of that name."""
        keys = self.space.candidates(name, self.project.pous.__contains__)
        return self.project.pous[keys[0]] if len(keys) == 1 else None

    def type(self, name: str) -> Type | Alias | None:
        """Return the declared type of that name."""
        keys = self.space.candidates(name, self.project.types.__contains__)
        return self.project.types[keys[0]] if len(keys) == 1 else None

    def variable(self, name: str) -> Variable | None:
        """Return the global variable of that name."""
        keys = self.space.candidates(name, self._is_global)
        return self._global(keys[0]) if len(keys) == 1 else None

    # Namespaces ----------------------------------------------------------------------------------

    def meanings(self, name: str) -> list[str]:
        """Return the keys a name that is no variable of the POU may mean: several if it is ambiguous."""
        return self.space.candidates(name, self._is_known)

    def _is_known(self, key: str) -> bool:
        return self._has_value(key) or key in self.project.type_keys

    def namespace(self, name: str) -> str | None:
        """Return the full name of a namespace."""
        keys = self.space.candidates(name, self.project.spaces.__contains__)
        return self.project.spaces[keys[0]] if len(keys) == 1 else None

    @property
    def owner(self) -> Pou | None:
        """Return the class or function block this is in."""
        if self.pou is None or self.pou.owner is not None:
            return self.pou.owner if self.pou is not None else None
        acts = self.pou.kind == "PROGRAM" and self.pou.methods
        return self.pou if self.pou.kind == "FUNCTION_BLOCK" or acts else None

    def enum_value(self, name: str, type_: Enum) -> EnumValue | None:
        """Return the value of that name of one enumeration."""
        entry = type_.values.get(name.casefold())
        return EnumValue(entry[0], type_, entry[1]) if entry else None

    def names(self) -> list[str]:
        """Return every name that could have been meant."""
        names = [each.name for each in self.project.global_names()]
        names += [values[0].name for values in self.project.enum_values.values()]
        names += [each.name for each in self.project.pous.values()]
        if self.pou is not None:
            names += [each.name for each in self.pou.variables.values()]
            names += [each.name for each in (self.pou.owner.variables.values() if self.pou.owner else ())]
        return names
