"""The plant that a campaign torments: its folder, its processes, its starts and ends."""

from __future__ import annotations

import contextlib
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
from runtime.chaos.setup import Base, Setup
from runtime.cli.layout import copy_plant
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError

START_S = 120.0
LOGGED = 10
PLC_CORE = "PLC core"
_ROLES = (
    ("rack", "rack.yaml"),
    ("app worker", "apps.runner"),
    (PLC_CORE, "softplc.core"),
    ("compiler", "softplc.build"),
)


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
        self.said = folder / ".said.txt"  # hidden: no part of the configuration
        self._nursery: subprocess.Popen[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self._cores: set[psutil.Process] = set()  # of the PLC: they outlive their kernel
        self._taken = socket.socket()  # so that its port cannot be had
        self.base = self._lay_out()
        self.root = "chaos/area/line" if lean else "nb/bottling/line1"
        self.edit(Setup().files(self.base))

    def _lay_out(self) -> Base:
        self.folder.mkdir(parents=True)
        self._taken.bind(("127.0.0.1", 0))
        self._taken.listen()
        port = self._taken.getsockname()[1]
        if self.lean:
            head = "plant: victim\nroot: chaos/area/line\nalarms: alarms.yaml\ndrivers:\n"
            tags = "path,type,access,source,address,deadband,interlock,initial\n"
            return Base((head, ""), tags, "alarms:\n", port)
        copy_plant(registry.load("demos", "bottling"), self.folder)
        head = self._read("plant.yaml")
        for known in ("5020", "4840"):
            other = str(_free_port())
            head = head.replace(known, other)
            rack = self.folder / "rack.yaml"
            rack.write_text(rack.read_text(encoding="utf-8").replace(known, other), encoding="utf-8")
        before, drivers, after = head.partition("drivers:\n")
        program = next(self.folder.glob("plc/*.st")).relative_to(self.folder).as_posix()
        return Base(
            (before + drivers, after),
            self._read("tags.csv"),
            self._read("alarms.yaml").rstrip() + "\n",
            port,
            (program, self._read(program)),
        )

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def edit(self, files: Mapping[str, str]) -> None:
        """Do what an editor does that saves its files."""
        for name, text in files.items():
            file = self.folder / name
            if not file.exists() or self._read(name) != text:
                fresh = file.with_name(f".{file.name}.new")
                fresh.write_text(text, encoding="utf-8")
                fresh.replace(file)

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
        """End the kernel at this instant; its children, the PLC core aside, must end by themselves."""
        children = list(self.children())
        self._cores = {each for role, each in children if role == PLC_CORE}
        self._family = [each for role, each in children if role != PLC_CORE]
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

    async def orphans(self, patience_s: float = 60.0) -> list[str]:
        """Return the children of the last kernel that outlived it by so much."""
        end_ns = monotonic_ns() + round(patience_s * SECOND_NS)
        while True:
            there = [each for each in self._family if each.is_running() and each.status() != "zombie"]
            if not there or monotonic_ns() > end_ns:
                return [f"{_role(each)} (pid {each.pid}) outlives its kernel" for each in there]
            await WallClock().sleep(0.05)

    def children(self) -> Iterator[tuple[str, psutil.Process]]:
        """Yield the kernel's child processes with what they are, and the PLC core that it has taken over."""
        found = {each for each in self._cores if each.is_running()}
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= set(psutil.Process(self.pid).children(recursive=True))
        for each in sorted(found, key=lambda each: each.pid):
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
                at = max(text.find("Traceback"), 0) or text.find("internal error")
                found.append(f"{file.name}: {text[max(at - 200, 0) :][:1500]}")
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
        for core in self._cores:
            with contextlib.suppress(psutil.NoSuchProcess):
                core.kill()
        self._taken.close()
        for process in (self._nursery, self._child):
            if process is not None:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _role(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        for role, mark in _ROLES:
            if mark in words:
                return role
    return "child"
