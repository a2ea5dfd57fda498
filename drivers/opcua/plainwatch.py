"""Monitored items on tags, an object each: the simple way, which the fast one must equal (`fast: false`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.opcua.conditions.queue import EventSubscription
from drivers.opcua.items import TagItem, Watch, data_filter, revised
from drivers.opcua.model import PlantNodes
from drivers.opcua.picking import stamped
from drivers.opcua.publishing import mark_overflow
from drivers.opcua.queue import NOTHING_THERE, OVERFLOW, Part, part_of
from drivers.opcua.values import TagValues
from runtime.contract import Clock, Quality

_SLICE = 1000
_STRING = ua.VariantType.String
_BOTH = 2  # TimestampsToReturn


class PlainWatch(Watch):
    """Who watches which tag."""

    def __init__(self, nodes: PlantNodes, values: TagValues, clock: Clock) -> None:
        super().__init__(nodes, values, clock)
        self._watched = np.zeros(len(values.tags), np.bool_)
        self._items: dict[int, dict[PlainItem, None]] = {}

    def widen(self, count: int) -> None:
        """Know of so many tags."""
        self._watched = np.concatenate([self._watched, np.zeros(count - len(self._watched), np.bool_)])

    def make_item(self, subscription: Any, item_id: int, tag_id: int, part: Part = None) -> PlainItem:
        return PlainItem(self, subscription, item_id, tag_id, part)

    def make_subscription(self, most: int, *about: Any, **more: Any) -> EventSubscription:
        return PlainSubscription(most, *about, **more)

    def add(self, item: TagItem, mode: Any) -> None:
        assert isinstance(item, PlainItem)
        self._items.setdefault(item.tag_id, {})[item] = None
        self._watched[item.tag_id] = True
        self.size += 1
        item.set_mode(mode)

    def remove(self, item: TagItem) -> None:
        assert isinstance(item, PlainItem)
        item.set_mode(ua.MonitoringMode.Disabled)
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


class PlainSubscription(EventSubscription):
    """A subscription whose notifications have the timestamps that their items ask for as they are sent."""

    def finished(self, item: int, notifications: list[Any]) -> list[Any]:
        known = self.monitored_item_srv._monitored_items[item]
        if isinstance(known, PlainItem) and known.stamps != _BOTH:
            for each in notifications:
                each.Value = stamped(each.Value, known.stamps)
        return notifications

    def resend(self) -> None:
        """Send the present values of tags for whose items nothing waits, too."""
        for item in self.monitored_item_srv._monitored_items.values():
            if isinstance(item, PlainItem):
                item.resend()


class PlainItem(TagItem):
    """An item whose queue is asyncua's list of notifications."""

    __slots__ = (
        "_deadband",
        "_handle",
        "_interval_ns",
        "_last",
        "_mode",
        "_part",
        "_sampled_ns",
        "_subscription",
        "_trigger",
        "_watch",
        "discard_oldest",
        "queue_size",
        "stamps",
    )

    def __init__(self, watch: PlainWatch, subscription: Any, item_id: int, tag_id: int, part: Part) -> None:
        super().__init__(item_id, tag_id)
        self._watch = watch
        self._subscription = subscription
        self._mode = ua.MonitoringMode.Disabled
        self.stamps = _BOTH
        self._part = part
        self._last: tuple[int, int, int, str] | None = None
        self._sampled_ns = 0
        self._deadband = 0.0
        self._handle = 0
        self._trigger = ua.DataChangeTrigger.StatusValue

    @property
    def client_handle(self) -> int:
        return self._handle

    def configure(self, parameters: Any, stamps: int, publish_ms: float, cap: int) -> tuple[float, int]:
        self._trigger, self._deadband = data_filter(self._watch.values.tags[self.tag_id], parameters.Filter)
        self.stamps = stamps
        sampling_ms, self.queue_size = revised(parameters, publish_ms, cap)
        self._interval_ns = round(sampling_ms * 1e6)
        self._handle = parameters.ClientHandle
        self.discard_oldest = parameters.DiscardOldest
        self._cut()
        return sampling_ms, self.queue_size

    def _cut(self) -> None:
        """Take out what is more than the queue holds now."""
        queue: list[Any] = self._subscription._triggered_datachanges.get(self.monitored_item_id, [])
        if len(queue) > self.queue_size:
            if self.discard_oldest:
                del queue[: -self.queue_size]
            else:
                del queue[self.queue_size - 1 : -1]
            if self.queue_size > 1:
                mark_overflow(queue[0 if self.discard_oldest else -1])

    def set_mode(self, mode: Any) -> None:
        before, self._mode = self._mode, mode
        self._subscription.set_quiet(self.monitored_item_id, mode == ua.MonitoringMode.Sampling)
        if mode == ua.MonitoringMode.Disabled:
            self._subscription.drop(self.monitored_item_id)
        elif before == ua.MonitoringMode.Disabled:
            self.offer(self._watch.clock.steady_ns(), force=True)

    def triggers(self, others: bool) -> None:
        """Nothing is kept of it: each notification asks."""

    def release(self) -> None:
        self._subscription.release(self.monitored_item_id)

    def resend(self) -> None:
        """Queue the present value if it is reported, and nothing waits."""
        waits = self.monitored_item_id in self._subscription._triggered_datachanges
        if self._mode == ua.MonitoringMode.Reporting and not waits:
            self.offer(self._watch.clock.steady_ns(), force=True)

    def offer(self, steady_ns: int, force: bool = False) -> None:
        """Sample the tag; queue a notification if the filter lets it pass."""
        if self._mode == ua.MonitoringMode.Disabled:
            return
        image = self._watch.values.image
        id_ = self.tag_id
        text, quality = part_of(image.text.get(id_, ""), self._part), int(image.quality[id_])
        if self._part is not None and not text and not Quality.is_bad(quality):
            quality = NOTHING_THERE
        sample = quality, int(image.raw[id_]), int(image.source_ns[id_]), text
        if not force and self._last is not None and not self._passes(self._last, sample):
            return
        self._last = sample
        self._queue(steady_ns, quality, text)

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

    def _queue(self, steady_ns: int, quality: int, text: str) -> None:
        values = self._watch.values
        queue: list[Any] = self._subscription._triggered_datachanges.setdefault(self.monitored_item_id, [])
        extra_bits = 0
        again = bool(queue) and steady_ns - self._sampled_ns < self._interval_ns
        if again:
            extra_bits = queue.pop().Value.StatusCode.value & OVERFLOW
            extra_bits = OVERFLOW if extra_bits == OVERFLOW else 0
        elif len(queue) >= self.queue_size:
            if self.discard_oldest:
                queue.pop(0)
                if queue:
                    mark_overflow(queue[0])
            else:
                queue.pop()
                extra_bits = OVERFLOW if self.queue_size > 1 else 0
        if not again:
            self._sampled_ns = steady_ns  # an interval begins with its first sample
        value = values.read(self.tag_id, _BOTH, extra_bits)
        if self._part is not None:
            bad = Quality.is_bad(quality)
            value.Value = ua.Variant(None if bad else text, ua.VariantType.Null if bad else _STRING)
            value.StatusCode = values.status(quality | extra_bits)
        queue.append(ua.MonitoredItemNotification(self._handle, value))
        self._subscription.links.fire(self.monitored_item_id)
