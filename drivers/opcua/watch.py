"""Monitored items on tags: what changed goes straight into the queues of those who asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # `ua` has a subclass that is not decoded
from numpy.typing import NDArray

from drivers.opcua.model import PlantNodes
from drivers.opcua.values import TagValues
from runtime.contract import Clock, DataType, Quality

FASTEST_PUBLISH_MS, SLOWEST_PUBLISH_MS = 50.0, 3_600_000.0
MAX_ITEMS = 100_000
_OVERFLOW = 0x480  # info type DataValue, overflow bit. Source: OPC 10000-4, 7.39.1
_SLICE = 1000


class Watch:
    """Who watches which tag."""

    def __init__(self, nodes: PlantNodes, values: TagValues, clock: Clock) -> None:
        n = len(values.tags)
        self.nodes = nodes
        self.values = values
        self.clock = clock
        self.size = 0
        self.numbers: Iterator[int] = count(1)
        self._watched = np.zeros(n, np.bool_)
        self._items: dict[int, dict[TagItem, None]] = {}

    def widen(self, count: int) -> None:
        """Know of so many tags."""
        self._watched = np.concatenate([self._watched, np.zeros(count - len(self._watched), np.bool_)])

    def add(self, item: TagItem) -> None:
        self._items.setdefault(item.tag_id, {})[item] = None
        self._watched[item.tag_id] = True
        self.size += 1

    def remove(self, item: TagItem) -> None:
        items = self._items[item.tag_id]
        del items[item]
        self.size -= 1
        if not items:
            del self._items[item.tag_id]
            self._watched[item.tag_id] = False

    async def post(self, ids: NDArray[np.int32]) -> None:
        """Offer the present values of tags to their items; lets others run in between."""
        hits = ids[self._watched[ids]].tolist()
        for start in range(0, len(hits), _SLICE):
            steady_ns = self.clock.steady_ns()
            for id_ in hits[start : start + _SLICE]:
                for item in self._items.get(id_, ()):
                    item.offer(steady_ns)
            if start + _SLICE < len(hits):
                await self.clock.sleep(0)


class TagItem:
    """One monitored item on a tag's value: filter, sampling interval and queue.

    The tag is sampled when it changes. Within one sampling interval the newest sample replaces the
    one before it, so that a queue never holds more than one value an interval.
    """

    __slots__ = (
        "_deadband",
        "_interval_ns",
        "_last",
        "_sampled_ns",
        "_subscription",
        "_trigger",
        "_watch",
        "client_handle",
        "discard_oldest",
        "mode",
        "monitored_item_id",
        "queue_size",
        "stamps",
        "tag_id",
    )

    def __init__(
        self, watch: Watch, subscription: Any, item_id: int, tag_id: int, request: Any, stamps: int
    ) -> None:
        self._watch = watch
        self._subscription = subscription
        self.monitored_item_id = item_id
        self.tag_id = tag_id
        self.mode = request.MonitoringMode
        self.stamps = stamps
        self._last: tuple[int, int, int, str] | None = None
        self._sampled_ns = 0
        self._deadband = 0.0
        self._trigger = ua.DataChangeTrigger.StatusValue

    def configure(self, parameters: Any, publish_ms: float, cap: int) -> tuple[float, int]:
        """Take a client's parameters; return the sampling interval in ms and the queue size in force.

        Raises:
            ServiceError: the filter is not one for this tag.
        """
        self._take_filter(parameters.Filter)
        wanted = parameters.SamplingInterval
        sampling_ms = min(wanted, publish_ms) if wanted >= 0 else publish_ms
        self._interval_ns = round(sampling_ms * 1e6)
        self.queue_size = min(max(1, parameters.QueueSize), cap)
        self.client_handle = parameters.ClientHandle
        self.discard_oldest = parameters.DiscardOldest
        return sampling_ms, self.queue_size

    def _take_filter(self, wanted: Any) -> None:
        """Source: OPC 10000-4, 7.22.2 DataChangeFilter; OPC 10000-8, 6.2 PercentDeadband."""
        if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId()):
            self._deadband, self._trigger = 0.0, ua.DataChangeTrigger.StatusValue
            return
        if not isinstance(wanted, DataChangeFilter):
            raise ServiceError(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        tag = self._watch.values.tags[self.tag_id]
        deadband = wanted.DeadbandValue if wanted.DeadbandType else 0.0
        if wanted.DeadbandType == ua.DeadbandType.Percent:
            if tag.low is None or tag.high is None or not 0 <= deadband <= 100:
                raise ServiceError(ua.StatusCodes.BadDeadbandFilterInvalid)
            deadband *= (tag.high - tag.low) / 100
        if deadband and (tag.data_type in (DataType.BOOL, DataType.STRING) or not deadband > 0):
            raise ServiceError(ua.StatusCodes.BadDeadbandFilterInvalid)
        self._deadband, self._trigger = deadband, wanted.Trigger

    def offer(self, steady_ns: int, force: bool = False) -> None:
        """Sample the tag; queue a notification if the filter lets it pass."""
        if self.mode != ua.MonitoringMode.Reporting:
            return
        image = self._watch.values.image
        id_ = self.tag_id
        sample = (
            int(image.quality[id_]),
            int(image.raw[id_]),
            int(image.source_ns[id_]),
            image.text.get(id_, ""),
        )
        if not force and self._last is not None and not self._passes(self._last, sample):
            return
        self._last = sample
        self._queue(steady_ns)

    def _passes(self, last: tuple[int, int, int, str], now: tuple[int, int, int, str]) -> bool:
        if now[0] != last[0]:
            return True
        if self._trigger == ua.DataChangeTrigger.Status:
            return False
        if self._trigger == ua.DataChangeTrigger.StatusValueTimestamp and now[2] != last[2]:
            return True
        if Quality.is_bad(now[0]) or (now[1] == last[1] and now[3] == last[3]):
            return False
        if self._deadband:
            type_ = self._watch.values.tags[self.tag_id].data_type
            step = float(type_.decode(now[1])) - float(type_.decode(last[1]))
            return not abs(step) <= self._deadband  # NaN passes
        return True

    def _queue(self, steady_ns: int) -> None:
        values = self._watch.values
        queue: list[Any] = self._subscription._triggered_datachanges.setdefault(self.monitored_item_id, [])
        extra_bits = 0
        if queue and steady_ns - self._sampled_ns < self._interval_ns:
            queue.pop()
        elif len(queue) >= self.queue_size:
            if self.discard_oldest:
                queue.pop(0)
                if queue:
                    _mark_overflow(queue[0])
            else:
                queue.pop()
                extra_bits = _OVERFLOW if self.queue_size > 1 else 0
        self._sampled_ns = steady_ns
        queue.append(
            ua.MonitoredItemNotification(
                self.client_handle, values.read(self.tag_id, self.stamps, extra_bits)
            )
        )


def _mark_overflow(notification: Any) -> None:
    value = notification.Value
    notification.Value = ua.DataValue(
        value.Value,
        ua.StatusCode(value.StatusCode.value | _OVERFLOW),
        value.SourceTimestamp,
        value.ServerTimestamp,
    )


class TagItems(MonitoredItemService):  # type: ignore[misc]
    """The monitored items of one subscription; those on other nodes than tags stay asyncua's."""

    def __init__(self, subscription: Any, aspace: Any, watch: Watch) -> None:
        super().__init__(subscription, aspace)
        self._watch = watch
        self._stamps = 2

    async def create_monitored_items(self, params: Any) -> list[Any]:
        self._stamps = int(params.TimestampsToReturn)
        results: list[Any] = await super().create_monitored_items(params)
        return results

    async def _create_data_change_monitored_item(self, params: Any) -> Any:
        wanted = params.ItemToMonitor
        tag_id = (
            self._watch.nodes.tag_id(wanted.NodeId) if wanted.AttributeId == ua.AttributeIds.Value else -1
        )
        if tag_id < 0:
            return await super()._create_data_change_monitored_item(params)
        result = ua.MonitoredItemCreateResult()
        try:
            if self._watch.size >= MAX_ITEMS:
                raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
            if wanted.IndexRange:
                raise ServiceError(ua.StatusCodes.BadIndexRangeInvalid)
            self._monitored_item_counter += 1
            item_id = self._monitored_item_counter
            item = TagItem(self._watch, self.isub, item_id, tag_id, params, self._stamps)
            interval, size = self._configure(item, params.RequestedParameters)
        except ServiceError as exc:
            result.StatusCode = ua.StatusCode(exc.code)
            return result
        result.MonitoredItemId = item_id
        result.RevisedSamplingInterval, result.RevisedQueueSize = interval, size
        self._monitored_items[item_id] = item
        self._watch.add(item)
        item.offer(self._watch.clock.steady_ns(), force=True)
        return result

    def _configure(self, item: TagItem, parameters: Any) -> tuple[float, int]:
        return item.configure(parameters, self.isub.data.RevisedPublishingInterval, self.isub.max_queue_size)

    def _modify_monitored_item(self, params: Any) -> Any:
        result = ua.MonitoredItemModifyResult()
        item = self._monitored_items.get(params.MonitoredItemId)
        if item is None:
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadMonitoredItemIdInvalid)
        elif isinstance(item, TagItem):
            try:
                interval, size = self._configure(item, params.RequestedParameters)
                result.RevisedSamplingInterval, result.RevisedQueueSize = interval, size
            except ServiceError as exc:
                result.StatusCode = ua.StatusCode(exc.code)
        else:
            return super()._modify_monitored_item(params)
        return result

    async def _set_monitoring_mode(self, mode: Any, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        if not isinstance(item, TagItem):
            return await super()._set_monitoring_mode(mode, mid)
        resumed = mode == ua.MonitoringMode.Reporting != item.mode
        item.mode = mode
        if resumed:
            item.offer(self._watch.clock.steady_ns(), force=True)
        else:
            self.isub._triggered_datachanges.pop(mid, None)
        return ua.StatusCode()

    def _delete_monitored_items(self, mid: int) -> Any:
        item = self._monitored_items.get(mid)
        if not isinstance(item, TagItem):
            return super()._delete_monitored_items(mid)
        self._watch.remove(item)
        del self._monitored_items[mid]
        self.isub._triggered_datachanges.pop(mid, None)
        return ua.StatusCode()


class Subscriptions(SubscriptionService):  # type: ignore[misc]
    """The subscriptions of one session: another session's do not exist here."""

    def __init__(self, server: Any, watch: Watch) -> None:
        super().__init__(server.aspace, server)
        self._watch = watch

    async def create_subscription(
        self, params: Any, callback: Any, session_id: Any, request_callback: Any = None
    ) -> Any:
        wanted = params.RequestedPublishingInterval
        # `not >=` catches NaN as well
        interval = FASTEST_PUBLISH_MS if not wanted >= FASTEST_PUBLISH_MS else min(wanted, SLOWEST_PUBLISH_MS)
        params.RequestedPublishingInterval = interval
        self._sub_id_counter = next(self._watch.numbers)
        result = await super().create_subscription(params, callback, session_id, request_callback)
        made = self.subscriptions[result.SubscriptionId]
        made.monitored_item_srv = TagItems(made, self.aspace, self._watch)
        return result
