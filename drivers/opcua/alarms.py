"""The plant's alarms as the server has them: each a condition, each change an event."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.server.address_space import NodeData

from drivers.opcua.conditions.calls import call, method_of
from drivers.opcua.conditions.facts import Facts
from drivers.opcua.conditions.fields import Occurrence
from drivers.opcua.conditions.filters import EventFilter, check
from drivers.opcua.conditions.nodes import FOLDER, ConditionNodes, condition_id, place_of
from drivers.opcua.conditions.queue import EventItem, EventItems, EventSubscription
from drivers.opcua.conditions.schema import EventTypes
from drivers.opcua.folders import PLANT
from drivers.opcua.model import (
    EXTRAS,
    TAGS,
    PlantNodes,
    add_forward,
    held,
    link,
    make_node,
    make_variable,
    tag_node,
)
from runtime.contract import Actor, DataType, Event, Port, Tag
from runtime.errors import ForbiddenError, PlantError

_IDS = ua.ObjectIds
_T = ua.VariantType
_CODES = ua.StatusCodes
ACKNOWLEDGE = ua.NodeId("Acknowledge", EXTRAS)
SERVER = ua.NodeId(_IDS.Server)
_CONDITION_TYPE = ua.NodeId(_IDS.ConditionType)
_REFRESH = ua.NodeId(_IDS.ConditionType_ConditionRefresh)
_REFRESH_ITEM = ua.NodeId(_IDS.ConditionType_ConditionRefresh2)
_EVENT_ID = struct.Struct(">8sqIQ")  # alarm, raised, how often announced since, number
_SAID = {
    _IDS.RefreshStartEventType: ("Refresh begins", "刷新开始"),
    _IDS.RefreshEndEventType: ("Refresh ends", "刷新结束"),
    _IDS.RefreshRequiredEventType: ("Events were lost: refresh", "事件丢失,请刷新"),
    _IDS.EventQueueOverflowEventType: ("The queue was full: events were lost", "队列已满,事件丢失"),
}


class Alarms:
    """The conditions of a plant, and who wants to know of them.

    Attributes:
        items: monitored items on events.
    """

    def __init__(self, port: Port, nodes: PlantNodes, plant: NodeData) -> None:
        self.items = EventItems()
        self._port = port
        self._nodes = nodes
        self._present: dict[str, Occurrence] = {}
        self._announced: dict[str, int] = {}
        self._number = port.clock.now_ns()
        self._types: EventTypes | None = None
        self.shown = ConditionNodes(nodes, plant, self._present.get)
        self._add_method()
        add_forward(nodes[SERVER], plant, _IDS.HasNotifier, _IDS.FolderType)

    def begin(self, standing: Iterable[Mapping[str, Any]]) -> None:
        """Take the alarms as they stand at the start; nobody is told."""
        for each in standing:
            facts = self._read(each)
            self._put(facts, facts.since_ns or self._port.clock.now_ns())

    async def take(self, event: Event) -> None:
        """Take what an event says of its alarm, and tell those who want to know."""
        facts = self._read(event.data["alarm"])
        known = self.facts(facts.name)
        if event.kind in ("alarm.commented", "alarm.confirmed"):
            facts = replace(facts, by=event.data.get("by", ""))
        else:
            facts = _with_author(facts, known)
        if facts != known:
            await self._change(facts, event.at_ns)

    async def compare(self, lost: bool = False) -> None:
        """Take the alarms as they stand now: some may have come or gone, or events were `lost`."""
        now_ns = self._port.clock.now_ns()
        alarms = {each["name"]: self._read(each) for each in self._port.alarms()}
        for name in [each for each in self._present if each not in alarms]:
            gone = self._present[name].facts
            if gone is not None and gone.retain:
                await self._change(gone.gone(), now_ns)
            del self._present[name], self._announced[name]
            self.shown.unlist(name)
        for name, facts in alarms.items():
            known = self.facts(name)
            now = _with_author(facts, known)
            if now != known:
                await self._change(now, now_ns)
        if lost:
            self.items.tell_all(self._own(_IDS.RefreshRequiredEventType))

    async def _change(self, facts: Facts, at_ns: int) -> None:
        occurrence = self._put(facts, at_ns)
        self.items.post(occurrence)
        await self.shown.tell(facts.name)

    def _put(self, facts: Facts, at_ns: int) -> Occurrence:
        """Let an alarm stand so; return the event of it."""
        name = facts.name
        before = self._present.get(name)
        known = before.facts if before else None
        if known is None:
            self.shown.list(name, facts.event_type, facts.tag)
        elif known.confirm != facts.confirm:
            self._nodes.forget()  # a condition has got or lost ConfirmedState
        calls = self._announced.get(name, 0)
        if known is None or known.raised_ns != facts.raised_ns:
            calls = 0
        elif facts.state == "unacknowledged" and known.state != "unacknowledged":
            calls += 1
        self._announced[name] = calls
        self._number += 1
        tag = self._tag(facts.tag)
        exposed = tag is not None and self._nodes.tag_id(tag_node(tag)) >= 0
        occurrence = Occurrence(
            _EVENT_ID.pack(_digest(name), facts.raised_ns or 0, calls, self._number),
            facts.event_type,
            at_ns,
            self._port.clock.now_ns(),
            tag_node(tag) if tag is not None and exposed else ua.NodeId(PLANT, TAGS),
            facts.tag,
            facts,
            condition_id(name),
        )
        if tag is not None:
            occurrence.quality = int(self._port.tags.snapshot(np.array([tag.id], np.int32)).quality[0])
        same_severity = before is not None and known is not None and known.severity == facts.severity
        occurrence.last_severity = known.severity if known else facts.severity
        occurrence.severity_ns = before.severity_ns if before and same_severity else at_ns
        commented = known is not None and known.comment == facts.comment
        occurrence.comment_ns = before.comment_ns if before and commented else at_ns
        self._present[name] = occurrence
        return occurrence

    def _read(self, alarm: Mapping[str, Any]) -> Facts:
        tag = self._tag(alarm["tag"])
        return Facts.of(alarm, is_time=tag is not None and tag.data_type is DataType.TIME)

    def _tag(self, path: str) -> Tag | None:
        tags = self._port.tags
        return tags[path] if path in tags else None  # noqa: SIM401 - it is no dictionary

    def facts(self, name: str) -> Facts | None:
        """Return an alarm as it stands now; None where there is none of the name."""
        occurrence = self._present.get(name)
        return occurrence.facts if occurrence else None

    def means_now(self, event_id: bytes, name: str) -> bool:
        """Tell whether an event is of an alarm, and of its present episode.

        Nobody acknowledges what came after the event that he saw.
        """
        occurrence = self._present.get(name)
        if occurrence is None or len(event_id) != _EVENT_ID.size:
            return False
        return _EVENT_ID.unpack(event_id)[:3] == _EVENT_ID.unpack(occurrence.event_id)[:3]

    def _own(self, event_type: int) -> Occurrence:
        """Return an event of the server itself."""
        now_ns = self._port.clock.now_ns()
        self._number += 1
        id_ = _EVENT_ID.pack(bytes(8), 0, event_type, self._number)
        return Occurrence(id_, event_type, now_ns, now_ns, SERVER, "Server", message=_SAID[event_type])

    # Monitored items.

    def make_item(self, item_id: int, node_id: Any, parameters: Any) -> tuple[EventItem, int]:
        """Return an item on a node's events, and the size of its queue.

        Raises:
            FilterError: the filter is none.
        """
        area = "" if node_id in (SERVER, FOLDER) or node_id.Identifier == PLANT else str(node_id.Identifier)
        item = EventItem(item_id, area, lambda: self._own(_IDS.EventQueueOverflowEventType))
        size = item.configure(parameters, self.filter(parameters.Filter))
        self.items.add(item)
        return item, size

    def filter(self, wanted: Any) -> EventFilter:
        """Return a client's filter, checked.

        Raises:
            FilterError: it is none.
        """
        if self._types is None:
            self._types = EventTypes(self._nodes)
        return check(wanted, self._types)

    # Methods.

    def handles(self, request: Any) -> bool:
        """Tell whether a call is of one of the methods here."""
        method = request.MethodId
        return (
            method in (ACKNOWLEDGE, _REFRESH, _REFRESH_ITEM)
            or method_of(method) is not None
            or bool(place_of(request.ObjectId)[0])
        )

    def only_tells(self, request: Any) -> bool:
        """Tell whether a call changes nothing in the plant, and only makes a subscription tell all again."""
        return request.MethodId in (_REFRESH, _REFRESH_ITEM)

    async def call(self, request: Any, actor: Actor, subscriptions: Mapping[int, Any]) -> Any:
        """Carry out a call; `subscriptions` are the session's own."""
        if request.MethodId == ACKNOWLEDGE:
            return await self.acknowledge(request, actor, self._port)
        if request.MethodId in (_REFRESH, _REFRESH_ITEM):
            return self._refresh(request, subscriptions)
        return await call(request, actor, self._port, self)

    def _refresh(self, request: Any, subscriptions: Mapping[int, Any]) -> Any:
        """Send the conditions that matter once more. Source: OPC 10000-9, 5.5.7 and 5.5.8."""
        result = ua.CallMethodResult()
        given = request.InputArguments or []
        count = 1 if request.MethodId == _REFRESH else 2
        fits = [not each.is_array and each.VariantType == _T.UInt32 for each in given]
        if request.ObjectId != _CONDITION_TYPE:
            code: int = _CODES.BadMethodInvalid
        elif len(given) != count:
            code = _CODES.BadArgumentsMissing if len(given) < count else _CODES.BadTooManyArguments
        elif not all(fits):
            code = _CODES.BadInvalidArgument
            result.InputArgumentResults = [
                ua.StatusCode(_CODES.Good if each else _CODES.BadTypeMismatch) for each in fits
            ]
        else:
            code = self._refreshed(subscriptions.get(given[0].Value), [each.Value for each in given[1:]])
        result.StatusCode = ua.StatusCode(code)
        return result

    def _refreshed(self, subscription: Any, only: list[int]) -> int:
        if not isinstance(subscription, EventSubscription):
            return int(_CODES.BadSubscriptionIdInvalid)
        items = list(subscription.events.values())
        if only:
            items = [each for each in items if each.monitored_item_id == only[0]]
            if not items:
                return int(_CODES.BadMonitoredItemIdInvalid)
        took = [each.refresh(self._seen_by(each)) for each in items]
        return int(_CODES.Good if all(took) else _CODES.BadRefreshInProgress)

    def _seen_by(self, item: EventItem) -> Iterator[Occurrence]:
        yield self._own(_IDS.RefreshStartEventType)
        for each in self._present.values():
            if each.facts is not None and each.facts.retain and item.wants(each):
                yield each
        yield self._own(_IDS.RefreshEndEventType)

    def _add_method(self) -> None:
        method = make_node(
            ACKNOWLEDGE, ua.NodeClass.Method, "Acknowledge", description="Acknowledge an alarm."
        )
        yes = held(True, _T.Boolean)
        method.attributes |= {ua.AttributeIds.Executable: yes, ua.AttributeIds.UserExecutable: yes}
        arguments = [
            ua.Argument("Alarm", ua.NodeId(_IDS.String), -1, [], ua.LocalizedText("Name of the alarm")),
            ua.Argument("Comment", ua.NodeId(_IDS.LocalizedText), -1, [], ua.LocalizedText("Why, or empty")),
        ]
        inputs = make_variable(
            ua.NodeId("Acknowledge/InputArguments", EXTRAS),
            "InputArguments",
            ua.NodeId(_IDS.Argument),
            held(arguments, _T.ExtensionObject),
            _IDS.PropertyType,
            rank=1,
        )
        inputs.attributes[ua.AttributeIds.BrowseName] = held(
            ua.QualifiedName("InputArguments", 0), _T.QualifiedName
        )
        link(method, inputs, _IDS.HasProperty, _IDS.PropertyType)
        link(self.shown.folder, method, _IDS.HasComponent)
        self._nodes[ACKNOWLEDGE], self._nodes[inputs.nodeid] = method, inputs

    async def acknowledge(self, request: Any, actor: Actor, port: Port) -> Any:
        """Carry out a call of `Acknowledge`. Source: OPC 10000-4, 5.12.2 Call."""
        result = ua.CallMethodResult()
        arguments = request.InputArguments or []
        if request.ObjectId != FOLDER:
            result.StatusCode = ua.StatusCode(_CODES.BadMethodInvalid)
        elif len(arguments) != 2:
            short = len(arguments) < 2
            result.StatusCode = ua.StatusCode(
                _CODES.BadArgumentsMissing if short else _CODES.BadTooManyArguments
            )
        else:
            name, comment = (_words(each) for each in arguments)
            checks = [_CODES.BadTypeMismatch if each is None else _CODES.Good for each in (name, comment)]
            if name is None or comment is None:
                result.StatusCode = ua.StatusCode(_CODES.BadInvalidArgument)
                result.InputArgumentResults = [ua.StatusCode(each) for each in checks]
            else:
                result.StatusCode = ua.StatusCode(await self._acknowledge(name, comment, actor, port))
        return result

    async def _acknowledge(self, name: str, comment: str, actor: Actor, port: Port) -> int:
        try:
            await port.command_alarm("acknowledge", name, actor, comment)
        except ForbiddenError:
            return int(_CODES.BadUserAccessDenied)
        except PlantError:
            return int(_CODES.BadInvalidState if name in self._present else _CODES.BadNotFound)
        return int(_CODES.Good)


def _with_author(facts: Facts, known: Facts | None) -> Facts:
    """Return an alarm with the author of its comment, whom the plant tells only as the comment is made."""
    if known is None:
        return facts
    said = [(each.comment, each.acknowledged_ns, each.confirmed_ns) for each in (known, facts)]
    return replace(facts, by=known.by) if said[0] == said[1] else facts


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _words(variant: Any) -> str | None:
    """Return the text of a String or LocalizedText argument; None if it is neither."""
    if variant.is_array or variant.VariantType not in (_T.String, _T.LocalizedText):
        return None
    value = variant.Value
    return str((value.Text if variant.VariantType == _T.LocalizedText and value else value) or "")
