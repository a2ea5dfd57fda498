"""Where tags meet variables: what each tag is bound to, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

import msgspec

from runtime.contract import Access, DataType, Quality, Tag, Value
from softplc.application import Application, Symbol, TaskInfo, UnknownPathError
from softplc.build import Build
from softplc.core.elf import load
from softplc.core.kinds import MAX_TEXT_BYTES, Text, Variable
from softplc.core.native import Native
from softplc.core.scancore import Bound, CoreTask, ScanCore
from softplc.core.stats import TaskFault
from softplc.facts import OWNER
from softplc.faults import Fault, operands_text

_DEFAULT_NS = 10_000_000
_LEAST_WATCHDOG_NS = 100_000_000
_WATCHDOG_INTERVALS = 10
_TYPES = {each.iec: each for each in DataType} | {
    "LTIME": DataType.TIME,
    "LDT": DataType.DT,
    "WSTRING": DataType.STRING,
}
_PLAIN = ("TIME", "DT", "BOOL")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the binding of one tag."""

    tag: Tag
    text: str
    remedy: str
    severity: str = "error"


class OnFault(StrEnum):
    """What becomes of a task that a fault has stopped, and of its outputs.

    SAFE: it stands still, its outputs have their safe values. HOLD: they keep their last ones. RESTART: safe
    values, and its programs begin anew by themselves. STOP: every task stops with it.
    """

    SAFE = "safe"
    HOLD = "hold"
    RESTART = "restart"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class FaultPolicy:
    """What becomes of tasks that a fault has stopped.

    Attributes:
        default: of tasks that are not named.
        safe: safe value by tag path; 0 or FALSE where not given.
        tasks: by name of the task, casefolded.
    """

    default: OnFault = OnFault.SAFE
    safe: Mapping[str, Value] = field(default_factory=dict)
    tasks: Mapping[str, OnFault] = field(default_factory=dict)

    def of(self, task: str) -> OnFault:
        return self.tasks.get(task.casefold(), self.default)

    def raw(self, tag: Tag) -> int:
        """Return the safe value's raw pattern."""
        value = self.safe.get(tag.path, "" if tag.data_type is DataType.STRING else 0)
        return tag.data_type.encode(bool(value) if tag.data_type is DataType.BOOL else value)

    def text(self, tag: Tag) -> str:
        """Return the safe value of a text."""
        return str(self.safe.get(tag.path, "")) if tag.data_type is DataType.STRING else ""

    def quality(self, tag: Tag, tasks: Iterable[str]) -> Quality:
        """Return the quality that the tag of some tasks then has.

        Drivers write good values only: a safe value on its way to a device is an override.
        """
        holds = all(self.of(task) is OnFault.HOLD for task in tasks)
        reaches_device = bool(tag.device) and not holds
        return Quality.GOOD_LOCAL_OVERRIDE if reaches_device else Quality.BAD_DEVICE_FAILURE


