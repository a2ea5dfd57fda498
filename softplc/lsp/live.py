"""Live values: what the variables of a running plant have now, as far as tags are bound to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.contract import Clock, Quality, Value
from runtime.endpoint import find
from runtime.errors import PlantError
from runtime.logins import credentials
from runtime.wire import ConfigChange, TagView, Values
from softplc.bind.resources import instances_in_several, path_of
from softplc.lsp.analysis import Analysis
from softplc.symbols import Project, Variable
from softplc.texts import shown

EVERYTHING = "**"
INTERVAL_MS = 1000
RETRY_S = 1.0
_WAY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\s*-?\d+(?:\s*,\s*-?\d+)*\s*\])*")


@dataclass(frozen=True, slots=True)
class Shown:
    """The tag of a variable and its present value."""

    path: str
    unit: str
    description: str
    type: str
    value: Value | None
    quality: int

    def text(self) -> str:
        """Return the value as the program would spell it, with unit; what is not good says so."""
        if self.value is None:
            return "? (bad)"
        text = _spelt(self.value, self.type) + (f" {self.unit}" if self.unit else "")
        if Quality.is_good(self.quality):
            return text
        return f"{text} ({'bad' if Quality.is_bad(self.quality) else 'uncertain'})"


class Live:
    """Follows the plant of a folder; `values` by casefolded variable, empty while it does not run."""

    def __init__(self, folder: Path, changed: Callable[[], None], clock: Clock | None = None) -> None:
        self.values: dict[str, Shown] = {}
        self._folder = folder
        self._changed = changed
        self._clock: Clock = clock or WallClock()
        self._names: dict[int, str] = {}

    async def run(self) -> None:
        """Work until cancelled; a plant that is not there is waited for."""
        while True:
            try:
                await self._follow()
            except PlantError:
                if self.values:
                    self.values = {}
                    self._changed()
            await self._clock.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Show what the plant tells until it ends or another configuration runs."""
        endpoint = find(self._folder)
        async with PlantClient(endpoint, **credentials(endpoint)) as client:
            tags = [each for each in await client.tags() if each.variable]
            self._names = {each.id: each.variable.casefold() for each in tags}
            self.values = {each.variable.casefold(): _shown(each) for each in tags}
            self._changed()
            async for message in client.stream([EVERYTHING], interval_ms=INTERVAL_MS):
                if isinstance(message, ConfigChange):
                    return
                if isinstance(message, Values):
                    self._take(message)

    def _take(self, message: Values) -> None:
        before = dict(self.values)
        for id_, value, quality, _ in message.rows:
            name = self._names.get(id_)
            if name is not None:
                self.values[name] = replace(self.values[name], value=value, quality=quality)
        if self.values != before:
            self._changed()


def beside(
    analysis: Analysis, name: str, start: int, end: int, values: dict[str, Shown]
) -> Iterator[tuple[int, Shown]]:
    """Yield what stands between two offsets of a file with its value: the offset behind it, once a line."""
    source = analysis.source(name)
    told: set[tuple[int, str]] = set()
    for each in analysis.index.between(source.base + start, source.base + end):
        variable = each.symbol.what
        if not isinstance(variable, Variable):
            continue
        way = _WAY.match(source.text, each.at - source.base)
        roots = _roots(analysis.project, variable)
        found = _longest(way.group() if way else "", roots, values)
        if found is None or way is None:
            continue
        length, value = found
        line = source.place(each.at)[0]
        if (line, value.path) not in told:
            told.add((line, value.path))
            yield way.start() + length, value


def _longest(way: str, roots: list[str], values: dict[str, Shown]) -> tuple[int, Shown] | None:
    """Return the value of the longest part of a way that has one, and that part's length."""
    ends = [len(way), *(place for place in range(len(way) - 1, 0, -1) if way[place] in ".[")]
    for end in ends:
        rest = re.match(r"\w*", way)
        tail = re.sub(r"\s", "", way[rest.end() if rest else 0 : end])
        for root in roots:
            value = values.get((root + tail).casefold())
            if value is not None:
                return end, value
    return None


def _roots(project: Project, variable: Variable) -> list[str]:
    """Return the paths of a variable in the running program: those of blocks have none of their own."""
    if variable.section == "VAR_GLOBAL":
        return [each.name for each in (variable.choices or {"": variable}).values()]
    if variable.pou is None or variable.pou.kind != "PROGRAM":
        return []
    several = instances_in_several(project)
    instances = [
        path_of(each.name, resource.name, several)
        for configuration in project.configurations
        for resource in configuration.resources
        for each in resource.instances
        if each.type_name.casefold() == variable.pou.name.casefold()
    ]
    if not project.configurations:
        instances = [variable.pou.name]
    return [f"{each}.{variable.name}" for each in instances]


def _shown(tag: TagView) -> Shown:
    return Shown(tag.path, tag.unit_text, tag.description, tag.type, tag.value, tag.quality)


def _spelt(value: Value, type_: str) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(shown(type_, value)) if isinstance(value, int) else f"'{value}'"
