"""`ironworks bench jitter`: how late scans begin, beside a loop in C in the same minute."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.bench.report import Figure
    from softplc.core.probe import Probe

KERNEL_KILLS = 10
CORE_KILLS = 5
P99, P999 = 1.15, 1.3  # goals, as ratios to the loop in C
_START_S = 60.0
_SOUND_S = 6.0
_HEAD = "drivers:\n  - {kind: simulated, name: device, period: 1s}\nplc: {sources: [main.st]}\n"
_PROGRAM = """PROGRAM Main
VAR n : LINT; k : INT; sums : ARRAY[0..99] OF LREAL; END_VAR
n := n + 1;
FOR k := 0 TO 99 DO sums[k] := sums[k] * 0.5 + k; END_FOR;
END_PROGRAM
CONFIGURATION bench RESOURCE r ON PLC
TASK main (INTERVAL := {period}, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
_LOOP_IN_C = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
static uint32_t bins[20001];
static volatile sig_atomic_t over;
static void stop(int number) { (void)number; over = 1; }
static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}
int main(int count, char **words) {
  int64_t period = count > 1 ? atoll(words[1]) : 1000000, next = now() + period;
  struct sched_param urgent = {.sched_priority = 80};
  double sums[100] = {0};
  int64_t greatest = 0;
  signal(SIGTERM, stop);
  prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
  sched_setscheduler(0, SCHED_FIFO, &urgent);
  mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  while (!over) {
    struct timespec until = {next / 1000000000LL, next % 1000000000LL};
    if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0) == EINTR) continue;
    int64_t late = now() - next, bin = late / 1000;
    bins[bin < 0 ? 0 : bin > 20000 ? 20000 : bin]++;
    greatest = late > greatest ? late : greatest;
    for (int k = 0; k < 100; k++) sums[k] = sums[k] * 0.5 + k;
    for (next += period; next <= now(); next += period) {}
  }
  printf("%lld %f\n", (long long)greatest, sums[99]);
  for (int k = 0; k <= 20000; k++) printf("%u\n", bins[k]);
}
"""
_BURN = """
import hashlib, socket, sqlite3, threading
import numpy as np
def burn():
    n = 0
    while True:
        n = (n * 31 + 7) % 1_000_003
def talk():
    near, far = socket.socketpair()
    while True:
        near.sendall(b"x" * 512)
        far.recv(4096)
def infer():
    a = np.random.default_rng(1).normal(size=(192, 192))
    while True:
        a = np.tanh(a @ a * 0.01)
def store():
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE t (n INTEGER, d BLOB)")
    for n in range(1_000_000_000):
        table.execute("INSERT INTO t VALUES (?, ?)", (n, hashlib.sha256(str(n).encode()).digest()))
        if n % 5000 == 0:
            table.execute("DELETE FROM t")
for work in (burn, talk, infer, store):
    threading.Thread(target=work).start()
"""


def bench(
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 60.0,
    period: Annotated[str, typer.Option(help="Interval of the task, such as 1ms.")] = "1ms",
    load: Annotated[bool, typer.Option(help="Burn CPU in Python, sockets, matrices and a database.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How late scans begin while kernels are killed, beside a loop in C at the same time."""
    from runtime.bench.report import report
    from runtime.config import parse_duration_ns

    try:
        period_ns = parse_duration_ns(period)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = _measure(Path(folder), seconds, period_ns, load)
    report("jitter", figures, as_json)


def _measure(folder: Path, seconds: float, period_ns: int, load: bool) -> list[Figure]:
    from runtime.bench.load import plant_of

    plant = plant_of(folder / "plant", 1000, "device", "noise(1s)", _HEAD)
    program = _PROGRAM.format(period=f"T#{period_ns / 1e6:g}ms")
    plant.with_name("main.st").write_text(program, encoding="utf-8")
    in_c = _build_in_c(folder)
    kernel = _Kernel(plant)
    burner = None
    try:
        probe = kernel.start()
        burner = subprocess.Popen([sys.executable, "-c", _BURN], start_new_session=True) if load else None
        return _compare(probe, kernel, in_c, seconds, period_ns) + _restarts(kernel, probe.pid)
    finally:
        if burner is not None:
            burner.kill()
            burner.wait()
        kernel.stop()