@dataclass(slots=True)
class Wiring:
    """Every tag that the program reads or produces, and the problems with the rest.

    Attributes:
        limited: by tag id, the enumerations and subranges among the outputs.
    """

    policy: FaultPolicy
    inputs: list[Bound] = field(default_factory=list)
    outputs: list[Bound] = field(default_factory=list)
    limited: dict[int, Symbol] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def wire(tags: Iterable[Tag], application: Application, policy: FaultPolicy | None = None) -> Wiring:
    """Bind every tag that names a variable.

    A tag that the PLC is not the source of is an input; one that it is the source of, an output.
    """
    policy = policy or FaultPolicy()
    wiring = Wiring(policy)
    writers: dict[tuple[int, int], Tag] = {}
    for tag in tags:
        if not tag.variable:
            if tag.source == OWNER and not tag.path.startswith("sys/"):
                text = "the PLC is its source, but it names no variable"
                wiring.problems.append(Problem(tag, text, "fill in its variable"))
            continue
        try:
            symbol = _find(application, tag)
        except UnknownPathError as exc:
            wiring.problems.append(Problem(tag, exc.text, exc.remedy))
            continue
        produced = tag.source == OWNER
        problems = list(_mismatch(tag, symbol, produced=produced))
        if application.is_constant(symbol.path) and (not produced or tag.access is Access.READ_WRITE):
            text = f"{symbol.path} is a constant, but {'people' if produced else tag.source} would write it"
            problems.append(Problem(tag, text, "declare it without CONSTANT, or make the tag's access read"))
        place = symbol.offset, symbol.bit
        if not produced and place in writers:
            text = f"{symbol.path} already takes its value from {writers[place].path}"
            problems.append(Problem(tag, text, "bind one tag to an input, or combine them in the program"))
        wiring.problems += problems
        if any(problem.severity == "error" for problem in problems):
            continue
        variable = _place(symbol, application)
        if produced:
            owners = _owners(symbol, application)
            quality, text = policy.quality(tag, owners), policy.text(tag)
            wiring.outputs.append(Bound(tag.id, variable, owners, policy.raw(tag), quality, text))
            if symbol.values or symbol.limits is not None:
                wiring.limited[tag.id] = symbol
        else:
            writers[place] = tag
            wiring.inputs.append(Bound(tag.id, variable))
    return wiring


def _place(symbol: Symbol, application: Application) -> Variable | Text:
    """Return how a variable is exchanged."""
    if symbol.type not in ("STRING", "WSTRING"):
        return Variable.of(symbol.offset, _TYPES[symbol.type], symbol.bit)
    capacity = int.from_bytes(application.initial_image[symbol.offset + 2 : symbol.offset + 4], "little")
    return Text(symbol.offset, capacity, symbol.type == "WSTRING")


def _find(application: Application, tag: Tag) -> Symbol:
    """Return the variable of a tag.

    A direct address means the variable declared there; where none is, it is read as the tag's type.
    """
    symbol = application.symbol(tag.variable)
    if symbol.section != "DIRECT":
        return symbol
    for root in application.roots:
        if root.address is None or (root.offset, root.bit) != (symbol.offset, symbol.bit):
            continue
        declared = application.symbols.get(root.path)
        if declared is not None and declared.size == symbol.size:
            return declared
    plain = symbol.type != "BOOL" and tag.data_type.kind != "s"
    if plain and tag.data_type.bits == 8 * symbol.size:
        return msgspec.structs.replace(symbol, type=tag.data_type.iec)
    return symbol


def _mismatch(tag: Tag, symbol: Symbol, *, produced: bool) -> Iterator[Problem]:
    of = _TYPES.get(symbol.type)
    what = f"{symbol.path} is {symbol.type}, the tag is {tag.data_type.iec}"
    if of is None:
        remedy = "bind a number, BOOL, STRING or WSTRING"
        yield Problem(tag, f"{symbol.path} is {symbol.type}, which no tag can carry yet", remedy)
        return
    if of is DataType.STRING and symbol.size > MAX_TEXT_BYTES:
        text = f"{symbol.path} is {symbol.declared}, longer than a tag can carry ({MAX_TEXT_BYTES} bytes)"
        yield Problem(tag, text, "bind a shorter one, such as STRING[254]")
        return
    source, target = (of, tag.data_type) if produced else (tag.data_type, of)
    if not _fits(source, target):
        yield Problem(tag, what, f"make the tag {of.iec}, or declare the variable as {tag.data_type.iec}")
    if symbol.read_only and (not produced or tag.access is Access.READ_WRITE):
        text = f"{symbol.path} is READ_ONLY, but {'people' if produced else tag.source} would write it"
        yield Problem(tag, text, "make the access path READ_WRITE, or the tag's access read")
    located = (symbol.address or "").upper()
    if not produced and located.startswith("%Q"):
        text = f"{symbol.path} is an output ({located}), but {tag.source} is the tag's source"
        yield Problem(tag, text, f"let the source be {OWNER}, or bind an input", "warning")
    if produced and located.startswith("%I"):
        text = f"{symbol.path} is an input ({located}), but the PLC is the tag's source"
        yield Problem(tag, text, "bind an output or a variable of the program", "warning")


