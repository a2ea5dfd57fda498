"""`ironworks config`: versions of the plant's configuration, what differs, apply and rollback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.cli.online import show_online
from runtime.cli.session import JsonOption, PlantOption, ask, hand_on, print_json, print_table, show_time
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.configview import ChangeView, ConfigApplied, ConfigStatus, PlanView, VersionList
    from runtime.journal import ConfigRecord
    from runtime.versions.store import VersionStore

T = TypeVar("T")
VersionArgument = Annotated[
    str, typer.Argument(help="Its number, the beginning of its digest, or good: the last that came up.")
]
CommentOption = Annotated[str, typer.Option("--comment", "-c", help="Why; kept in the journal.")]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Restart what cannot change while it runs, such as the PLC.")
]

app = typer.Typer(
    help="Versions of the plant's configuration: list, compare, apply, roll back.",
    invoke_without_command=True,
)


@app.callback()
def default(context: typer.Context, plant: PlantOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        status(plant, json)
    else:
        hand_on(context, plant=plant, json=json)


@app.command()
def status(plant: PlantOption = None, json: JsonOption = False) -> None:
    """Tell which version runs, and whether the plant folder is another."""
    from runtime.versions import views

    found: ConfigStatus = _either(
        plant, lambda client: client.config(), lambda store, _: views.status(store, None, False)
    )
    if json:
        print_json(found)
        return
    if found.running is None:
        print("the plant does not run")
    else:
        settling = ", not known yet whether it comes up" if found.settling else ""
        print(f"version {found.running} runs{settling}")
    print(f"last good: {'none yet' if found.good is None else f'version {found.good}'}")
    words = {"same": "as the version that runs", "changed": "changed since: see `ironworks config diff`"}
    if found.running is None:
        words = {"same": "as last run", "changed": "changed since the last run", "new": "never run yet"}
    print(f"plant folder: {words.get(found.folder, found.folder)}")
    if found.failure:
        name = (
            "the folder's configuration"
            if found.failure.version is None
            else f"version {found.failure.version}"
        )
        print(f"{name} did not come up at {show_time(found.failure.at_ns)}: {found.failure.reason}")
        print("  correct the folder and `ironworks config apply`, or `ironworks config rollback good`")


@app.command("list")
def list_versions(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List the versions that are kept, newest first."""
    from runtime.versions import views

    found: VersionList = _either(
        plant,
        lambda client: client.config_versions(),
        lambda store, log: views.versions(store, log, None),
    )
    if json:
        print_json(found)
        return
    rows = [
        (
            str(each.number),
            each.digest[:8],
            show_time(each.at_ns),
            f"{each.size / 1024:.0f} KiB",
            ", ".join(filter(None, ("running" * each.running, "good" * each.good))),
            each.result,
            each.actor,
            each.comment or each.detail,
        )
        for each in found.versions
    ]
    print_table(("version", "digest", "kept", "size", "is", "last", "by", "comment"), rows)
    print(f"{len(rows)} of at most {found.most} are kept")


