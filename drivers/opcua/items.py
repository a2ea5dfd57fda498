"""Monitored items on tags: what clients ask for, checked. How they are kept is a `Watch`'s."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # `ua` has a subclass that is not decoded
from numpy.typing import NDArray

from drivers.opcua.alarms import Alarms
from drivers.opcua.conditions.facts import ENGLISH
from drivers.opcua.conditions.filters import FilterError
from drivers.opcua.conditions.queue import EventItem, EventSubscription
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
LIFETIME_PER_KEEP_ALIVE = 3  # Source: OPC 10000-4, 5.14.2.2, requestedLifetimeCount
LARGEST_OTHER = 16_384  # bytes; asyncua has values of 340 kB


class TagItem(ABC):
    """One monitored item on a tag's value: filter, sampling interval and queue.

    The tag is sampled when it changes. Within one sampling interval the newest sample replaces the
    one before it, so that a queue never holds more than one value an interval.
    """

    __slots__ = ("monitored_item_id", "tag_id")

    def __init__(self, item_id: int, tag_id: int) -> None:
        self.monitored_item_id = item_id
        self.tag_id = tag_id

    @abstractmethod
    def configure(self, parameters: Any, publish_ms: float, cap: int) -> tuple[float, int]:
        """Take a client's parameters; return the sampling interval in ms and the queue size in force.

        Raises:
            ServiceError: the filter is not one for this tag.
        """

    @abstractmethod
    def set_mode(self, mode: Any) -> None:
        """Take a MonitoringMode; what begins to report begins with the present value, what ends forgets."""


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
    def make_item(
        self, subscription: Any, item_id: int, tag_id: int, stamps: int, part: Part = None
    ) -> TagItem:
        """Return a new item; `stamps` is TimestampsToReturn, `part` which characters of a text are wanted."""

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


def data_filter(tag: Tag, wanted: Any) -> tuple[Any, float]:
    """Return trigger and deadband of what a client asks for.

    Raises:
        ServiceError: the filter is not one for this tag. Source: OPC 10000-4, 7.22.2 DataChangeFilter;
            OPC 10000-8, 6.2 PercentDeadband.
    """
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId()):
        return ua.DataChangeTrigger.StatusValue, 0.0
    if not isinstance(wanted, DataChangeFilter):
        raise ServiceError(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
    deadband = wanted.DeadbandValue if wanted.DeadbandType else 0.0
    if wanted.DeadbandType == ua.DeadbandType.Percent:
        if tag.low is None or tag.high is None or not 0 <= deadband <= 100:
            raise ServiceError(ua.StatusCodes.BadDeadbandFilterInvalid)
        deadband *= (tag.high - tag.low) / 100
    if deadband and (tag.data_type in (DataType.BOOL, DataType.STRING) or not deadband > 0):
        raise ServiceError(ua.StatusCodes.BadDeadbandFilterInvalid)
    return wanted.Trigger, deadband


def _plain(wanted: Any) -> bool:
    """Tell whether a filter is none, or one that asyncua knows to apply to any value."""
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId()):
        return True
    return isinstance(wanted, DataChangeFilter) and not wanted.DeadbandType


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
        self._stamps = stamps_of(params)
        wanted, results = params.ItemsToCreate, []
        if not wanted:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        for at in range(0, len(wanted), AT_A_TIME):
            if at:
                await self._watch.clock.sleep(0)
                if not self._alive():
                    raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
            self._look_for_room()
            params.ItemsToCreate = wanted[at : at + AT_A_TIME]
            results += await super().create_monitored_items(params)
        return results

    def _alive(self) -> bool:
        number = self.isub.data.SubscriptionId
        return self._owner is None or self._owner.subscriptions.get(number) is self.isub

    def _look_for_room(self) -> None:
        """See how many items there are left, for all and for the client's address."""
        self._left, self._left_others = MAX_ITEMS - self._watch.size, MAX_OTHERS - self._watch.others
        if self._owner is not None:
            taken, others = self._owner.taken()
            self._left = min(self._left, round(MAX_ITEMS * SHARE) - taken)
            self._left_others = min(self._left_others, round(MAX_OTHERS * SHARE) - others)

    async def _create_data_change_monitored_item(self, params: Any) -> Any:
        wanted = params.ItemToMonitor
        tag_id = (
            self._watch.nodes.tag_id(wanted.NodeId) if wanted.AttributeId == ua.AttributeIds.Value else -1
        )
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
            item = self._watch.make_item(self.isub, item_id, tag_id, self._stamps, part)
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
        self._monitored_items[item_id] = self.isub.events[item_id] = item
        item.set_mode(params.MonitoringMode)
        return result

    def _modify_event_item(self, item: EventItem, parameters: Any) -> Any:
        result = ua.MonitoredItemModifyResult()
        try:
            result.RevisedQueueSize = item.configure(parameters, self._watch.alarms.filter(parameters.Filter))
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
        if not _plain(parameters.Filter):
            return _refused(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        if code := wrong_encoding(wanted):
            return _refused(code)
        if wanted.IndexRange and unfit_range(wanted.IndexRange) == ua.StatusCodes.BadIndexRangeInvalid:
            return _refused(ua.StatusCodes.BadIndexRangeInvalid)
        if not isinstance(parameters.Filter, DataChangeFilter):
            parameters.Filter = None
        parameters.QueueSize = min(parameters.QueueSize or 1, OTHERS_QUEUE)
        return await super()._create_data_change_monitored_item(params)

    async def datachange_callback(self, handle: int, value: Any, error: Any = None) -> None:
        """Queue what the item asks for of a value of one of asyncua's own nodes."""
        item = self._monitored_items[self._monitored_datachange[handle]]
        if item.mode == ua.MonitoringMode.Reporting:
            await super().datachange_callback(handle, picked(value, item.read_value_id, item.stamps), error)

    def _commit_monitored_item(self, result: Any, mdata: Any) -> None:
        mdata.stamps = self._stamps
        super()._commit_monitored_item(result, mdata)
        made = result.MonitoredItemId in self._monitored_items
        self._watch.others += made
        self._left_others -= made

    def _configure(self, item: TagItem, parameters: Any) -> tuple[float, int]:
        return item.configure(parameters, self.isub.data.RevisedPublishingInterval, self.isub.max_queue_size)

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
        elif not _plain(params.RequestedParameters.Filter):
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        else:
            parameters = params.RequestedParameters
            parameters.QueueSize = min(parameters.QueueSize or 1, OTHERS_QUEUE)
            if not isinstance(parameters.Filter, DataChangeFilter):
                parameters.Filter = None
            return super()._modify_monitored_item(params)
        return result

    async def _set_monitoring_mode(self, mode: Any, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        if not isinstance(item, TagItem | EventItem):
            if item is not None and item.mode != ua.MonitoringMode.Reporting:
                item.mode = ua.MonitoringMode.Disabled  # so that asyncua begins with the present value
            return await super()._set_monitoring_mode(mode, mid)
        item.set_mode(mode)
        return ua.StatusCode()

    def _delete_monitored_items(self, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        if isinstance(item, EventItem):
            self._watch.alarms.items.remove(item)
            del self.isub.events[mid]
        elif isinstance(item, TagItem):
            self._watch.remove(item)
        else:
            self._watch.others -= item is not None
            return super()._delete_monitored_items(mid)
        del self._monitored_items[mid]
        return ua.StatusCode()


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
    """

    def __init__(self, server: Any, watch: Watch) -> None:
        super().__init__(server.aspace, server)
        self._watch = watch
        self.language = ENGLISH
        self.may_subscribe: Callable[[], bool] = lambda: True
        self.taken: Callable[[], tuple[int, int]] = lambda: (0, 0)

    async def create_subscription(
        self, params: Any, callback: Any, session_id: Any, request_callback: Any = None
    ) -> Any:
        if len(self.subscriptions) >= self.iserver.max_subscriptions or not self.may_subscribe():
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
            delete_callback=lambda: self.subscriptions.pop(number, None),
            no_acks_limit=self.iserver.max_unacked_messages_per_subscription,
            max_queue_size=self.iserver.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
        )
        made.language = lambda: self.language
        made.together = lambda: sum(len(each.events) for each in self.subscriptions.values())
        made.monitored_item_srv = TagItems(made, self.aspace, self._watch, self)
        self.subscriptions[number] = made
        await made.start()
        return result

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
        keep_alive = self._clamp_keep_alive_count(params.RequestedMaxKeepAliveCount)
        lifetime = self._clamp_lifetime_count(params.RequestedLifetimeCount)
        result.RevisedMaxKeepAliveCount = keep_alive
        result.RevisedLifetimeCount = max(lifetime, LIFETIME_PER_KEEP_ALIVE * keep_alive)

    def _known(self, number: int) -> EventSubscription:
        made: EventSubscription | None = self.subscriptions.get(number)
        if made is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        return made

    def publish(self, acks: Iterable[Any]) -> tuple[int, list[Any]]:
        """Take acknowledgements; return how many subscriptions there are, and what became of each.

        Source: OPC 10000-4, 5.14.5; asyncua takes numbers that it never sent.
        """
        if not self.subscriptions:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        return len(self.subscriptions), [ua.StatusCode(self._acknowledge(each)) for each in acks]

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

    def modify_monitored_items(self, params: Any) -> Any:
        stamps_of(params)
        if not params.ItemsToModify:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return super().modify_monitored_items(params)

    def delete_monitored_items(self, params: Any) -> Any:
        if not params.MonitoredItemIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        if not params.MonitoredItemIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: Any) -> Any:
        if not params.SubscriptionIds:
            raise ServiceError(ua.StatusCodes.BadNothingToDo)
        return await super().set_publishing_mode(params)
