"""The plant that a campaign torments: its folder, its processes, its starts and ends."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from runtime import registry
from runtime.cli.layout import copy_plant
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError
from runtime.gate.identity import hash_secret

START_S = 60.0
UNITS = 24
LOGGED = 10
SECOND = ("second", "a second person")  # who approves, and the secret
HOLD_BASE = 5
_PLANT = """
gate: {{two_person: ["unit*/safe"]}}
history: {{flush: 50ms}}
api: {{port: null}}
users: [{{name: {name}, role: operator, secret: "{secret}"}}]
"""
_LEAN = """plant: victim
root: chaos/area/line
alarms: alarms.yaml
drivers:
"""
_DEVICE = "  - {kind: simulated, name: device, period: 50ms}\n"


class Victim:
    """One plant folder and, at times, the processes of its plant.

    A lean one is a kernel with a simulated device, forked by a nursery; another is the demo plant with
    rack, app worker and compiler, started by command. Its processes have `environment` too.
    """

    def __init__(self, folder: Path, *, lean: bool, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.lean = lean
        self._environment = {**os.environ, **(environment or {})}
        self.pid = 0
        self.said = folder / "said.txt"
        self._nursery: subprocess.Popen[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self.root = self._lay_out()

    def _lay_out(self) -> str:
        self.folder.mkdir(parents=True)
        if self.lean:
            head, root = _LEAN + _DEVICE, "chaos/area/line"
            tags = "path,type,access,source,address,initial\n"
            alarms = "alarms:\n"
        else:
            copy_plant(registry.load("demos", "bottling"), self.folder)
            head = (self.folder / "plant.yaml").read_text(encoding="utf-8")
            for port in ("5020", "4840"):
                other = str(_free_port())
                head = head.replace(port, other)
                rack = self.folder / "rack.yaml"
                rack.write_text(rack.read_text(encoding="utf-8").replace(port, other), encoding="utf-8")
            head = head.replace("drivers:\n", f"drivers:\n{_DEVICE}", 1)
            root = "nb/bottling/line1"
            tags = (self.folder / "tags.csv").read_text(encoding="utf-8")
            alarms = (self.folder / "alarms.yaml").read_text(encoding="utf-8").rstrip() + "\n"
        plant = _PLANT.format(name=SECOND[0], secret=hash_secret(SECOND[1]))
        (self.folder / "plant.yaml").write_text(head + plant, encoding="utf-8")
        (self.folder / "tags.csv").write_text(tags + units(tags), encoding="utf-8")
        more = (
            f"  - {{name: unit{n}.trip, tag: unit{n}/trip, kind: discrete, text: unit {n} tripped}}\n"
            for n in range(UNITS)
        )
        (self.folder / "alarms.yaml").write_text(alarms + "".join(more), encoding="utf-8")
        return root

    def path(self, unit: int, signal_: str) -> str:
        """Return the whole path of a unit's tag."""
        return f"{self.root}/unit{unit}/{signal_}"

    # Its processes.

    async def start(self, *, by_command: bool) -> tuple[Endpoint, float]:
        """Start the kernel; return where it answers and after how many ms.

        Raises:
            PlantError: it ended, or does not answer in time; with what it said.
        """
        began_ns = monotonic_ns()
        self.pid = self._run() if by_command else self._born()
        while True:
            with contextlib.suppress(ConnectError):
                endpoint = find(self.folder)
                if endpoint.pid == self.pid:
                    return endpoint, (monotonic_ns() - began_ns) / 1e6
            if not self.alive():
                raise PlantError(f"the plant ended at its start; it said: {self.tail()}")
            if monotonic_ns() - began_ns > START_S * SECOND_NS:
                os.kill(self.pid, signal.SIGABRT)
                await self.buried()
                raise PlantError(f"the plant did not answer within {START_S:g} s; it said: {self.tail(4000)}")
            await WallClock().sleep(0.01)

    def _run(self) -> int:
        command = [sys.executable, "-m", "runtime.cli", "run", str(self.folder), "--attached"]
        with self.said.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=self._environment,
            )
        return self._child.pid

    def _born(self) -> int:
        if self._nursery is None:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "runtime.chaos.nursery", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._environment,
            )
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        print(json.dumps({"said": str(self.said)}), file=self._nursery.stdin, flush=True)
        return int(self._nursery.stdout.readline())

    def alive(self) -> bool:
        """Tell whether the kernel lives."""
        if self._child is not None and self._child.pid == self.pid:
            return self._child.poll() is None
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        return False

    def kill(self) -> None:
        """End the kernel at this instant; remember its children, which must end by themselves."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._family = psutil.Process(self.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def buried(self) -> None:
        """Wait until the kernel is gone."""
        while self.alive():
            await WallClock().sleep(0.005)
        if self._child is not None and self._child.pid == self.pid:
            self._child.wait()
            assert self._child.stdin is not None
            self._child.stdin.close()
            self._child = None

    async def orphans(self, patience_s: float = 15.0) -> list[str]:
        """Return the children of the last kernel that outlived it by so much."""
        end_ns = monotonic_ns() + round(patience_s * SECOND_NS)
        while True:
            there = [each for each in self._family if each.is_running() and each.status() != "zombie"]
            if not there or monotonic_ns() > end_ns:
                return [f"{_role(each)} (pid {each.pid}) outlives its kernel" for each in there]
            await WallClock().sleep(0.05)

    def children(self) -> Iterator[tuple[str, psutil.Process]]:
        """Yield the kernel's child processes with what they are."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    yield _role(each), each

    def tail(self, length: int = 500) -> str:
        """Return what its last processes said."""
        text = self.said.read_text(encoding="utf-8", errors="replace") if self.said.exists() else ""
        return text[-length:].strip() or "nothing"

    def complaints(self) -> list[str]:
        """Return what a user should never see: tracebacks, and stores that were set aside."""
        state = self.folder / ".ironworks"
        found = [f"{file.name} was set aside" for file in state.rglob("*corrupt*")]
        for file in (self.said, *state.glob("ironworks.log*")):
            text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
            if "Traceback" in text or "internal error" in text:
                found.append(f"{file.name}: {text[text.find('Traceback') :][-700:]}")
                file.rename(file.with_name(f"told-{monotonic_ns()}-{file.name}"))
        return found

    def warnings(self) -> list[str]:
        """Return the last warnings and errors of its log, to understand a finding."""
        log = self.folder / ".ironworks" / "ironworks.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        found = [line for line in lines if '"level":"info"' not in line]
        return [f"ironworks.log: {line}" for line in found[-LOGGED:]]

    def close(self) -> None:
        """End whatever still runs."""
        self.kill()
        for process in (self._nursery, self._child):
            if process is not None:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()


def units(tags: str) -> str:
    """Return the rows of the units' tags, for a table with such a header."""
    header = tags.partition("\n")[0].split(",")
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    for n in range(UNITS):
        for name, kind in (("value", "DINT"), ("trip", "BOOL"), ("hold", "DINT"), ("safe", "DINT")):
            initial = HOLD_BASE if name == "hold" else ""
            writer.writerow({"path": f"unit{n}/{name}", "type": kind, "access": "rw", "initial": initial})
        writer.writerow({"path": f"unit{n}/out", "type": "DINT", "access": "rw", "source": "device"})
        writer.writerow(
            {"path": f"unit{n}/count", "type": "DINT", "source": "device", "address": "counter(50ms)"}
        )
    return text.getvalue()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _role(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        for role, mark in (("rack", "rack.yaml"), ("app worker", "apps.runner"), ("compiler", "softplc")):
            if mark in words:
                return role
    return "child"
