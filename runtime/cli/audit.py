"""`ironworks audit`: who tried to change what, what came of it, and whether the trail is whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import (
    JsonOption,
    PlantOption,
    before_command,
    print_json,
    print_table,
    show_of,
    show_time,
)
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.wire import AuditEntry

app = typer.Typer(help="The audit trail.", no_args_is_help=True)
app.callback()(before_command)


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Print attempts to write, acknowledge or restart, newest first, of a running plant or a stopped one."""
    from runtime.cli.stopped import from_journal
    from runtime.journal import audit_log
    from runtime.wire import AuditEntry

    entries = from_journal(
        plant, lambda client: client.audit(limit), tuple[AuditEntry, ...], audit_log, limit
    )
    if json:
        print_json(entries)
        return
    rows = [
        (
            show_time(each.at_ns),
            f"{each.actor} ({each.role}, {each.via})",
            each.action,
            each.target,
            f"{show_of(each, each.old)} -> {show_of(each, each.new)}",
            each.outcome,
            _why(each),
        )
        for each in entries
    ]
    print_table(("time", "who", "action", "target", "change", "outcome", "why"), rows)


def _why(entry: AuditEntry) -> str:
    told = entry.detail or entry.reason
    signed = [f"signed by {each.name}: {each.meaning}" for each in entry.signatures]
    return "; ".join(([told] if told else []) + signed)


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(help="A head noted earlier: it must still be in the chain.")
    ] = None,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Check the hash chain, of a running plant or a stopped one; names the rows that were touched."""
    from runtime.cli.stopped import from_journal
    from runtime.journal.chain import HEAD, verify_audit
    from runtime.wire import AuditCheck

    head = "" if expect is None else expect.strip()
    if expect is not None and not re.fullmatch(HEAD, head):
        raise typer.BadParameter("a head has 64 hexadecimal digits", param_hint="--expect")
    report = from_journal(plant, lambda client: client.verify_audit(head), AuditCheck, verify_audit, head)
    if json:
        print_json(report)
    elif report.ok:
        print(f"ok: {report.rows} rows, head {report.head or '-'}")
    if not report.ok:
        if not json:
            for each in report.findings:
                print(each.text)
        text = f"the audit trail is not whole: {report.found} findings in {report.rows} rows"
        raise PlantError(text, "keep a copy of the file as it is, and find out who had access to it")
