"""What a host knows of one edge node: births, aliases, the order of its messages. Pure.

Source: Sparkplug 3.0.0, 5.2, 5.7 and 6.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from drivers.sparkplug.datatypes import UINT32
from drivers.sparkplug.payload import LONG, Metric, Payload
from drivers.sparkplug.topics import Topic

MOST_METRICS = 200_000
MOST_DEVICES = 10_000
BDSEQ = "bdSeq"
BEHIND = 128


class Told(NamedTuple):
    """A metric that a message has a value of; its data type is the birth's where the message has none."""

    device: str
    name: str
    metric: Metric
    datatype: int | None
    payload_ms: int | None


class Died(NamedTuple):
    """A device is gone, or with no name the node and all of its devices; when, if that was said."""

    device: str
    at_ms: int | None = None


class Born(NamedTuple):
    """A node or device has told all of its metrics, these."""

    device: str
    names: frozenset[str]


What = Told | Died | Born


class EdgeNode:
    """One edge node, message by message.

    Attributes:
        online: it has been born, and not died since.
        late: a message is missing before others that have come.
        lost: no birth is known for what it sends; ask for one.
        doubted: its last word is a death that does not go with its birth: an old one that came late, or one
            of a node that counts its sessions wrongly. The standard ignores it; who is there can be asked.
    """

    def __init__(self) -> None:
        self.online = False
        self.lost = False
        self.doubted = False
        self._devices: set[str] = set()
        self._born: tuple[int | None, int | None] = None, None
        self._next = 0
        self._early: dict[int, tuple[Topic, Payload]] = {}
        self._births: set[str] = set()  # since the node's: devices that were born
        self._names: dict[int, tuple[str, str]] = {}
        self._types: dict[tuple[str, str], int | None] = {}
        self._wide: set[tuple[str, str]] = set()

    @property
    def late(self) -> bool:
        return bool(self._early)

    def alias(self, device: str, name: str) -> int | None:
        """Return the alias of a metric, None where it has none."""
        return next((alias for alias, key in self._names.items() if key == (device, name)), None)

    def datatype(self, device: str, name: str) -> int | None:
        """Return the data type that the birth told of a metric."""
        return self._types.get((device, name))

    def is_wide(self, device: str, name: str) -> bool:
        """Tell whether a UInt32 comes as 64 bits: Eclipse Tahu has it so, and reads none of 32."""
        return (device, name) in self._wide

    def take(self, topic: Topic, payload: Payload) -> Iterator[What]:
        """Take in a message and yield what it says, with what waited for it."""
        self.doubted = self.doubted and topic.verb in ("NDEATH", "DDEATH")
        if topic.verb == "NBIRTH":
            born = _bdseq(payload), payload.timestamp_ms
            if self.lost or not self.online or born != self._born:  # else it comes again, and is old by now
                self._born = born
                yield from self._node_birth(payload)
        elif topic.verb == "NDEATH":
            if self.online and _bdseq(payload) == self._born[0]:
                yield from self.die()
            else:
                self.doubted = self.online
        elif not self.online or payload.seq is None or not 0 <= payload.seq <= 255:
            self.lost = True
            if topic.verb == "DDEATH" and topic.device in self._devices:  # its will, which has no number
                self._devices.discard(topic.device)
                yield Died(topic.device)
        elif payload.seq == self._next:
            yield from self._in_order(topic, payload)
            yield from self._drained()
        elif (payload.seq - self._next) % 256 >= BEHIND:  # it comes again, and is old by now
            self.lost = True
        else:
            self._early[payload.seq] = topic, payload

    def die(self) -> Iterator[What]:
        """Take in that the node is gone."""
        self.online = self.doubted = False
        self._devices.clear()
        self._early.clear()
        yield Died("")

    def give_up(self) -> Iterator[What]:
        """Go on without what is missing; a birth must be asked for, since it may have told anything."""
        self.lost = True
        early, self._early = self._early, {}
        for seq in sorted(early, key=lambda each: (each - self._next) % 256):
            yield from self._in_order(*early[seq])

    def forget(self) -> None:
        """Begin anew: what was known came over a connection that is over."""
        self.online = self.lost = self.doubted = False
        self._devices.clear()
        self._early.clear()

    def _drained(self) -> Iterator[What]:
        while (found := self._early.pop(self._next, None)) is not None:
            yield from self._in_order(*found)

    def _node_birth(self, payload: Payload) -> Iterator[What]:
        self.online, self.lost = True, False
        self._next = ((payload.seq or 0) + 1) % 256
        self._early.clear()
        self._births.clear()
        self._names.clear()
        self._types.clear()
        self._wide.clear()
        devices, self._devices = self._devices, set()
        for device in sorted(devices):
            yield Died(device)
        yield from self._birth("", payload)

    def _birth(self, device: str, payload: Payload) -> Iterator[What]:
        if device in self._births:  # what it told then holds no more
            self._names = {alias: key for alias, key in self._names.items() if key[0] != device}
            self._types = {key: datatype for key, datatype in self._types.items() if key[0] != device}
            self._wide = {key for key in self._wide if key[0] != device}
        self._births.add(device)
        names = set()
        for metric in payload.metrics:
            if not metric.name or len(self._types) >= MOST_METRICS:
                continue
            names.add(metric.name)
            self._types[device, metric.name] = metric.datatype
            if metric.datatype == UINT32 and metric.value is not None and metric.value.kind == LONG:
                self._wide.add((device, metric.name))
            if metric.alias is not None:
                self._names[metric.alias] = device, metric.name
        yield Born(device, frozenset(names))
        yield from self._told(device, payload)

    def _in_order(self, topic: Topic, payload: Payload) -> Iterator[What]:
        self._next = ((payload.seq or 0) + 1) % 256
        device = topic.device
        if topic.verb == "DBIRTH" and len(self._devices) < MOST_DEVICES:
            self._devices.add(device)
            yield from self._birth(device, payload)
        elif topic.verb == "DDEATH":
            self._devices.discard(device)
            yield Died(device, payload.timestamp_ms)
        elif device and device not in self._devices:
            self.lost = True
        else:
            yield from self._told(device, payload)

    def _told(self, device: str, payload: Payload) -> Iterator[Told]:
        for metric in payload.metrics:
            name = metric.name
            if not name and metric.alias is not None:
                whose, name = self._names.get(metric.alias, ("", ""))
                if whose != device:
                    name = ""
            if not name:
                self.lost = True
                continue
            datatype = metric.datatype or self._types.get((device, name))
            yield Told(device, name, metric, datatype, payload.timestamp_ms)


def _bdseq(payload: Payload) -> int | None:
    found: Mapping[str, Metric] = {metric.name: metric for metric in payload.metrics}
    value = found[BDSEQ].value if BDSEQ in found else None
    return value.content if value is not None and isinstance(value.content, int) else None
