"""`ironworks bench exchange`: thousands of tags between core and kernel, whole or not, and how fast."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.bench.report import Figure
    from runtime.config import TagList
    from softplc.core.remote import CoreProcess
    from softplc.core.scancore import ScanCore

READ_GOAL_US, VALUES_GOAL = 100.0, 2_000_000
_LEAST_SCANS = 20  # of each part, however long a busy machine needs for them
_PROGRAM = """PROGRAM Main
VAR
  n, torn : LINT; k : DINT;
  given, shown : ARRAY[0..LAST] OF LINT;
END_VAR
n := n + 1;
FOR k := 1 TO LAST DO
  IF given[k] <> given[0] THEN torn := torn + 1; END_IF;
END_FOR;
FOR k := 0 TO LAST DO shown[k] := 1000000 * n + k; END_FOR;
END_PROGRAM
CONFIGURATION bench RESOURCE r ON PLC
TASK main (INTERVAL := PERIOD, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""


def bench(
    tags: Annotated[
        int,
        typer.Option(min=2, max=100_000, help="Tags in each direction, all of which change in each scan."),
    ] = 10_000,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each part takes.")] = 10.0,
    period: Annotated[str, typer.Option(help="Interval of the task, such as 2ms.")] = "2ms",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Values between a core's process and a kernel: torn ones, and how many a second.

    Every scan gives each output a value that tells the scan and the output, and counts the inputs that are
    not of the same hand-over as the first; so whatever is torn shows.
    """
    from runtime.bench.report import report
    from runtime.config import parse_duration_ns

    try:
        period_ns = parse_duration_ns(period)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = _measure(Path(folder), tags, seconds, period_ns)
    report("exchange", figures, as_json)


def _measure(folder: Path, count: int, seconds: float, period_ns: int) -> list[Figure]:
    """Read, hand in and collect as fast as it goes, with the calls that the bridge makes."""
    from runtime.bench.report import Figure
    from runtime.clock import WallClock
    from softplc.build import build
    from softplc.core.remote import Options
    from softplc.forcebook import ForceBook
    from softplc.launch import Launcher
    from softplc.wiring import wire

    program = _PROGRAM.replace("LAST", str(count - 1)).replace("PERIOD", f"T#{period_ns / 1e6:g}ms")
    made = build({"main.st": program}, folder / "cache")
    wiring = wire(_tags(count), made.application)
    launcher = Launcher(folder, Options(), 0, ForceBook(folder))
    process = launcher.obtain(made, wiring, None, WallClock().now_ns())
    try:
        core = process.core
        read_us, torn = _reads(process, count, seconds)
        retries = core.control.retries
        keys = [bound.key for bound in wiring.inputs]
        handed_us, changed, took_s = _passes(process, keys, seconds)
        mixed, scans = _last(core), core.control.scans
    finally:
        launcher.release(made, process)
    reads, rounds = f"{len(read_us):,} reads, {retries} tried again", f"{len(handed_us):,} hand-overs"
    return [
        Figure("scans", scans, "scans", compared_with=f"{count:,} inputs and outputs in each"),
        Figure("torn snapshots", torn, "reads", 0, at_least=False, compared_with=reads),
        Figure("inputs of two hand-overs", mixed, "values", 0, at_least=False, compared_with=rounds),
        *_spread("verified read", read_us, READ_GOAL_US),
        *_spread("handing inputs in", handed_us, None),
        Figure(
            "changed values into Batches", changed / max(took_s, 1e-9), "values/s", VALUES_GOAL,
            compared_with=f"{changed:,} in {took_s:.2f} s of collecting",
        ),
    ]  # fmt: skip


def _tags(count: int) -> TagList:
    from runtime.config import TagList
    from runtime.contract import DataType, Tag
    from softplc import facts

    given = [
        Tag(f"given{n}", DataType.LINT, source="load", variable=f"Main.given[{n}]") for n in range(count)
    ]
    shown = [Tag(f"shown{n}", DataType.LINT, source="plc", variable=f"Main.shown[{n}]") for n in range(count)]
    torn = Tag("torn", DataType.LINT, source="plc", variable="Main.torn")
    return TagList([*given, *shown, torn, *facts.declare().tags], "bench")


def _spread(name: str, times_us: NDArray[np.float64], goal: float | None) -> list[Figure]:
    import numpy as np

    from runtime.bench.report import Figure

    middle, high, most = np.percentile(times_us, (50, 99, 100))
    return [
        Figure(f"{name}, median", float(middle), "us"),
        Figure(f"{name}, p99", float(high), "us", goal, at_least=False, compared_with=f"longest {most:.0f}"),
    ]


def _rounds(process: CoreProcess, seconds: float) -> Iterator[int]:
    """Yield the time, once at least, until a part is over."""
    from runtime.clock import monotonic_ns

    control = process.core.control
    end_ns, enough = monotonic_ns() + round(seconds * 1e9), control.scans + _LEAST_SCANS
    while True:
        yield monotonic_ns()
        if monotonic_ns() >= end_ns and (control.scans >= enough or not process.alive):
            return


def _reads(process: CoreProcess, tags: int, seconds: float) -> tuple[NDArray[np.float64], int]:
    """Read snapshots for a time; return how long each took, and how many were torn."""
    import numpy as np

    from runtime.clock import monotonic_ns

    core, index, torn = process.core, np.arange(tags, dtype=np.uint64), 0
    took: list[int] = []
    for began_ns in _rounds(process, seconds):
        outputs = core.read_outputs()
        took.append(monotonic_ns() - began_ns)
        if outputs is not None:
            scan = outputs.raw[:tags] - index
            torn += bool((scan != scan[0]).any())
    return np.array(took) / 1000, torn


def _passes(process: CoreProcess, keys: list[int], seconds: float) -> tuple[NDArray[np.float64], int, float]:
    """Hand all inputs in and collect what has changed, again and again.

    Returns how long handing in took each time, how many values changed, and how long collecting them took.
    """
    import numpy as np

    from runtime.clock import monotonic_ns

    core, ids, good = process.core, np.array(keys, np.int32), np.zeros(len(keys), np.uint32)
    took: list[int] = []
    changed = collecting_ns = 0
    for began_ns in _rounds(process, seconds):
        core.write_inputs(ids, np.full(len(keys), len(took), np.uint64), good)
        handed_ns = monotonic_ns()
        batch = core.collect()
        took.append(handed_ns - began_ns)
        if batch is not None:
            changed += len(batch)
            collecting_ns += monotonic_ns() - handed_ns
    return np.array(took) / 1000, changed, collecting_ns / 1e9


def _last(core: ScanCore) -> int:
    """Return the last output: how many inputs were not of the hand-over of the first."""
    outputs = core.read_outputs()
    return -1 if outputs is None else int(outputs.raw[-1])
