"""NCMD and DCMD: writes of hosts, through the gate, with the value told back whatever came of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from drivers.frame.gated import Refusals
from drivers.sparkplug.catalogue import Catalogue
from drivers.sparkplug.datatypes import UnfitError, value_of
from drivers.sparkplug.facts import Facts
from drivers.sparkplug.payload import Metric, decode
from drivers.sparkplug.topics import REBIRTH, Topic
from drivers.sparkplug.wire import PayloadError
from runtime.contract import Actor, Port, Tag
from runtime.errors import WriteRejectedError

MOST_WAITING = 1000
_SHOWN = 100


class Commands:
    """Writes that came and wait for their turn.

    Without an actor nothing may be written; a rebirth may always be asked for.
    """

    def __init__(
        self,
        port: Port,
        catalogue: Catalogue,
        actor: Actor | None,
        facts: Facts,
        rebirth: Callable[[], None],
        tell_again: Callable[[Tag], None],
    ) -> None:
        self._port = port
        self._catalogue = catalogue
        self._actor = actor
        self._facts = facts
        self._rebirth = rebirth
        self._tell_again = tell_again
        self._waiting: deque[tuple[str, Metric]] = deque()
        self._wake = asyncio.Event()
        self._refusals = Refusals(port)

    def take(self, topic: Topic, payload: bytes, retained: bool) -> None:
        """Take in a message; never waits."""
        where = topic.device or topic.node
        if retained:  # it would be carried out anew with every connection
            self._refuse(where, "a retained message is no command")
            return
        try:
            metrics = decode(payload).metrics
        except PayloadError as exc:
            self._refuse(where, f"no Sparkplug payload: {exc}")
            return
        for metric in metrics:
            if not topic.device and metric.name == REBIRTH:
                if metric.value is not None and metric.value.content is True:
                    self._rebirth()
            elif len(self._waiting) >= MOST_WAITING:
                self._refuse(_named(topic.device, metric), f"{MOST_WAITING} writes are waiting")
            else:
                self._waiting.append((topic.device, metric))
        self._wake.set()

    async def serve(self) -> None:
        """Carry out what comes, one after the other."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._carry_out(*self._waiting.popleft())

    async def _carry_out(self, device: str, metric: Metric) -> None:
        name = _named(device, metric)
        entry = self._catalogue.find(device, metric)
        if entry is None:
            self._refuse(name, "there is no such metric")
            return
        self._facts.commands += 1
        try:
            if self._actor is None:
                raise WriteRejectedError("hosts may not write: see `commands` in the plant file")
            if metric.value is None or metric.is_null:
                raise WriteRejectedError("the command has no value")
            value = value_of(entry.tag.data_type, metric.datatype, metric.value)
            kind = "DCMD" if device else "NCMD"
            await self._port.write(entry.tag, value, self._actor, f"{kind} {name}"[:200])
        except (WriteRejectedError, UnfitError) as exc:
            self._refuse(name, str(exc), counted=True)
        self._tell_again(entry.tag)

    def _refuse(self, name: str, why: str, *, counted: bool = False) -> None:
        self._facts.commands += not counted
        self._facts.commands_refused += 1
        self._refusals.tell(name, why)


def _named(device: str, metric: Metric) -> str:
    name = metric.name or f"alias {metric.alias}"
    name = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return f"{device}: {name}" if device else name
