"""What the API tells of the program that a plant runs, and what it asks of the component that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from runtime.contract import PlcOutline, Value

WATCHED = 4_096  # paths that are read at once
FORCED = 256  # variables that are forced at once


class VariableView(Struct, frozen=True):
    """A variable, or a structure, array or program as a whole.

    Attributes:
        path: in the declared spelling.
        type: as declared.
        value: numbers, booleans and text as such, times and dates as literals, enumerations by name; arrays
            as lists, structures as objects.
        forced: it, or a part of it, is forced.
        tags: paths of the tags bound to it.
    """

    path: str
    type: str
    value: Any
    forced: bool = False
    tags: tuple[str, ...] = ()


class PlcValues(Struct, frozen=True):
    """Variables as one scan left them.

    Attributes:
        scans: how many scans of the core there had been.
        at_ns: start of the newest of them.
    """

    scans: int
    at_ns: int
    variables: tuple[VariableView, ...]


class ForceView(Struct, frozen=True):
    """A forced variable; `until_ns` is 0 where no time was given. `tags` are bound to the variable."""

    path: str
    type: str
    value: Value
    since_ns: int
    until_ns: int
    actor: str
    reason: str
    tags: tuple[str, ...] = ()


class ForceList(Struct, frozen=True):
    forces: tuple[ForceView, ...]


class SpreadView(Struct, frozen=True):
    """A duration in µs; percentiles are rounded up to whole µs."""

    last_us: float
    min_us: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


class ProgramView(Struct, frozen=True):
    """A program instance of a task, or a block with a task of its own, since this program version runs.

    Attributes:
        execution: duration of a scan; percentiles to 6 %.
        share: part of the time of a processor that it took since, 0 to 1, of its task's interval.
        worst_scan: number of the longest scan.
    """

    name: str
    scans: int
    execution: SpreadView
    share: float
    worst_scan: int


class TaskView(Struct, frozen=True):
    """A task since the core started.

    Attributes:
        watchdog_ns: a scan that takes longer is aborted.
        overruns, skipped: scans not done when the next was due; activations dropped because of that.
        execution: duration of a scan; `latency`: time from when it was due to its start.
        worst_scan, worst_at_ns: number and start of the longest scan.
        fault: why it stands still, with file, line, unit and operands; empty while it runs.
        fault_scan, fault_at_ns: the scan that this fault ended, and when that began.
    """

    name: str
    interval_ns: int
    priority: int
    watchdog_ns: int
    scans: int
    overruns: int
    skipped: int
    execution: SpreadView
    latency: SpreadView
    worst_scan: int
    worst_at_ns: int
    fault: str = ""
    fault_scan: int = 0
    fault_at_ns: int = 0
    programs: tuple[ProgramView, ...] = ()


class InputView(Struct, frozen=True):
    """An input that a scan had: its tag, the variable that is bound to it, its value."""

    tag: str
    variable: str
    value: Value


class WorstScan(Struct, frozen=True):
    """The longest scan of a task since the core started.

    Attributes:
        scan, at_ns, took_us: its number, start and duration; all 0 where there was none yet.
        inputs: what it had; None where the program was changed online since.
    """

    task: str
    scan: int
    at_ns: int
    took_us: float
    inputs: tuple[InputView, ...] | None


class PlcFigures(Struct, frozen=True):
    """The core since it started; `aborts` are scans that the watchdog ended."""

    scheduling: str
    scans: int
    aborts: int
    held_inputs: int
    forces: int
    tasks: tuple[TaskView, ...]


class ForceOrder(NamedTuple):
    """What is to be forced; `for_ns` 0 means until it is released."""

    path: str
    value: Value
    for_ns: int
    actor: str
    reason: str


class EndedForce(NamedTuple):
    """A force that ended by itself, and why."""

    number: int
    path: str
    type: str
    value: Value
    actor: str
    why: str


class RecordView(Struct, frozen=True):
    """The record of scans since the kernel has started.

    Attributes:
        disk_limit: bytes that it may take; 0 where nothing is recorded.
        scans, bytes: written.
        lost: scans that found no room, or no disk.
        error: why nothing can be written; empty while it can.
    """

    disk_limit: int
    scans: int = 0
    bytes: int = 0
    lost: int = 0
    error: str = ""


class ReadView(Struct, frozen=True):
    """What a line of the program names, its value after that scan, and the input tag that it has it from."""

    path: str
    value: Any
    tag: str = ""
    source: str = ""


class WhyView(Struct, frozen=True):
    """Why a variable has its value.

    Attributes:
        path, value, before: the variable, what it is, and what it was before that.
        cause: program, force, write (by a person or an app), input, start, change (online), gap (not in the
            record), unchanged (for as long as the record reaches) or unknown.
        run, scan, at_ns: where it came to be what it is: life of the core (from 1), scan, the program's time;
            of `unchanged` where the record begins.
        task, pou, file, line, source: which statement of the program wrote it.
        reads: what that statement names.
        tag, origin: the input tag, and the component that it comes from.
        actor, text: who did it, and what is known besides.
        problem: why the statement is not known.
    """

    path: str
    value: Any
    cause: str
    run: int
    scan: int
    at_ns: int
    before: Any = None
    task: str = ""
    pou: str = ""
    file: str = ""
    line: int = 0
    source: str = ""
    reads: tuple[ReadView, ...] = ()
    tag: str = ""
    origin: str = ""
    actor: str = ""
    text: str = ""
    problem: str = ""


class Target(NamedTuple):
    """A variable that may be forced: its path as declared, IEC type, and the ids of the tags bound to it."""

    path: str
    type: str
    tags: tuple[int, ...]


class Controller(Protocol):
    """What a component that runs a program lets people see and do; the gate judges and audits before."""

    def figures(self) -> PlcFigures:
        """Return durations and counters.

        Raises:
            PlantError: no program runs.
        """
        ...

    def outline(self) -> PlcOutline | None:
        """Return what runs, the same object until that changes; None while nothing does."""
        ...

    def worst(self, task: str) -> WorstScan:
        """Return the longest scan of a task.

        Raises:
            UnknownVariableError: there is no such task.
            PlantError: no program runs.
        """
        ...

    async def read(self, paths: Sequence[str]) -> PlcValues:
        """Return variables as one scan left them.

        Raises:
            UnknownVariableError: there is no such variable.
            PlantError: no program runs, or it does not answer.
        """
        ...

    def target(self, path: str) -> Target:
        """Return a variable that could be forced.

        Raises:
            UnknownVariableError: there is no such variable.
            WriteRejectedError: it cannot be forced, or no program runs.
        """
        ...

    def forces(self) -> tuple[ForceView, ...]:
        """Return what is forced."""
        ...

    async def force(self, order: ForceOrder) -> ForceView:
        """Force a variable from the next scan on.

        Raises:
            PlantError: the value does not fit, or it cannot be done now.
        """
        ...

    async def release(self, paths: Sequence[str], *, actor: str = "", reason: str = "") -> None:
        """End forces from the next scan on; who wants it, and why, goes to the record.

        Raises:
            PlantError: it cannot be done now.
        """
        ...

    def ended(self) -> tuple[EndedForce, ...]:
        """Return the forces that have ended by themselves and are not forgotten yet."""
        ...

    async def forget(self, numbers: Sequence[int]) -> None:
        """Take it that the ends of these forces are recorded."""
        ...

    def record(self) -> RecordView:
        """Return how the record of scans does."""
        ...

    async def why(self, path: str, at: str = "", run: int | None = None) -> WhyView:
        """Return why a variable has its value, now or behind a scan (of a life of the core) or at a time.

        Raises:
            UnknownVariableError: there is no such variable.
            PlantError: the record does not reach there.
        """
        ...

    async def restart(self, *, cold: bool, task: str = "", actor: str = "", reason: str = "") -> None:
        """Begin the program anew; `cold` gives retained variables their initial values too.

        With `task` only the programs of one task, between two scans; tasks that stood still scan again.

        Raises:
            UnknownVariableError: there is no such task.
            PlantError: no program runs, or it does not come up again.
        """
        ...


@runtime_checkable
class Controlled(Protocol):
    """A component that runs a program."""

    @property
    def controller(self) -> Controller: ...
