"""A server's events as events of the plant, and its conditions as tags that alarms stand on.

A tag with the address `event:NODE` is TRUE while the condition of that node is active. When an alarm on it is
acknowledged, confirmed or commented in the plant, the server's condition is too, and the other way round.
Source: OPC 10000-9, 5.5 (conditions), 5.7 (acknowledging), 5.5.7 ConditionRefresh and 5.11.4 RefreshRequired;
OPC 10000-4, 7.22.3 EventFilter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua

from drivers.opcua.client.address import Point
from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.session import Session, fitting, status_name
from drivers.opcua.client.subscribe import Group, Subscription, subscribe
from drivers.opcua.client.values import moment_ns, readable
from runtime.clock import SECOND_NS
from runtime.contract import Actor, Batch, Event, Port, Quality, Role
from runtime.errors import ConnectError, WriteRejectedError

PERIOD_NS = 500_000_000
QUEUE = 1000
MOST = 50  # events a second that the plant is told
MAX_WAITING = 100
_LONGEST = 500
_FIELDS = (
    (ua.ObjectIds.BaseEventType, "EventId"),
    (ua.ObjectIds.BaseEventType, "EventType"),
    (ua.ObjectIds.BaseEventType, "SourceName"),
    (ua.ObjectIds.BaseEventType, "Time"),
    (ua.ObjectIds.BaseEventType, "Message"),
    (ua.ObjectIds.BaseEventType, "Severity"),
    (ua.ObjectIds.ConditionType, ""),  # the condition itself
    (ua.ObjectIds.ConditionType, "ConditionName"),
    (ua.ObjectIds.ConditionType, "Retain"),
    (ua.ObjectIds.ConditionType, "BranchId"),
    (ua.ObjectIds.AlarmConditionType, "ActiveState/Id"),
    (ua.ObjectIds.AcknowledgeableConditionType, "AckedState/Id"),
    (ua.ObjectIds.AcknowledgeableConditionType, "ConfirmedState/Id"),
    (ua.ObjectIds.ConditionType, "Comment"),
    (ua.ObjectIds.ConditionType, "ClientUserId"),
)
_REFRESHED = frozenset(
    {ua.NodeId(ua.ObjectIds.RefreshStartEventType), ua.NodeId(ua.ObjectIds.RefreshEndEventType)}
)
_END = ua.NodeId(ua.ObjectIds.RefreshEndEventType)
_LOST = frozenset(
    {ua.NodeId(ua.ObjectIds.RefreshRequiredEventType), ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType)}
)


@dataclass(slots=True, eq=False)
class Condition:
    """What the server last said of a condition; `active` is None while that is not known.

    Attributes:
        mark_ns: when the plant was told that it is not known.
        acked, confirmed: None while that is not known.
        comment: the last one, ours too; None while that is not known.
        by: who acknowledged it there since it was last not acknowledged.
    """

    point: Point
    active: bool | None = None
    mark_ns: int = 0
    event_id: bytes = b""
    acked: bool | None = None
    confirmed: bool | None = None
    comment: str | None = None
    by: str = ""

    def done(self, acked: Any, confirmed: Any, comment: str, user: str) -> str:
        """Take in how far it is seen to; return what somebody did there, as a command on an alarm."""
        did = ""
        if self.comment is not None and comment not in ("", self.comment):
            did = "comment"
        if self.confirmed is False and confirmed is True:
            did = "confirm"
        if self.acked is False and acked is True:
            did, self.by = "acknowledge", user
        elif acked is False:
            self.by = ""
        self.acked, self.confirmed, self.comment = acked, confirmed, comment
        return did


@dataclass(frozen=True, slots=True)
class Done:
    """What somebody did to a condition on the server."""

    tag: str
    verb: str
    by: str
    comment: str


class Events:
    """The events of one server, over all its connections.

    Attributes:
        refused: why the server does not tell of its conditions.
    """

    def __init__(self, name: str, points: Sequence[Point], everything: bool, port: Port) -> None:
        self.refused = ""
        self._name = name
        self._points = points
        self._everything = everything
        self._port = port
        self._by_tag = {point.tag.path: Condition(point) for point in points}
        self._by_node: dict[Any, list[Condition]] = {}
        self._seen: set[str] = set()
        self._said: deque[tuple[Condition, str, str]] = deque(maxlen=MAX_WAITING)  # kind of event, comment
        self._unsaid = 0  # went from there, as more came
        self._done: asyncio.Queue[Done] = asyncio.Queue(MAX_WAITING)
        self._session: Session | None = None
        self._id = 0
        self._stale = False
        self._second, self._told, self._left_out = 0, 0, 0

    @property
    def wanted(self) -> bool:
        return self._everything or bool(self._points)

    async def build(self, session: Session, keep_alive_ns: int) -> Subscription | None:
        """Subscribe to the server's events; None where it has none for us.

        Raises:
            ConnectError: it does not answer.
        """
        self._by_node = {}
        self._seen.clear()
        for each in self._by_tag.values():
            node = session.node_id(each.point.address.node)
            if node is not None:
                self._by_node.setdefault(node, []).append(each)
        try:
            group = Group("events", PERIOD_NS, 0, 0.0, False, np.zeros(0, np.intp))
            made = await subscribe(session, group, keep_alive_ns, self._port.clock)
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = made.id
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ItemsToCreate = [_item()]
            answer = await session.ask(request, ua.CreateMonitoredItemsResponse)
            code = fitting(answer.Results, [None])[0].StatusCode.value
        except RefusedError as exc:
            code = exc.code
        if code >> 31:
            self._give_up(f"no events: {status_name(code)}")
            return None
        self._session, self._id = session, made.id
        self.refused = ""
        return made

    async def refresh(self) -> None:
        """Have the server tell which of its conditions are active.

        Raises:
            ConnectError: it does not answer.
        """
        if self._session is None or not self._points:
            return
        self._stale = False
        arguments = [ua.Variant(self._id, ua.VariantType.UInt32)]
        try:
            code = await self._call(ua.NodeId(ua.ObjectIds.ConditionType), _REFRESH, arguments)
        except RefusedError as exc:
            code = exc.code
        if code == ua.StatusCodes.BadRefreshInProgress:
            self._stale = True
        elif code >> 31:
            self._give_up(f"conditions are not told before they change: {status_name(code)}")

    def take(self, fields: Sequence[Any]) -> None:
        """Take in one event."""
        if len(fields) != len(_FIELDS):
            return
        values = [each.Value if isinstance(each, ua.Variant) else None for each in fields]
        event_id, kind, source, at, message, severity, node, name, retain, branch, active, *seen_to = values
        acked, confirmed, comment, user = seen_to
        if kind in _REFRESHED:
            if kind == _END:
                self._refreshed()
            else:
                self._seen.clear()
            return
        self._stale = self._stale or kind in _LOST  # `carry` has it told anew
        is_past = isinstance(branch, ua.NodeId) and not branch.is_null()  # and still to be acknowledged
        for each in () if is_past else self._by_node.get(node, ()):
            if isinstance(event_id, bytes):
                each.event_id = event_id
            self._seen.add(each.point.tag.path)
            # of one that is disabled they are not told, or as a status code
            holds = active if isinstance(active, bool) else retain is True
            self._set(each, holds, moment_ns(at) or self._port.clock.now_ns())
            who = f"{self._name}:{_text(user) or 'somebody'}"
            did = each.done(acked, confirmed, _text(comment), who)
            if did:
                self._note(Done(each.point.tag.path, did, who, _text(comment)))
        if self._everything:
            text = f"{_text(source)}: {_text(message)}"
            self._tell(text, at, kind, severity, node, name, active, acked)

    def lose(self) -> None:
        """The server is not heard: what its conditions are is not known."""
        self._session = None
        now_ns = self._port.clock.now_ns()
        for each in self._by_tag.values():
            self._submit(each, bool(each.active), now_ns, int(Quality.BAD_NO_COMMUNICATION))
            each.active, each.mark_ns = None, now_ns

    async def follow(self, alarms: AsyncIterator[Event]) -> None:
        """Note what people do to alarms in the plant, for ever.

        One that a delay raises late may be acknowledged on the server by then.
        """
        async for event in alarms:
            alarm = event.data.get("alarm", {})
            found = self._by_tag.get(alarm.get("tag", ""))
            if found is None:
                continue
            by = event.data.get("by") or "the plant"
            if event.kind == RAISED:
                if found.active and found.by:
                    self._note(Done(found.point.tag.path, "acknowledge", found.by, found.comment or ""))
            elif found.event_id and not by.startswith(f"{self._name}:"):
                self._unsaid += len(self._said) == MAX_WAITING
                self._said.append((found, event.kind, f"{by}: {alarm.get('comment') or ''}".rstrip(": ")))

    def _note(self, done: Done) -> None:
        if self._done.full():
            self._done.get_nowait()
            self._emit("driver.condition_refused", f"{self._name}: more is done there than alarms take", {})
        self._done.put_nowait(done)

    async def take_over(self) -> None:
        """Do to the plant's alarms what people did to the server's conditions, for ever."""
        while True:
            done = await self._done.get()
            actor = Actor(done.by, Role.OPERATOR, "opcua")
            for alarm in self._port.alarms():
                if alarm["tag"] != done.tag or not _WAITS[done.verb](alarm):
                    continue
                try:
                    await self._port.command_alarm(done.verb, alarm["name"], actor, done.comment)
                except WriteRejectedError as exc:
                    text = (
                        f"{self._name}: {done.verb} of {done.by} is not done to {alarm['name']}: {exc.text}"
                    )
                    self._emit("driver.condition_refused", text, {})

    async def carry(self) -> None:
        """Do to the server's conditions what people did to the alarms in the plant.

        One thing to a condition each time: the next one names the event that the server tells of this one.
        Where the server says that events were lost, have it tell its conditions anew.

        Raises:
            ConnectError: the server does not answer.
        """
        if self._stale:
            await self.refresh()
        if self._unsaid:
            text = f"{self._name}: the oldest {self._unsaid} things done to alarms are not done there"
            self._unsaid = 0
            self._emit("driver.condition_refused", f"{text}: more than {MAX_WAITING} waited", {})
        carried: set[str] = set()
        while self._session is not None:
            waits = (each for each in self._said if each[0].point.tag.path not in carried)
            found = next(waits, None)
            if found is None:
                break
            self._said.remove(found)
            condition, kind, comment = found
            carried.add(condition.point.tag.path)
            method, done = CARRIED[kind]
            node = self._session.node_id(condition.point.address.node)
            if node is None:  # it has come back without that namespace
                continue
            condition.comment = " ".join(comment.split())[:_LONGEST]  # what comes back is no news
            arguments = [
                ua.Variant(condition.event_id, ua.VariantType.ByteString),
                ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText),
            ]
            try:
                code = await self._call(node, ua.NodeId(method), arguments)
            except RefusedError as exc:
                code = exc.code
            except ConnectError:  # where it came there all the same, the next time finds it done
                if len(self._said) < MAX_WAITING:
                    self._said.appendleft(found)
                else:
                    self._unsaid += 1
                raise
            if code >> 31 and code != done:
                verb = kind.removeprefix("alarm.")
                text = f"{self._name}: the condition of {condition.point.tag.path} is not {verb} there"
                self._emit("driver.condition_refused", f"{text}: {status_name(code)}", {})

    def _refreshed(self) -> None:
        now_ns = self._port.clock.now_ns()
        for path, each in self._by_tag.items():
            if path not in self._seen:
                self._set(each, False, now_ns)

    def _set(self, condition: Condition, active: bool, at_ns: int) -> None:
        if condition.active is not active:
            if at_ns <= condition.mark_ns:  # only now is it known that it holds
                at_ns = max(self._port.clock.now_ns(), condition.mark_ns + 1)
            condition.active, condition.mark_ns = active, 0
            self._submit(condition, active, at_ns, int(Quality.GOOD))

    def _submit(self, condition: Condition, active: bool, at_ns: int, quality: int) -> None:
        tag = condition.point.tag
        self._port.submit(Batch.of([tag.id], [tag.data_type.encode(active)], at_ns, quality))

    def _give_up(self, why: str) -> None:
        self.refused = why
        if self._points:
            self.lose()

    def _tell(self, text: str, at: Any, kind: Any, severity: Any, node: Any, name: Any, *states: Any) -> None:
        now_ns = self._port.clock.now_ns()
        if now_ns // SECOND_NS != self._second:
            if self._left_out:
                lost = f"{self._left_out} events of {self._name} were left out: more than {MOST} a second"
                self._emit("driver.events_left_out", lost, {"count": self._left_out})
            self._second, self._told, self._left_out = now_ns // SECOND_NS, 0, 0
        if self._told >= MOST:
            self._left_out += 1
            return
        self._told += 1
        session = self._session
        condition = str(session.node_ref(node)) if session and isinstance(node, ua.NodeId) else ""
        data = {
            "at_ns": moment_ns(at) or now_ns,
            "type": kind.to_string() if isinstance(kind, ua.NodeId) else "",
            "severity": severity if isinstance(severity, int) else 0,
            "condition": condition,
            "name": _text(name),
            "active": states[0] if isinstance(states[0], bool) else None,
            "acknowledged": states[1] if isinstance(states[1], bool) else None,
        }
        self._emit("driver.event", text, data)

    def _emit(self, kind: str, text: str, data: dict[str, Any]) -> None:
        self._port.emit(Event(kind, self._name, self._port.clock.now_ns(), text, data))

    async def _call(self, node: Any, method: Any, arguments: list[Any]) -> int:
        if self._session is None:
            raise ConnectError("the connection is gone")
        request = ua.CallRequest()
        request.Parameters.MethodsToCall = [ua.CallMethodRequest(node, method, arguments)]
        answer = await self._session.ask(request, ua.CallResponse)
        code: int = fitting(answer.Results, [None])[0].StatusCode.value
        return code


# Which alarms a command has something to do for.
_WAITS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "acknowledge": lambda alarm: alarm["state"] in ("unacknowledged", "returned"),
    "confirm": lambda alarm: not alarm["confirmed"],
    "comment": lambda alarm: alarm["state"] != "normal",
}
RAISED = "alarm.raised"
_REFRESH = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
_CODES, _IDS = ua.StatusCodes, ua.ObjectIds
# By kind of event of the plant: the method of the condition, and what says that it is so already.
CARRIED = {
    "alarm.acknowledged": (
        _IDS.AcknowledgeableConditionType_Acknowledge,
        _CODES.BadConditionBranchAlreadyAcked,
    ),
    "alarm.confirmed": (
        _IDS.AcknowledgeableConditionType_Confirm,
        _CODES.BadConditionBranchAlreadyConfirmed,
    ),
    "alarm.commented": (_IDS.ConditionType_AddComment, None),
}


def _item() -> Any:
    item = ua.MonitoredItemCreateRequest(MonitoringMode=ua.MonitoringMode.Reporting)
    item.ItemToMonitor = ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server), ua.AttributeIds.EventNotifier)
    chosen = ua.EventFilter()
    for type_id, path in _FIELDS:
        names = [ua.QualifiedName(each, 0) for each in path.split("/")] if path else []
        attribute = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
        chosen.SelectClauses.append(ua.SimpleAttributeOperand(ua.NodeId(type_id), names, attribute))
    item.RequestedParameters = ua.MonitoringParameters(
        ClientHandle=0, SamplingInterval=0, Filter=chosen, QueueSize=QUEUE, DiscardOldest=True
    )
    return item


def _text(value: Any) -> str:
    text = value.Text if isinstance(value, ua.LocalizedText) else value
    return " ".join(readable(text).split())[:_LONGEST] if isinstance(text, str) else ""
