"""`ironworks alarms`: list, acknowledge, journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, ask, print_json, print_table, show, show_time

if TYPE_CHECKING:
    from runtime.client import AlarmView

app = typer.Typer(help="Alarms: list, acknowledge, journal.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context, plant: PlantOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        list_alarms(False, plant, json)


@app.command("list")
def list_alarms(
    all_: Annotated[bool, typer.Option("--all", help="Also those in state normal.")] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """List the alarms that are not normal."""
    alarms: tuple[AlarmView, ...] = ask(plant, lambda client: client.alarms(all_))
    if json:
        print_json(alarms)
    elif alarms:
        print_table(("priority", "state", "since", "alarm", "text"), [_row(alarm) for alarm in alarms])
    else:
        print("no alarms")


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
def journal(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Print what happened to the alarms, newest first."""
    entries = ask(plant, lambda client: client.alarm_journal(limit))
    if json:
        print_json(entries)
        return
    rows = [
        (
            show_time(each.at_ns),
            each.alarm,
            each.transition,
            each.state,
            show(each.value),
            each.actor,
            each.comment,
        )
        for each in entries
    ]
    print_table(("time", "alarm", "transition", "state", "value", "by", "comment"), rows)


def _row(alarm: AlarmView) -> tuple[str, ...]:
    return alarm.priority, alarm.state, show_time(alarm.raised_ns), alarm.name, alarm.text.en
