"""The vocabulary of the house: what a tag, a value, a component and its port are.

Standard library and numpy only. Every package speaks in these terms, and a fake of the
port stands in `runtime.testing`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Value = bool | int | float | str
NO_TEXT: Mapping[int, str] = {}
LONGEST_SHELF_NS = 24 * 3_600_000_000_000  # of an alarm
LONGEST_TEXT = 32_767  # characters of a value that is written: a program's longest STRING


class Quality(IntEnum):
    """Trust in a value: an OPC UA StatusCode, so that the server needs no table.

    Source: OPC 10000-4, 7.39 StatusCode; OPC 10000-6, annex A.2.
    """

    GOOD = 0x0000_0000
    GOOD_LOCAL_OVERRIDE = 0x0096_0000
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000
    BAD = 0x8000_0000
    BAD_NO_COMMUNICATION = 0x8031_0000
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
    BAD_CONFIGURATION_ERROR = 0x8089_0000
    BAD_NOT_CONNECTED = 0x808A_0000
    BAD_DEVICE_FAILURE = 0x808B_0000
    BAD_SENSOR_FAILURE = 0x808C_0000
    BAD_OUT_OF_SERVICE = 0x808D_0000

    @staticmethod
    def is_good(code: int) -> bool:
        """Tell whether the severity bits (31, 30) say Good."""
        return code >> 30 == 0

    @staticmethod
    def is_bad(code: int) -> bool:
        return code >> 31 == 1


class DataType(Enum):
    """An elementary IEC 61131-3 type that a tag can have: name, bits, kind of raw pattern.

    The raw pattern is 64 bits: signed types sign-extended, unsigned and bit strings
    zero-extended, REAL and LREAL as an IEEE 754 double, TIME and DT in ns (DT since 1970-01-01 UTC),
    STRING zero with the text beside it.
    """

    BOOL = ("BOOL", 1, "u")
    SINT = ("SINT", 8, "i")
    INT = ("INT", 16, "i")
    DINT = ("DINT", 32, "i")
    LINT = ("LINT", 64, "i")
    USINT = ("USINT", 8, "u")
    UINT = ("UINT", 16, "u")
    UDINT = ("UDINT", 32, "u")
    ULINT = ("ULINT", 64, "u")
    BYTE = ("BYTE", 8, "u")
    WORD = ("WORD", 16, "u")
    DWORD = ("DWORD", 32, "u")
    LWORD = ("LWORD", 64, "u")
    REAL = ("REAL", 32, "f")
    LREAL = ("LREAL", 64, "f")
    TIME = ("TIME", 64, "i")
    DT = ("DT", 64, "i")
    STRING = ("STRING", 0, "s")

    def __init__(self, iec: str, bits: int, kind: str) -> None:
        self.iec = iec
        self.bits = bits
        self.kind = kind

    @property
    def limits(self) -> tuple[float, float] | None:
        """Return the least and greatest integer of the type; None for floats and text."""
        if self.kind == "i":
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return (0, (1 << self.bits) - 1) if self.kind == "u" else None

    def encode(self, value: Value) -> int:
        """Pack a Python value into the raw pattern.

        Raises:
            TypeError: the value is not of the type's kind.
            ValueError: the value does not fit the type.
        """
        if self.kind == "s":
            if not isinstance(value, str):
                raise TypeError(f"{self.iec} takes text, not {value!r}")
            return 0
        if isinstance(value, str) or (self is DataType.BOOL and value not in (0, 1)):
            raise TypeError(f"{self.iec} cannot be {value!r}")
        if self.kind == "f":
            try:
                number = float(value)
            except OverflowError as exc:
                raise ValueError(f"{self.iec} cannot hold so large a number") from exc
            if self is DataType.REAL and np.isfinite(number):
                with np.errstate(over="ignore"):
                    number = float(np.float32(number))
                if not np.isfinite(number):
                    raise ValueError(f"{value} does not fit REAL")
            return int(struct.unpack("<Q", struct.pack("<d", number))[0])
        try:
            whole = int(value) == value
        except (OverflowError, ValueError):  # infinite, or not a number
            whole = False
        if not whole:
            raise TypeError(f"{self.iec} takes whole numbers, not {value!r}")
        low, high = self.limits or (0, 0)
        if not low <= value <= high:
            raise ValueError(f"{value} is outside {self.iec} ({low:.0f} to {high:.0f})")
        return int(value) & 0xFFFF_FFFF_FFFF_FFFF

    def decode(self, raw: int, text: str | None = None) -> Value:
        """Unpack a raw pattern into a Python value."""
        raw = int(raw)
        if self.kind == "f":
            return float(struct.unpack("<d", struct.pack("<Q", raw))[0])
        if self.kind == "s":
            return text or ""
        if self is DataType.BOOL:
            return raw != 0
        return raw - (1 << 64) if self.kind == "i" and raw >> 63 else raw


class Access(Enum):
    """What people, clients and apps may do to a tag through the gate."""

    READ = "r"
    READ_WRITE = "rw"


class Role(IntEnum):
    """Who may do what; a greater role includes the lesser."""

    VIEWER = 0
    OPERATOR = 1
    ENGINEER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Tag:
    """One signal of the plant.

    Attributes:
        id: dense index into the tag table, -1 until the plant is assembled.
        path: ISA-95 path `site/area/line/cell/equipment/signal`.
        unit: UCUM code, such as `Cel` or `L/min`; `unit_text` is what people read.
        low, high: engineering range; the gate refuses values outside.
        source: the component that produces the value; `operator` for values kept by the table
            and set through the gate.
        device, address: place on a driver; polled where `source` is the device, written otherwise.
        variable: PLC variable or direct address bound to the tag; read by the PLC unless it is the source.
        deadband: least change worth a sample in history, in engineering units.
        compression: what history measures it from: `deadband` from the last sample, `swinging_door` from the
            straight line between samples.
        retention: history class (`none`, `short`, `standard`, `long`).
        role: least role that may write it.
        interlock: expression over tags that must hold for a write, else None.
        initial: value at the first start of an operator tag.
    """

    path: str
    data_type: DataType
    unit: str = ""
    unit_text: str = ""
    low: float | None = None
    high: float | None = None
    description: str = ""
    description_zh: str = ""
    access: Access = Access.READ
    source: str = "operator"
    device: str = ""
    address: str = ""
    variable: str = ""
    deadband: float = 0.0
    compression: str = "deadband"
    retention: str = "standard"
    role: Role = Role.OPERATOR
    interlock: str | None = None
    initial: Value | None = None
    id: int = -1


class Sample(NamedTuple):
    """One value of a Batch, for code that is not hot. `value` is decoded where the type is known."""

    id: int
    raw: int
    quality: int
    source_ns: int
    text: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The currency of the bus: n values in columns. The arrays belong to the batch: never change them.

    Attributes:
        ids: tag ids, int32 of shape (n,); in order of time where one id occurs twice.
        raw: 64-bit patterns, uint64 of shape (n,).
        quality: OPC UA status codes, uint32 of shape (n,).
        source_ns: source time, int64 of shape (n,), ns since 1970-01-01 UTC.
        text: row number to text, for STRING rows only.
    """

    ids: NDArray[np.int32]
    raw: NDArray[np.uint64]
    quality: NDArray[np.uint32]
    source_ns: NDArray[np.int64]
    text: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        rows = zip(
            self.ids.tolist(), self.raw.tolist(), self.quality.tolist(), self.source_ns.tolist(), strict=True
        )
        for row, (id_, raw, quality, at) in enumerate(rows):
            yield Sample(id_, raw, quality, at, self.text.get(row))

    @classmethod
    def of(
        cls,
        ids: Sequence[int] | NDArray[np.int32],
        raw: Sequence[int] | NDArray[np.uint64],
        source_ns: int | NDArray[np.int64],
        quality: int | NDArray[np.uint32] = Quality.GOOD,
        text: Mapping[int, str] = NO_TEXT,
    ) -> Batch:
        """Build a batch; one number for quality or time holds for every row."""
        column = np.asarray(ids, np.int32)
        n = len(column)
        return cls(
            column,
            np.asarray(raw, np.uint64),
            np.broadcast_to(np.asarray(quality, np.uint32), n),
            np.broadcast_to(np.asarray(source_ns, np.int64), n),
            text,
        )

    @classmethod
    def joined(cls, batches: Iterable[Batch]) -> Batch:
        """Return the rows of several batches as one."""
        filled = [batch for batch in batches if len(batch)]
        if len(filled) <= 1:
            return filled[0] if filled else cls.of([], [], 0)
        text: dict[int, str] = {}
        begin = 0
        for batch in filled:
            text |= {begin + row: word for row, word in batch.text.items()}
            begin += len(batch)
        return cls(
            np.concatenate([batch.ids for batch in filled]),
            np.concatenate([batch.raw for batch in filled]),
            np.concatenate([batch.quality for batch in filled]),
            np.concatenate([batch.source_ns for batch in filled]),
            text,
        )

    def take(self, rows: NDArray[Any]) -> Batch:
        """Return the rows chosen by an index or mask array, texts included."""
        text: Mapping[int, str] = NO_TEXT
        if self.text:
            index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
            text = {new: self.text[old] for new, old in enumerate(index.tolist()) if old in self.text}
        return Batch(self.ids[rows], self.raw[rows], self.quality[rows], self.source_ns[rows], text)


