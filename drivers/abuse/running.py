"""A plant in a process of its own, as `ironworks run` starts it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError

SAID = ".said"
_START_S = 180.0
_STOP_S = 20.0


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Endpoint, subprocess.Popen[bytes]]]:
    """Run the plant of a folder until the block ends; what it says is in its file `.said`.

    Raises:
        PlantError: it ended, or does not answer in time; with what it said.
    """
    child = _start(folder)
    try:
        yield await _answers(folder, child), child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"]
    with (folder / SAID).open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)


async def _answers(folder: Path, child: subprocess.Popen[bytes]) -> Endpoint:
    began_ns, clock = monotonic_ns(), WallClock()
    while True:
        with contextlib.suppress(ConnectError):
            return find(folder)
        if child.poll() is not None or monotonic_ns() - began_ns > _START_S * SECOND_NS:
            raise PlantError(f"the plant does not answer; it said: {_tail(folder)}")
        await clock.sleep(0.05)


def _tail(folder: Path) -> str:
    return (folder / SAID).read_text(encoding="utf-8", errors="replace")[-2000:]
