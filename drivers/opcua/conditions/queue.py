"""Monitored items on events: who wants which, bounded queues, and subscriptions that send them."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription

from drivers.opcua.conditions.facts import ENGLISH
from drivers.opcua.conditions.fields import Occurrence
from drivers.opcua.conditions.filters import EventFilter

MAX_ITEMS = 500  # on events, of all sessions
MAX_OF_SESSION = 50
QUEUE_LIMIT = 5_000  # events that wait for one item
MOST_AT_ONCE = 10_000  # notifications in one response
_CODES = ua.StatusCodes
_LIST = ua.NodeId(ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary)
_COUNT = struct.Struct("<i")


class EventItem:
    """One monitored item on a node's events.

    Attributes:
        area: where the paths of the tags begin whose alarms it wants.
        filter: what it wants of them.
    """

    def __init__(self, item_id: int, area: str, overflow: Callable[[], Occurrence]) -> None:
        self.monitored_item_id = item_id
        self.area = area
        self.filter: EventFilter
        self._handle = 0
        self._size = 1
        self._oldest = True
        self._reporting = False
        self._overflow = overflow
        self._lost: Occurrence | None = None
        self._queue: deque[Occurrence] = deque()
        self._ahead: deque[Occurrence] = deque()  # of a refresh, and what was there before it

    def configure(self, parameters: Any, checked: EventFilter) -> int:
        """Take a client's parameters; return the queue size in force. Source: OPC 10000-4, 7.21."""
        self.filter = checked
        self._handle = parameters.ClientHandle
        self._oldest = parameters.DiscardOldest
        wanted = parameters.QueueSize
        self._size = QUEUE_LIMIT if wanted <= 1 else min(wanted, QUEUE_LIMIT)
        while len(self._queue) > self._size:
            self._drop()
        return self._size

    def set_mode(self, mode: Any) -> None:
        """Take a MonitoringMode; what ends to report forgets what waits."""
        self._reporting = mode == ua.MonitoringMode.Reporting
        if not self._reporting:
            self._queue.clear()
            self._ahead.clear()
            self._lost = None

    def offer(self, occurrence: Occurrence) -> None:
        """Queue an event if it is wanted."""
        if self._reporting and self.wants(occurrence):
            self.push(occurrence)

    def wants(self, occurrence: Occurrence) -> bool:
        """Tell whether an event is of this item's area and passes its filter."""
        facts = occurrence.facts
        return (facts is None or facts.tag.startswith(self.area)) and self.filter.passes(occurrence)

    def push(self, occurrence: Occurrence) -> None:
        """Queue an event; where the queue is full, one is dropped and an event says so.

        Source: OPC 10000-4, 5.13.1.5; OPC 10000-5, 6.4.33 EventQueueOverflowEventType.
        """
        if self._reporting:
            if len(self._queue) >= self._size:
                self._drop()
            self._queue.append(occurrence)

    def _drop(self) -> None:
        if self._oldest:
            self._queue.popleft()
        else:
            self._queue.pop()
        self._lost = self._lost or self._overflow()

    def refresh(self, occurrences: Iterable[Occurrence]) -> bool:
        """Queue what a client asked to see again, past the queue's size; False while the last still waits."""
        if self._ahead:
            return False
        if self._reporting:
            ahead = self._take(len(self._queue) + 1)
            self._ahead = deque([*ahead, *occurrences])
        return True

    @property
    def waiting(self) -> int:
        return len(self._ahead) + len(self._queue) + (self._lost is not None)

    def take(self, most: int, language: str) -> list[bytes]:
        """Take out the oldest events, `most` at once, as they lie in a notification."""
        return [self.filter.encode(each, self._handle, language) for each in self._take(most)]

    def _take(self, most: int) -> list[Occurrence]:
        taken: list[Occurrence] = []
        while self._ahead and len(taken) < most:
            taken.append(self._ahead.popleft())
        if self._ahead:
            return taken
        if self._lost is not None and self._oldest and len(taken) < most:
            taken.append(self._lost)
            self._lost = None
        while self._queue and len(taken) < most:
            taken.append(self._queue.popleft())
        if self._lost is not None and not self._queue and len(taken) < most:
            taken.append(self._lost)
            self._lost = None
        return taken


