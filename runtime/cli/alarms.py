"""`ironworks alarms`: list, commands on alarms, journal, figures, import and export."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import (
    FolderArgument,
    FolderOption,
    JsonOption,
    PlantOption,
    ask,
    folder_of,
    hand_on,
    parse_for,
    plain,
    print_json,
    print_table,
    show,
    show_of,
    show_time,
)
from runtime.language import language_of

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.wire import AlarmFigures, AlarmView, TagView, Text

ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the journal and the audit.")]

app = typer.Typer(help="Alarms: list, acknowledge, shelve, journal.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context, plant: PlantOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        list_alarms(False, False, plant, json)
    else:
        hand_on(context, plant=plant, json=json)


@app.command("list")
def list_alarms(
    all_: Annotated[bool, typer.Option("--all", help="Also those in state normal, and hidden ones.")] = False,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Those that are shelved, suppressed or out of service.")
    ] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """List the alarms that ask for something or hold, and are not hidden."""
    alarms: tuple[AlarmView, ...] = ask(plant, lambda client: client.alarms(all_, hidden))
    if json:
        print_json(alarms)
    elif alarms:
        header = ("priority", "state", "since", "alarm", "text", "note")
        print_table(header, [_row(alarm) for alarm in alarms])
    else:
        print("no hidden alarms" if hidden else "no alarms")


@app.command("show")
def show_alarm(name: str, plant: PlantOption = None, json: JsonOption = False) -> None:
    """Tell all of an alarm: what it means, what to do, how it stands."""
    alarm, tag = ask(plant, lambda client: _with_tag(client, name))
    if json:
        print_json(alarm)
        return
    print(f"{alarm.name}: {_told(alarm.text)}")
    scaled = partial(show_of, tag) if tag else show
    lines = {
        "state": "; ".join(filter(None, (alarm.state, _note(alarm)))),
        "cause": _told(alarm.cause),
        "consequence": _told(alarm.consequence),
        "action": _told(alarm.action),
        **conditions(alarm, tag),
        "priority": alarm.priority,
        "class": alarm.class_,
        "area": alarm.area,
        "group": alarm.group,
        "value": None if alarm.value is None else scaled(alarm.value),
        "raised": alarm.raised_ns and f"{show_time(alarm.raised_ns)}, {_times(alarm.count)} in all",
        "cleared": alarm.cleared_ns and show_time(alarm.cleared_ns),
        "acknowledged": alarm.acknowledged_ns
        and plain(f"{show_time(alarm.acknowledged_ns)} by {alarm.acknowledged_by} {alarm.comment}".rstrip()),
        "confirmed": alarm.confirmed_ns and plain(f"{show_time(alarm.confirmed_ns)} by {alarm.confirmed_by}"),
    }
    for what, told in lines.items():
        if told:
            print(f"  {what + ':':<14}{told}")


def conditions(alarm: AlarmView, tag: TagView | None) -> dict[str, str]:
    """Write when an alarm comes, and when it is not to."""
    lines = {
        "condition": f"{alarm.kind} of {alarm.tag}{_limit(alarm, tag)}",
        "expression": alarm.expression or "",
        "deadband": _width(alarm.deadband, tag) if alarm.deadband else "",
        "delays": _delays(alarm),
        "suppressed": f"when {alarm.suppressed_when}" if alarm.suppressed_when else "",
        "latching": "until it is reset" if alarm.latching else "",
        "re-alarm": _duration(alarm.re_alarm_ns) + " after acknowledging" if alarm.re_alarm_ns else "",
        "to confirm": "once acknowledged" if alarm.confirm else "",
    }
    return {what: told for what, told in lines.items() if told}


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _limit(alarm: AlarmView, tag: TagView | None) -> str:
    """Write what the tag is compared with, on its scale."""
    if alarm.kind == "discrete":
        return f", {show_of(tag, alarm.trigger) if tag else show(alarm.trigger)}"
    if alarm.limit is None:
        return ""
    if alarm.kind in ("high", "low"):
        return f", {show_of(tag, alarm.limit) if tag else show(alarm.limit)}"
    text = f", {_width(alarm.limit, tag)}"
    if alarm.kind == "rate_of_change":
        return f"{text}/s over {_duration(alarm.over_ns or 0)}"
    return f"{text} from {alarm.setpoint}"


def _width(size: float, tag: TagView | None) -> str:
    """Write a distance on the scale of a tag; how far two instants are apart is a duration."""
    if tag is None:
        return show(size)
    return _duration(size) if tag.type == "DT" else show_of(tag, size)


def _delays(alarm: AlarmView) -> str:
    parts = {"on": alarm.on_delay_ns, "off": alarm.off_delay_ns}
    return ", ".join(f"{_duration(ns)} {which}" for which, ns in parts.items() if ns)


def _duration(ns: float) -> str:
    from runtime.config import value_text
    from runtime.contract import DataType

    return value_text(DataType.TIME, ns)


async def _with_tag(client: PlantClient, name: str) -> tuple[AlarmView, TagView | None]:
    """Return an alarm and its tag; None where the caller's token does not reach that far."""
    alarm = await client.alarm(name)
    return alarm, next(iter(await client.tags(alarm.tag)), None)


