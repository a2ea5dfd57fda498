"""`ironworks plc replay` and `ironworks plc why`: recorded scans, run again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from runtime.plcview import WhyView
    from softplc.record.answer import Question
    from softplc.record.player import Player
    from softplc.record.replay import Replay

NEEDS: dict[str, tuple[str, ...]] = {"replay": (), "why": ("POST /plc/why",)}  # replay: files alone
PlantOption = Annotated[
    str | None, typer.Option("--plant", "-p", help="Plant folder or plant file; else the only running plant.")
]
AskedOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        "-p",
        "--url",
        help="Plant folder, plant file or URL (https://anna@gateway:8420); else the only running plant.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
RunOption = Annotated[
    int | None,
    typer.Option("--run", min=1, max=1 << 31, help="Which life of the PLC core, from 1; else the newest."),
]


def replay(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Variables or tags to show.", metavar="[PATH...]")
    ] = None,
    scan: Annotated[int | None, typer.Option("--scan", min=0, help="Stand behind this scan.")] = None,
    begin: Annotated[
        str, typer.Option("--from", help="Begin behind the last scan up to a time: -10min.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Stop at a time.")] = "",
    until: Annotated[str, typer.Option("--until", help="Stop where this ST expression becomes TRUE.")] = "",
    run: RunOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="No prompt, also in a terminal.")] = False,
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run recorded scans again, bit for bit, and compare with the whole images of the record.

    Without --scan and --until from the beginning (--from) to the end (--to); a line for each change of PATH.
    In a terminal it then takes commands: n and b step forwards and backwards, h lists them all. Exit code 1
    where a whole image differs, or --until does not come true. It works while the plant runs (scans are there
    after a second) and after.
    """
    player = _player(plant, paths or [])
    ok = _play(player, scan, begin, end, until, run, as_json)
    if sys.stdin.isatty() and sys.stdout.isatty() and not (plain or as_json):
        _converse(player)
    raise typer.Exit(0 if ok and not player.replay.differences else 1)