class EventItems:
    """All items on events of a server."""

    def __init__(self) -> None:
        self._items: dict[EventItem, None] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: EventItem) -> None:
        self._items[item] = None

    def remove(self, item: EventItem) -> None:
        self._items.pop(item, None)

    def check_room(self, of_session: int) -> None:
        """Raise where there are as many as there may be, of all or `of_session`."""
        if len(self._items) >= MAX_ITEMS or of_session >= MAX_OF_SESSION:
            raise ServiceError(_CODES.BadTooManyMonitoredItems)

    def post(self, occurrence: Occurrence) -> None:
        """Offer an event to all."""
        for item in self._items:
            item.offer(occurrence)

    def tell_all(self, occurrence: Occurrence) -> None:
        """Queue an event that no filter keeps back."""
        for item in self._items:
            item.push(occurrence)


class EventSubscription(InternalSubscription):  # type: ignore[misc]
    """A subscription whose events become one part of a publish response.

    `most` is MaxNotificationsPerPublish, 0 where the client does not mind. Source: OPC 10000-4, 5.14.2.

    Attributes:
        events: its items on events.
        language: what its client speaks.
        together: how many items on events its session has.
    """

    _task: asyncio.Task[None] | None

    def __init__(self, most: int, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.events: dict[int, EventItem] = {}
        self.language: Callable[[], str] = lambda: ENGLISH
        self.together: Callable[[], int] = lambda: len(self.events)
        self._most = min(most or MOST_AT_ONCE, MOST_AT_ONCE)

    def modify(self, most: int, other_pace: bool) -> None:
        """Take another MaxNotificationsPerPublish; `other_pace` where `data` has another interval now."""
        self._most = min(most or MOST_AT_ONCE, MOST_AT_ONCE)
        self._keep_alive_count = self._publish_cycles_count = 0
        if other_pace and self._task is not None:  # it waits for the end of an interval, and of nothing else
            self._task.cancel()
            self._task = asyncio.create_task(self._subscription_loop())

    def acknowledge(self, number: int) -> bool:
        """Forget a message that arrived; tell whether it was kept until now."""
        return self._not_acknowledged_results.pop(number, None) is not None

    def kept(self, number: int) -> Any:
        """Return a message that was not acknowledged, None where it is not kept."""
        result = self._not_acknowledged_results.get(number)
        return None if result is None else result.NotificationMessage

    def waits(self) -> bool:
        """Tell whether something waits to be sent."""
        return bool(self._triggered_datachanges) or any(each.waiting for each in self.events.values())

    def room(self) -> int:
        """Return how many notifications of values fit beside the events of the next response."""
        events = sum(each.waiting for each in self.events.values()) if self.events else 0
        return self._most - min(events, max(1, self._most // 2))

    def has_published_results(self) -> bool:
        return bool(self._publishing_enabled and self.waits()) or bool(super().has_published_results())

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Publish what waits, in as many responses as it takes, while the client has asked for them.

        Tells whether `requestdata` was answered: what was would be answered once more otherwise.
        """
        answered = sent = bool(await super().publish_results(requestdata))
        while sent and self._publishing_enabled and self.waits():
            sent = bool(await super().publish_results())
        return answered

    def _pop_publish_result(self) -> Any:
        result = super()._pop_publish_result()
        result.MoreNotifications = bool(self._publishing_enabled and self.waits())
        return result

    def _pop_triggered_datachanges(self, result: Any) -> None:
        self._pop_values(result, self.room())

    def _pop_values(self, result: Any, most: int) -> None:
        """Take out values that are notifications already, `most` at once; asyncua takes all."""
        taken: list[Any] = []
        while self._triggered_datachanges and len(taken) < most:
            number, queue = next(iter(self._triggered_datachanges.items()))
            part = queue[: most - len(taken)]
            taken += part
            del queue[: len(part)]
            if not queue:
                del self._triggered_datachanges[number]
        if taken:
            result.NotificationMessage.NotificationData.append(ua.DataChangeNotification(taken))

    def _pop_triggered_events(self, result: Any) -> None:
        most = max(1, self._most // 2)
        found: list[bytes] = []
        for item in self.events.values():
            if len(found) < most:
                found += item.take(most - len(found), self.language())
        if found:
            body = _COUNT.pack(len(found)) + b"".join(found)
            notification = ua.ExtensionObject(TypeId=_LIST, Body=body)
            result.NotificationMessage.NotificationData.append(notification)