class Tags(Protocol):
    """The plant's tags, fixed once it is assembled."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tag]: ...
    def __getitem__(self, key: int | str) -> Tag: ...
    def __contains__(self, path: object) -> bool: ...

    def select(self, *patterns: str) -> NDArray[np.int32]:
        """Return the ids of the paths that match any glob (`*` within a level, `**` across levels)."""
        ...

    def snapshot(self, ids: NDArray[np.int32] | None = None) -> Batch:
        """Return the present values of the given tags, or of all."""
        ...

    def value(self, tag: Tag) -> Value | None:
        """Return the present value, or None while its quality is bad."""
        ...


class Changes(Protocol):
    """A subscription to tags. Iterate it, or take what is there; close it when done."""

    def __aiter__(self) -> AsyncIterator[Batch]: ...
    async def __anext__(self) -> Batch: ...

    def take(self) -> Batch | None:
        """Return what changed since the last take without waiting, or None."""
        ...

    def follow(self, ids: NDArray[np.int32], seen_ns: int = 0) -> None:
        """Subscribe to these tags from now on; those that are new come with their present values.

        These are stamped `seen_ns` where they are older.
        """
        ...

    def close(self) -> None: ...


class Clock(Protocol):
    """The only source of time: `now_ns` for stamps, `steady_ns` for delays and for what is due next."""

    def now_ns(self) -> int:
        """Return ns since 1970-01-01 UTC; it jumps when the machine's clock is set."""
        ...

    def steady_ns(self) -> int:
        """Return ns since some time in the past; it never jumps."""
        ...

    async def sleep_until(self, steady_ns: int) -> None: ...
    async def sleep(self, seconds: float) -> None: ...


