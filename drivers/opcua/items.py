"""Monitored items on tags: what clients ask for, checked. How they are kept is a `Watch`'s."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.monitored_item_service import MonitoredItemService, MonitoredItemValues
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # `ua` has a subclass that is not decoded
from numpy.typing import NDArray

from drivers.opcua.alarms import Alarms
from drivers.opcua.conditions.facts import ENGLISH
from drivers.opcua.conditions.filters import FilterError
from drivers.opcua.conditions.queue import MAX_OF_SESSION, EventItem, EventSubscription
from drivers.opcua.model import PlantNodes
from drivers.opcua.picking import picked, span_of, stamps_of, unfit_range, wrong_encoding
from drivers.opcua.queue import Part
from drivers.opcua.values import TagValues
from runtime.contract import Clock, DataType, Tag

FASTEST_PUBLISH_MS, SLOWEST_PUBLISH_MS = 50.0, 3_600_000.0
MAX_ITEMS = 100_000
MAX_OTHERS = (
    1_000  # on other nodes than tags: a tenth of a millisecond each, whenever the server's clock ticks
)
OTHERS_PER_SUBSCRIPTION = 50
AT_A_TIME = 200
SHARE = 0.8  # of those that one address may have: there are some left for others
OTHERS_QUEUE = 10
KEEP_ALIVE_MS, LIFETIME_MS = 10_000.0, 60_000.0  # where a client leaves them to us
LONGEST_LIFETIME_MS = 3_600_000.0  # what nobody takes any more is kept no longer
LIFETIME_PER_KEEP_ALIVE = 3  # Source: OPC 10000-4, 5.14.2.2, requestedLifetimeCount
LARGEST_OTHER = 16_384  # bytes; asyncua has values of 340 kB
_CODES = ua.StatusCodes


class TagItem(ABC):
    """One monitored item on a tag's value: filter, sampling interval and queue.

    The tag is sampled when it changes. Within one sampling interval the newest sample replaces the
    one before it, so that a queue never holds more than one value an interval.
    """

    __slots__ = ("monitored_item_id", "tag_id")

    def __init__(self, item_id: int, tag_id: int) -> None:
        self.monitored_item_id = item_id
        self.tag_id = tag_id

    @property
    @abstractmethod
    def client_handle(self) -> int:
        """How the client calls it."""

    @abstractmethod
    def configure(self, parameters: Any, stamps: int, publish_ms: float, cap: int) -> tuple[float, int]:
        """Take a client's parameters; return the sampling interval in ms and the queue size in force.

        `stamps` is TimestampsToReturn.

        Raises:
            ServiceError: the filter is not one for this tag.
        """

    @abstractmethod
    def set_mode(self, mode: Any) -> None:
        """Take a MonitoringMode.

        What was disabled begins with the present value; what is disabled forgets what waits; what only
        samples keeps it until it reports, or is released. Source: OPC 10000-4, 5.13.1.3.
        """

    @abstractmethod
    def triggers(self, others: bool) -> None:
        """Take whether other items wait for it to have something to tell."""

    @abstractmethod
    def release(self) -> None:
        """Send what waits, though the item only samples."""


class Watch(ABC):
    """Who watches which tag.

    Attributes:
        size: how many items there are.
        others: how many there are on other nodes than tags.
        alarms: what the items on events are of.
    """

    alarms: Alarms

    def __init__(self, nodes: PlantNodes, values: TagValues, clock: Clock) -> None:
        self.nodes = nodes
        self.values = values
        self.clock = clock
        self.size = 0
        self.others = 0
        self.numbers: Iterator[int] = count(1)

    @abstractmethod
    def widen(self, count: int) -> None:
        """Know of so many tags."""

    @abstractmethod
    async def post(self, ids: NDArray[np.int32]) -> None:
        """Offer the present values of tags to their items."""

    @abstractmethod
    def make_item(self, subscription: Any, item_id: int, tag_id: int, part: Part = None) -> TagItem:
        """Return a new item; `part` is which characters of a text are wanted."""

    @abstractmethod
    def add(self, item: TagItem, mode: Any) -> None:
        """Begin to sample an item that is configured."""

    @abstractmethod
    def remove(self, item: TagItem) -> None:
        """End an item, and forget what waits for it."""

    @abstractmethod
    def make_subscription(self, most: int, *about: Any, **more: Any) -> EventSubscription:
        """Return a subscription; `most` is MaxNotificationsPerPublish, the rest is asyncua's."""


