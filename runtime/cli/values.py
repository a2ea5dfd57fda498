"""`ironworks read`, `write` and `watch`: present values, from a shell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.session import (
    JsonOption,
    MeaningOption,
    PlantOption,
    SignerOption,
    ask,
    ask_signature,
    print_json,
    print_table,
    show_of,
    show_time,
)
from runtime.errors import PlantError, WriteRejectedError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.wire import TagView, Written

Patterns = Annotated[
    list[str],
    typer.Argument(help="Paths or globs: * within a level, ** across levels.", metavar="PATTERN..."),
]
_HEADER = ("path", "value", "quality", "time")


def read(patterns: Patterns, plant: PlantOption = None, json: JsonOption = False) -> None:
    """Print present values."""
    views: list[TagView] = ask(plant, lambda client: _matching(client, patterns))
    if json:
        print_json(views)
    else:
        print_table(_HEADER, [_row(view) for view in views])


def write(
    path: str,
    value: str,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit trail.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    duration: Annotated[
        str | None, typer.Option("--for", help="Go back to the previous value after this time: 10min, 2h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the gate's verdict.")] = False,
    signer: SignerOption = "",
    meaning: MeaningOption = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Write a value through the gate. Asks first when a person sits at the terminal.

    A tag that takes two persons gets a request, which another one approves. For a tag that takes an
    electronic signature it asks who signs, the secret (a line of standard input in a pipe), and the meaning.
    """
    from runtime.cli.session import parse_for
    from runtime.config import parse_value
    from runtime.config import wanted as wanted_of
    from runtime.contract import DataType

    async def work(client: PlantClient) -> None:
        tag = await client.tag(path)
        data_type = DataType[tag.type]
        try:
            wanted = parse_value(data_type, value)
        except ValueError as exc:
            raise WriteRejectedError(str(exc), wanted_of(data_type)) from exc
        if dry_run:
            judged = await client.write(tag.path, wanted, reason, for_ns, dry_run=True)
            _tell_verdict(tag, judged, json)
            return
        if sys.stdin.isatty() and not yes:
            typer.confirm(f"{tag.path}: {show_of(tag, tag.value)} -> {show_of(tag, wanted)}?", abort=True)
        signature = await ask_signature(client, tag.signature, signer, meaning)
        if tag.two_person:
            request = await client.request_write(tag.path, wanted, reason, for_ns, signature)
            if json:
                print_json(request)
            else:
                until = show_time(request.until_ns)
                print(f"{tag.path}: request {request.id} waits for a second person until {until}")
                print(f"  ironworks gate approve {request.id}")
            return
        written = await client.write(tag.path, wanted, reason, for_ns, signature=signature)
        if json:
            print_json({"path": tag.path, "value": written.value, "previous": written.previous})
        else:
            print(f"{tag.path}: {_change(tag, written)}" + (f" for {duration}" if for_ns else ""))

    for_ns = parse_for(duration)
    ask(plant, work)


def _change(tag: TagView, written: Written) -> str:
    return f"{show_of(tag, written.previous)} -> {show_of(tag, written.value)}"


def _tell_verdict(tag: TagView, judged: Written, json: bool) -> None:
    if json:
        verdict = {
            "path": tag.path,
            "allowed": True,
            "two_person": tag.two_person,
            "signature": tag.signature,
        }
        print_json({**verdict, "previous": judged.previous})
        return
    then = ", once it is signed" if tag.signature else ""
    then += ", once a second person approves" if tag.two_person else ""
    print(f"{tag.path}: {_change(tag, judged)} would be allowed{then}; nothing was written")


def watch(
    patterns: Patterns,
    plant: PlantOption = None,
    json: JsonOption = False,
    every: Annotated[str, typer.Option(help="Least time between two updates.")] = "200ms",
) -> None:
    """Follow values until interrupted: a live table, or one line a change with --json or in a pipe."""
    from runtime.cli.looks import every_of

    interval_ms = every_of(every, longest="10s") // 1_000_000

    async def work(client: PlantClient) -> None:
        views = {view.id: view for view in await _matching(client, patterns)}
        if sys.stdout.isatty() and not json:
            await _table(client, patterns, views, interval_ms)
        else:
            await _lines(client, patterns, views, interval_ms, json)

    try:
        ask(plant, work)
    except KeyboardInterrupt:
        return


async def _matching(client: PlantClient, patterns: list[str]) -> list[TagView]:
    views = await client.tags(*patterns)
    if not views:
        raise PlantError(
            f"no tag matches {' '.join(patterns)}", "`ironworks read '**'` lists all; quote globs"
        )
    return views


async def _lines(
    client: PlantClient, patterns: list[str], views: dict[int, TagView], interval_ms: int, json: bool
) -> None:
    from runtime.wire import quality_text

    async for row in _rows(client, patterns, views, interval_ms):
        id_, value, quality, source_ns = row
        tag = views[id_]
        if json:
            print_json({"path": tag.path, "value": value, "quality": quality, "source_ns": source_ns})
        else:
            flag = "" if quality >> 30 == 0 else f"  {quality_text(quality)}"
            print(f"{show_time(source_ns)}  {tag.path}  {show_of(tag, value, quality)}{flag}", flush=True)


async def _table(
    client: PlantClient, patterns: list[str], views: dict[int, TagView], interval_ms: int
) -> None:
    from contextlib import aclosing

    import msgspec
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from runtime.wire import ConfigChange, Values, quality_text

    def table() -> Table:
        made = Table(*_HEADER, box=None, pad_edge=False)
        for view in views.values():
            made.add_row(*map(Text, _row(view)), style="" if view.quality >> 30 == 0 else "yellow")
        return made

    with Live(table(), auto_refresh=False) as live:
        async with aclosing(client.stream(patterns, interval_ms=interval_ms)) as messages:
            async for message in messages:
                if isinstance(message, ConfigChange):
                    await _load_anew(client, patterns, views)
                if not isinstance(message, Values):
                    continue
                for id_, value, quality, source_ns in message.rows:
                    text = quality_text(quality)
                    views[id_] = msgspec.structs.replace(
                        views[id_], value=value, quality=quality, quality_text=text, source_ns=source_ns
                    )
                live.update(table(), refresh=True)


async def _load_anew(client: PlantClient, patterns: list[str], views: dict[int, TagView]) -> None:
    """Learn which tags match since another configuration runs."""
    views.clear()
    views.update({view.id: view for view in await client.tags(*patterns)})


async def _rows(client: PlantClient, patterns: list[str], views: dict[int, TagView], interval_ms: int) -> Any:
    from contextlib import aclosing

    from runtime.wire import ConfigChange, Values

    async with aclosing(client.stream(patterns, interval_ms=interval_ms)) as messages:
        async for message in messages:
            if isinstance(message, ConfigChange):
                await _load_anew(client, patterns, views)
            if isinstance(message, Values):
                for row in message.rows:
                    yield row


def _row(view: TagView) -> tuple[str, str, str, str]:
    return view.path, show_of(view, view.value, view.quality), view.quality_text, show_time(view.source_ns)
