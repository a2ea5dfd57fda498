"""Namespaces: full names, and what a name means where it stands.

Source: IEC 61131-3:2013, 6.9, tables 64 to 66.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Using:
    """A USING directive for one namespace, and where it is written."""

    name: str
    at: int
    end: int


@dataclass(slots=True, eq=False)
class Space:
    """One text of a namespace; the outermost of a file has no name.

    A unit with USING of its own has a space of its own, with the name of the one it stands in.
    `closes` is the space that END_NAMESPACE leads back to.
    """

    name: str = ""
    outer: Space | None = None
    usings: list[Using] = field(default_factory=list)
    at: int = 0
    closes: Space | None = None

    def full(self, name: str) -> str:
        """Return the full name of what is declared here."""
        return f"{self.name}.{name}" if self.name else name

    def key(self, name: str) -> str:
        return self.full(name).casefold()

    def candidates(self, name: str, known: Callable[[str], bool]) -> list[str]:
        """Return the keys a name may mean: several where namespaces in use have it alike.

        What encloses the name is searched from the inside out; at each step the namespace itself comes
        before those that it uses.
        """
        space: Space | None = self
        while space is not None:
            key = space.key(name)
            if known(key):
                return [key]
            if space.usings and "." not in name:
                keys = {f"{each.name}.{name}".casefold() for each in space.usings}
                found = sorted(key for key in keys if known(key))
                if found:
                    return found
            space = space.outer
        return []


def parent(key: str) -> str:
    """Return the namespace of a full name."""
    return key.rpartition(".")[0]


def within(space: str, namespace: str) -> bool:
    """Tell whether one namespace is the other or lies in it."""
    return not namespace or space == namespace or space.startswith(f"{namespace}.")
