"""`ironworks backup|restore`: one checked file of a plant, and a plant of that file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from runtime.cli.session import JsonOption, PlantOption, ask, print_json, show_time
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.backup.manifest import Manifest
    from runtime.journal import AuditEntry

_MIB = 1 << 20


class _Group(TyperGroup):
    """Makes a backup where no other command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(help="Back a plant up into one file: `ironworks backup [TARGET]`.", cls=_Group)
FileArgument = Annotated[Path, typer.Argument(help="The backup.", metavar="FILE")]


@app.command()
def make(
    to: Annotated[str, typer.Argument(help="File to write, or folder for it.", metavar="TARGET")] = ".",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Back up a plant, while it runs (admin) or while it does not: its folder and its stores.

    The file holds secrets, such as keys: only its owner may read it.
    """
    from runtime.backup.unpack import verify as check
    from runtime.cli.stopped import runs

    target = Path(to)
    if to.endswith("/") and not target.is_dir():
        raise PlantError(f"{to} is no folder", "make it first, or name a file")
    running = runs(plant)
    file = ask(plant, lambda client: _fetch(client, target)) if running else _stopped(plant, target)
    manifest = check(file, _progress("checked"))
    _end_progress()
    _tell(file, manifest, "backed up", json)


@app.command()
def verify(file: FileArgument, json: JsonOption = False) -> None:
    """Read a whole backup and compare every file in it with its checksum."""
    from runtime.backup.unpack import verify as check

    manifest = check(file, _progress("checked"))
    _end_progress()
    _tell(file, manifest, "whole", json)


def restore(
    file: FileArgument,
    target: Annotated[Path, typer.Argument(help="Plant folder to make.", metavar="TARGET")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the plant that is there; it is kept beside.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a plant folder of a backup, on this machine or another; the plant must not run.

    Nothing changes before the whole backup is checked and unpacked; then the folder is there at once.
    """
    from runtime.backup.manifest import SUFFIX
    from runtime.backup.restore import restore as carry_out

    entry = _entry("restore", str(file.name))
    done = carry_out(file, target, force=force, entry=entry, tell=_progress("restored"))
    _end_progress()
    if json:
        kept = str(done.kept or "")
        print_json({"target": str(done.target), "kept": kept, "noted": done.noted, **_facts(done.manifest)})
        return
    _tell(file, done.manifest, f"restored to {done.target}", json)
    if done.kept:
        print(f"  what was there is in {done.kept}: remove it when all is well")
        if backups := sum(1 for _ in done.kept.rglob(f"*{SUFFIX}")):
            print(f"  backups that were in it: {backups}; keep them elsewhere first")
    if not done.noted:
        print("  its audit trail has no row of this: the journal is missing, damaged or of another version")
    name = quote(str(target))
    print(f"  next: ironworks check {name}   ironworks doctor --plant {name}   ironworks run {name}")


async def _fetch(client: Any, target: Path) -> Path:
    import asyncio
    from contextlib import aclosing

    from runtime.backup.pack import Incoming

    info = await client.info()
    incoming = Incoming(_named(target, info.plant, info.now_ns))
    tell = _progress("received")
    with incoming:
        async with aclosing(client.backup()) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(incoming.write, piece)
                tell(incoming.size)
        await asyncio.to_thread(incoming.finish)
    _end_progress()
    return incoming.target


def _stopped(plant: str | None, target: Path) -> Path:
    from runtime.backup.make import back_up_stopped, note
    from runtime.cli.stopped import plain_plant
    from runtime.clock import WallClock

    known = plain_plant(plant)
    now_ns = WallClock().now_ns()
    file = _named(target, known.name, now_ns)
    tell = _progress("written")
    back_up_stopped(known, file, now_ns, tell)
    _end_progress()
    note(known.state / "journal.sqlite", _entry("backup", str(file)))
    return file


def _named(target: Path, plant: str, at_ns: int) -> Path:
    from runtime.backup.make import file_name

    return target / file_name(plant, at_ns) if target.is_dir() else target


def _entry(action: str, target: str) -> AuditEntry:
    import getpass

    from runtime.clock import WallClock
    from runtime.journal import AuditEntry

    return AuditEntry(WallClock().now_ns(), getpass.getuser(), "admin", "cli", action, target)


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "plant": manifest.plant,
        "at_ns": manifest.at_ns,
        "ironworks": manifest.ironworks,
        "files": len(manifest.files),
        "bytes": manifest.size,
    }


def _tell(file: Path, manifest: Manifest, word: str, json: bool) -> None:
    size = file.stat().st_size
    if json:
        print_json({"ok": True, "file": str(file), "size": size, **_facts(manifest)})
        return
    print(f"{file}: {word}")
    print(f"  {manifest.plant} as of {show_time(manifest.at_ns)}, by Ironworks {manifest.ironworks}")
    print(f"  {len(manifest.files)} files, {manifest.size / _MIB:.1f} MiB in {size / _MIB:.1f} MiB")


def _progress(word: str) -> Callable[..., None]:
    """Return what shows progress on a terminal, in whole MiB."""
    shown = -1

    def tell(done: int, total: int = 0) -> None:
        nonlocal shown
        if sys.stderr.isatty() and done // _MIB > shown:
            shown = done // _MIB
            share = f" of {total // _MIB}" if total else ""
            print(f"\r{word} {shown}{share} MiB", end="", file=sys.stderr, flush=True)

    return tell


def _end_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
