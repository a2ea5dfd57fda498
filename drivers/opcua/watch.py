"""Monitored items on tags as columns: what changed is filtered, queued and encoded many tags at a time."""

from __future__ import annotations

import struct
from typing import Any
from weakref import WeakSet

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.opcua.conditions.queue import EventSubscription
from drivers.opcua.items import TagItem, Watch, data_filter, revised
from drivers.opcua.model import PlantNodes
from drivers.opcua.queue import Due, ItemQueue, Part
from drivers.opcua.values import TagValues
from drivers.opcua.wire import Wire
from runtime.contract import Clock

MOST_UNACKNOWLEDGED = 1024 * 1024  # bytes, of a subscription
MOST_WAITING = 1_000_000  # samples, in the queues of all items together
_PAUSE_AFTER = 50_000  # items
_NOTIFICATION = ua.NodeId(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
_COUNT = struct.Struct("<i")


class ColumnWatch(Watch):
    """Keeps the items of each subscription in an `ItemQueue`.

    Attributes:
        wire: how the tags' values lie in a message.
        room: samples that may still be asked to be queued.
    """

    def __init__(self, nodes: PlantNodes, values: TagValues, clock: Clock, wire: Wire) -> None:
        super().__init__(nodes, values, clock)
        self.wire = wire
        self.room = MOST_WAITING
        self._changed = np.zeros(len(values.tags), np.bool_)
        self._subscriptions: WeakSet[TagSubscription] = WeakSet()

    def widen(self, count: int) -> None:
        self._changed = np.zeros(count, np.bool_)

    def make_item(self, subscription: Any, item_id: int, tag_id: int, part: Part = None) -> ColumnItem:
        return ColumnItem(self, subscription.queue, item_id, tag_id, part)

    def make_subscription(self, most: int, *about: Any, **more: Any) -> TagSubscription:
        made = TagSubscription(self, most, *about, **more)
        self._subscriptions.add(made)
        return made

    def add(self, item: TagItem, mode: Any) -> None:
        self.size += 1
        item.set_mode(mode)

    def remove(self, item: TagItem) -> None:
        assert isinstance(item, ColumnItem)
        self.size -= 1
        item.end()

    async def post(self, ids: NDArray[np.int32]) -> None:
        """Offer the present values of tags to their items; lets others run in between."""
        if not self._subscriptions:
            return
        seen = 0
        for subscription in list(self._subscriptions):
            changed, queue = self._changed, subscription.queue
            changed[ids] = True
            queue.offer(changed, self.clock.steady_ns(), self.clock.now_ns())
            changed[ids] = False
            seen += len(queue.items)
            if seen >= _PAUSE_AFTER:
                seen = 0
                await self.clock.sleep(0)


class ColumnItem(TagItem):
    """An item that is a row of its subscription's queue."""

    __slots__ = ("_part", "_queue", "_room", "_row", "_watch")

    def __init__(self, watch: ColumnWatch, queue: ItemQueue, item_id: int, tag_id: int, part: Part) -> None:
        super().__init__(item_id, tag_id)
        self._watch = watch
        self._queue = queue
        self._row = -1
        self._room = 0
        self._part = part

    @property
    def client_handle(self) -> int:
        return int(self._queue.items["handle"][self._row])

    def configure(self, parameters: Any, stamps: int, publish_ms: float, cap: int) -> tuple[float, int]:
        watch = self._watch
        trigger, deadband = data_filter(watch.values.tags[self.tag_id], parameters.Filter)
        sampling_ms, size = revised(parameters, publish_ms, cap)
        if size > watch.room + self._room:
            size = 1
        watch.room += self._room - size
        self._room = size
        if self._row < 0:
            self._row = self._queue.add(self.tag_id, self._part)
        self._queue.configure(
            self._row,
            handle=parameters.ClientHandle,
            stamps=stamps,
            interval=round(sampling_ms * 1e6),
            size=size,
            oldest=parameters.DiscardOldest,
            trigger=int(trigger),
            deadband=deadband,
        )
        return sampling_ms, size

    def set_mode(self, mode: Any) -> None:
        clock = self._watch.clock
        if mode == ua.MonitoringMode.Disabled:
            self._queue.pause(self._row)
        else:
            reporting = mode == ua.MonitoringMode.Reporting
            self._queue.resume(self._row, reporting, clock.steady_ns(), clock.now_ns())

    def triggers(self, others: bool) -> None:
        self._queue.items["triggers"][self._row] = others
        if others:
            self._queue.triggering[self._row] = self.monitored_item_id
        else:
            self._queue.triggering.pop(self._row, None)

    def release(self) -> None:
        self._queue.release(self._row)

    def end(self) -> None:
        """Give back what it had; it is not used any more."""
        self.triggers(others=False)
        self._watch.room += self._room
        self._queue.remove(self._row)


class TagSubscription(EventSubscription):
    """A subscription whose samples of tags become one part of a publish response, encoded at once."""

    def __init__(self, watch: ColumnWatch, most: int, *about: Any, **more: Any) -> None:
        super().__init__(most, *about, **more)
        self.queue = ItemQueue(watch.values.image, fire=self.links.fire)
        self._watch = watch

    def waits(self) -> bool:
        return self.queue.due() > 0 or super().waits()

    def resend(self) -> None:
        """Send the present values of tags for whose items nothing waits, too."""
        clock = self._watch.clock
        self.queue.resend(clock.steady_ns(), clock.now_ns())

    def _pop_publish_result(self) -> Any:
        result = super()._pop_publish_result()
        self._forget()
        return result

    def _forget(self) -> None:
        """Keep no more for Republish than so many bytes: a client may never acknowledge anything."""
        kept, size = self._not_acknowledged_results, 0
        for number in reversed(list(kept)):
            data = kept[number].NotificationMessage.NotificationData
            size += sum(len(each.Body) for each in data if isinstance(each, ua.ExtensionObject))
            if size > MOST_UNACKNOWLEDGED:
                del kept[number]

    def _pop_triggered_datachanges(self, result: Any) -> None:
        room = self.room()
        due = self.queue.take(room)
        if due is not None:
            result.NotificationMessage.NotificationData.append(self._notification(due))
            room -= len(due.samples)
        self._pop_values(result, room)

    def _notification(self, due: Due) -> Any:
        """Source: OPC 10000-4, 7.25.2 DataChangeNotification."""
        parts = [_COUNT.pack(len(due.samples))]
        for stamps in np.unique(due.stamps).tolist():
            chosen = due.stamps == stamps
            parts.append(self._watch.wire.encode(due.samples.where(chosen), stamps, due.handles[chosen]))
        parts.append(_COUNT.pack(0))  # no diagnostics
        return ua.ExtensionObject(TypeId=_NOTIFICATION, Body=b"".join(parts))