@app.command()
def log(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Show what became of configurations: who, when, and whether they came up."""
    found = _either(plant, lambda client: client.config_log(limit), lambda _, log: log, limit)
    if json:
        print_json(found)
        return
    print_table(
        ("time", "by", "what", "version", "result", "comment"),
        [
            (
                show_time(each.at_ns),
                each.actor,
                each.action,
                str(each.version),
                each.result,
                each.comment or each.detail,
            )
            for each in found
        ],
    )


@app.command()
def show(
    version: VersionArgument,
    file: Annotated[str | None, typer.Argument(help="Print this file of it.")] = None,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """List the files of a version, or print one of them."""
    from runtime.versions import views

    found = _either(
        plant,
        lambda client: client.config_files(version, file),
        lambda store, _: views.files(store, version, file),
    )
    if json:
        print_json(found)
    elif found.text is not None:
        print(found.text, end="")
    else:
        rows = [(each.path, str(each.size), each.digest[:8]) for each in found.files]
        print_table(("file", "bytes", "digest"), rows)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A version, good, running, or folder.")] = "running",
    new: Annotated[str, typer.Argument(help="Another one.")] = "folder",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what differs: by default what an apply of the folder would change, and how."""
    from runtime.cli.stopped import plant_file_of
    from runtime.versions import views

    found: PlanView = _either(
        plant,
        lambda client: client.config_diff(old, new),
        lambda store, _: views.difference(
            store, (_last(store, old), _last(store, new)), plant_file_of(plant).name
        ),
    )
    if json:
        print_json(found)
    else:
        _show_plan(found)


@app.command()
def apply(
    comment: CommentOption = "",
    restart: RestartOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and show the plan only.")] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Make the plant folder as it is now the configuration that runs (engineer).

    It is checked first; with any error, or without --restart where that is needed, nothing is touched. A PLC
    program changes online where it can: `ironworks plc change` says more.
    """
    done: ConfigApplied = ask(plant, lambda client: client.config_apply(comment, restart, dry_run))
    if json:
        print_json(done)
        return
    _show_plan(done.plan)
    if not dry_run:
        _tell_done(done)


@app.command()
def rollback(
    version: VersionArgument,
    comment: CommentOption = "",
    restart: RestartOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Put the files of a version back into the plant folder, and apply them where the plant runs (engineer).

    What the folder holds is kept as a version first; of its files, CSV, Parquet, Arrow and pcap stay where
    they are: they are exports.
    """
    from getpass import getuser

    from runtime.configview import ConfigApplied, PlanView
    from runtime.journal import ConfigRecord

    def put_back(store: VersionStore, _: object) -> ConfigApplied:
        from runtime import statelock
        from runtime.clock import WallClock

        now_ns = WallClock().now_ns()
        found = store.find(version)
        with statelock.held(store.state):
            before = store.put_back(found, now_ns)
        _note(
            store, ConfigRecord(now_ns, getuser(), "rollback", found.number, found.digest, comment, "applied")
        )
        return ConfigApplied(found.number, PlanView((), (), ()), before.number)

    done: ConfigApplied = _either(
        plant, lambda client: client.config_rollback(version, comment, restart), put_back
    )
    if json:
        print_json(done)
        return
    _show_plan(done.plan)
    print(f"the folder is version {done.version} again; what it was is version {done.before}")
    _tell_done(done)


def _note(store: VersionStore, record: ConfigRecord) -> None:
    """Keep a record in the journal of a plant that is stopped."""
    import asyncio

    from runtime.clock import WallClock
    from runtime.journal import Journal

    async def keep() -> None:
        journal = Journal(store.state / "journal.sqlite", WallClock())
        await journal.open()
        try:
            await journal.append(record)
        finally:
            await journal.close()

    asyncio.run(keep())


def _tell_done(done: ConfigApplied) -> None:
    if "plant" in done.plan.needs:
        print(f"version {done.version}: the plant starts anew; see `ironworks config status`")
    else:
        print(f"version {done.version} is applied; `ironworks config status` tells whether it comes up")


def _show_plan(plan: PlanView) -> None:
    for each in plan.changes:
        print(f"{each.kind} {each.name}: {each.what} ({each.effect})")
        for line in _details(each):
            print(f"    {line}")
    for view in plan.online:
        show_online(view)
    if not plan.changes:
        print("no differences")
    if plan.needs:
        print(f"needs --restart of {', '.join(plan.needs)}")
    elif plan.restarts:
        print(f"restarts {', '.join(plan.restarts)}; all else goes on")


def _details(change: ChangeView) -> list[str]:
    fields = [
        f"{f'{each.name}: ' if each.name else ''}{each.old or '(none)'} -> {each.new or '(none)'}"
        for each in change.fields
    ]
    return fields + (change.text.splitlines() if change.text else [])


def _last(store: VersionStore, name: str) -> str:
    """Return what `running` means for a plant that is stopped: what ran last."""
    if name != "running":
        return name
    standing = store.standing()
    last = standing.trying or standing.good
    if not last:
        raise PlantError("the plant has not run yet", "name two versions, or start it: ironworks run")
    return last


def _either(
    plant: str | None,
    running: Callable[[Any], Awaitable[T]],
    stopped: Callable[[VersionStore, list[ConfigRecord]], T],
    log_rows: int | None = None,
) -> T:
    """Ask the plant if it runs; else look into its state folder, and the newest rows of its log."""
    from runtime.cli.stopped import plant_file_of, runs

    if runs(plant):
        return ask(plant, running)
    from runtime.clock import WallClock
    from runtime.journal import Journal, config_log
    from runtime.versions.start import store_of
    from runtime.versions.views import LOG_ROWS

    store = store_of(plant_file_of(plant))
    store.finish(WallClock().now_ns())
    journal = Journal(store.state / "journal.sqlite", WallClock())
    there = journal.path.is_file()
    return stopped(store, journal.read_now(config_log, log_rows or LOG_ROWS) if there else [])
