"""`ironworks chaos retain`: what stores retained variables is killed, at any instant, again and again."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.chaos.report import Report

_MOST_STORES, _LONGEST_S = 4, 0.006
_STATE, _BEING_WRITTEN = 8, 1  # place in a slot's head, and what it is from its first byte to its last
_STORES = """
import sys
from pathlib import Path
from softplc.chaos import LAYOUT, data_of
from softplc.core.slots import Slots
slots, number = Slots(Path(sys.argv[1])), int(sys.argv[2])
while True:
    number += 1
    slots.write(LAYOUT, data_of(number), number)
    print(number, flush=True)
"""
LAYOUT = bytes(range(32))


def data_of(sequence: int) -> bytes:
    """Return what is stored under a number: 8 bytes to half a MiB, which say the number throughout."""
    return sequence.to_bytes(8, "little") * (1 + sequence * 40_503 % 65_536)


def retain(
    times: Annotated[int, typer.Option(min=1, help="How many kills.")] = 1000,
    seed: Annotated[int, typer.Option(help="Chooses what happens; timing stays the machine's.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Kill a process that stores retained variables, at random instants; the last whole store must be there.

    It stores without a pause, by the code with which the PLC core stores once a second.
    """
    from runtime.chaos.report import Report

    folder = Path(tempfile.mkdtemp(prefix="ironworks-chaos-"))
    report = Report("retain", seed)
    try:
        campaign(folder, times, random.Random(seed), report, shown=not json and sys.stderr.isatty())
    except KeyboardInterrupt:
        typer.echo("ended from outside: this is of the rounds so far", err=True)
    if report.findings:
        report.kept = str(folder)
    else:
        shutil.rmtree(folder)
    if json:
        import json as text

        typer.echo(text.dumps(report.as_dict()))
    else:
        typer.echo("\n".join(report.lines()))
    if report.findings:
        raise typer.Exit(1)


def campaign(folder: Path, times: int, rng: random.Random, report: Report, *, shown: bool) -> None:
    """Play rounds until one finds something, which then is left as it is."""
    last = 0
    while report.rounds < times and not report.findings:
        report.rounds += 1
        completed = _killed(folder, last, rng)
        report.confirmed["stores"] += len(completed)
        last = _look(folder, max([last, *completed]), report)
        if shown:
            typer.echo(f"\r{report.rounds} kills, {len(report.findings)} findings", nl=False, err=True)


def _killed(folder: Path, last: int, rng: random.Random) -> list[int]:
    """Let a process store, and kill it a moment after some stores; return those that it has told."""
    command = [sys.executable, "-c", _STORES, str(folder), str(last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(rng.randint(1, _MOST_STORES))]
        _pause(rng.uniform(0, _LONGEST_S))
        child.kill()
        lines += child.stdout
    return [int(line) for line in lines if line.endswith("\n")]


def _look(folder: Path, last: int, report: Report) -> int:
    """See what a start would find after `last` was completed; return its number."""
    from softplc.core.slots import Slots

    slots = Slots(folder)
    report.done["kills"] += 1
    report.done["in the middle of a store"] += any(map(_is_being_written, slots.files))
    slot, damaged = slots.read()
    if damaged:
        report.found([f"damaged: {each}" for each in damaged])
    if slot is None or slot.sequence < last:
        report.found([f"store {last} was completed, {slot.sequence if slot else 'none'} is there"])
    elif slot.sequence > last + 1 or slot.layout != LAYOUT or slot.data != data_of(slot.sequence):
        report.found([f"store {slot.sequence} is not what was stored after {last}"])
    return slot.sequence if slot else last


def _is_being_written(file: Path) -> bool:
    head = file.read_bytes()[: _STATE + 4] if file.exists() else b""
    return len(head) == _STATE + 4 and struct.unpack_from("<I", head, _STATE)[0] == _BEING_WRITTEN


def _pause(seconds: float) -> None:
    import time

    time.sleep(seconds)
