"""`ironworks bench soak`: whether memory and CPU of a running plant stay what they are."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.bench.processes import Family

BLOCKS = 12
SETTLE_HELP = "Time at the start that does not count. [default: 2min; 45min of an hour or more]"
_T_95 = 2.228  # Student's t for 10 degrees of freedom: a line through 12 means


def bench(
    tags: Annotated[int, typer.Option(min=1, help="Number of tags, each new every second.")] = 10_000,
    duration: Annotated[str, typer.Option("--for", help="How long, such as 10min or 2h.")] = "10min",
    settle: Annotated[str | None, typer.Option(help=SETTLE_HELP)] = None,
    samples: Annotated[Path | None, typer.Option(help="Write the samples to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Memory and CPU of all processes of `ironworks run` over a long time, and the slope of memory."""
    import numpy as np

    from runtime.bench.load import plant_of
    from runtime.bench.processes import Family
    from runtime.bench.report import Figure, report
    from runtime.bench.start import CPU_GOAL_PERCENT, HEAD, MEMORY_GOAL_MIB, PROGRAM
    from runtime.cli.demo import running

    try:
        long_s, settle_s = spans_s(duration, settle)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        file = plant_of(Path(folder), tags, "device", "noise(1s)", HEAD)
        file.with_name("main.st").write_text(PROGRAM, encoding="utf-8")
        with running(file) as (_, child):
            rows = asyncio.run(watch(Family(child.pid), settle_s, long_s))
    at_s, memory_mib, cpu_s = np.array(rows).T
    if samples:
        np.savetxt(
            samples, np.array(rows), "%.3f", ",", header="seconds,resident_mib,cpu_seconds", comments=""
        )
    slope, noise = slope_of(at_s / 3600, memory_mib)
    share = 100 * (cpu_s[-1] - cpu_s[0]) / (at_s[-1] - at_s[0])
    report(
        "soak",
        [
            Figure("time watched", float(at_s[-1] - at_s[0]), "s"),
            Figure(
                "resident memory, greatest", float(memory_mib.max()), "MiB", MEMORY_GOAL_MIB, at_least=False
            ),
            Figure("CPU, all processes", float(share), "% of a core", CPU_GOAL_PERCENT, at_least=False),
            Figure(
                "slope of memory", slope, "MiB/h", noise, at_least=False, compared_with="noise: 95 % interval"
            ),
        ],
        as_json,
    )


def spans_s(duration: str, settle: str | None) -> tuple[float, float]:
    """Return how long to watch, and how long to wait first, until the history joined its first files.

    Raises:
        ValueError: one is no duration.
    """
    from runtime.config import parse_duration_ns

    long_s = parse_duration_ns(duration) / 1e9
    return long_s, parse_duration_ns(settle or ("45min" if long_s >= 3600 else "2min")) / 1e9


async def watch(family: Family, settle_s: float, long_s: float) -> list[tuple[float, float, float]]:
    """Return seconds, resident MiB and CPU seconds, a row a second.

    Memory goes up and down by 25 MiB with the history's checkpoints, about once a minute: every ten seconds
    two samplings of one plant gave means of ten minutes that were 2.5 MiB apart.
    """
    from runtime.clock import WallClock, monotonic_ns

    clock = WallClock()
    await clock.sleep(settle_s)
    period_s = min(1.0, long_s / (4 * BLOCKS))
    began_ns = monotonic_ns()
    rows: list[tuple[float, float, float]] = []
    while not rows or rows[-1][0] < long_s:
        rows.append(((monotonic_ns() - began_ns) / 1e9, family.memory_mib(), family.cpu_s()))
        await clock.sleep(period_s)
    return rows


def slope_of(hours: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of a line through the means of 12 blocks, and half its 95 % interval.

    Means of blocks, since neighbouring samples of memory are not independent.
    """
    import numpy as np

    blocks = np.array_split(np.arange(len(hours)), BLOCKS)
    x = np.array([hours[each].mean() for each in blocks])
    y = np.array([values[each].mean() for each in blocks])
    (slope, base), spread = np.polyfit(x, y, 1), x - x.mean()
    residual = y - (base + slope * x)
    error = np.sqrt(residual @ residual / (BLOCKS - 2) / (spread @ spread))
    return float(slope), float(_T_95 * error)
