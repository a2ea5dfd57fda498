"""`ironworks bench st`: compiled ST beside the same algorithms in C, and how long compiling takes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.bench.report import Figure
    from softplc.bench.versus import Side

CHECKS, EDIT_MS = 1.05, 300  # goals
CHECK_S, COLD_S, CACHED_S = 3, 40, 0.5  # of a library


def bench(
    oscat: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder with the text of OSCAT Basic, or another library."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compiled ST beside gcc -O2, what the checks cost, and how long compiling takes."""
    from runtime.bench.report import report
    from softplc.bench.compiling import sources_of

    if oscat is not None:
        sources_of(oscat)  # told before minutes have gone by
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = [*_ratios(Path(folder)), *_compiling(Path(folder), oscat)]
    report("st", figures, as_json)


def _ratios(folder: Path) -> Iterator[Figure]:
    from msgspec.structs import replace

    from runtime.bench.report import Figure
    from softplc.bench.versus import PLACES, RIVALS, Runner, compare, source_of, times_of
    from softplc.codegen.native import object_code
    from softplc.pipeline import lower_application

    if shutil.which("gcc") is None:
        typer.echo("no gcc: not compared with C", err=True)
        return
    runner = Runner(folder)
    for rival in RIVALS:
        application, module = lower_application((), {f"{rival.name}.st": source_of(rival)})
        checked = replace(application, object_code=object_code(module))
        bare = replace(application, object_code=object_code(module, checks=False))
        sides: dict[str, list[Side]] = {"st": [], "c": [], "bare": []}
        for place in range(PLACES):
            simulator = checked.simulator()
            sides["st"].append(runner.in_st(simulator))
            sides["c"].append(runner.in_c(rival, place))
            sides["bare"].append(runner.in_st(bare.simulator()))
            compare(rival, simulator, sides["st"][-1], sides["c"][-1])
        took = times_of(sides)
        note = f"{took['st']:,.0f} ns a scan, C: {took['c']:,.0f}; same state after the same scans"
        yield Figure(
            f"{rival.title}, to gcc -O2",
            took["st"] / took["c"],
            "",
            rival.goal,
            at_least=False,
            compared_with=note,
        )
        goal = CHECKS if rival.goal <= 1 else None  # a control scan
        cost = took["st"] / took["bare"]
        yield Figure("  with checks, to without", cost, "", goal, at_least=False)


def _compiling(folder: Path, library: Path | None) -> Iterator[Figure]:
    from runtime.bench.report import Figure
    from softplc.bench.compiling import curve, edit_to_running, library_s

    for name, (wall_s, cpu_s) in edit_to_running(folder).items():
        note = f"CPU: {1000 * cpu_s:.0f} ms; the bottling line, one line changed"
        yield Figure(name, 1000 * wall_s, "ms", EDIT_MS, at_least=False, compared_with=note)
    for lines, (wall_s, cpu_s) in curve():
        note = f"CPU: {cpu_s:.2f} s, {1e6 * cpu_s / lines:,.0f} us a line"
        yield Figure(f"compiling {lines:,} lines", wall_s, "s", compared_with=note)
    if library is not None:
        goals = {"checked": CHECK_S, "compiled, no cache": COLD_S, "loaded from the cache": CACHED_S}
        for name, (wall_s, cpu_s, note) in library_s(library).items():
            text = f"CPU: {cpu_s:.2f} s{note}"
            yield Figure(f"library {name}", wall_s, "s", goals[name], at_least=False, compared_with=text)
