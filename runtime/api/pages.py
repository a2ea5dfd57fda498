"""Lists in pages: some of what is there, and where the rest begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from runtime.api.answers import Refused

T = TypeVar("T")
PAGE = 1000
Limit = Annotated[int, Query(ge=1, le=10_000)]
After = Annotated[str, Query(max_length=256, description="only those after this one: the `next` of a page")]


def page(
    items: Sequence[T], name: Callable[[T], str], after: str = "", limit: int = PAGE
) -> tuple[tuple[T, ...], str | None]:
    """Return the items after the one of that name, and the name to ask for the rest `after`.

    Raises:
        Refused: 404, none has that name (any more).
    """
    names = [name(each) for each in items]
    if after and after not in names:
        raise Refused(404, f"nothing here is named {after!r}", "begin again without `after`")
    rest = items[names.index(after) + 1 :] if after else items
    return tuple(rest[:limit]), name(rest[limit - 1]) if len(rest) > limit else None
