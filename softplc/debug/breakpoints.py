"""Breakpoints: where to stop, on what condition, at which hit, or what to say there instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from runtime.errors import PlantError

_HITS = re.compile(r"\s*(==|=|>=|>|<=|<|%)?\s*([0-9]{1,9})\s*")
_COMPARES: dict[str, Callable[[int, int], bool]] = {
    "": int.__eq__,
    "=": int.__eq__,
    "==": int.__eq__,
    ">": int.__gt__,
    ">=": int.__ge__,
    "<": int.__lt__,
    "<=": int.__le__,
    "%": lambda hits, every: hits % every == 0,
}


@dataclass(slots=True)
class Breakpoint:
    """One breakpoint.

    Attributes:
        sites: numbers of the sites that it is at.
        condition: an ST expression, empty for none.
        wanted: which hits count, as text: `5`, `>5`, `%10`; empty for all.
        message: what to say instead of stopping, with {expressions}; empty for a stop.
        hits: how often it was met with its condition TRUE.
        complaint: what was last wrong with its condition: told once.
    """

    number: int
    sites: tuple[int, ...]
    condition: str = ""
    wanted: str = ""
    message: str = ""
    function: bool = False
    hits: int = 0
    complaint: str = ""
    counts: Callable[[int], bool] = field(default=lambda _: True)

    def __post_init__(self) -> None:
        self.counts = counter(self.wanted)


def counter(text: str) -> Callable[[int], bool]:
    """Return what tells whether a hit counts.

    Raises:
        PlantError: the text means nothing.
    """
    if not text.strip():
        return lambda _: True
    found = _HITS.fullmatch(text)
    if found is None or (found.group(1) == "%" and int(found.group(2)) == 0):
        raise PlantError(f"{text!r} is no hit count", "write 5 (the fifth hit), >5, <=5 or %5 (every fifth)")
    compares, number = _COMPARES[found.group(1) or ""], int(found.group(2))
    return lambda hits: compares(hits, number)


def pieces(message: str) -> list[tuple[bool, str]]:
    """Split the text of a logpoint into plain text, and expressions (True).

    Raises:
        PlantError: a brace is open.
    """
    found: list[tuple[bool, str]] = []
    for number, part in enumerate(message.split("{")):
        if number == 0:
            found.append((False, part))
            continue
        expression, closed, rest = part.partition("}")
        if not closed or not expression.strip():
            raise PlantError(f"{message!r}: every {{ takes an expression and a }}", "write level is {level}")
        found += [(True, expression), (False, rest)]
    return found


def armed(breakpoints: Iterable[Breakpoint]) -> dict[int, list[Breakpoint]]:
    """Return the breakpoints by site."""
    found: dict[int, list[Breakpoint]] = {}
    for each in breakpoints:
        for site in each.sites:
            found.setdefault(site, []).append(each)
    return found
