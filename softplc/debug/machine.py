"""Machine: a program that runs in a thread of its own, and stops where it is asked to.

The thread owns the image. Others hand it work, which it does between two scans or while it stands still.
"""

from __future__ import annotations

import ctypes
import logging
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from runtime.errors import PlantError
from softplc.debug.breakpoints import Breakpoint, armed, pieces
from softplc.debug.evaluate import Evaluator, Where
from softplc.debug.frames import Stack
from softplc.debug.program import Program
from softplc.debug.simulated import Scans
from softplc.debug.values import Value, Values
from softplc.faults import Fault
from softplc.layout import FAULT_CODE
from softplc.lower.sites import CALLBACK, TABLE

log = logging.getLogger(__name__)
ENDED = 1_000  # the answer that ends a scan
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
_STACK_BYTES = 64 << 20
_NS = 1_000_000_000
T = TypeVar("T")


class Plan(Enum):
    """What a program that goes on does before it stops again without a breakpoint."""

    GO = auto()
    PAUSE = auto()
    INTO = auto()
    OVER = auto()
    OUT = auto()
    SCAN = auto()


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a program stands still: the reason as the protocol names it, and what there is to say."""

    reason: str
    text: str = ""
    hits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultAt:
    """A fault: its cause, and the place as the program itself reports it."""

    fault: int
    cause: str
    file: str
    line: int
    task: str


class Listener(Protocol):
    """Who is told what happens; called in the machine's thread."""

    def stopped(self, stop: Stop) -> None: ...

    def said(self, text: str, category: str) -> None: ...

    def ended(self) -> None: ...


