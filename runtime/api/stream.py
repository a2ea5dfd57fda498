"""WS /stream: values, alarms and components as they change, at the client's pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, closing, suppress

import msgspec
import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from numpy.typing import NDArray

from runtime.api.access import Callers
from runtime.api.alarms import alarm_view, rests
from runtime.api.answers import Refused
from runtime.api.components import component_view
from runtime.api.every import every_value, journal_of, values_since
from runtime.api.limits import Limits, actor_key
from runtime.api.services import Services, alarm_of, component_of
from runtime.api.views import TagViews, chosen
from runtime.bus import EventStream, Journal
from runtime.contract import Actor, Event
from runtime.journal import alarm_log_after, alarm_place
from runtime.wire import (
    AlarmChange,
    ComponentChange,
    ConfigChange,
    Gap,
    JournalEntry,
    Message,
    Missed,
    Place,
    Subscription,
    Values,
)

INTERVAL_MS = (50, 10_000)
MISSED = 1000  # transitions at most that a client gets when it comes back
# The time is not there in what an earlier Ironworks said: clients outlive servers.
_PLACE = re.compile(r"([0-9]{1,19})\.([0-9]{1,18})(?:\.([0-9]{1,19}))?")
_POLICY = 1008
_TRY_AGAIN = 1013


class _Closed(Exception):  # noqa: N818 - an end, not an error
    """The server ends the stream."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class _Renewed(Exception):  # noqa: N818 - a turn, not an error
    """Another configuration runs."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


def router(services: Services) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        callers: Callers = websocket.app.state.callers
        limits: Limits = websocket.app.state.limits
        with ExitStack() as counted:
            try:
                actor = await callers.of(websocket)
                counted.enter_context(limits.stream(actor_key(actor, websocket)))
            except Refused as exc:
                await websocket.send_denial_response(exc.answer())
                return
            await websocket.accept()
            await serve(websocket, actor)

    async def serve(websocket: WebSocket, actor: Actor) -> None:
        limits: Limits = websocket.app.state.limits
        try:
            wanted = await _request(websocket)
            while True:
                try:
                    limits.check(actor_key(actor, websocket))
                except Refused as exc:
                    raise _Closed(_TRY_AGAIN, exc.detail) from exc
                wanted = await _Follower(websocket, services, wanted, actor).until_next_request()
        except* WebSocketDisconnect:
            pass
        except* _Closed as group:
            end = group.exceptions[0]
            assert isinstance(end, _Closed)
            with suppress(WebSocketDisconnect):  # it may have gone in the same moment
                await websocket.close(end.code, end.reason.encode()[:120].decode("utf-8", "ignore"))

    return routes


async def _request(websocket: WebSocket) -> Subscription:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    try:
        return msgspec.json.decode(message.get("text") or message.get("bytes") or b"", type=Subscription)
    except msgspec.DecodeError as exc:
        raise _Closed(_POLICY, f"not a subscription: {exc}") from exc


class _Follower:
    """Serves one subscription of one client. The mailbox holds what the client is too slow to take."""

    def __init__(self, websocket: WebSocket, services: Services, wanted: Subscription, actor: Actor) -> None:
        self._actor = actor
        self._websocket = websocket
        self._services = services
        self._wanted = wanted
        self._place = Place(wanted.resume, wanted.since_ns)
        self._every: Journal | None = None
        low, high = INTERVAL_MS
        self._interval_s = min(max(wanted.interval_ms, low), high) / 1000
        self._look_up()

    def _look_up(self) -> None:
        """Take up the tags that the plant has now."""
        self._readable = self._services.gate.scopes.readable(self._actor)
        self._views = TagViews(self._services.bus.table.tags)
        self._placed = asyncio.Event()  # the client knows where it is in the journal: it can come back
        self._told = asyncio.Event()  # all of `every` that came before another configuration

    async def until_next_request(self) -> Subscription:
        """Send until the client asks for something else, over other configurations too."""
        if self._readable is not None and (self._wanted.alarms or self._wanted.components):
            raise _Closed(_POLICY, "alarms and components are outside the scope of the token")
        try:
            while True:
                try:
                    return await self._serve()
                except* _Renewed as group:
                    version = min(each.version for each in group.exceptions if isinstance(each, _Renewed))
                await self._send(ConfigChange(version))
                self._look_up()
        finally:
            if self._every is not None:
                self._every.close()

    async def _serve(self) -> Subscription:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._configuration())]
            if self._wanted.alarms:
                tasks.append(group.create_task(self._alarms()))
            else:
                self._placed.set()
            if self._wanted.tags:
                tasks.append(group.create_task(self._values()))
            if self._wanted.components:
                tasks.append(group.create_task(self._components()))
            following = await _request(self._websocket)
            for task in tasks:
                task.cancel()
        return following

    async def _values(self) -> None:
        bus = self._services.bus
        try:
            ids = await asyncio.to_thread(chosen, bus.table.tags, self._wanted.tags)
        except Refused as exc:
            raise _Closed(_POLICY, f"{exc.detail}; {exc.remedy}") from exc
        ids = ids if self._readable is None else ids[self._readable[ids]]
        await self._placed.wait()
        if self._wanted.every:
            await self._each_value(ids)
            return
        with closing(bus.mailbox(ids)) as mailbox:
            async for batch in mailbox:
                await self._send(Values(tuple(self._views.rows(batch))))
                await self._services.clock.sleep(self._interval_s)

    async def _each_value(self, ids: NDArray[np.int32]) -> None:
        """Send each value; one journal of the bus has them all, whatever configurations come."""
        services, views, since_ns = self._services, self._views, self._place.since_ns
        journal = self._every
        if journal is not None:
            journal.follow(ids)
            journal.go_on()
        else:
            journal = self._every = journal_of(services.bus, ids)
            if since_ns is not None and len(ids):
                await self._send_all(values_since(services, views, journal, ids, since_ns))
        await self._send_all(every_value(services, views, journal, since_ns or 0, self._interval_s))
        self._told.set()

    async def _send_all(self, messages: AsyncGenerator[Values | Gap, None]) -> None:
        async with aclosing(messages):
            async for message in messages:
                await self._send(message)

    async def _configuration(self) -> None:
        """Begin anew when the plant has other tags or alarms."""
        with closing(self._services.bus.events("config.applied")) as events:
            async for event in events:
                if self._every is not None:
                    self._every.pause()
                    await self._told.wait()
                raise _Renewed(event.data["version"])

    async def _alarms(self) -> None:
        with closing(self._services.bus.events("alarm.")) as events:
            began_ns, *last = await self._services.journal.read(alarm_place)
            missed = await self._missed(self._place.resume, began_ns, *last)
            names = {each.alarm for each in missed.entries}
            await self._send(missed)
            self._placed.set()
            for view in self._services.alarms.views():
                changed = view["name"] in names or not missed.complete
                if not rests(view) or view["hidden"] or changed:
                    await self._send(AlarmChange(alarm_view(view)))
            async for event in _all(events):
                number: int = event.data.get("seq", 0)
                last = max(last, [number, event.data.get("at_ns", 0)])
                resume = _token(began_ns, *last) if number and began_ns else ""
                await self._send(AlarmChange(alarm_view(alarm_of(event)), resume))

    async def _missed(self, known: str, began_ns: int, seq: int, at_ns: int) -> Missed:
        """Return what happened to the alarms since the client was here; nothing for one that is new."""
        resume = _token(began_ns, seq, at_ns)
        if not known:
            return Missed((), True, resume)
        place = _PLACE.fullmatch(known)
        if place is None:
            raise _Closed(_POLICY, "not a subscription: resume is not what a stream said")
        began, after = int(place[1]), int(place[2])
        if after > seq or began not in (0, began_ns):
            return Missed((), False, resume)  # the journal was begun anew
        rows = await self._services.journal.read(alarm_log_after, after - 1, MISSED + 1)
        if after and rows[0].seq == after and str(rows[0].at_ns) != place[3]:
            return Missed((), False, resume)  # it went another way since: a backup was restored
        complete = len(rows) <= MISSED or rows[0].seq == after
        rows = [each for each in rows if each.seq > after][-MISSED:]
        entries = msgspec.convert(rows, tuple[JournalEntry, ...], from_attributes=True)
        return Missed(entries, complete, resume)

    async def _components(self) -> None:
        await self._placed.wait()
        with closing(self._services.bus.events("component.")) as events:
            for view in self._services.supervisor.views():
                await self._send(ComponentChange(component_view(view)))
            async for event in _all(events):
                await self._send(ComponentChange(component_view(component_of(event))))

    async def _send(self, message: Message) -> None:
        if not self._services.identity.still(self._actor, self._services.clock.now_ns()):
            raise _Closed(_POLICY, "the token or user is not in force any more")
        await self._websocket.send_text(msgspec.json.encode(message).decode())
        self._place.take(message)


def _token(began_ns: int, seq: int, at_ns: int) -> str:
    return f"{began_ns}.{seq}.{at_ns}"


async def _all(events: EventStream) -> AsyncIterator[Event]:
    """Yield events; end the stream when one was lost."""
    async for event in events:
        if events.overflow:
            raise _Closed(_TRY_AGAIN, f"too slow: {events.overflow} changes are lost")
        yield event
