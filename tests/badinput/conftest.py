"""A small plant (`works/`), compiled once; each test breaks a copy of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.chaos.process import free_port
from runtime.assembly import assemble
from runtime.client import PlantClient
from runtime.endpoint import find
from runtime.errors import ConnectError

START_S = 120.0


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("badinput") / "works"
    shutil.copytree(Path(__file__).parent / "works", folder)
    assert assemble(folder).check() == []
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "works"))


def within(seconds: float, fact: Callable[[], Any]) -> Any:
    """Return what a fact says once it says something; fail after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = fact()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {fact.__qualname__}")


class Works:
    """A plant folder on ports of its own, run by the command line as its user does."""

    within = staticmethod(within)

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.said = folder / "said.txt"
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "LANG": "C"}
        self.sockets = runtime / "ironworks"
        self.modbus = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        for name in ("plant.yaml", "rack.yaml"):
            file = folder / name
            text = file.read_text(encoding="utf-8").replace("port: 5021", f"port: {self.modbus}")
            file.write_text(text + ("\napi: {port: 0}\n" if name == "plant.yaml" else ""), encoding="utf-8")

    def start(self, *options: str, **how: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "runtime.cli", "run", str(self.folder), *options]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                command, stdout=said, stderr=said, env=self.environment, **{"stdin": subprocess.DEVNULL} | how
            )
        return self.process

    def begun(self) -> bool:
        """Tell whether the process is past the interpreter's own start, where Ctrl-C is not ours yet."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") > 25 << 20

    def started(self) -> None:
        """Start, and wait until the field answers."""
        self.start()
        within(START_S, self.level_is_good)

    def level_is_good(self) -> bool:
        return bool(self.ask(lambda plant: plant.tag("tank/level_pct"), lambda tag: tag.quality == 0))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.cli", *arguments, "--plant", str(self.folder)],
            capture_output=True, text=True, timeout=250, env=self.environment, check=False,
        )  # fmt: skip

    def ask(
        self, question: Callable[[PlantClient], Any], answer: Callable[[Any], Any] = lambda it: it
    ) -> Any:
        """Ask the plant as its clients do; None while it does not answer."""

        async def session() -> Any:
            async with PlantClient(find(self.folder)) as plant:
                return answer(await question(plant))

        try:
            return asyncio.run(session())
        except ConnectError:
            return None

    def component(self, name: str) -> Any:
        found = self.ask(lambda plant: plant.components()) or []
        return next((each for each in found if each.name == name), None)

    def alarm(self, name: str) -> Any:
        found = self.ask(lambda plant: plant.alarms()) or []
        return next((each for each in found if each.name == name), None)

    def active(self, name: str) -> Callable[[], Any]:
        """Return the fact that an alarm is active; it says the alarm."""
        return lambda: (alarm := self.alarm(name)) and alarm.active and alarm

    def gone(self, name: str) -> Callable[[], bool]:
        """Return the fact that an alarm is not active; a plant that does not answer says nothing."""

        def is_gone() -> bool:
            found = self.ask(lambda plant: plant.alarms())
            return found is not None and not any(each.name == name and each.active for each in found)

        return is_gone

    def answer(self, question: Callable[[PlantClient], Any]) -> Any:
        """Ask until the plant answers."""
        return within(START_S, lambda: self.ask(question))

    def setpoint(self) -> float:
        return float(self.answer(lambda plant: plant.tag("tank/level_sp")).value)

    def samples(self) -> int:
        now_ns = time.time_ns()
        return len(self.answer(lambda plant: plant.history(["tank/level_pct"], 0, now_ns))[0].points)

    def kill_devices(self) -> None:
        """Kill the process of the field devices, a plant of its own; the PLC core is another child."""
        assert self.process is not None
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in file.read_text().split():
            if "runtime.cli" in _command_line(Path(f"/proc/{pid}/cmdline")):
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(int(pid), signal.SIGKILL)

    def processes(self) -> list[str]:
        """Return the command lines of what runs for this folder."""
        lines = [_command_line(each) for each in Path("/proc").glob("[0-9]*/cmdline")]
        return [line for line in lines if str(self.folder) in line and "runtime.cli" in line]

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Stop the plant; return the seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(START_S)
        return time.monotonic() - began

    def nothing_left(self) -> bool:
        return not self.processes() and not list(self.sockets.glob("*.sock"))

    def text(self) -> str:
        said = self.said.read_text(encoding="utf-8")
        assert "Traceback" not in said
        assert "internal error" not in said
        return said


def _command_line(file: Path) -> str:
    try:
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has just ended
        return ""


@pytest.fixture
def works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    runtime = Path(tempfile.mkdtemp(prefix="iw-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    made = Works(folder, runtime)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop(signal.SIGKILL)
    within(START_S, lambda: not made.processes())
    shutil.rmtree(runtime)