class Machine:
    """One run of a program, from its first scan to its end."""

    def __init__(self, program: Program, scans: Scans, listener: Listener, speed: float) -> None:
        stoppable = program.stoppable
        self.program = program
        self.scans = scans
        self.stack = Stack(stoppable, scans.start)
        classes = {pou.number: pou for pou in program.units().values() if pou.number}
        self.values = Values(scans.start, len(scans.image), classes)
        self.evaluator = Evaluator(stoppable, scans.image, scans.start, scans.watched)
        self.stops_at_faults = True
        self.fault: FaultAt | None = None
        self._listener = listener
        self._speed = speed
        self._base = stoppable.sites.base
        self._breakpoints: list[Breakpoint] = []
        self._by_site: dict[int, list[Breakpoint]] = {}
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._plan, self._reason = Plan.GO, "step"
        self._from: tuple[int, int, tuple[str, int] | None] = (0, 0, None)  # run, depth, line
        self._left = 0
        self._standing = self._going = self._ending = self._is_told_to_end = False
        self._is_to_pause = self._aborts = False  # a scan is aborted to be done again
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._pace = (0, 0)
        self._callback = _CALLBACK(self._asked)
        self._place = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        struct.pack_into("<Q", scans.image, self._base + CALLBACK, self._place)
        self._thread: threading.Thread | None = None

    # From other threads --------------------------------------------------------------------------

    @property
    def is_standing(self) -> bool:
        return self._standing

    def begin(self, *, stops_first: bool) -> None:
        """Start scanning, and stop at the first statement if asked to."""
        if stops_first:
            self._plan, self._reason = Plan.INTO, "entry"
        self._arm()
        before = threading.stack_size(_STACK_BYTES)
        self._thread = threading.Thread(target=self._work, name="softplc-debug", daemon=True)
        self._thread.start()
        threading.stack_size(before)

    def do(self, job: Callable[[], T]) -> T:
        """Let the machine do something with its image, and wait for the result.

        Raises:
            PlantError: the program has ended.
        """
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return job()
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(job())
            except Exception as exc:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(exc)

        self._jobs.put(work)
        while thread.is_alive():
            try:
                return future.result(0.5)
            except TimeoutError:
                if future.done():
                    raise
        if future.done():
            return future.result()
        raise PlantError("the program has ended", "start it again")

    def change(self, value: Value, text: str) -> None:
        """Set a variable; in the machine's thread.

        Raises:
            PlantError: it cannot be set, or not to that.
        """
        self.values.set(value, text)

    def done(self, text: str, where: Where) -> Value | None:
        """Evaluate an expression, or do an assignment or a call; in the machine's thread.

        Raises:
            PlantError: it is wrong, a fault ended it, or nothing may be changed.
        """
        return self.evaluator.done(text, where)

    def go(self, plan: Plan, *, scans: int = 0, by_line: bool = True) -> None:
        """Go on from where the program stands."""

        def resume() -> None:
            self._plan, self._reason, self._left = plan, "step", scans
            frames = self.stack.frames()
            site = frames[0].site if frames else None
            line = (site.file, site.line) if site is not None and by_line else None
            self._from = self.scans.runs, len(frames), line
            self._going = True

        self._standing = False
        self._jobs.put(resume)

    def pause(self) -> None:
        """Stop at the next statement that runs."""
        with self._lock:
            if self._standing:
                return
            self._is_to_pause = True
            self._plan, self._reason = Plan.PAUSE, "pause"
        self._fill(1)
        self._jobs.put(_nothing)

    def end(self) -> None:
        """End the program wherever it is, and wait for its thread."""
        self._ending = self._is_told_to_end = True
        self.scans.watched.stop()
        self._fill(1)
        self._jobs.put(_nothing)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def set_breakpoints(self, breakpoints: list[Breakpoint]) -> None:
        """Take in all breakpoints; in the machine's thread."""
        self._breakpoints = breakpoints
        self._by_site = armed(breakpoints)
        self._arm()

    # The machine's thread ------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._rebase()
            why = ""
            try:
                while not why and self._goes_on():
                    why = self._scan()
            except PlantError as exc:  # of a record that is damaged
                why = f"{exc.text}: {exc.remedy}"
            if isinstance(self._failure, PlantError):
                why = self._failure.text
            elif self._failure is not None:
                log.error("the debugger failed", exc_info=self._failure)
                why = f"the debugger failed, please report this: {self._failure!r}"
            if why and not self._is_told_to_end:
                self._listener.said(f"{why}\n", "console")
        finally:
            self._ending = True
            self._listener.ended()

    def _scan(self) -> str:
        """Do the next scan; return why there is none any more."""
        return self.scans.step()

    def _goes_on(self) -> bool:
        """Do what others want between two scans, in time with the clock; tell whether there is a next one."""
        if self._plan is Plan.SCAN:
            self._left -= 1
            if self._left <= 0:
                self._plan = Plan.INTO
                self._arm()
        while not self._ending:
            try:
                wait = self._wait_s()
                job = self._jobs.get(timeout=wait) if wait > 0 else self._jobs.get_nowait()
            except Empty:
                return True
            job()
        return False

    def _wait_s(self) -> float:
        """Return how long it is to the next scan, for a person who watches; steps do not wait."""
        if self._speed <= 0 or self._plan is not Plan.GO:
            return 0.0
        real, virtual = self._pace
        left_ns = (self.scans.now_ns - virtual) / self._speed - (time.monotonic_ns() - real)
        if left_ns < -_NS:
            self._rebase()
        return left_ns / _NS

    def _rebase(self) -> None:
        self._pace = (time.monotonic_ns(), self.scans.now_ns)

    def _asked(self, _: int, number: int) -> int:
        """Answer a program that asks at a site, or, below 0, tells of a fault."""
        self.scans.watched.serial += 2  # the guard counts from here
        try:
            if not self._ending:
                self._look(number)
        except Exception as exc:  # noqa: BLE001 - nothing may go up through native code
            self._failure, self._ending = exc, True
        return ENDED if self._ending or self._aborts else 0

    def _look(self, number: int) -> None:
        """Stand still at a site, or at a fault, if there is a reason to."""
        stop = self._reason_at(number) if number >= 0 else self._faulted()
        if stop is not None:
            self._stand(stop)

    def _reason_at(self, number: int) -> Stop | None:
        """Return why to stop at a site."""
        met = self._met(number)
        if met is not None:
            return met
        plan = self._plan
        if plan in (Plan.GO, Plan.SCAN):
            return None
        run, depth, line = self._from
        if plan is not Plan.PAUSE and run == self.scans.runs and self._reason != "entry":
            now = self.stack.depth()
            site = self.program.sites[number]
            if now == depth and line == (site.file, site.line) and plan is not Plan.OUT:
                return None
            if (plan is Plan.OVER and now > depth) or (plan is Plan.OUT and now >= depth):
                return None
        return Stop(self._reason)

    def _met(self, number: int) -> Stop | None:
        """Look at the breakpoints of a site: count, say, or stop."""
        hits: list[Breakpoint] = []
        for each in self._by_site.get(number, ()):
            try:
                if each.condition and not self._holds(each.condition):
                    continue
                each.hits += 1
                if not each.counts(each.hits):
                    continue
                if each.message:
                    self._say(each)
                    continue
            except PlantError as exc:
                return Stop("breakpoint", f"its condition has no value: {exc.text}", (each.number,))
            hits.append(each)
        if not hits:
            return None
        reason = "function breakpoint" if all(each.function for each in hits) else "breakpoint"
        return Stop(reason, "", tuple(each.number for each in hits))

    def _holds(self, condition: str) -> bool:
        where = self.stack.where()
        return self.evaluator.holds(self.evaluator.condition(condition, where), where)

    def _say(self, breakpoint_: Breakpoint) -> None:
        where = self.stack.where()
        parts = []
        for is_expression, text in pieces(breakpoint_.message):
            if not is_expression:
                parts.append(text)
                continue
            try:
                parts.append(self.values.text(self.evaluator.value(text, where)))
            except PlantError as exc:
                parts.append(f"<{exc.text}>")
        self._listener.said("".join(parts) + "\n", "stdout")

    def _faulted(self) -> Stop | None:
        code, line, file = struct.unpack_from("<iii", self.scans.image, FAULT_CODE)
        cause = Fault(code).text if code in Fault.__members__.values() else f"fault {code}"
        name = self.program.stoppable.application.files[file]
        self.fault = FaultAt(code, cause, name, line, self.scans.task)
        return Stop("exception", cause) if self.stops_at_faults else None

    def _stand(self, stop: Stop) -> None:
        """Stand still, and do what others want, until one of them says to go on."""
        watched = self.scans.watched
        inside = watched.serial & 1
        watched.serial += inside  # the guard sees no scan
        with self._lock:
            self._plan = Plan.GO
            self._standing, self._going, self._is_to_pause = True, False, False
        self._listener.stopped(stop)
        while not (self._going or self._ending):
            self._jobs.get()()
        with self._lock:
            self._standing = False
            if self._is_to_pause:  # asked for since it was told to go on
                self._plan, self._reason = Plan.PAUSE, "pause"
        self.fault = None
        self._rebase()
        self._arm()
        watched.serial += inside

    # The table -----------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Write into the image where the program asks."""
        plan = self._plan
        if plan in (Plan.PAUSE, Plan.INTO):
            self._fill(1)
            return
        table = bytearray(len(self.program.sites))
        for number in self._by_site:
            table[number] = 1
        if plan in (Plan.OVER, Plan.OUT):
            units = self.stack.units()
            wanted = {*(units if plan is Plan.OVER else units[1:]), *self._roots()}
            for number, site in enumerate(self.program.sites):
                if site.pou in wanted:
                    table[number] = 1
        self._write(bytes(table))

    def _roots(self) -> set[Any]:
        """Return the units that tasks run by themselves."""
        found: set[Any] = set()
        for instance in self.program.stoppable.sites.layout.programs:
            found.add(instance.pou)
            found |= {getattr(each.type, "pou", None) for each in instance.blocks}
        return found

    def _fill(self, value: int) -> None:
        self._write(bytes([value]) * len(self.program.sites))

    def _write(self, table: bytes) -> None:
        begin = self._base + TABLE
        self.scans.image[begin : begin + len(table)] = table


def _nothing() -> None:
    """Wake the machine."""
