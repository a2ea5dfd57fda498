"""`ironworks gate`: the plant's mode, the emergency switch, and writes that take a second person."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from runtime.cli.session import (
    JsonOption,
    MeaningOption,
    PlantOption,
    SignerOption,
    ask,
    ask_signature,
    hand_on,
    plain,
    print_json,
    print_table,
    show,
    show_of,
    show_time,
)

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.wire import GateView, RequestView, Written

ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit trail.")]
Number = Annotated[
    int, typer.Argument(min=0, max=2**31 - 1, help="Number of the request.", metavar="REQUEST")
]

app = typer.Typer(help="Who may write now, and what waits.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context, plant: PlantOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        status(plant, json)
    else:
        hand_on(context, plant=plant, json=json)


@app.command()
def status(plant: PlantOption = None, json: JsonOption = False) -> None:
    """Tell the mode, the requests that wait, and the values that go back by themselves."""
    _tell(ask(plant, lambda client: client.gate()), json)


@app.command()
def mode(
    mode: Annotated[Literal["auto", "maintenance"], typer.Argument(help="maintenance: engineers only.")],
    reason: ReasonOption,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Set the plant's mode (engineer)."""
    _tell(ask(plant, lambda client: client.set_mode(mode, reason)), json)


@app.command("read-only")
def read_only(
    on: Annotated[bool, typer.Option("--on/--off", help="Nobody may write while it is on.")],
    reason: ReasonOption,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Throw the emergency switch (engineer); it holds over restarts until it is off."""
    _tell(ask(plant, lambda client: client.set_read_only(on, reason)), json)


@app.command()
def approve(
    request: Number,
    reason: ReasonOption = "",
    signer: SignerOption = "",
    meaning: MeaningOption = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Agree to what another person asked for, which writes it; signed, where the tag takes a signature."""

    async def work(client: PlantClient) -> tuple[RequestView | None, Written]:
        found = next((each for each in (await client.gate()).requests if each.id == request), None)
        signature = await ask_signature(client, found.signature if found else (), signer, meaning)
        return found, await client.approve(request, reason, signature)

    found, written = ask(plant, work)
    if json:
        print_json(written)
    else:
        scaled = partial(show_of, found) if found else show
        print(f"request {request}: {scaled(written.previous)} -> {scaled(written.value)}")


@app.command()
def reject(
    request: Number, reason: ReasonOption = "", plant: PlantOption = None, json: JsonOption = False
) -> None:
    """End a request without a write."""
    view: GateView = ask(plant, lambda client: client.reject(request, reason))
    if json:
        print_json(view)
    else:
        print(f"request {request} is ended, nothing was written")


def _tell(view: GateView, json: bool) -> None:
    if json:
        print_json(view)
        return
    word = view.mode.replace("_", " ")
    who = f", since {show_time(view.since_ns)} by {view.actor}: {plain(view.reason)}" if view.since_ns else ""
    print(f"mode: {word}{who}")
    if view.requests:
        print()
        rows = [
            (
                str(each.id),
                each.path,
                show_of(each, each.value),
                each.actor,
                show_time(each.until_ns),
                each.reason,
            )
            for each in view.requests
        ]
        print_table(("request", "tag", "value", "asked by", "until", "why"), rows)
    if view.holds:
        print()
        held = [
            (
                each.path,
                show_of(each, each.value),
                show_of(each, each.previous),
                show_time(each.until_ns) + (" (late)" if each.late else ""),
                each.actor,
                each.reason,
            )
            for each in view.holds
        ]
        print_table(("tag", "value", "goes back to", "at", "by", "why"), held)