def why(
    path: Annotated[str, typer.Argument(help="Variable or tag by path.", metavar="PATH")],
    at: Annotated[
        str, typer.Option("--at", help="Behind this scan, or at this time: 4711, -10s; else now.")
    ] = "",
    run: RunOption = None,
    plant: AskedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a variable has its value: since which scan, and which line, person, force or input gave it."""
    from softplc.record.answer import Question
    from softplc.record.shown import why_text

    question = Question(path, at, run)
    found, problems = _asked(plant, question)
    if as_json:
        import msgspec

        print(msgspec.json.encode(found).decode())
        return
    for line in (*why_text(found), *problems):
        print(line)


def _asked(plant: str | None, question: Question) -> tuple[WhyView, list[str]]:
    """Ask the plant if it runs, which knows who asks; else its record. Returns what is missing there, too."""
    from runtime.endpoint import find, plant_file
    from runtime.errors import ConnectError

    try:
        endpoint = find(plant)
    except ConnectError:
        if plant_file(None if plant and "://" in plant else plant) is None:
            raise
        return _looked_up(plant, question)
    import asyncio

    from runtime.client import PlantClient
    from runtime.logins import credentials

    who = credentials(endpoint)

    async def ask() -> WhyView:
        async with PlantClient(endpoint, **who) as client:
            return await client.plc_why(question.path, question.at, question.run)

    return asyncio.run(ask()), []


def _looked_up(plant: str | None, question: Question) -> tuple[WhyView, list[str]]:
    from softplc.record.shown import report_of
    from softplc.record.why import why as answer

    replayed = _player(plant, []).replay
    _seek(replayed, question.at, question.run)
    return answer(replayed, question.path), list(report_of(replayed))


def _player(plant: str | None, paths: list[str]) -> Player:
    from runtime.clock import WallClock
    from softplc.build import core_object
    from softplc.record.player import Player
    from softplc.record.reader import Record
    from softplc.record.replay import Replay

    state = _state(plant)
    record = Record(state / "plc" / "record", lambda: core_object(state / "cache" / "plc"))
    return Player(Replay(record), paths, WallClock().now_ns())


def _state(plant: str | None) -> Path:
    """Return the state folder of a plant."""
    from runtime.config import PlantFile, load_model
    from runtime.config.plant import state_folder
    from runtime.endpoint import find, plant_file
    from runtime.errors import PlantError

    if plant and plant.startswith(("http://", "https://")):
        raise PlantError("a record is replayed where the plant is", "run it on that machine, with its folder")
    file = plant_file(plant)
    if file is None:
        named = find(None).file
        if not named:
            raise PlantError("it is not known where the plant is", "name its folder with --plant")
        file = Path(named)
    return state_folder(file, load_model(PlantFile, file)[0])


def _seek(replayed: Replay, at: str, run: int | None) -> None:
    from runtime.clock import WallClock
    from softplc.record.player import seek

    seek(replayed, at, run, WallClock().now_ns())


def _play(
    player: Player, scan: int | None, begin: str, end: str, until: str, run: int | None, as_json: bool
) -> bool:
    """Go where the options say, and tell it; tells whether a condition came true."""
    from runtime.clock import monotonic_ns
    from softplc.record.until import run_until

    replayed, ok = player.replay, True
    if begin:
        _seek(replayed, begin, run)
    elif run is not None:
        replayed.seek(scan=0, run=run)
    first, began_ns = replayed.at, monotonic_ns()
    if scan is not None:
        replayed.seek(scan=scan, run=run)
    elif until:
        stop = _end_of(replayed, end)
        ok = run_until(replayed, until, stop)
    else:
        _through(player, _end_of(replayed, end), as_json)
    took_ns = monotonic_ns() - began_ns
    _tell(player, first.at_ns, took_ns, as_json, ok, until)
    return ok


def _end_of(replayed: Replay, end: str) -> Any:
    from runtime.errors import PlantError

    if not end:
        return None
    here = replayed.at
    _seek(replayed, end, None)
    stop = replayed.at
    if (stop.run, stop.scan) < (here.run, here.scan):
        raise PlantError(f"--to {end} is before the beginning", "give a later --to, or an earlier --from")
    replayed.seek(scan=here.scan, run=here.run)
    return stop


def _through(player: Player, stop: Any, as_json: bool) -> None:
    """Go to the end, with a line for each change of what is shown."""
    from softplc.record.shown import time_text, value_text

    replayed, before = player.replay, dict.fromkeys(player.shown)
    known: dict[str, Any] = dict(before)
    while player.shown and replayed.run(stop, watch=player.shown):
        for path in player.shown:
            value = replayed.read(path)
            if value == known[path]:
                continue
            known[path] = value
            at = replayed.at
            if as_json:
                print(
                    json.dumps(
                        {"scan": at.scan, "run": at.run, "at_ns": at.at_ns, "path": path, "value": value}
                    )
                )
            else:
                print(f"{time_text(at.at_ns)}  scan {at.scan}  {path} = {value_text(value)}")
    if not player.shown:
        replayed.run(stop)


def _tell(player: Player, first_ns: int, took_ns: int, as_json: bool, ok: bool, until: str) -> None:
    from softplc.record.shown import report_of

    replayed = player.replay
    at = replayed.at
    if as_json:
        told = {
            "run": at.run, "scan": at.scan, "at_ns": at.at_ns, "image": replayed.digest,
            "compared": replayed.compared, "different": len(replayed.differences),
            "gaps": [each.text for each in replayed.record.gaps], "damaged": replayed.record.problems,
            "values": {path: replayed.read(path) for path in player.shown}, "took_s": took_ns / 1e9,
        }  # fmt: skip
        print(json.dumps(told | ({"until": ok} if until else {})))
        return
    if not ok:
        print(f"{until} does not become TRUE")
    for line in (*player.here(), *report_of(replayed)):
        print(line)
    span_s, took_s = max(0, at.at_ns - first_ns) / 1e9 if first_ns else 0.0, took_ns / 1e9
    times = f", {span_s:.1f} s of the plant in {took_s:.3f} s" if span_s else ""
    print(f"image {replayed.digest[:16]}; {replayed.compared} whole images compared, all the same{times}"
          if not replayed.differences else f"image {replayed.digest[:16]}{times}")  # fmt: skip


def _converse(player: Player) -> None:
    from runtime.errors import PlantError

    print("h lists the commands, q leaves")
    while True:
        try:
            line = input("replay> ")
        except EOFError:
            return
        if line.strip() in ("q", "quit", "exit"):
            return
        try:
            for told in player.obey(line):
                print(told)
        except PlantError as exc:
            print(f"{exc.text}{f' ({exc.remedy})' if exc.remedy else ''}")
        except KeyboardInterrupt:
            print()