def revised(parameters: Any, publish_ms: float, cap: int) -> tuple[float, int]:
    """Return the sampling interval in ms and the queue size that a client gets."""
    wanted = parameters.SamplingInterval
    sampling_ms = min(wanted, publish_ms) if wanted >= 0 else publish_ms
    return sampling_ms, min(max(1, parameters.QueueSize), cap)


NO_NUMBERS = frozenset({DataType.BOOL, DataType.STRING, DataType.DT})  # on the wire


def data_filter(tag: Tag, wanted: Any) -> tuple[Any, float]:
    """Return trigger and deadband of what a client asks for.

    Raises:
        ServiceError: the filter is not one for this tag. Source: OPC 10000-4, 7.22.2 DataChangeFilter;
            OPC 10000-8, 6.2 PercentDeadband.
    """
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId()):
        return ua.DataChangeTrigger.StatusValue, 0.0
    if not isinstance(wanted, DataChangeFilter):
        raise ServiceError(_CODES.BadMonitoredItemFilterUnsupported)
    if not isinstance(wanted.Trigger, ua.DataChangeTrigger):
        raise ServiceError(_CODES.BadMonitoredItemFilterInvalid)
    if wanted.DeadbandType == ua.DeadbandType.None_:
        return wanted.Trigger, 0.0
    deadband = wanted.DeadbandValue
    if deadband and tag.data_type in NO_NUMBERS:
        raise ServiceError(_CODES.BadFilterNotAllowed)
    if wanted.DeadbandType == ua.DeadbandType.Percent:
        if tag.low is None or tag.high is None:
            raise ServiceError(_CODES.BadFilterNotAllowed)
        if deadband > 100:
            raise ServiceError(_CODES.BadDeadbandFilterInvalid)
        deadband *= (tag.high - tag.low) / 100
    elif wanted.DeadbandType != ua.DeadbandType.Absolute:
        raise ServiceError(_CODES.BadDeadbandFilterInvalid)
    elif tag.data_type is DataType.TIME:  # ms, as its value is
        deadband *= 1e6
    if not deadband >= 0:  # NaN as well
        raise ServiceError(_CODES.BadDeadbandFilterInvalid)
    return wanted.Trigger, deadband


def _unfit_filter(wanted: Any, attribute: int) -> int:
    """Return why a filter cannot be one of an attribute that is no tag's value, Good where it can."""
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId()):
        return int(_CODES.Good)
    if not isinstance(wanted, DataChangeFilter):
        return int(_CODES.BadMonitoredItemFilterUnsupported)
    if not isinstance(wanted.Trigger, ua.DataChangeTrigger):
        return int(_CODES.BadMonitoredItemFilterInvalid)
    if not wanted.DeadbandType:
        return int(_CODES.Good)
    of_value = attribute == ua.AttributeIds.Value
    return int(_CODES.BadMonitoredItemFilterUnsupported if of_value else _CODES.BadFilterNotAllowed)


def _refused(code: int) -> Any:
    return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(code))


