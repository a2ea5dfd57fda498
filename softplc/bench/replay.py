"""`ironworks bench replay`: an hour of the bottling line, recorded in virtual time and run again."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.bench.report import Figure

_BUDGET = 1 << 30
_GOAL_TIMES = 100
_ROUNDS, _SCANS, _INPUTS = 20, 2_000, 100
_PERIOD_NS = 10_000_000
_PROGRAM = """PROGRAM Main
VAR_INPUT {inputs} END_VAR
VAR n : LINT; END_VAR
n := n + a0;
END_PROGRAM
"""


def bench(
    duration: Annotated[str, typer.Option("--for", help="How long the line runs, in its own time.")] = "1h",
    plant: Annotated[Path | None, typer.Option(help="Another plant folder, with a twin.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Record the bottling line in virtual time, replay it, and compare the images at the end and between.

    Also what recording adds to a scan, with a hundred inputs of which one changes in each scan.
    """
    from runtime.bench.report import report
    from runtime.config import parse_duration_ns

    try:
        span_s = parse_duration_ns(duration) / 1e9
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    source = plant or entry_points(group="ironworks.demos")["bottling"].load()
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = [*_measure(Path(folder), Path(source), span_s), *_cost(Path(folder))]
    report("replay", figures, as_json)
    if any(each.holds is False for each in figures):
        raise typer.Exit(1)


def _measure(folder: Path, source: Path, span_s: float) -> list[Figure]:
    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns
    from runtime.errors import PlantError
    from runtime.testing import VirtualPlant
    from softplc.record.reader import Record
    from softplc.record.recorder import Recorder, RecordOptions
    from softplc.record.replay import Replay
    from softplc.stepper import PlcStepper

    line = folder / "plant"
    shutil.copytree(source, line)
    plant = VirtualPlant(line)
    stepper = next((each for each in plant.steppers if isinstance(each, PlcStepper)), None)
    if stepper is None:
        raise PlantError(f"{source} has no PLC", "name a plant with a program and a twin")
    recorder = Recorder(folder / "record", RecordOptions(_BUDGET))
    stepper.record(recorder, plant.start_ns)
    plant.run_for(span_s)
    recorder.end()
    record = Record(folder / "record")
    with Replay(record) as replay:
        began_ns = monotonic_ns()
        replay.run()
        took_s = (monotonic_ns() - began_ns) / 1e9
        state = replay.program.state
        same = _known(stepper.image, state) == _known(bytes(replay.image), state)
        same = same and not replay.differences
        began_ns = monotonic_ns()
        replay.step(-1)
        back_ms = (monotonic_ns() - began_ns) / 1e6
    figures = recorder.figures
    how = f"image {replay.digest[:16]}"
    return [
        Figure("recorded", span_s, "s", compared_with="of the plant, in virtual time"),
        Figure("scans", figures.scans, "scans"),
        Figure("bytes a scan, on disk", figures.bytes / max(figures.scans, 1), "B"),
        Figure("lost", figures.lost, "scans", 0, at_least=False),
        Figure("same image at the end, 1 for yes", int(same), "", 1, compared_with=how),
        Figure("whole images compared on the way", replay.compared, "images"),
        Figure("replayed so many times faster", span_s / took_s, "x", _GOAL_TIMES),
        Figure("one scan backwards, from the end", back_ms, "ms"),
    ]


def _known(image: bytes, state: object) -> bytes:
    import numpy as np

    known: bytes = np.frombuffer(image, np.uint8)[np.asarray(state)].tobytes()
    return known


def _cost(folder: Path) -> list[Figure]:
    """Measure what recording adds to a scan; the least of several rounds, each beside one without."""
    import numpy as np

    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns
    from softplc.build import build
    from softplc.core.kinds import I16, Variable
    from softplc.core.scancore import Bound
    from softplc.record.recorder import Recorder, RecordOptions
    from softplc.record.ring import Ring
    from softplc.wiring import FaultPolicy, Wiring, make_core

    inputs = " ".join(f"a{number} : INT;" for number in range(_INPUTS))
    made = build({"main.st": _PROGRAM.format(inputs=inputs)}, folder / "cache")
    symbols = [made.application.symbol(f"Main.a{number}") for number in range(_INPUTS)]
    bound = [Bound(number, Variable(each.offset, I16)) for number, each in enumerate(symbols)]
    wiring, options = Wiring(FaultPolicy(), bound), RecordOptions(_BUDGET)
    words = options.ring_words(made, wiring)
    plain = make_core(made, wiring)
    recorded = make_core(made, wiring, record_words=words)
    recorder = Recorder(folder / "cost", options)
    recorder.prepare(recorded, 1)
    ring = Ring(recorded)
    keys, good = np.array([0], np.int32), np.zeros(1, np.uint32)
    now_ns, took = 0, {False: [0] * _ROUNDS, True: [0] * _ROUNDS}
    for turn in range(_ROUNDS):
        for core in (plain, recorded):
            ring.free(ring.written)
            for number in range(_SCANS):
                core.write_inputs(keys, np.array([number], np.uint64), good)
                began_ns = monotonic_ns()
                core.native.step(core.address, now_ns + number * _PERIOD_NS)
                took[core is recorded][turn] += monotonic_ns() - began_ns
        now_ns += _SCANS * _PERIOD_NS
    least = {which: min(rounds) / _SCANS for which, rounds in took.items()}
    how = f"{least[True]:.0f} instead of {least[False]:.0f} ns, called from Python"
    return [Figure("recording adds to a scan", least[True] - least[False], "ns", compared_with=how)]
