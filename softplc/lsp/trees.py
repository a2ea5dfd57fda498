"""Trees: a file that has not changed is not parsed again.

Binding marks a tree, so each analysis takes a copy. Such a copy is made three times as fast as the tree.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass

from softplc.diagnostics import Diagnostic
from softplc.parser import parse
from softplc.profiles import Profile
from softplc.source import Source
from softplc.syntax import Unit

ROOM = 1 << 20  # characters from the begin of a file to that of the next: else a longer one would move it


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str
    base: int
    profile: Profile
    data: bytes


class Trees:
    """The trees of the files of a project."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def parse(self, source: Source, profile: Profile) -> tuple[Unit, list[Diagnostic]]:
        """Return a tree of one file that is the caller's own, and what is wrong with its syntax."""
        kept = self._kept.pop(source.name, None)
        if kept is None or (kept.text, kept.base, kept.profile) != (source.text, source.base, profile):
            found = parse(source, profile)
            try:
                data = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
            except RecursionError:
                return found  # nested too deep to be kept
            self._kept[source.name] = _Kept(source.text, source.base, profile, data)
            return found
        self._kept[source.name] = kept
        unit, findings = pickle.loads(kept.data)  # noqa: S301 - written above
        return unit, findings

    def keep(self, names: Iterable[str]) -> None:
        """Forget all files but these."""
        self._kept = {name: self._kept[name] for name in names if name in self._kept}
