"""`ironworks plc`: the program that the plant runs, from a shell: watch, force, figures, restart."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime import registry
from runtime.cli.broken import load_command
from runtime.cli.looks import EveryOption, OnceOption, every_of, ticks, until_interrupted
from runtime.cli.online import back, change, plan
from runtime.cli.plcfigures import top, worst
from runtime.cli.session import (
    JsonOption,
    MeaningOption,
    PlantOption,
    SignerOption,
    ask,
    ask_signature,
    before_command,
    parse_for,
    print_json,
    print_table,
    show,
    show_time,
)
from runtime.errors import ConnectError, PlantError, WriteRejectedError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.plcview import ForceView, PlcValues, VariableView

app = typer.Typer(
    help="The program of the running plant: watch, force, change, figures, restart.", no_args_is_help=True
)
app.callback()(before_command)

for _command in (top, worst, plan, change, back):
    app.command()(_command)
for _name in registry.names("plc"):
    app.command(_name)(load_command("plc", _name))


def _named(path: str | list[str] | None) -> str | list[str] | None:
    if "" in ([path] if isinstance(path, str) else path or ()):
        raise typer.BadParameter("a path is empty; write it as Main.Pump.Timer.ET")
    return path


Paths = Annotated[
    list[str],
    typer.Argument(
        help="Variables by path: Main.Pump.Timer.ET, Main.levels[3], Main.recipe or Main as a whole.",
        metavar="PATH...",
        callback=_named,
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit trail.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def watch(
    paths: Paths,
    every: EveryOption = "500ms",
    once: OnceOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Follow any variables of the program until interrupted; each look has the values of one scan.

    A live table in a terminal; in a pipe a line for each value that changed; with --json an object a look.
    Looking costs the scan nothing that could be measured.
    """
    every_ns = every_of(every)

    async def work(client: PlantClient) -> None:
        if once or json or not sys.stdout.isatty():
            await _lines(client, paths, every_ns, once, json)
        else:
            await _live_values(client, paths, every_ns)

    until_interrupted(plant, work)


@app.command(context_settings={"ignore_unknown_options": True})  # `ironworks plc force x -5`
def force(
    path: Annotated[str, typer.Argument(help="Variable by path.", metavar="PATH", callback=_named)],
    value: Annotated[str, typer.Argument(help="A literal of its type: TRUE, 42, 2.5, T#5s.")],
    reason: ReasonOption,
    duration: Annotated[
        str | None,
        typer.Option("--for", help="End by itself after this time: 10min, 2h; else it is for ever."),
    ] = None,
    yes: YesOption = False,
    signer: SignerOption = "",
    meaning: MeaningOption = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Give a variable a value whatever program and devices say, until it is released (engineer).

    The value is written before and after each scan of a task; what the program writes and reads again within
    one scan, it sees as it wrote it. Forces outlive restarts of the kernel, of the PLC and of the machine; an
    alarm stands while there is one.
    """
    for_ns = parse_for(duration)

    known: tuple[VariableView, ...] = ()
    if sys.stdin.isatty() or signer or meaning:
        known = ask(plant, lambda client: client.plc_read([path])).variables
    if known and sys.stdin.isatty() and not yes:
        typer.confirm(f"{known[0].path}: {_text(known[0].value)} -> forced to {value}?", abort=True)

    async def work(client: PlantClient) -> None:
        tags = [await client.tag(tag) for each in known for tag in each.tags]
        meanings = [word for tag in tags for word in tag.signature]
        signature = await ask_signature(client, meanings, signer, meaning)
        _tell_forces(await client.force(path, value, reason, for_ns, signature), json)

    ask(plant, work)


@app.command()
def forces(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List what is forced, by whom, why and until when."""
    _tell_forces(ask(plant, lambda client: client.forces()), json)


@app.command()
def unforce(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Forced variables.", metavar="PATH...", callback=_named)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All forces.")] = False,
    reason: ReasonOption = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """End forces (engineer): from the next scan on the variables have what program and inputs write."""
    if bool(paths) == everything:
        raise PlantError("name what is to be released", "give PATH..., or --all for every force")
    _tell_forces(ask(plant, lambda client: client.unforce(paths or None, reason)), json)


