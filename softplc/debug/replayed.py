"""Replayed: recorded scans, done again by a build of the program that can be stopped."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.errors import PlantError
from softplc.build import Build, core_object
from softplc.core.scancore import ScanCore
from softplc.debug.program import Program
from softplc.guard import Watched
from softplc.layout import NOW_NS
from softplc.record.programs import RecordedProgram
from softplc.record.reader import Record
from softplc.record.replay import Replay

PLANT_FILE = "plant.yaml"


class _Stoppable(RecordedProgram):
    """The program that ran, with other code; one core for all its scans."""

    def __init__(self, recorded: RecordedProgram, program: Program) -> None:
        build = Build(program.stoppable.application, recorded.build.core_object)
        super().__init__(recorded.name, build, recorded.about)
        self.kept = super().core()

    def core(self) -> ScanCore:
        return self.kept


class Replayed:
    """Scans of a record. The replay stands before the scan that is done until that is over.

    `prepare` puts what lies behind the image where it was, before each scan.
    """

    def __init__(self, replay: Replay, program: Program, say: Callable[[str], None]) -> None:
        recorded = replay.program
        application = program.stoppable.application
        size = recorded.build.application.image_size
        if application.roots != recorded.build.application.roots or program.stoppable.sites.base != size:
            text = "the recorded sources compile to another layout now"
            raise PlantError(text, "replay it with the version of Ironworks that ran")
        self._replay = replay
        self._own = _Stoppable(recorded, program)
        core = self._own.kept
        self.image = core.block.part("image")
        self.start = int(core.address + core.control.image)
        self.watched = Watched(self.image)
        self.task = ""
        self.runs = 0
        self.prepare: Callable[[memoryview], None] = lambda _: None
        self._say = say

    @property
    def now_ns(self) -> int:
        if not self.task:
            return self._replay.at.at_ns
        (now_ns,) = struct.unpack_from("<q", self.image, NOW_NS)
        return int(now_ns)

    @property
    def scan_count(self) -> int:
        """Return the number of the scan that is done, or behind which it stands."""
        return self._replay.scans + bool(self.task)

    def step(self) -> str:
        """Do the next scan; the replay stays before it."""
        scan = self._replay.next_scan()
        if scan is None:
            return self._over_a_gap()
        self.task = self._own.kept.tasks[scan.task].name
        self.runs += 1
        try:
            self._replay.beside(self._own, self.prepare)
        finally:
            self.task = ""
        return ""

    def forward(self) -> None:
        """Let the replay go behind the scan that was done."""
        if self._replay.next_scan() is not None:
            self._replay.step()

    def back(self) -> bool:
        """Let the replay go before the scan before; tells whether there is one of this program."""
        before = self._replay.at
        if not self._replay.step(-1):
            return False
        if self._replay.program.name != self._own.name:
            self._replay.seek(scan=before.scan, run=before.run)
            self._say("another program ran before\n")
            return False
        if self._replay.jumped:
            self._say("over a gap of the record\n")
        return True

    def _over_a_gap(self) -> str:
        before = self._replay.at
        if not self._replay.step():
            return "The record ends here"
        there = self._replay.at
        if self._replay.program.name != self._own.name:
            self._replay.seek(scan=before.scan, run=before.run)
            return f"Another program runs from scan {there.scan} on: attach there"
        self._say(f"over a gap of the record, to scan {there.scan}\n")
        return self.step()


def open_record(folder: str, home: Path) -> tuple[Replay, Path]:
    """Open the record of a plant, or in a folder; return the folder of its sources too.

    Raises:
        PlantError: there is none.
    """
    path = (home / folder).resolve()
    plant = path if path.name == PLANT_FILE else path / PLANT_FILE
    if not plant.is_file():
        return Replay(Record(path)), home.resolve()
    from runtime.config import PlantFile, load_model
    from runtime.config.plant import state_folder

    state = state_folder(plant, load_model(PlantFile, plant)[0])
    record = Record(state / "plc" / "record", lambda: core_object(state / "cache" / "plc"))
    return Replay(record), plant.parent


def recorded_program(replay: Replay, folder: Path, *, library_too: bool) -> Program:
    """Compile the program that ran where a replay stands.

    Raises:
        CompileError: it does not compile any more.
    """
    recorded = replay.program
    sources: Mapping[str, str] = recorded.sources
    return Program(folder, dict(sources), recorded.about.profile, library_too=library_too)
