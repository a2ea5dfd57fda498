"""`ironworks logs`: what the kernel logged, of a running plant or a stopped one."""

from __future__ import annotations

import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, parse_time, print_json
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.logs import Filter, LogLine

_POLL_S = 0.25


def logs(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    since: Annotated[str, typer.Option(help="From this time on: -1h, -30min, 2026-05-01T08:00:00.")] = "",
    level: Annotated[str, typer.Option(help="This level and above: debug, info, warning, error.")] = "debug",
    component: Annotated[str, typer.Option(help="Of this component only.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="At most so many, the newest.")] = 1000,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Print the log, oldest first. It is read from the plant's state folder, on the gateway."""
    import asyncio

    from runtime.cli.stopped import state_of
    from runtime.clock import WallClock
    from runtime.logs import FILE, LEVELS, Filter, log_lines

    if level not in LEVELS:
        raise PlantError(f"{level!r} is not a level", f"use one of {', '.join(LEVELS)}")
    begin = ""
    if since:
        at_ns = parse_time(since, WallClock().now_ns())
        begin = f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    wanted = Filter(begin, level, component)
    file = state_of(plant) / FILE
    if not file.exists() and not follow:
        raise PlantError(f"{file}: no log yet", "the plant makes it at its first start")
    position, inode = _end(file)
    found = deque(filter(wanted, log_lines(file)), maxlen=lines)
    for line in found:
        _print(line, json)
    if not found and component and not follow:
        known = sorted({line.component for line in log_lines(file)})
        print(f"nothing of {component!r}; the log has lines of {', '.join(known)}", file=sys.stderr)
    if follow:
        asyncio.run(_follow(file, position, inode, wanted, json))


async def _follow(file: Path, position: int, inode: int, wanted: Filter, json: bool) -> None:
    from runtime.clock import WallClock
    from runtime.logs import following

    clock = WallClock()
    while True:
        found, position, inode = following(file, position, inode)
        for line in filter(wanted, found):
            _print(line, json)
        await clock.sleep(_POLL_S)


def _end(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_ino


def _print(line: LogLine, json: bool) -> None:
    if json:
        print_json(line)
        return
    shown = line.time
    if shown:
        at = datetime.fromisoformat(shown).astimezone()
        shown = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
    print(f"{shown}  {line.level:<8} {line.component:<12} {line.text}", flush=True)
    for each in line.trace.splitlines():
        print(f"    {each}", flush=True)
