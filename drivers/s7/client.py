"""`kind: s7.client`: a CPU with S7 communication that this plant polls and writes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from drivers.frame.connection import declare_link
from drivers.frame.deadband import Deadband
from drivers.frame.host import Host
from drivers.frame.plan import by_group, group_of
from drivers.frame.points import DEFAULT_GROUP, check_groups
from drivers.s7.points import check_points, points_of
from drivers.s7.state import declare_state
from runtime.clock import SECOND_NS
from runtime.config import Declared, DriverConfig, DurationNs, Plant, Section
from runtime.contract import Access, Component, Stepper
from runtime.errors import Finding

if TYPE_CHECKING:
    from drivers.s7.polling import Connect

_CONNECTION_TYPES = {"pg": 1, "op": 2, "basic": 3}
_LOCAL_TSAP = 0x0100


def _tsap(value: object) -> object:
    """Return a transport address: a number, or as STEP 7 and TIA Portal write it, `02.01` or `10.00`."""
    if isinstance(value, float):
        raise ValueError(f"{value} is a number with a fraction; put a TSAP in quotes, such as '02.01'")
    if not isinstance(value, str):
        if isinstance(value, int) and value < 0x100:  # YAML reads 0201 as a number
            raise ValueError(f"{value} has no first byte; write a TSAP in quotes, such as '02.01'")
        return value
    parts = value.strip().split(".")
    try:
        numbers = [int(part, 16) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 2 or not all(0 <= number <= 0xFF for number in numbers):
        raise ValueError(f"{value!r} is no TSAP; write two hexadecimal bytes in quotes, such as '02.01'")
    return numbers[0] << 8 | numbers[1]


def _encoding(name: str) -> str:
    try:
        known = codecs.lookup(name).encode(" ")[0] == b" "
    except (LookupError, UnicodeError):
        known = False
    if not known:
        raise ValueError(f"{name!r} is no encoding of texts; use latin-1, cp1252, utf-8, gbk or the like")
    return name


Period = Annotated[DurationNs, Field(ge=1_000_000, le=3600 * SECOND_NS)]
Tsap = Annotated[int, BeforeValidator(_tsap, json_schema_input_type=int | str), Field(ge=0, le=0xFFFF)]
Encoding = Annotated[str, AfterValidator(_encoding)]


class GroupConfig(Section):
    """Tags that are polled at a period of their own.

    Attributes:
        deadband: least change that is told: `0.5` in units of the value, `2%` of the tag's range.
        tags: globs over tag paths.
    """

    period: Period
    deadband: Deadband = (0.0, False)
    tags: list[str]


class ClientConfig(DriverConfig):
    """A CPU that this plant polls and writes.

    Attributes:
        backup: a second way to it, gone over to when the first fails; `backup_rack`, `backup_slot` where they
            differ there.
        rack, slot: where the CPU sits: S7-300 slot 2, S7-400 as in its hardware, S7-1200 and S7-1500 slot 1.
        connection: which of the CPU's connections is taken: of programming devices, panels, or others.
        tsap, local_tsap: transport addresses in place of rack, slot and connection (S7-200, LOGO!).
        pdu: message length to ask for, in bytes; the CPU grants what it can.
        period: time between two polls, where no group says otherwise; `deadband` likewise.
        timeout: how long to wait for an answer; `retries` how often to ask again.
        max_gap: unused bytes read along to save an item; 0 for none.
        single_reads: every tag is read by itself, for devices that want that.
        pause: time between an answer and the next request.
        verify: what programs write is read back; where the CPU does not keep it, that is told.
        encoding: of STRING and CHAR.
        groups: name to period, deadband and tags.
    """

    kind: Literal["s7.client"]
    host: Host
    port: int = Field(102, ge=1, le=65535)
    backup: Host | None = None
    rack: int = Field(0, ge=0, le=7)
    slot: int = Field(1, ge=0, le=31)
    backup_rack: int | None = Field(None, ge=0, le=7)
    backup_slot: int | None = Field(None, ge=0, le=31)
    connection: Literal["pg", "op", "basic"] = "op"
    tsap: Tsap | None = None
    local_tsap: Tsap = _LOCAL_TSAP
    pdu: int = Field(960, ge=240, le=960)
    period: Period = 100_000_000
    deadband: Deadband = (0.0, False)
    timeout: Period = 1_000_000_000
    retries: int = Field(0, ge=0, le=10)
    max_gap: int = Field(32, ge=0, le=200)
    single_reads: bool = False
    pause: Annotated[DurationNs, Field(ge=0, le=10 * SECOND_NS)] = 0
    verify: bool = True
    encoding: Encoding = "latin-1"
    groups: dict[str, GroupConfig] = Field(default_factory=dict)

    def remote_tsap(self, rack: int, slot: int) -> int:
        """Return the transport address of a CPU.

        Source: SIMATIC, TSAPs of S7 connections: type of connection, then rack * 32 + slot.
        """
        return _CONNECTION_TYPES[self.connection] << 8 | rack << 5 | slot if self.tsap is None else self.tsap


class ClientPlugin:
    """Brings `s7.client` drivers to life."""

    Config = ClientConfig

    def declare(self, folder: object, root: str, config: ClientConfig) -> Declared:
        link = declare_link(config.name)
        return Declared((*link.tags, declare_state(config.name)), link.alarms)

    def check(self, plant: Plant, config: ClientConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        if find_spec("snap7") is None:
            text = f"driver {config.name!r}: s7.client needs the extra s7"
            yield Finding(text, plant.place(*key, "kind"), "pip install 'ironworks[s7]'")
        if config.backup is None:
            for name in ("backup_rack", "backup_slot"):
                if getattr(config, name) is not None:
                    yield Finding(
                        f"{name} without backup", plant.place(*key, name), "name the `backup:` host"
                    )
        yield from check_points(plant, config.name)
        groups = ((name, group.tags) for name, group in config.groups.items())
        yield from check_groups(plant, config.name, groups, key)

    def build(self, plant: Plant, config: ClientConfig) -> list[Component]:
        from drivers.s7.plan import Rules, blocks_of
        from drivers.s7.polling import S7Client, Scan

        points = points_of(plant, config.name)
        own = {point.tag.id: point for point in points if point.tag.source == config.name}
        chosen = group_of(plant.tags, {name: group.tags for name, group in config.groups.items()})
        paces = {name: (group.period, group.deadband) for name, group in config.groups.items()}
        paces[DEFAULT_GROUP] = (config.period, config.deadband)
        scans, rules_of = [], {}
        for name, tags in by_group(chosen, [point.tag for point in own.values()], DEFAULT_GROUP).items():
            period_ns, deadband = paces[name]
            rules = Rules(-1 if config.single_reads else config.max_gap, config.encoding, deadband)
            blocks = blocks_of([own[tag.id] for tag in tags], rules)
            rules_of[name] = rules
            scans.append(Scan(name, period_ns, blocks))
        written = [point for point in points if point.tag.source != config.name]
        commanded = [point for point in own.values() if point.tag.access is Access.READ_WRITE]
        ways, encoding = _connectors(config), config.encoding
        return [
            S7Client(config.name, ways, scans, written, commanded, rules_of, encoding, verify=config.verify)
        ]

    def steppers(self, plant: Plant, config: ClientConfig) -> list[Stepper]:
        return []


def _connectors(config: ClientConfig) -> list[Connect]:
    from drivers.s7.messages import MAX_ITEMS
    from drivers.s7.transport import Way, connect

    places = [(config.host, config.rack, config.slot)]
    if config.backup is not None:
        rack = config.rack if config.backup_rack is None else config.backup_rack
        slot = config.slot if config.backup_slot is None else config.backup_slot
        places.append((config.backup, rack, slot))
    ways = [
        Way(
            host,
            config.port,
            config.local_tsap,
            config.remote_tsap(rack, slot),
            config.pdu,
            config.timeout / SECOND_NS,
            config.retries,
            1 if config.single_reads else MAX_ITEMS,
            config.pause / SECOND_NS,
        )
        for host, rack, slot in places
    ]
    return [partial(connect, way) for way in ways]


plugin = ClientPlugin()
