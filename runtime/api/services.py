"""What the API needs from the kernel that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.backup.service import Backups
from runtime.bus import Bus
from runtime.config import Plant
from runtime.contract import Actor, Batch, Clock, Event
from runtime.gate.identity import Identity
from runtime.gate.policy import Gate
from runtime.historian import Answer, Points
from runtime.journal import Journal
from runtime.recording import Recording
from runtime.versions.service import Versions


class Alarms(Protocol):
    """The alarms."""

    def views(self) -> Sequence[Mapping[str, Any]]:
        """Return every alarm as it is now, with the fields of `runtime.wire.AlarmView`."""
        ...

    def view(self, name: str) -> Mapping[str, Any]:
        """Return one alarm.

        Raises:
            WriteRejectedError: there is none of that name.
        """
        ...

    async def figures(self, span_ns: int) -> Mapping[str, Any]:
        """Return the fields of `runtime.wire.AlarmFigures` over the time until now."""
        ...


class Supervisor(Protocol):
    """The components."""

    def views(self) -> Sequence[Mapping[str, Any]]:
        """Return every component as it is now, with the fields of `runtime.wire.ComponentView`."""
        ...


class History(Protocol):
    """The historian."""

    @property
    def is_open(self) -> bool:
        """Tell whether questions are answered."""
        ...

    async def query(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None
    ) -> Batch:
        """Return stored samples in order of tag and time, the newest `limit` of each tag."""
        ...

    async def trend(
        self, tag_id: int, start_ns: int, end_ns: int, buckets: int
    ) -> Sequence[tuple[int, float | None, float | None, float | None]]:
        """Return (start ns, least, mean, greatest) of equal buckets of one tag; None in gaps."""
        ...

    async def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> Mapping[int, Points]:
        """Return a point for each interval of each tag that has a history."""
        ...

    async def sql(self, query: str, limit: int, seconds: float) -> Answer:
        """Return the rows of one SELECT."""
        ...


class Services(Protocol):
    """What the API serves: the kernel.

    Events of kind `alarm.*` and `component.*` tell what changed; `alarm_of` and `component_of` read them.
    """

    @property
    def plant(self) -> Plant: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def started_ns(self) -> int: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def gate(self) -> Gate: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def alarms(self) -> Alarms: ...
    @property
    def supervisor(self) -> Supervisor: ...
    @property
    def versions(self) -> Versions: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def historian(self) -> History | None: ...
    @property
    def backups(self) -> Backups: ...

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> Mapping[str, Any]:
        """Check the role, audit, and carry out a command on an alarm; returns it when that is on disk.

        Raises:
            WriteRejectedError: says why not.
        """
        ...

    async def restart(self, name: str, actor: Actor) -> None:
        """Check the role (engineer), audit, and start the component again.

        Raises:
            WriteRejectedError: says why not.
        """
        ...

    async def record(
        self, name: str, actor: Actor, for_ns: int, most: int, reason: str = "", peer: str = ""
    ) -> Recording:
        """Check the role (engineer), audit, and begin a recording of a component's traffic.

        Raises:
            WriteRejectedError: says why not.
        """
        ...

    def health(self) -> Mapping[str, Any]:
        """Return the fields of `runtime.wire.Health`."""
        ...


def alarm_of(event: Event) -> Mapping[str, Any]:
    """Return the alarm that an `alarm.*` event tells of."""
    view: Mapping[str, Any] = event.data["alarm"]
    return view


def component_of(event: Event) -> Mapping[str, Any]:
    """Return the component that a `component.*` event tells of."""
    view: Mapping[str, Any] = event.data["component"]
    return view
