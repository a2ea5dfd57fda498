"""`ironworks plc top|worst`: how the tasks of the running program do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.looks import EveryOption, OnceOption, every_of, ticks, until_interrupted
from runtime.cli.session import JsonOption, PlantOption, ask, print_json, print_table, show, show_time

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.plcview import PlcFigures, ProgramView, SpreadView, WorstScan

ProgramsOption = Annotated[bool, typer.Option("--programs", help="Also each program of the tasks.")]


def top(
    every: EveryOption = "1s",
    once: OnceOption = False,
    programs: ProgramsOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Show how the tasks do: execution time, wake-up latency, overruns, the longest scan, faults."""
    every_ns = every_of(every)

    async def work(client: PlantClient) -> None:
        if json or once or not sys.stdout.isatty():
            async for _ in ticks(every_ns, once or not json):
                figures = await client.plc()
                print_json(figures) if json else _print_figures(figures, programs)
            return
        from rich.live import Live

        with Live(_figures_table(await client.plc(), programs), auto_refresh=False, screen=True) as live:
            async for _ in ticks(every_ns, once=False):
                live.update(_figures_table(await client.plc(), programs), refresh=True)

    until_interrupted(plant, work)


def worst(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks; all without.", metavar="[TASK]...")
    ] = None,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Show the longest scan of each task: number, time, duration, and the inputs that it had."""

    async def work(client: PlantClient) -> list[WorstScan]:
        names = tasks or [task.name for task in (await client.plc()).tasks]
        return [await client.plc_worst(name) for name in names]

    found = ask(plant, work)
    if json:
        print_json(found)
        return
    for each in found:
        if not each.scan:
            print(f"task {each.task}: no scan yet")
            continue
        print(f"task {each.task}: scan {each.scan}, {show_time(each.at_ns)}, {each.took_us:.1f} us")
        if each.inputs is None:
            print("its inputs are not kept: the program has been changed since")
        elif each.inputs:
            print_table(
                ("input", "variable", "value"),
                [(view.tag, view.variable, show(view.value)) for view in each.inputs],
            )


_COLUMNS = ("last", "min", "p50", "p99", "p99.9", "max")
_HEADER = ("task", "every", "us", *_COLUMNS, "scans", "overruns", "skipped", "watchdog", "")


def _print_figures(figures: PlcFigures, programs: bool) -> None:
    print(_headline(figures))
    print_table(_HEADER, _rows(figures, programs))


def _figures_table(figures: PlcFigures, programs: bool) -> Any:
    from rich.table import Table
    from rich.text import Text

    made = Table(title=_headline(figures), title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(_HEADER):
        made.add_column(name, justify="right" if 3 <= number < len(_HEADER) - 1 else "left")
    for row in _rows(figures, programs):
        made.add_row(*map(Text, row))
    return made


def _headline(figures: PlcFigures) -> str:
    forced = f", {figures.forces} forced" if figures.forces else ""
    return f"{figures.scans} scans, {figures.aborts} ended by the watchdog{forced}; {figures.scheduling}"


def _rows(figures: PlcFigures, programs: bool) -> list[tuple[str, ...]]:
    from runtime.config import format_duration

    rows = []
    for each in figures.tasks:
        counts = (str(each.scans), str(each.overruns), str(each.skipped), format_duration(each.watchdog_ns))
        worst = f"longest: scan {each.worst_scan}, {show_time(each.worst_at_ns)}"
        rows.append(
            (
                each.name,
                format_duration(each.interval_ns),
                "execution",
                *_spread(each.execution),
                *counts,
                each.fault or worst,
            )
        )
        rows.append(("", "", "latency", *_spread(each.latency), "", "", "", "", ""))
        rows += [_program(program) for program in each.programs if programs]
    return rows


def _program(program: ProgramView) -> tuple[str, ...]:
    spread, counts = _spread(program.execution), (str(program.scans), "", "", "")
    text = f"{program.share:.1%} of the interval, longest: scan {program.worst_scan}"
    return (f"  {program.name}", "", "execution", *spread, *counts, text)


def _spread(spread: SpreadView) -> tuple[str, ...]:
    numbers = (
        spread.last_us, spread.min_us, spread.p50_us, spread.p99_us, spread.p999_us, spread.max_us,
    )  # fmt: skip
    return tuple(f"{number:.1f}" if number < 1000 else f"{number:.0f}" for number in numbers)