@app.command()
def ack(
    name: str,
    comment: Annotated[str, typer.Option("--comment", "-c", help="Kept in the journal.")] = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Acknowledge an alarm; returns when that is on disk."""
    alarm: AlarmView = ask(plant, lambda client: client.acknowledge(name, comment))
    if json:
        print_json(alarm)
    else:
        print(f"{alarm.name}: {alarm.state}, acknowledged by {alarm.acknowledged_by}")


@app.command()
def confirm(
    name: str,
    comment: Annotated[str, typer.Option("--comment", "-c", help="Kept in the journal.")] = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Confirm that what an acknowledged alarm asked for was done; returns when that is on disk."""
    alarm: AlarmView = ask(plant, lambda client: client.confirm(name, comment))
    if json:
        print_json(alarm)
    else:
        print(f"{alarm.name}: {alarm.state}, confirmed by {alarm.confirmed_by}")


@app.command()
def shelve(
    name: str,
    reason: ReasonOption,
    duration: Annotated[
        str | None,
        typer.Option("--for", help="How long: 30min, 2h; up to 24h. [default: 30min; with --once 24h]"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="No longer than until its episode ends.")] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Hide an alarm for some time; it comes back by itself."""
    for_ns = parse_for(("24h" if once else "30min") if duration is None else duration)
    _command(plant, json, lambda client: client.shelve(name, for_ns, reason, once=once))


@app.command()
def unshelve(
    name: str, reason: ReasonOption = "", plant: PlantOption = None, json: JsonOption = False
) -> None:
    """Show a shelved alarm again before its time."""
    _command(plant, json, lambda client: client.unshelve(name, reason))


@app.command("out-of-service")
def out_of_service(
    name: str, reason: ReasonOption, plant: PlantOption = None, json: JsonOption = False
) -> None:
    """Take an alarm out of service until it is returned (engineer)."""
    _command(plant, json, lambda client: client.out_of_service(name, reason))


@app.command("in-service")
def in_service(
    name: str, reason: ReasonOption = "", plant: PlantOption = None, json: JsonOption = False
) -> None:
    """Return an alarm to service (engineer)."""
    _command(plant, json, lambda client: client.in_service(name, reason))


@app.command()
def reset(name: str, reason: ReasonOption = "", plant: PlantOption = None, json: JsonOption = False) -> None:
    """Reset a latched alarm whose condition is gone."""
    _command(plant, json, lambda client: client.reset_alarm(name, reason))


@app.command()
def journal(
    name: Annotated[str | None, typer.Argument(help="Only of this alarm.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Print what happened to the alarms, or to one, newest first, of a running plant or a stopped one."""
    from runtime.cli.stopped import from_journal
    from runtime.journal import alarm_log
    from runtime.wire import JournalEntry

    entries = from_journal(
        plant,
        lambda client: client.alarm_journal(limit, alarm=name),
        tuple[JournalEntry, ...],
        alarm_log,
        limit,
        None,
        name,
    )
    if json:
        print_json(entries)
        return
    if not entries:
        print(f"no transitions of {plain(name)}" if name else "no transitions")
        return
    rows = [
        (
            show_time(each.at_ns),
            each.alarm,
            each.transition,
            each.state,
            show_of(each, each.value),
            each.actor,
            each.comment,
        )
        for each in entries
    ]
    print_table(("time", "alarm", "transition", "state", "value", "by", "comment"), rows)


@app.command()
def figures(
    hours: Annotated[float, typer.Option(min=0.01, max=744, help="How far back.")] = 8.0,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Tell how the alarm system does: load of each operator, floods, nuisance alarms, priorities."""
    found: AlarmFigures = ask(plant, lambda client: client.alarm_figures(hours))
    if json:
        print_json(found)
        return
    whole = found.end_ns - found.start_ns >= round(hours * 3600e9)
    span = f"in {hours:g} h" if whole else f"since {show_time(found.start_ns)}"
    print(f"{found.announced} alarms announced {span}, {found.standing} standing now")
    loads = [
        (
            each.area or "-",
            str(each.announced),
            f"{each.average_10min:.1f}",
            str(each.peak_10min),
            f"{each.flood_percent:.1f}",
        )
        for each in found.operators
    ]
    print_table(("area", "announced", "per 10 min", "peak 10 min", "% in flood"), loads)
    mix = [
        (each.priority, str(each.count), f"{each.percent:.0f}", f"{each.target_percent:.0f}")
        for each in found.priorities
    ]
    print_table(("priority", "announced", "%", "% aimed at"), mix)
    for flood in found.floods:
        end = "still on" if flood.ended_ns is None else f"until {show_time(flood.ended_ns)}"
        print(f"flood from {show_time(flood.began_ns)} {end}: {flood.count} alarms, first {flood.first}")
    for share in found.top:
        print(f"often: {share.alarm} {_times(share.count)} ({share.percent:.0f} %)")
    for chatters in found.chattering:
        print(f"chattering: {chatters.alarm} {_times(chatters.count)} in a minute")
    for flees in found.fleeting:
        print(f"fleeting: {flees.alarm} {_times(flees.count)} gone within 10 s")
    for old in found.stale:
        print(f"stale: {old.alarm} since {show_time(old.since_ns)}")


@app.command()
def export(
    folder: FolderArgument = None,
    plant: FolderOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to standard output.")
    ] = None,
) -> None:
    """Write the alarms of a plant folder as CSV, for a spreadsheet.

    Cells stand as they are, so that an import brings the same back; one that begins with = is a formula to a
    spreadsheet.
    """
    from runtime.alarms.exchange import export_table
    from runtime.assembly import assemble
    from runtime.tagmerge import for_spreadsheets, put_text

    text = export_table(assemble(folder_of(folder, plant)).plant)
    if output is None:
        print(text, end="")
    else:
        put_text(output, for_spreadsheets(text))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV file; a column that it lacks stays as it is.")],
    folder: FolderArgument = None,
    plant: FolderOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove the alarms that the file does not have.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and tell; write nothing.")] = False,
) -> None:
    """Merge alarms from CSV into a plant folder, by name; a running plant takes them with `config apply`."""
    from runtime.alarms.exchange import plan_import
    from runtime.assembly import assemble
    from runtime.tagmerge import put_text

    planned = plan_import(assemble(folder_of(folder, plant)).plant, file, replace)
    if not dry_run:
        put_text(planned.file, planned.text)
    counts = f"{len(planned.new)} new, {len(planned.changed)} changed, {len(planned.removed)} removed"
    print(f"{planned.file}: {counts}{' (nothing was written)' if dry_run else ''}")


def _command(plant: str | None, json: bool, work: Callable[[PlantClient], Awaitable[AlarmView]]) -> None:
    alarm = ask(plant, work)
    if json:
        print_json(alarm)
    else:
        note = _note(alarm)
        print(f"{alarm.name}: {alarm.state}" + (f", {note}" if note else ""))


def _row(alarm: AlarmView) -> tuple[str, ...]:
    since, text = show_time(alarm.raised_ns), _told(alarm.text)
    return alarm.priority, alarm.state, since, alarm.name, text, _note(alarm)


def _told(text: Text | None) -> str:
    """Return a text of the plant in the language of the environment."""
    return text.in_language(language_of(os.environ)) if text else ""


def _note(alarm: AlarmView) -> str:
    """Say in words what stands beside the state."""
    notes = ["first out"] if alarm.first_out and alarm.state != "normal" else []
    if alarm.latched:
        notes.append("latched")
    if not alarm.confirmed:
        notes.append("to be confirmed")
    if alarm.suppressed:
        notes.append("suppressed by design")
    if alarm.shelved:
        until = show_time(alarm.shelved.until_ns)
        once = "its end, " if alarm.shelved.once else ""
        notes.append(f"shelved by {alarm.shelved.by} until {once}{until}: {alarm.shelved.reason}")
    if alarm.out_of_service:
        notes.append(f"out of service by {alarm.out_of_service.by}: {alarm.out_of_service.reason}")
    return plain("; ".join(notes))
