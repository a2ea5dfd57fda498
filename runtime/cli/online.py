"""`ironworks plc plan|change|back`: another version of the program takes over between two scans."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, ask, print_json, print_table

if TYPE_CHECKING:
    from runtime.configview import ConfigApplied, PlanView
    from runtime.online import OnlineView, RehearsalView

CommentOption = Annotated[str, typer.Option("--comment", "-c", help="Why; kept in the journal.")]
ResetOption = Annotated[
    bool, typer.Option("--reset", help="Let variables begin anew whose value is none of their new type.")
]
RehearseOption = Annotated[
    int,
    typer.Option(
        "--rehearse",
        min=0,
        max=100_000,
        help="First run it beside the old one for so many scans.",
        metavar="N",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_SHOWN = 20


def plan(
    rehearse: RehearseOption = 0,
    reset: ResetOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Show what an online change to the program in the plant folder would do; nothing is changed (engineer).

    Variables go on by path and type, those of function blocks and the steps of charts included. With
    --rehearse the changed program first runs beside the old one, on the same inputs: the first outputs that
    differ are shown.
    """
    done: ConfigApplied = ask(
        plant, lambda client: client.config_apply(dry_run=True, rehearse=rehearse, reset=reset)
    )
    if json:
        print_json(done.plan)
    else:
        _show(done.plan)


def change(
    rehearse: RehearseOption = 0,
    reset: ResetOption = False,
    comment: CommentOption = "",
    yes: YesOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Let the program in the plant folder take over between two scans (engineer).

    The folder becomes a version of the configuration, as with `ironworks config apply`. Where the changed
    program faults or is too slow within the first seconds (`plc: trial:`), the one before goes on by itself.
    """
    if sys.stdin.isatty() and not yes:
        told: ConfigApplied = ask(
            plant, lambda client: client.config_apply(dry_run=True, rehearse=rehearse, reset=reset)
        )
        _show(told.plan)
        typer.confirm("Change the program?", abort=True)
        rehearse = 0  # that has been seen
    done: ConfigApplied = ask(
        plant,
        lambda client: client.config_apply(comment, online=True, rehearse=rehearse, reset=reset),
    )
    _tell(done, json)


def back(
    reset: ResetOption = False,
    comment: CommentOption = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Go back to the version that ran before, online; once more comes forward again (engineer).

    Its files are put back into the plant folder; what the folder holds is kept as a version first.
    """
    done: ConfigApplied = ask(
        plant, lambda client: client.config_rollback("previous", comment, online=True, reset=reset)
    )
    _tell(done, json)


def _tell(done: ConfigApplied, json: bool) -> None:
    if json:
        print_json(done)
        return
    _show(done.plan)
    if done.before is not None:
        print(f"the folder is version {done.version} again; what it was is version {done.before}")
    print(f"version {done.version} scans; back: ironworks plc back")


def _show(plan: PlanView) -> None:
    if not plan.online:
        restart = f"this needs a restart of {', '.join(plan.needs)}: ironworks config apply --restart"
        print(restart if plan.needs else "the program is the one that runs")
    for each in plan.online:
        show_online(each)
    others = [name for name in plan.restarts if name not in {each.unit for each in plan.online}]
    if others:
        print(f"restarts {', '.join(others)}")


def show_online(view: OnlineView) -> None:
    """Print what an online change would do, or did."""
    if view.same:
        print(f"{view.unit}: the program is the one that runs")
        return
    print(f"{view.unit}: {view.summary}")
    for what in ("new", "dropped", "widened", "retyped"):
        lines = getattr(view, what)
        for each in lines[:_SHOWN]:
            print(f"    {what:8} {each.path} : {each.text}")
        if len(lines) > _SHOWN:
            print(f"    {what:8} {len(lines) - _SHOWN} more: see --json")
    if view.rehearsal is not None:
        _show_rehearsal(view.rehearsal)
    if view.reason:
        print(f"no online change: {view.reason}")
        print(f"  {view.remedy}" if view.remedy else "  ironworks config apply --restart starts it anew")


def _show_rehearsal(rehearsal: RehearsalView) -> None:
    longest = ", ".join(f"{name} {us:.0f} us" for name, us in rehearsal.longest_us.items())
    print(f"rehearsed for {rehearsal.scans} scans; longest: {longest or '-'}")
    if rehearsal.fault:
        print(f"  it stopped: {rehearsal.fault}")
    if not rehearsal.differing:
        print("  all outputs as before")
        return
    print(f"  {rehearsal.differing} outputs differ, first:")
    rows = [(str(each.scan), each.tag, str(each.before), str(each.after)) for each in rehearsal.differences]
    print_table(("  scan", "output", "before", "after"), [(f"  {row[0]}", *row[1:]) for row in rows])
