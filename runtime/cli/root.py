"""The group of all commands."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Root(TyperGroup):
    """Tells what was given wrongly without the words of the library that found it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as exc:
            exc.message = exc.message.removeprefix("Value error, ")
            raise
