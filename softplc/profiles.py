"""Profiles: what the compiler takes beside the standard, and its choices where the standard leaves them open.

A profile is chosen for a whole compilation; `profiles.md` has the choices on one page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from runtime.errors import PlantError


@dataclass(frozen=True, slots=True)
class Profile:
    """What a dialect has.

    Attributes:
        bits_count: BYTE, WORD, DWORD, LWORD are unsigned numbers too, and whole numbers are bits: they take
            arithmetic, logic and shifts, convert to what is not smaller, and to REAL as the number.
        pointers: POINTER TO, ADR, SIZEOF and their arithmetic.
        objects: PROPERTY, ACTION, THIS^, SUPER^ and FB_Init.
        loose: names with underscores anywhere, code pages instead of UTF-8, lists without brackets.
    """

    name: str
    bits_count: bool = False
    pointers: bool = False
    objects: bool = False
    loose: bool = False


IEC = Profile("iec")
CODESYS = Profile("codesys", bits_count=True, pointers=True, objects=True, loose=True)
PROFILES = {each.name: each for each in (IEC, CODESYS)}
_CURRENT: ContextVar[Profile] = ContextVar("softplc.profile", default=IEC)


def profile_of(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        PlantError: there is none.
    """
    found = PROFILES.get(name.casefold())
    if found is None:
        from softplc.diagnostics import did_you_mean

        remedy = did_you_mean(name, PROFILES) or f"there are {', '.join(PROFILES)}"
        raise PlantError(f"there is no profile {name}", remedy)
    return found


def current() -> Profile:
    """Return the profile of the compilation that runs in this context."""
    return _CURRENT.get()


@contextmanager
def compiling(profile: Profile) -> Iterator[None]:
    """Let a profile hold for what is inside: types convert and combine as it says."""
    token = _CURRENT.set(profile)
    try:
        yield
    finally:
        _CURRENT.reset(token)