_WILD = re.compile(r"(\*\*/|\*\*|\*)")
_MEANS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}


@lru_cache(maxsize=1024)
def glob(pattern: str) -> re.Pattern[str]:
    """Return what matches whole paths: `*` and `?` within a level, `**` across levels.

    Where the second of two wildcards takes what the first does, only the first place of the text between
    them is tried, which is as good as any: a hostile pattern costs no more than another.
    """
    start, *rest = _WILD.split(pattern)
    wilds, texts = rest[::2], [re.escape(each).replace(r"\?", "[^/]") for each in (start, *rest[1::2])]
    out = texts[0]
    for wild, text, following in zip(wilds, texts[1:], [*wilds, ""][1:], strict=True):
        first = wild != "**/" and following in (wild, "**")
        out += f"(?>{_MEANS[wild]}?{text})" if first else _MEANS[wild] + text
    return re.compile(out)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a person, a client or an app, with a role and the way it came (`console`, `opcua`, `app`).

    Attributes:
        areas: globs of whole paths and of alarm areas with the role there; the last that matches holds.
    """

    name: str
    role: Role
    via: str
    areas: tuple[tuple[str, Role], ...] = field(default=(), kw_only=True)

    def at(self, *places: str) -> Self:
        """Return the actor with the role that it has in a place: a tag's whole path, an alarm's area."""
        for pattern, role in reversed(self.areas):
            if any(glob(pattern).fullmatch(place) for place in places):
                return replace(self, role=role)
        return self


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `kind` is dotted (`alarm.raised`, `component.faulted`, `plc.fault`)."""

    kind: str
    source: str
    at_ns: int
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Events(Protocol):
    """A subscription to events, in order and bounded; `overflow` counts those that were lost."""

    overflow: int

    def __aiter__(self) -> AsyncIterator[Event]: ...
    async def __anext__(self) -> Event: ...

    def drain(self) -> Iterator[Event]:
        """Yield what is there without waiting."""
        ...