class TagItems(MonitoredItemService):  # type: ignore[misc]
    """The monitored items of one subscription; those on other nodes than tags stay asyncua's."""

    def __init__(
        self, subscription: Any, aspace: Any, watch: Watch, owner: Subscriptions | None = None
    ) -> None:
        """`owner` has the subscription as long as it lives; without one an address may have all items."""
        super().__init__(subscription, aspace)
        self._watch = watch
        self._stamps = 2
        self._owner = owner
        self._left = self._left_others = 0

    async def create_monitored_items(self, params: Any) -> list[Any]:
        """Create items, some at a time, so that others have their turn.

        Raises:
            ServiceError: the subscription was deleted meanwhile.
        """
        stamps = stamps_of(params)
        wanted, results = params.ItemsToCreate, []
        if not wanted:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        for at in range(0, len(wanted), AT_A_TIME):
            if at:
                await self._watch.clock.sleep(0)
                if not self._alive():
                    raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
            params.ItemsToCreate = wanted[at : at + AT_A_TIME]
            await self._look_for_room(params.ItemsToCreate)
            self._stamps = stamps
            results += await super().create_monitored_items(params)
        return results

    def belong_to(self, owner: Subscriptions) -> None:
        """Take who has the subscription now."""
        self._owner = owner

    def _alive(self) -> bool:
        number = self.isub.data.SubscriptionId
        return self._owner is None or self._owner.subscriptions.get(number) is self.isub

    async def _look_for_room(self, wanted: list[Any]) -> None:
        """See how many items there are left, for all and for the client's address.

        Where they do not do, subscriptions without a session give way.
        """
        tags = sum(self._tag_of(each.ItemToMonitor) >= 0 for each in wanted)
        others = len(wanted) - tags
        while True:
            left, left_others = MAX_ITEMS - self._watch.size, MAX_OTHERS - self._watch.others
            self._left, self._left_others = left, left_others
            if self._owner is None:
                return
            taken, taken_others = self._owner.taken()
            self._left = min(left, round(MAX_ITEMS * SHARE) - taken)
            self._left_others = min(left_others, round(MAX_OTHERS * SHARE) - taken_others)
            if self._left >= tags and self._left_others >= others:
                return
            everywhere = left < tags or left_others < others
            if not await self._owner.give_way(everywhere):
                return

    def _tag_of(self, wanted: Any) -> int:
        """Return the id of the tag whose value is asked for, -1 where it is something else."""
        is_value = wanted.AttributeId == ua.AttributeIds.Value
        return self._watch.nodes.tag_id(wanted.NodeId) if is_value else -1

    async def _create_data_change_monitored_item(self, params: Any) -> Any:
        wanted = params.ItemToMonitor
        if not isinstance(params.MonitoringMode, ua.MonitoringMode):
            return _refused(_CODES.BadMonitoringModeInvalid)
        tag_id = self._tag_of(wanted)
        if tag_id < 0:
            self._watch.alarms.shown.keep(wanted.NodeId)
            return await self._watch_other(params)
        result = ua.MonitoredItemCreateResult()
        try:
            if self._left <= 0:
                raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
            part = span_of(wanted.IndexRange) if wanted.IndexRange else None
            is_text = self._watch.values.tags[tag_id].data_type is DataType.STRING
            if wanted.IndexRange and not (part and is_text):
                raise ServiceError(unfit_range(wanted.IndexRange))
            if code := wrong_encoding(wanted):
                raise ServiceError(code)
            self._monitored_item_counter += 1
            item_id = self._monitored_item_counter
            item = self._watch.make_item(self.isub, item_id, tag_id, part)
            interval, size = self._configure(item, params.RequestedParameters)
        except ServiceError as exc:
            result.StatusCode = ua.StatusCode(exc.code)
            return result
        result.MonitoredItemId = item_id
        result.RevisedSamplingInterval, result.RevisedQueueSize = interval, size
        self._monitored_items[item_id] = item
        self._watch.add(item, params.MonitoringMode)
        self._left -= 1
        return result

    def _create_events_monitored_item(self, params: Any) -> Any:
        if not isinstance(params.MonitoringMode, ua.MonitoringMode):
            return _refused(_CODES.BadMonitoringModeInvalid)
        result = ua.MonitoredItemCreateResult()
        node_id = params.ItemToMonitor.NodeId
        notifier = self.aspace.read_attribute_value(node_id, ua.AttributeIds.EventNotifier)
        try:
            if notifier.Value is None or not (notifier.Value.Value or 0) & 1:
                unknown = notifier.StatusCode is not None and notifier.StatusCode.is_bad()
                raise ServiceError(
                    notifier.StatusCode.value if unknown else ua.StatusCodes.BadAttributeIdInvalid
                )
            self._watch.alarms.items.check_room(self.isub.together())
            self._monitored_item_counter += 1
            item_id = self._monitored_item_counter
            item, size = self._watch.alarms.make_item(item_id, node_id, params.RequestedParameters)
        except (ServiceError, FilterError) as exc:
            _refuse(result, exc)
            return result
        result.MonitoredItemId = item_id
        result.RevisedQueueSize = size
        result.FilterResult = item.filter.result or result.FilterResult
        self._monitored_items[item_id] = self.isub.events[item_id] = item
        item.set_mode(params.MonitoringMode)
        return result

    def _modify_event_item(self, item: EventItem, parameters: Any) -> Any:
        result = ua.MonitoredItemModifyResult()
        try:
            result.RevisedQueueSize = item.configure(parameters, self._watch.alarms.filter(parameters.Filter))
            result.FilterResult = item.filter.result or result.FilterResult
        except FilterError as exc:
            _refuse(result, exc)
        return result

    async def _watch_other(self, params: Any) -> Any:
        """Make an item on one of asyncua's own nodes: they are few and slow, and have no deadband."""
        wanted, parameters = params.ItemToMonitor, params.RequestedParameters
        value = self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId).Value
        inner = None if value is None else value.Value
        if self._left_others <= 0 or len(self._monitored_datachange) >= OTHERS_PER_SUBSCRIPTION:
            return _refused(ua.StatusCodes.BadTooManyMonitoredItems)
        if isinstance(inner, bytes) and len(inner) > LARGEST_OTHER:
            return _refused(ua.StatusCodes.BadNotSupported)
        if code := _unfit_filter(parameters.Filter, wanted.AttributeId):
            return _refused(code)
        if code := wrong_encoding(wanted):
            return _refused(code)
        if wanted.IndexRange and unfit_range(wanted.IndexRange) == ua.StatusCodes.BadIndexRangeInvalid:
            return _refused(ua.StatusCodes.BadIndexRangeInvalid)
        if not isinstance(parameters.Filter, DataChangeFilter):
            parameters.Filter = None
        parameters.QueueSize = min(parameters.QueueSize or 1, OTHERS_QUEUE)
        result = await super()._create_data_change_monitored_item(params)
        if result.StatusCode.is_good():
            self._monitored_items[result.MonitoredItemId].discard_oldest = parameters.DiscardOldest
        return result

    async def datachange_callback(self, handle: int, value: Any, error: Any = None) -> None:
        """Queue what the item asks for of a value of one of asyncua's own nodes."""
        item = self._monitored_items[self._monitored_datachange[handle]]
        if item.mode != ua.MonitoringMode.Disabled:
            waits = self.isub._triggered_datachanges
            before = waits.get(item.monitored_item_id, [])[-1:]
            await super().datachange_callback(handle, picked(value, item.read_value_id, item.stamps), error)
            if waits.get(item.monitored_item_id, [])[-1:] != before:
                self.isub.links.fire(item.monitored_item_id)

    def _commit_monitored_item(self, result: Any, mdata: Any) -> None:
        mdata.stamps = self._stamps
        if result.StatusCode.is_good():
            self.isub.set_quiet(result.MonitoredItemId, mdata.mode == ua.MonitoringMode.Sampling)
        super()._commit_monitored_item(result, mdata)
        made = result.MonitoredItemId in self._monitored_items
        self._watch.others += made
        self._left_others -= made

    def _configure(self, item: TagItem, parameters: Any) -> tuple[float, int]:
        publish_ms = self.isub.data.RevisedPublishingInterval
        return item.configure(parameters, self._stamps, publish_ms, self.isub.max_queue_size)

    def modify_monitored_items(self, params: Any) -> Any:
        self._stamps = stamps_of(params)
        return super().modify_monitored_items(params)

    def _modify_monitored_item(self, params: Any) -> Any:
        result = ua.MonitoredItemModifyResult()
        item = self._monitored_items.get(params.MonitoredItemId)
        if item is None:
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadMonitoredItemIdInvalid)
        elif isinstance(item, EventItem):
            result = self._modify_event_item(item, params.RequestedParameters)
        elif isinstance(item, TagItem):
            try:
                interval, size = self._configure(item, params.RequestedParameters)
                result.RevisedSamplingInterval, result.RevisedQueueSize = interval, size
            except ServiceError as exc:
                result.StatusCode = ua.StatusCode(exc.code)
        elif item.callback_handle is None:
            return super()._modify_monitored_item(params)
        elif code := _unfit_filter(params.RequestedParameters.Filter, item.read_value_id.AttributeId):
            result.StatusCode = ua.StatusCode(code)
        else:
            parameters = params.RequestedParameters
            parameters.QueueSize = min(parameters.QueueSize or 1, OTHERS_QUEUE)
            if not isinstance(parameters.Filter, DataChangeFilter):
                parameters.Filter = None
            item.stamps, item.client_handle = self._stamps, parameters.ClientHandle
            item.filter, item.discard_oldest = parameters.Filter, parameters.DiscardOldest
            result = super()._modify_monitored_item(params)
            result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        return result

    async def _set_monitoring_mode(self, mode: Any, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        if not isinstance(item, TagItem | EventItem):
            if item is not None:
                self.isub.set_quiet(mid, mode == ua.MonitoringMode.Sampling)
                if mode == ua.MonitoringMode.Disabled:
                    self.isub.drop(mid)
                    item.mvalue = MonitoredItemValues()  # it begins anew
            return await super()._set_monitoring_mode(mode, mid)
        item.set_mode(mode)
        return ua.StatusCode()

    def _delete_monitored_items(self, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        self.isub.links.forget(mid)
        if isinstance(item, EventItem):
            self._watch.alarms.items.remove(item)
            del self.isub.events[mid]
        elif isinstance(item, TagItem):
            self._watch.remove(item)
        else:
            self._watch.others -= item is not None
            self.isub.set_quiet(mid, quiet=False)
            self.isub.drop(mid)
            return super()._delete_monitored_items(mid)
        del self._monitored_items[mid]
        return ua.StatusCode()

    def set_triggering(self, params: Any) -> Any:
        """End and make links between items. Source: OPC 10000-4, 5.13.5 SetTriggering.

        Raises:
            ServiceError: there is nothing to do, or no such triggering item.
        """
        if not (params.LinksToAdd or params.LinksToRemove):
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        number, links = params.TriggeringItemId, self.isub.links
        item = self._monitored_items.get(number)
        if item is None:
            raise ServiceError(ua.StatusCodes.BadMonitoredItemIdInvalid)
        result = ua.SetTriggeringResult()
        for each in params.LinksToRemove or []:
            code = _CODES.Good if links.remove(number, each) else _CODES.BadMonitoredItemIdInvalid
            result.RemoveResults.append(ua.StatusCode(code))
        for each in params.LinksToAdd or []:
            code = _CODES.BadMonitoredItemIdInvalid
            if each in self._monitored_items:
                code = _CODES.Good if links.add(number, each) else _CODES.BadTooManyMonitoredItems
            result.AddResults.append(ua.StatusCode(code))
        others = number in links
        if isinstance(item, EventItem):
            item.fires = partial(links.fire, number) if others else None
        elif isinstance(item, TagItem):
            item.triggers(others)
        return result

    def release(self, numbers: Iterable[int]) -> None:
        """Send what waits for items that only sample."""
        for each in numbers:
            item = self._monitored_items[each]
            if isinstance(item, TagItem | EventItem):
                item.release()
            else:
                self.isub.release(each)

    async def resend(self) -> None:
        """Send the present values of items that report and for which nothing waits, too.

        Source: OPC 10000-4, 5.14.7.2, sendInitialValues.
        """
        self.isub.resend()
        for handle, mid in list(self._monitored_datachange.items()):
            item = self._monitored_items[mid]
            if item.mode == ua.MonitoringMode.Reporting and mid not in self.isub._triggered_datachanges:
                item.mvalue = MonitoredItemValues()  # so that the value differs from the one before
                await self.trigger_datachange(
                    handle, item.read_value_id.NodeId, item.read_value_id.AttributeId
                )


async def _none_gives_way(everywhere: bool) -> bool:
    return False


async def _to_nobody(result: Any) -> None:
    """Nobody is told: there is no session."""


def _intervals(wanted: int, interval_ms: float, usual_ms: float, longest_ms: float) -> int:
    """Return a count of publishing intervals: as many as are wanted, those of a usual time where none are."""
    return min(wanted or math.ceil(usual_ms / interval_ms), max(1, int(longest_ms / interval_ms)))


def _refuse(result: Any, error: ServiceError | FilterError) -> None:
    """Tell a client why an item is refused, and which parts of its filter are wrong."""
    result.StatusCode = ua.StatusCode(error.code)
    if isinstance(error, FilterError) and error.result is not None:
        result.FilterResult = error.result


class Subscriptions(SubscriptionService):  # type: ignore[misc]
    """The subscriptions of one session: another session's do not exist here.

    Attributes:
        language: what its client speaks.
        may_subscribe: tells whether the client's address may have one more.
        taken: gives how many items that address has: on tags and alarms, and on other nodes.
        give_way: ends the oldest subscriptions of that address that have no session, or those of any;
            false where there are none.
        tell: sends a client the last result of a subscription.
    """

    def __init__(self, server: Any, watch: Watch) -> None:
        super().__init__(server.aspace, server)
        self._watch = watch
        self.language = ENGLISH
        self.may_subscribe: Callable[[], bool] = lambda: True
        self.give_way: Callable[[bool], Awaitable[bool]] = _none_gives_way
        self.taken: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.tell: Callable[[Any], Awaitable[None]] = _to_nobody

    async def create_subscription(
        self, params: Any, callback: Any, session_id: Any, request_callback: Any = None
    ) -> Any:
        while not self.may_subscribe():
            if not await self.give_way(False):
                raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        if len(self.subscriptions) >= self.iserver.max_subscriptions:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        number = next(self._watch.numbers)
        result = ua.CreateSubscriptionResult(SubscriptionId=number)
        self._revise(result, params)
        made = self._watch.make_subscription(
            params.MaxNotificationsPerPublish,
            result,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            no_acks_limit=self.iserver.max_unacked_messages_per_subscription,
            max_queue_size=self.iserver.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
        )
        made.monitored_item_srv = TagItems(made, self.aspace, self._watch, self)
        self.adopt(made)
        await made.start()
        return result

    def adopt(self, made: EventSubscription) -> None:
        """Have a subscription, a new one or another session's."""
        number = made.data.SubscriptionId
        made.language = lambda: self.language
        made.together = lambda: sum(len(each.events) for each in self.subscriptions.values())
        made.delete_callback = lambda: self.subscriptions.pop(number, None)
        made.ended = self._ended
        made.monitored_item_srv.belong_to(self)
        self.subscriptions[number] = made

    async def _ended(self, made: EventSubscription) -> None:
        """Tell the client of a subscription whose lifetime has ended. Source: OPC 10000-4, 5.14.1.2."""
        await self.tell(made.farewell(ua.StatusCodes.BadTimeout))

    def no_room_for(self, made: EventSubscription, of_another: bool) -> int:
        """Return why a subscription cannot come here, Good where it can; `of_another` address."""
        if len(self.subscriptions) >= self.iserver.max_subscriptions:
            return int(_CODES.BadTooManySubscriptions)
        if sum(len(each.events) for each in (*self.subscriptions.values(), made)) > MAX_OF_SESSION:
            return int(_CODES.BadTooManyMonitoredItems)
        if not of_another:
            return int(_CODES.Good)
        taken, others = self.taken()
        items = made.monitored_item_srv
        few = taken + len(items._monitored_items) <= round(MAX_ITEMS * SHARE)
        few = few and others + len(items._monitored_datachange) <= round(MAX_OTHERS * SHARE)
        if not (few and self.may_subscribe()):
            return int(_CODES.BadTooManySubscriptions)
        return int(_CODES.Good)

    def modify_subscription(self, params: Any) -> Any:
        """Take other intervals and counts. Source: OPC 10000-4, 5.14.3; asyncua leaves all as it was.

        Raises:
            ServiceError: there is no such subscription.
        """
        made = self._known(params.SubscriptionId)
        before = made.data.RevisedPublishingInterval
        result = ua.ModifySubscriptionResult()
        self._revise(made.data, params)
        self._revise(result, params)
        made.modify(params.MaxNotificationsPerPublish, before != made.data.RevisedPublishingInterval)
        return result

    def _revise(self, result: Any, params: Any) -> None:
        wanted = params.RequestedPublishingInterval
        # `not >=` catches NaN as well
        result.RevisedPublishingInterval = (
            FASTEST_PUBLISH_MS if not wanted >= FASTEST_PUBLISH_MS else min(wanted, SLOWEST_PUBLISH_MS)
        )
        each_ms, longest_ms = result.RevisedPublishingInterval, LONGEST_LIFETIME_MS
        keep_alive = _intervals(
            params.RequestedMaxKeepAliveCount, each_ms, KEEP_ALIVE_MS, longest_ms / LIFETIME_PER_KEEP_ALIVE
        )
        lifetime = _intervals(params.RequestedLifetimeCount, each_ms, LIFETIME_MS, longest_ms)
        result.RevisedMaxKeepAliveCount = keep_alive
        result.RevisedLifetimeCount = max(lifetime, LIFETIME_PER_KEEP_ALIVE * keep_alive)

    def _known(self, number: int) -> EventSubscription:
        made: EventSubscription | None = self.subscriptions.get(number)
        if made is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        made.revive()
        return made

    def publish(self, acks: Iterable[Any]) -> tuple[int, list[Any]]:
        """Take acknowledgements; return how many subscriptions there are, and what became of each."""
        if not self.subscriptions:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        return len(self.subscriptions), self.acknowledge(acks)

    def acknowledge(self, acks: Iterable[Any]) -> list[Any]:
        """Take acknowledgements; return what became of each.

        Source: OPC 10000-4, 5.14.5; asyncua takes numbers that it never sent.
        """
        return [ua.StatusCode(self._acknowledge(each)) for each in acks]

    def _acknowledge(self, ack: Any) -> int:
        made = self.subscriptions.get(ack.SubscriptionId)
        if made is None:
            return int(ua.StatusCodes.BadSubscriptionIdInvalid)
        known = made.acknowledge(ack.SequenceNumber)
        return int(ua.StatusCodes.Good if known else ua.StatusCodes.BadSequenceNumberUnknown)

    def republish(self, params: Any) -> Any:
        """Return a notification that was not acknowledged yet. Source: OPC 10000-4, 5.14.6.

        asyncua gives an empty one where it has none, as if all were well, and forgets what it gave.

        Raises:
            ServiceError: there is no such subscription, or it does not have the message any more.
        """
        message = self._known(params.SubscriptionId).kept(params.RetransmitSequenceNumber)
        if message is None:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return message

    async def create_monitored_items(self, params: Any) -> Any:
        self._known(params.SubscriptionId)
        return await super().create_monitored_items(params)

    def modify_monitored_items(self, params: Any) -> Any:
        self._known(params.SubscriptionId)
        stamps_of(params)
        if not params.ItemsToModify:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return super().modify_monitored_items(params)

    def set_triggering(self, params: Any) -> Any:
        """Link items of a subscription, or end links."""
        return self._known(params.SubscriptionId).monitored_item_srv.set_triggering(params)

    def delete_monitored_items(self, params: Any) -> Any:
        self._known(params.SubscriptionId)
        if not params.MonitoredItemIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        self._known(params.SubscriptionId)
        if not params.MonitoredItemIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        if not isinstance(params.MonitoringMode, ua.MonitoringMode):
            raise ServiceError(ua.StatusCodes.BadMonitoringModeInvalid)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: Any) -> Any:
        if not params.SubscriptionIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        for each in params.SubscriptionIds:
            if each in self.subscriptions:
                self.subscriptions[each].revive()
        return await super().set_publishing_mode(params)
