"""Points: the breakpoints that an editor has set, and what became of each in the present program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runtime.errors import PlantError
from softplc.debug.breakpoints import Breakpoint, counter, pieces
from softplc.debug.evaluate import Evaluator, Where
from softplc.debug.program import Place, Program
from softplc.debug.protocol import FunctionBreakpoint, SourceBreakpoint
from softplc.symbols import Pou

MOST = 10_000


@dataclass(slots=True)
class Wish:
    """What an editor wants: a breakpoint at a place of a file, or at the begin of a unit."""

    number: int
    path: str
    asked: SourceBreakpoint | FunctionBreakpoint
    breakpoint: Breakpoint | None = None
    place: tuple[str, int, int] | None = None  # file, line, column
    problem: str = ""

    @property
    def told(self) -> tuple[bool, tuple[str, int, int] | None, str]:
        return self.breakpoint is not None, self.place, self.problem


@dataclass(slots=True)
class Points:
    """All breakpoints by file; `functions` are those at units."""

    by_path: dict[str, list[Wish]] = field(default_factory=dict)
    functions: list[Wish] = field(default_factory=list)
    _next: int = 1

    def set_in(self, path: str, asked: list[SourceBreakpoint]) -> list[Wish]:
        """Take in all breakpoints of a file; those that were there before are the same, with their hits."""
        wishes = self._taken(path, list(asked), self.by_path.get(path, []))
        self.by_path[path] = wishes
        return wishes

    def set_functions(self, asked: list[FunctionBreakpoint]) -> list[Wish]:
        self.functions = self._taken("", list(asked), self.functions)
        return self.functions

    def _taken(
        self, path: str, asked: list[SourceBreakpoint | FunctionBreakpoint], before: list[Wish]
    ) -> list[Wish]:
        if len(asked) > MOST:
            raise PlantError(f"more than {MOST:,} breakpoints in one file", "remove some")
        known = {each.asked: each for each in before}
        wishes = []
        for each in asked:
            wish = known.pop(each, None)
            if wish is None:
                wish = Wish(self._next, path, each)
                self._next += 1
            wishes.append(wish)
        return wishes

    @property
    def all(self) -> list[Wish]:
        return [*(each for wishes in self.by_path.values() for each in wishes), *self.functions]

    @property
    def breakpoints(self) -> list[Breakpoint]:
        return [each.breakpoint for each in self.all if each.breakpoint is not None]


class Resolver:
    """Finds the sites of breakpoints in one program, and looks at their conditions."""

    def __init__(self, program: Program, evaluator: Evaluator) -> None:
        self._program = program
        self._evaluator = evaluator

    def resolve(self, wishes: list[Wish]) -> None:
        """Give each wish its breakpoint, or say why there is none."""
        for wish in wishes:
            self._resolve(wish)

    def _resolve(self, wish: Wish) -> None:
        hits = wish.breakpoint.hits if wish.breakpoint is not None else 0
        wish.breakpoint, wish.place, wish.problem = None, None, ""
        try:
            sites = self._sites(wish)
            first = self._program.sites[sites[0]]
            wish.place = (first.file, first.line, first.column)
            self._check(wish, sites)
            asked = wish.asked
            message = asked.log_message if isinstance(asked, SourceBreakpoint) else ""
            function = isinstance(asked, FunctionBreakpoint)
            made = Breakpoint(
                wish.number, sites, asked.condition.strip(), asked.hit_condition, message, function
            )
            made.hits = hits
            wish.breakpoint = made
        except PlantError as exc:
            wish.problem = f"{exc.text}: {exc.remedy}" if exc.remedy else exc.text

    def _sites(self, wish: Wish) -> tuple[int, ...]:
        asked = wish.asked
        if isinstance(asked, FunctionBreakpoint):
            return (self._first_of(asked.name),)
        name = self._program.name_of(wish.path)
        if name is None:
            raise PlantError("this file is no part of the program that runs", "launch its plant, or name it")
        places = self._program.place_at(name, asked.line, asked.column)
        return tuple(each.site for each in places)

    def _first_of(self, name: str) -> int:
        from softplc.diagnostics import did_you_mean

        units = self._program.units()
        pou = units.get(name.strip().casefold())
        if pou is None:
            near = did_you_mean(name, [each.name for each in units.values() if not each.library])
            raise PlantError(
                f"there is no unit {name!r}", near or "name a program, block, function or BLOCK.METHOD"
            )
        site = self._program.first_site(pou)
        if site is None:
            raise PlantError(f"nothing that runs calls {name}", "call it, and restart")
        return site

    def _check(self, wish: Wish, sites: tuple[int, ...]) -> None:
        """Look at what a breakpoint says, in each unit that it is in.

        Raises:
            PlantError: a condition is wrong, or a count, or a message.
        """
        counter(wish.asked.hit_condition)
        message = wish.asked.log_message if isinstance(wish.asked, SourceBreakpoint) else ""
        expressions = [text for is_expression, text in pieces(message) if is_expression]
        for pou in {self._program.sites[site].pou for site in sites}:
            where = self._where(pou)
            if wish.asked.condition.strip():
                self._evaluator.condition(wish.asked.condition, where)
            for text in expressions:
                self._evaluator.compiled(text, where)

    def _where(self, pou: Pou) -> Where:
        runs = next((each for each in self._program.stoppable.sites.runs if each.pou is pou), None)
        return Where(pou, runs.instance, resource=runs.seen_from) if runs is not None else Where(pou)


def locations(places: list[Place], first: int, last: int) -> list[Any]:
    """Return the places within some lines."""
    return [each for each in places if first <= each.line <= last]