class Command(Protocol):
    """A write that passed the gate and waits for the component that owns the tag; `by` is who wrote."""

    tag: Tag
    raw: int
    text: str | None
    by: str

    def done(self) -> None: ...
    def failed(self, reason: str) -> None: ...


class HistoryPoints(Protocol):
    """Values of one tag at times (ns), as numbers; where the quality is bad there is none."""

    @property
    def t(self) -> NDArray[np.int64]: ...
    @property
    def value(self) -> NDArray[np.float64]: ...
    @property
    def quality(self) -> NDArray[np.uint32]: ...


@dataclass(frozen=True, slots=True)
class PlcTask:
    """A task of the PLC.

    Attributes:
        resource: the resource that it is of; empty where the program declares none.
        interval_ns: 0 where it runs in every scan, or by an event.
        programs: program instances that it runs, and the type of each.
    """

    name: str
    resource: str
    interval_ns: int
    priority: int
    programs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlcOutline:
    """What the PLC runs; see IEC 61131-3:2013, 6.8.

    Attributes:
        tasks: in order of priority.
        variables: globals and variables of program instances by casefolded path, with the instance (empty for
            a global) and the section, such as VAR_INPUT.
    """

    tasks: tuple[PlcTask, ...]
    variables: Mapping[str, tuple[str, str]]


