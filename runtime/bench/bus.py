"""`ironworks bench bus`: updates through table, bus, three subscribers and historian."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def bench(
    tags: Annotated[int, typer.Option(help="Number of tags.")] = 10_000,
    rounds: Annotated[int, typer.Option(help="Batches of that many values.")] = 500,
    as_json: JSON = False,
) -> None:
    """Updates per second through table, bus, three subscribers and historian, on one core."""
    from runtime.bench.report import report

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), tags, rounds))
    report("bus", figures, as_json)