def _fits(source: DataType, target: DataType) -> bool:
    """Tell whether every value of one type is a value of the other."""
    if source is target:
        return True
    if source.iec in _PLAIN or target.iec in _PLAIN or source.kind == "s" or target.kind == "s":
        return False
    if source.kind == "f" or target.kind == "f":
        return source.kind == target.kind and source.bits <= target.bits
    (low, high), (least, greatest) = source.limits or (0, 0), target.limits or (0, 0)
    return least <= low and high <= greatest


def _owners(symbol: Symbol, application: Application) -> frozenset[str]:
    """Return the tasks that an output hangs on: its program's or block's, every one for a global variable."""
    everyone = frozenset(task.name for task in application.tasks)
    runs = [(run, task.name) for task in application.tasks for run in task.programs]
    mine = [(len(run), name) for run, name in runs if symbol.path.startswith((f"{run}.", f"{run}["))]
    nearest = max((length for length, _ in mine), default=0)
    return frozenset(name for length, name in mine if length == nearest) or everyone


def interval_ns(task: TaskInfo, application: Application) -> int:
    """Return how often a task runs; one without an interval goes with the fastest, else every 10 ms."""
    fastest = min((each.interval_ns for each in application.tasks if each.interval_ns), default=_DEFAULT_NS)
    return task.interval_ns or fastest


def make_core(build: Build, wiring: Wiring, watchdog_limit_ns: int = 0, *, record_words: int = 0) -> ScanCore:
    """Load a build into this process; limit 0 means ten intervals, at least 100 ms."""
    core = lay_core(build, wiring, watchdog_limit_ns, record_words=record_words)
    core.enter(load(build.application.object_code))
    return core


def lay_core(
    build: Build,
    wiring: Wiring,
    watchdog_limit_ns: int = 0,
    *,
    image: bytes | None = None,
    fd: int | None = None,
    attach: bool = False,
    record_words: int = 0,
) -> ScanCore:
    """Lay the block of a build out, for a process that will scan, or attach to it; see `ScanCore`."""
    application = build.application
    firsts = [0, *accumulate(len(task.programs) for task in application.tasks)][:-1]
    tasks = [
        CoreTask(
            task.name,
            task.symbol,
            (interval := interval_ns(task, application)),
            task.priority,
            watchdog_limit_ns or max(_WATCHDOG_INTERVALS * interval, _LEAST_WATCHDOG_NS),
            hold=wiring.policy.of(task.name) is OnFault.HOLD,
            stops_all=wiring.policy.of(task.name) is OnFault.STOP,
            programs=task.programs,
            first=first,
        )
        for task, first in zip(application.tasks, firsts, strict=True)
    ]
    return ScanCore(
        Native(build.core_object),
        image or application.initial_image,
        tasks,
        wiring.inputs,
        wiring.outputs,
        fd=fd,
        attach=attach,
        record_words=record_words,
    )


def writable(tags: Iterable[Tag]) -> Iterator[Tag]:
    """Yield the tags that people may write and the PLC owns."""
    return (tag for tag in tags if tag.source == OWNER and tag.access is Access.READ_WRITE and tag.variable)


def fault_text(fault: TaskFault, application: Application) -> str:
    """Say in words which task stands still, why, and where."""
    if not fault.code:
        return f"task {fault.task} stopped with another one"
    place = f"{application.files[fault.file]}:{fault.line}"
    operands = operands_text(fault.code, fault.operands, unsigned=fault.unsigned)
    unit = application.units[fault.unit]
    where = f"{place} in {unit}" if unit else place
    return (
        f"task {fault.task} stopped: {Fault(fault.code).text} at {where}{f' ({operands})' * bool(operands)}"
    )
