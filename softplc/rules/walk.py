"""The walk: every rule over everything it is about, in one pass."""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.declare import Declarations
from softplc.diagnostics import Diagnostic


def check(declarations: Declarations) -> Iterator[Diagnostic]:
    """Yield every finding."""
    yield from ()
