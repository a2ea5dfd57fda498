"""Scopes: what a name means inside a POU."""

from __future__ import annotations

from softplc.iectypes import Enum
from softplc.symbols import EnumValue, Pou, Project, Ref


class Scope:
    """Looks names up: variables of the POU, then globals, enumeration values, POUs."""

    def __init__(self, project: Project, pou: Pou | None = None) -> None:
        self.project = project
        self.pou = pou

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
        found = project.globals.get(key)
        if found is not None:
            return found
        values = project.enum_values.get(key)
        if values:
            return values[0]
        return project.pous.get(key)

    @property
    def owner(self) -> Pou | None:
        """Return the class or function block this is in."""
        if self.pou is None or self.pou.owner is not None:
            return self.pou.owner if self.pou is not None else None
        return self.pou if self.pou.kind == "FUNCTION_BLOCK" else None

    def enum_value(self, name: str, type_: Enum) -> EnumValue | None:
        """Return the value of that name of one enumeration."""
        entry = type_.values.get(name.casefold())
        return EnumValue(entry[0], type_, entry[1]) if entry else None

    def names(self) -> list[str]:
        """Return every name that could have been meant."""
        names = [each.name for each in self.project.globals.values()]
        names += [values[0].name for values in self.project.enum_values.values()]
        names += [each.name for each in self.project.pous.values()]
        if self.pou is not None:
            names += [each.name for each in self.pou.variables.values()]
            names += [each.name for each in (self.pou.owner.variables.values() if self.pou.owner else ())]
        return names