class Port(Protocol):
    """All that a component may do."""

    @property
    def name(self) -> str: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def clock(self) -> Clock: ...

    def submit(self, batch: Batch) -> None:
        """Hand in values of tags that this component is the source of; never waits."""
        ...

    def changes(self, ids: NDArray[np.int32], *, every: bool = False) -> Changes:
        """Yield batches of changes: the newest per tag, or with `every` each value in order.

        The first batch holds the present values. The subscription starts with the call.
        """
        ...

    async def write(self, tag: Tag, value: Value, actor: Actor, reason: str = "") -> None:
        """Write through the gate; returns when the owner has taken the value.

        Raises:
            WriteRejectedError: the gate, the interlock or the owner refused; says why.
        """
        ...

    async def judge(self, writes: Sequence[tuple[Tag, Value]], actor: Actor, reason: str = "") -> None:
        """Ask the gate about writes that are to be made one after the other, before the first: none is made.

        Only a refusal is in the audit. Owners are not asked, so a write may be refused all the same.

        Raises:
            WriteRejectedError: one of them would be refused; says which, and why.
        """
        ...

    async def audit_refusal(self, tag: Tag, value: Value, actor: Actor, why: str, reason: str = "") -> None:
        """Have a write audited that the component refused by itself, before the gate was asked.

        Raises:
            WriteRejectedError: it cannot be audited.
        """
        ...

    def commands(self) -> AsyncIterator[Command]:
        """Yield writes for tags that this component is the source of."""
        ...

    def authenticate(self, name: str, secret: str, via: str, address: str = "") -> Actor | None:
        """Return who that is, or None. Slow on purpose: call it in a thread.

        `address` is whence it comes: wrong secrets lock a name there, long before they do elsewhere.
        """
        ...

    def authenticate_certificate(self, fingerprint: str, via: str) -> Actor | None:
        """Return whose certificate that is, None where it is nobody's or has expired.

        `fingerprint` is the SHA-256 in hex; that the client has the key is for the caller to prove.
        """
        ...

    async def may_listen(self, host: str) -> None:
        """Return when it is safe to listen on an address: at once on loopback, else when an admin can log in.

        Until then the component is degraded, and says why.
        """
        ...

    def emit(self, event: Event) -> None: ...

    def events(self, *kinds: str) -> Events:
        """Yield events whose kind begins with one of the given; all without any."""
        ...

    async def history(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None
    ) -> Batch:
        """Return stored samples in order of tag and time, start included; the newest `limit` of each tag."""
        ...

    async def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> Mapping[int, HistoryPoints]:
        """Return a value for each interval of each tag.

        `mode`: `at`, `interpolated` (at its start), `first`, `last`, `min`, `max`, `mean`, `time_weighted`,
        `span` (`max` less `min`), `total` (over seconds). Those of OPC UA have its bits in their quality:
        `held`, `between` (`at`, `interpolated`); `delta_bounds`; of the samples alone `count`, `transitions`,
        `delta`, `range`, `deviation_sample`, `deviation_population`, `worst_quality` (a status code),
        `min_at`, `max_at` (with their own times), `duration_good`, `duration_bad` (ms), `percent_good`,
        `percent_bad` (of the time), `samples_good`, `samples_bad` (per cent of the samples).

        Raises:
            PlantError: the plant keeps no history, or it cannot be read.
        """
        ...

    async def backfill(self, batch: Batch) -> None:
        """Store samples of the past, of tags that this component is the source of; no present value changes.

        While the disk refuses them it waits.

        Raises:
            StoreError: a tag keeps no history, or there is none.
        """
        ...

    def alarms(self) -> Sequence[Mapping[str, Any]]:
        """Return the plant's alarms as they stand, each as `alarm.*` events have it under `alarm`."""
        ...

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> None:
        """Do something to an alarm, audited; returns when that is on disk.

        `verb`: `acknowledge`, `confirm`, `comment`, `shelve` (`for_ns`), `shelve-once` (until the alarm's
        episode ends, at the latest after `for_ns`), `unshelve`, `reset`, `out-of-service` or `in-service`.

        Raises:
            WriteRejectedError: no such alarm, nothing to do, no reason, or the role does not allow it.
        """
        ...

    def plc(self) -> PlcOutline | None:
        """Return what the PLC runs, the same object until that changes; None while it runs nothing."""
        ...

    async def restart_plc(self, actor: Actor, *, cold: bool, task: str = "", reason: str = "") -> None:
        """Begin the program, or the programs of a task, anew as a person; `cold`: retained variables too.

        Raises:
            ForbiddenError: the role does not allow it.
            UnknownVariableError: there is no such task, or no PLC.
            PlantError: it cannot be done now.
        """
        ...

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        """Restart a component as a person.

        Raises:
            ForbiddenError: the role does not allow it.
            WriteRejectedError: there is no such component.
        """
        ...

    def health(self, ok: bool, text: str = "") -> None:
        """Tell the supervisor whether the component is running or degraded, and why."""
        ...


class Component(Protocol):
    """A driver, twin, app or bridge: one coroutine, alive while the component is."""

    name: str

    async def run(self, port: Port) -> None:
        """Work until cancelled. Returning or raising early is a fault."""
        ...


class Stepper(Protocol):
    """A controller, twin or app that plant time drives: the same object live, in tests and in forecasts.

    Attributes:
        period_ns: time between two steps.
        reads: ids of the tags whose changes it wants.
    """

    name: str
    period_ns: int
    reads: NDArray[np.int32]

    def step(self, now_ns: int, changed: Batch | None) -> Batch | None:
        """Take what changed since the last step, work until `now_ns`, return what this changed."""
        ...
