"""`ironworks bench swap`: online changes of a scanning program, beside one that is not changed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.bench.report import Figure
    from runtime.config import TagList
    from softplc.build import Build
    from softplc.core.remote import CoreProcess
    from softplc.core.stats import Stats

_TRIAL_NS = 20_000_000
_PATIENCE_S = 20.0
_STEP_S = 0.001
_SETTLE_S = 0.5
_PROGRAM = """FUNCTION_BLOCK Loop
VAR_INPUT pv : LREAL; END_VAR
VAR_OUTPUT out : LREAL; END_VAR
VAR {pad} sum, last : LREAL; timer : TON; END_VAR
timer(IN := pv > last, PT := T#10s);
sum := 0.99 * sum + {gain} * (pv - last);
last := pv;
out := sum + TIME_TO_LREAL(timer.ET);
END_FUNCTION_BLOCK
PROGRAM Main
VAR {pad} n : LINT; k : INT; pv, out : LREAL; loops : ARRAY[1..100] OF Loop; END_VAR
n := n + 1;
FOR k := 1 TO 100 DO loops[k](pv := pv + k); out := loops[k].out; END_FOR;
END_PROGRAM
CONFIGURATION bench RESOURCE r ON PLC
TASK main (INTERVAL := {period}, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""


def bench(
    changes: Annotated[int, typer.Option(min=1, help="How many online changes.")] = 500,
    period: Annotated[str, typer.Option(help="Interval of the task, such as 1ms.")] = "1ms",
    versions: Annotated[int, typer.Option(min=2, help="How many programs to change between.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Change a scanning program online, again and again, beside the same program that is left alone.

    Every version has other variables and constants, so that all values move; each is compiled in a child
    process before the changes begin, and is on trial for a moment.
    """
    from runtime.bench.report import report
    from runtime.config import parse_duration_ns

    try:
        period_ns = parse_duration_ns(period)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = _measure(Path(folder), changes, period_ns, versions)
    report("swap", figures, as_json)


def _measure(folder: Path, changes: int, period_ns: int, versions: int) -> list[Figure]:
    import numpy as np

    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns
    from softplc.build import build

    began_ns = monotonic_ns()
    sources = [{"main.st": _source(number, period_ns)} for number in range(versions)]
    builds = [build(each, folder / "cache") for each in sources]
    compiled_ms = (monotonic_ns() - began_ns) / 1e6 / versions
    changed, alone = _Plc(folder / "changed", builds[0]), _Plc(folder / "alone", builds[0])
    try:
        changed.pause(_SETTLE_S)
        before = [each.stats for each in (changed, alone)]
        resident = changed.resident_mib
        began_ns = monotonic_ns()
        for number in range(1, changes + 1):
            changed.become(builds[number % versions])
        lasted_s = (monotonic_ns() - began_ns) / 1e9
        after = [each.stats for each in (changed, alone)]
        lost, grown = changed.lost(), changed.resident_mib - resident
    finally:
        changed.stop()
        alone.stop()
    scans, dropped = (
        [getattr(new, what) - getattr(old, what) for new, old in zip(after, before, strict=True)]
        for what in ("scans", "skipped")
    )
    longest_us, visible_ms = np.array(changed.took_us), np.array(changed.visible_ms)
    chance = dropped[1] + 3 * sum(dropped) ** 0.5  # what three standard deviations of two counts allow
    note = f"left alone at the same time: {dropped[1]} of {scans[1]:,}; goal with 3 sigma"
    return [
        Figure(
            "online changes", changes, "changes", compared_with=f"in {lasted_s:.0f} s, {scans[0]:,} scans"
        ),
        Figure("activations dropped", dropped[0], "scans", chance, at_least=False, compared_with=note),
        Figure("dropped right after a change", sum(changed.after), "scans", compared_with=changed.window),
        Figure("scans lost or done twice", lost, "scans", 0, at_least=False),
        Figure("going over, median", float(np.median(longest_us)), "us", compared_with="between two scans"),
        Figure("going over, longest", float(longest_us.max()), "us", period_ns / 1000, at_least=False),
        Figure("from offer to first scan", float(np.median(visible_ms)), "ms", compared_with="median"),
        Figure("compiling in a child", compiled_ms, "ms", compared_with=f"mean of {versions} versions"),
        Figure("core's memory grew by", grown, "MiB", compared_with=f"from {resident:.1f} MiB"),
        Figure("values carried", changed.kept, "", compared_with=f"by {changed.moves} moves"),
    ]


def _source(number: int, period_ns: int) -> str:
    pad = "".join(f"pad{each} : LREAL; " for each in range(number % 4))
    return _PROGRAM.format(pad=pad, gain=f"{1 + number / 100}", period=f"T#{period_ns / 1e6:g}ms")


class _Plc:
    """A core's process without a kernel."""

    def __init__(self, folder: Path, build: Build) -> None:
        from runtime.clock import WallClock
        from softplc.core.remote import Options
        from softplc.forcebook import ForceBook
        from softplc.launch import Launcher
        from softplc.wiring import wire

        self._tags = _tags()
        self._launcher = Launcher(folder, Options(), 0, ForceBook(folder))
        self._build = build
        wiring = wire(self._tags, build.application)
        self._process: CoreProcess = self._launcher.obtain(build, wiring, None, WallClock().now_ns())
        self.took_us: list[float] = []
        self.visible_ms: list[float] = []
        self.after: list[int] = []
        self._seen = 0
        self.kept = self.moves = 0

    @property
    def window(self) -> str:
        """Say over how many scans that was counted."""
        return f"in {self._seen:,} scans that came first in a changed program"

    @property
    def stats(self) -> Stats:
        return self._process.core.stats()

    @property
    def resident_mib(self) -> float:
        import psutil

        return float(psutil.Process(self._process.pid).memory_info().rss / 2**20)

    def become(self, build: Build) -> None:
        """Change the program online, and wait until that is for good.

        Raises:
            PlantError: it is not.
        """
        from runtime.clock import monotonic_ns
        from runtime.errors import PlantError
        from softplc.online.offer import State
        from softplc.online.plan import plan
        from softplc.wiring import wire

        old, new = self._build.application, build.application
        ways = plan(old, new), plan(new, old)
        wiring = wire(self._tags, new)
        offer = self._launcher.offer(self._process, self._build, build, wiring, ways, _TRIAL_NS)
        began_ns = monotonic_ns()
        offer.make()
        end_ns = began_ns + round(_PATIENCE_S * 1e9)
        while (state := offer.state) in (State.WAITING, State.ON_TRIAL):
            if state is State.ON_TRIAL and len(self.visible_ms) == len(self.took_us):
                self.visible_ms.append((monotonic_ns() - began_ns) / 1e6)
                self.after.append(offer.new.records[0].skipped - offer.old.records[0].skipped)
                self._seen += offer.new.control.scans - offer.old.control.scans
            if monotonic_ns() > end_ns:
                raise PlantError(f"an online change is still {state.value}", "the machine is overloaded")
            self.pause(_STEP_S)
        offer.close()
        if state is not State.DONE:
            raise PlantError(
                f"an online change was {state.value}: {offer.reason or self._launcher.last_word()}"
            )
        self._process.core, self._build = offer.new, build
        self.took_us.append(offer.new.control.handover_ns / 1000)
        del self.visible_ms[len(self.took_us) :]
        self.kept, self.moves = ways[0].kept, len(ways[0].moves)

    def lost(self) -> int:
        """Return by how much the program's own count of its scans is wrong."""
        image = self._process.core.read_image(_PATIENCE_S)
        place = self._build.application.symbol("Main.n").offset
        counted, scans = (int.from_bytes(image[at : at + 8], "little") for at in (place, 8))
        return abs(counted - scans - 1)  # the head has the number of the scan, from 0

    def stop(self) -> None:
        self._launcher.release(self._build, self._process)

    @staticmethod
    def pause(seconds: float) -> None:
        import time

        time.sleep(seconds)


def _tags() -> TagList:
    from runtime.config import TagList
    from runtime.contract import DataType, Tag
    from softplc import facts

    pv = Tag("bench/pv", DataType.LREAL, source="operator", variable="Main.pv")
    out = Tag("bench/out", DataType.LREAL, source="plc", variable="Main.out")
    return TagList([pv, out, *facts.declare().tags], "bench")
