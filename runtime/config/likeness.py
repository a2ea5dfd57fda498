"""What somebody may have meant who mistyped the name of a tag or an alarm."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest
from os.path import commonprefix

_MOST = 100
_LONGEST = 256


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like another; None where none is.

    A whole comparison takes some 80 us a name, and clients ask for what is gone again and again: only those
    are compared that share most levels, and of these the longest beginning.
    """
    wanted = name[:_LONGEST]
    levels = set(_levels(wanted))

    def shared(each: str) -> tuple[int, int]:
        return len(levels.intersection(_levels(each))), len(commonprefix((wanted, each)))  # noqa: RUF071 - no paths of files

    found = get_close_matches(wanted, nlargest(_MOST, known, shared), 1)
    return found[0] if found else None


def _levels(name: str) -> list[str]:
    return name.replace(".", "/").split("/")