@app.command()
def restart(
    task: Annotated[str, typer.Argument(help="Only the programs of this task.", metavar="[TASK]")] = "",
    cold: Annotated[
        bool, typer.Option("--cold/--warm", help="cold: retained variables too have their initial values.")
    ] = False,
    reason: ReasonOption = "",
    yes: YesOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Begin the program anew (engineer): warm keeps what is RETAIN, cold nothing. Forces stay.

    With TASK its programs begin anew between two scans, while all others go on; so a task that a fault has
    stopped scans again. One that fails again at once is left as it was, with the reason.
    """
    word = "cold" if cold else "warm"
    question = f"{word} restart of the PLC: its outputs are not controlled for a moment?"
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"{word} restart of task {task}?" if task else question, abort=True)
    figures = ask(plant, lambda client: client.restart_plc(cold=cold, reason=reason, task=task))
    if json:
        print_json(figures)
    else:
        print(f"{word} restart{f' of task {task}' if task else ''}: the PLC scans, {figures.scheduling}")


# Values.


async def _lines(client: PlantClient, paths: list[str], every_ns: int, once: bool, json: bool) -> None:
    before: dict[str, Any] = {}
    async for values in _looks(client, paths, every_ns, once):
        if json:
            print_json(values)
            continue
        for each in values.variables:
            text = f"{_text(each.value)}{_mark(each)}"
            if before.get(each.path) != text:
                before[each.path] = text
                print(f"{show_time(values.at_ns)}  {each.path}  {text}", flush=True)


async def _live_values(client: PlantClient, paths: list[str], every_ns: int) -> None:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        async for values in _looks(client, paths, every_ns, once=False):
            live.update(_values_table(values), refresh=True)


async def _looks(
    client: PlantClient, paths: list[str], every_ns: int, once: bool
) -> AsyncIterator[PlcValues]:
    """Yield the values at equal times; a PLC that starts anew is told and waited for."""
    known, told = False, ""
    async for _ in ticks(every_ns, once):
        try:
            values = await client.plc_read(paths)
        except (ConnectError, WriteRejectedError):
            raise
        except PlantError as exc:
            if not known:
                raise
            if told != exc.text:
                print(exc.text, file=sys.stderr)
            told = exc.text
            continue
        known, told = True, ""
        yield values


def _values_table(values: PlcValues) -> Any:
    from rich.table import Table
    from rich.text import Text

    title = f"scan {values.scans}, {show_time(values.at_ns)}"
    made = Table("variable", "type", "value", title=title, title_justify="left", box=None, pad_edge=False)
    for each in values.variables:
        style = "yellow" if each.forced else ""
        cells = (each.path, each.type, f"{_text(each.value)}{_mark(each)}")
        made.add_row(*map(Text, cells), style=style)
    return made


def _text(value: Any) -> str:
    """Write a value for people, a structure as its members."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} := {_text(each)}" for name, each in value.items()) + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).upper()
    text = show(value)
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else _escaped(each) for each in text)
    )


def _escaped(character: str) -> str:
    """Return a character as a literal of IEC 61131-3 writes it; a terminal must not obey it."""
    return f"${ord(character):02X}"


def _mark(view: VariableView) -> str:
    return "  FORCED" if view.forced else ""


def _tell_forces(found: tuple[ForceView, ...], json: bool) -> None:
    if json:
        print_json(found)
    elif not found:
        print("nothing is forced")
    else:
        rows = [
            (
                each.path,
                _text(each.value),
                show_time(each.until_ns),
                each.actor,
                show_time(each.since_ns),
                each.reason,
            )
            for each in found
        ]
        print_table(("forced", "value", "until", "by", "since", "why"), rows)
