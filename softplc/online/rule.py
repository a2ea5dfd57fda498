"""The one rule of migration: which value of an old variable a new one of the same path goes on with."""

from __future__ import annotations

from collections.abc import Mapping

from softplc.iectypes import ELEMENTARY, WIDENINGS
from softplc.online.moves import BYTES, TEXT, VALUE, Move, kind_of

TEXTS = {"STRING": 1, "WSTRING": 2}  # bytes of a character


def fits(source: str, source_size: int, target: str, target_size: int) -> bool:
    """Tell whether every value of an elementary type is one of another; a text is cut to its room."""
    if source == target:
        return source_size == target_size or source in TEXTS
    old, new = ELEMENTARY.get(source), ELEMENTARY.get(target)
    if old is None or new is None or new not in WIDENINGS.get(old, ()):
        return False
    return (old.kind == "real") == (new.kind == "real")


def means_the_same(old: Mapping[str, int], new: Mapping[str, int]) -> bool:
    """Tell whether every number of an enumeration has the name that it had; types without names have none."""
    if not old and not new:
        return True
    after = {name.casefold(): number for name, number in new.items()}
    return bool(new) and all(after.get(name.casefold()) == number for name, number in old.items())


def move_of(source: tuple[str, int, int], target: tuple[str, int, int], size: int) -> Move:
    """Return how a value that fits is carried between variables: type, offset and bit (or -1) of each.

    `size` is that of the target.
    """
    (old, start, old_bit), (new, end, new_bit) = source, target
    if new in TEXTS:
        return Move(TEXT, start, end, TEXTS[new])
    if old == new and max(old_bit, new_bit) < 0:
        return Move(BYTES, start, end, size)
    kinds = kind_of(old, old_bit), kind_of(new, new_bit)
    return Move(VALUE, start, end, 0, kinds[0], max(old_bit, 0), kinds[1], max(new_bit, 0))
