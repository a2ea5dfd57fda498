"""Getting a core that scans: one that is there, one with what a killed one left, or a warm start."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.contract import Batch
from runtime.errors import PlantError
from softplc.build import Build
from softplc.core.forces import Forces
from softplc.core.remote import MESSAGES, CoreProcess, Options, key_of, last_line
from softplc.core.scancore import ScanCore
from softplc.forcebook import ForceBook
from softplc.lookup import Lookup
from softplc.online.generation import Kept
from softplc.online.offer import Offer
from softplc.online.plan import Migration
from softplc.record.recorder import Recorder, run_of
from softplc.retain import Layout, Restored, Retention
from softplc.wiring import Wiring, lay_core

log = logging.getLogger(__name__)

_SOUND_NS = 5 * SECOND_NS  # a core that dies sooner may die of its state: the next one begins anew
_NAMED = 5
_ANSWER_NS = 2 * SECOND_NS
_STEP_S = 0.002
_TRIAL_INTERVALS = 3


class Launcher:
    """Starts, finds and ends the core of one plant.

    Attributes:
        died: whether the core before was killed.
        damaged: what is wrong with the store of retained variables.
    """

    def __init__(
        self, folder: Path, options: Options, watchdog_ns: int, book: ForceBook,
        recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._book = book
        self._recorder = recorder
        self._folder = folder
        self._options = options
        self._watchdog_ns = watchdog_ns
        self._retention = Retention(folder)
        self._began_ns = 0
        self._left: tuple[Build, ScanCore] | None = None
        self.died = False
        self.damaged: tuple[str, ...] = ()

    def obtain(self, build: Build, wiring: Wiring, present: Batch | None, now_ns: int) -> CoreProcess:
        """Return a core that scans; waits. `present` are the inputs of now.

        Raises:
            PlantError: none starts.
        """
        self._book.resolve(Lookup(build.application))
        process = self._found(build, wiring, present)
        if process is None:
            process = self._started(build, wiring, present, now_ns)
        self.has_begun()
        return process

    def release(self, build: Build, process: CoreProcess) -> bool:
        """End a core; keep the state of one that has ended by itself. Tells whether it ended in order."""
        self.died = not (process.alive or process.core.control.ended)
        sound = self.died and monotonic_ns() - self._began_ns > _SOUND_NS
        self._left = (build, process.core) if sound else None
        return process.stop()

    def forget_retained(self) -> None:
        """Let the next core begin with initial values throughout: a cold restart.

        Raises:
            PlantError: the disk refuses.
        """
        self._retention.forget()

    @property
    def may_go_on(self) -> bool:
        """Tell whether the core that was released last has left a state to go on from."""
        return self._left is not None

    def offer(
        self, process: CoreProcess, before: Build, build: Build, wiring: Wiring,
        ways: tuple[Migration, Migration], trial_ns: int,
    ) -> Offer:  # fmt: skip
        """Lay another program out beside the one that a core scans; waits. Nothing has changed yet."""

        def beside(fd: int) -> ScanCore:
            core = self._lay(build, wiring, fd)
            if self._recorder is not None:
                self._recorder.prepare(core, run_of(process.core))
            keys, raw, text = process.core.inputs()
            core.write_inputs(keys, raw, np.zeros(len(keys), np.uint32), text)
            self._book.lay(Forces(core), Lookup(build.application))
            return core

        kept = self._kept(Layout.of(build.application), 0, Layout.of(before.application))
        key, longest_ns = self._key(build, wiring), max(task.interval_ns for task in process.core.tasks)
        return Offer(
            process, beside, build, key, self._folder, self._options, ways, kept,
            max(trial_ns, _TRIAL_INTERVALS * min(longest_ns, SECOND_NS)),
        )  # fmt: skip

    def has_begun(self) -> None:
        """Take it that another program is scanned from now on."""
        self._began_ns = monotonic_ns()

    def resolve(self, build: Build) -> None:
        """Find what is forced in the program that is scanned now."""
        self._book.resolve(Lookup(build.application))

    def last_word(self) -> str:
        """Return what the core's process said last."""
        return last_line(self._folder / MESSAGES)

    def _lay(
        self, build: Build, wiring: Wiring, fd: int, *, image: bytes | None = None, attach: bool = False
    ) -> ScanCore:
        recorded = self._record_words(build, wiring)
        return lay_core(
            build, wiring, self._watchdog_ns, fd=fd, image=image, attach=attach, record_words=recorded
        )

    def _record_words(self, build: Build, wiring: Wiring) -> int:
        return self._recorder.options.ring_words(build, wiring) if self._recorder is not None else 0

    def _key(self, build: Build, wiring: Wiring) -> str:
        recorded = self._record_words(build, wiring)
        policy = wiring.policy.default, sorted(wiring.policy.tasks.items())
        bound = f"{wiring.inputs} {wiring.outputs} {policy} {self._watchdog_ns} {recorded}"
        return key_of(build, bound, self._options)

    def _found(self, build: Build, wiring: Wiring, present: Batch | None) -> CoreProcess | None:
        def attached(fd: int) -> ScanCore:
            return self._lay(build, wiring, fd, attach=True)

        process = CoreProcess.find(attached, self._key(build, wiring), self._folder)
        if process is not None:
            _hand_in(process.core, present)
            self._take_over_forces(process)
        return process

    def _take_over_forces(self, process: CoreProcess) -> None:
        """Learn which forces have ended meanwhile, then give the core those that are meant.

        Raises:
            PlantError: it does not answer.
        """
        forces, end_ns = Forces(process.core), monotonic_ns() + _ANSWER_NS
        while not forces.settled:
            if not process.alive or monotonic_ns() > end_ns:
                raise PlantError("the PLC core does not take what is forced", "it is started again by itself")
            time.sleep(_STEP_S)
        self._book.learn(forces)
        self._book.hand_over(forces)

    def _started(self, build: Build, wiring: Wiring, present: Batch | None, now_ns: int) -> CoreProcess:
        self._folder.mkdir(parents=True, exist_ok=True)
        layout = Layout.of(build.application)
        restored = self._retention.restore(layout, build.application.initial_image)
        self.damaged = restored.damaged
        image, offset_ns = restored.image, now_ns - monotonic_ns()
        if self._left is not None and self._left[0] == build:
            core = self._left[1]
            image, offset_ns = core.last_whole_image() or image, core.control.wall_offset_ns
        else:
            _say(restored)

        def fresh(fd: int) -> ScanCore:
            core = self._lay(build, wiring, fd, image=image)
            core.set_clock(offset_ns)
            if self._recorder is not None:
                self._recorder.prepare(core, now_ns)
            self._book.lay(Forces(core))
            _hand_in(core, present)
            return core

        kept, key = self._kept(layout, restored.sequence), self._key(build, wiring)
        return CoreProcess.start(fresh, build, key, self._folder, self._options, kept)

    def _kept(self, layout: Layout, sequence: int, before: Layout | None = None) -> Kept:
        """Return what the core is to store; nothing where the disk refuses, which must not stop a plant."""
        if not layout.ranges:
            return Kept()
        try:
            self._retention.prepare(layout, before)
        except OSError as exc:
            log.error("retained variables cannot be stored: %s", exc)
            self.damaged = (*self.damaged, str(exc))
            return Kept()
        return Kept(layout.ranges, layout.digest.hex(), sequence)


def _hand_in(core: ScanCore, present: Batch | None) -> None:
    if present is not None:
        core.write_inputs(present.ids, present.raw, present.quality, present.text)


def _say(restored: Restored) -> None:
    for text in restored.damaged:
        log.error("retained variables: %s", text)
    if restored.kept:
        log.info("retained variables: %d are as they were stored", len(restored.kept))
    for what, paths in (("new", restored.new), ("gone", restored.dropped)):
        if paths and restored.sequence:
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            log.warning("retained variables: %s: %s%s", what, ", ".join(paths[:_NAMED]), more)