class _Kernel:
    """A plant of 1,000 tags whose kernel is killed and started again; its core scans on."""

    def __init__(self, plant: Path) -> None:
        self._plant = plant
        self._core = plant.parent / ".ironworks" / "plc"
        self._child: subprocess.Popen[bytes] | None = None
        self._said = plant.with_name("said.txt")

    def start(self) -> Probe:
        command = [sys.executable, "-m", "runtime.cli", "run", str(self._plant), "--attached"]
        with self._said.open("wb") as said:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
            )
        return self.probe()

    def probe(self, other_than: int = 0) -> Probe:
        """Return the core once it scans.

        Raises:
            PlantError: it does not come in time.
        """
        from runtime.clock import monotonic_ns
        from runtime.errors import PlantError
        from softplc.core.probe import Probe

        end_ns = monotonic_ns() + round(_START_S * 1e9)
        while True:
            try:
                probe = Probe(self._core)
                if probe.pid != other_than and probe.scanning:
                    return probe
            except PlantError:
                pass
            if monotonic_ns() > end_ns or (self._child and self._child.poll() is not None):
                raise PlantError("the plant does not scan", self._said.read_text(encoding="utf-8")[-500:])
            _pause(0.005)

    def again(self) -> None:
        """Kill the kernel and start the next one; its core must be the same."""
        assert self._child is not None
        self._child.kill()
        self._child.wait()
        self.start()

    def stop(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            self._child.wait(30)


def _compare(
    probe: Probe, kernel: _Kernel, in_c: Path | None, seconds: float, period_ns: int
) -> list[Figure]:
    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns

    words = [str(in_c), str(period_ns)]
    beside = subprocess.Popen(words, stdout=subprocess.PIPE, text=True) if in_c else None
    before = probe.read()
    began_ns = monotonic_ns()
    for _ in range(KERNEL_KILLS):
        _pause(seconds / (KERNEL_KILLS + 1))
        kernel.again()
    _pause(max(0.0, seconds - (monotonic_ns() - began_ns) / 1e9))
    long_ns = monotonic_ns() - began_ns  # not longer than what lies between the two readings
    after = probe.read()
    ours = after.latency - before.latency
    scans, skipped = after.scans - before.scans, after.skipped - before.skipped
    named = f"{scans:,} scans in {long_ns / 1e9:.0f} s"
    lost = max(0, long_ns // period_ns - scans - skipped - 1)
    figures = [
        Figure("kernels killed meanwhile", KERNEL_KILLS, "kernels"),
        Figure("scans lost to the kernel", lost, "scans", 0, at_least=False),
        Figure("activations dropped", skipped, "scans", compared_with=named),
        Figure("latency p99", _mark(ours, 0.99), "us"),
        Figure("latency p99.9", _mark(ours, 0.999), "us"),
        Figure("latency, greatest", after.latency_max_ns / 1000, "us", compared_with="since its start"),
        Figure("real-time priority", float(_is_fifo(probe.pid)), "", compared_with="1: SCHED_FIFO"),
    ]  # fmt: skip
    if beside is None:
        typer.echo("no gcc: not compared with a loop in C", err=True)
        return figures
    beside.terminate()
    said, _ = beside.communicate()
    theirs = _bins(said)
    for name, share, goal in (("p99", 0.99, P99), ("p99.9", 0.999, P999)):
        ratio = _mark(ours, share) / _mark(theirs, share)
        note = f"loop in C: {_mark(theirs, share):.0f} us, {theirs.sum():,} scans"
        figures.append(Figure(f"latency {name}, to C's", ratio, "", goal, at_least=False, compared_with=note))
    return figures


def _restarts(kernel: _Kernel, pid: int) -> list[Figure]:
    """Kill the core some times; how long until the next one scans, and what it takes."""
    import psutil

    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns

    resident, took_ms = psutil.Process(pid).memory_info().rss / 2**20, []
    for _ in range(CORE_KILLS):
        _pause(_SOUND_S)  # one that dies young is started again after a pause
        began_ns = monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        pid = kernel.probe(other_than=pid).pid
        took_ms.append((monotonic_ns() - began_ns) / 1e6)
    note = f"longest of {CORE_KILLS}, same load"
    return [
        Figure("core's resident memory", resident, "MiB"),
        Figure("core's death to next scan", max(took_ms), "ms", 1000, at_least=False, compared_with=note),
    ]


def _build_in_c(folder: Path) -> Path | None:
    if shutil.which("gcc") is None:
        return None
    source, program = folder / "loop.c", folder / "loop"
    source.write_text(_LOOP_IN_C, encoding="utf-8")
    subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def _bins(said: str) -> NDArray[np.int64]:
    import numpy as np

    return np.array([int(line) for line in said.splitlines()[1:]], np.int64)


def _mark(bins: NDArray[np.int64], share: float) -> float:
    """Return the latency in µs that so large a share of scans does not exceed."""
    import numpy as np

    total = np.cumsum(bins)
    return float(np.searchsorted(total, share * total[-1]) + 1)


def _is_fifo(pid: int) -> bool:
    return any(
        os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def _pause(seconds: float) -> None:
    import time

    time.sleep(seconds)
