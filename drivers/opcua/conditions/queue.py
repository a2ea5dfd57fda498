"""Monitored items on events: who wants which, bounded queues, and subscriptions that send them."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError

from drivers.opcua.conditions.facts import ENGLISH
from drivers.opcua.conditions.fields import Occurrence
from drivers.opcua.conditions.filters import EventFilter
from drivers.opcua.publishing import Published

MAX_ITEMS = 500  # on events, of all sessions
MAX_OF_SESSION = 50
QUEUE_LIMIT = 5_000  # events that wait for one item
_CODES = ua.StatusCodes
_LIST = ua.NodeId(ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary)
_COUNT = struct.Struct("<i")


class EventItem:
    """One monitored item on a node's events.

    Attributes:
        area: where the paths of the tags begin whose alarms it wants.
        filter: what it wants of them.
        fires: is told that there is one, where other items wait for that.
    """

    def __init__(self, item_id: int, area: str, overflow: Callable[[], Occurrence]) -> None:
        self.monitored_item_id = item_id
        self.area = area
        self.filter: EventFilter
        self._handle = 0
        self._size = 1
        self._oldest = True
        self._sampling = self._reporting = self._released = False
        self.fires: Callable[[], None] | None = None
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
        """Take a MonitoringMode; what is disabled forgets what waits, what only samples keeps it."""
        self._reporting = mode == ua.MonitoringMode.Reporting
        self._sampling = mode != ua.MonitoringMode.Disabled
        self._released = False
        if not self._sampling:
            self._queue.clear()
            self._ahead.clear()
            self._lost = None

    def offer(self, occurrence: Occurrence) -> None:
        """Queue an event if it is wanted."""
        if self._sampling and self.wants(occurrence):
            self.push(occurrence)

    def wants(self, occurrence: Occurrence) -> bool:
        """Tell whether an event is of this item's area and passes its filter."""
        facts = occurrence.facts
        return (facts is None or facts.tag.startswith(self.area)) and self.filter.passes(occurrence)

    def push(self, occurrence: Occurrence) -> None:
        """Queue an event; where the queue is full, one is dropped and an event says so.

        Source: OPC 10000-4, 5.13.1.5; OPC 10000-5, 6.4.33 EventQueueOverflowEventType.
        """
        if self._sampling:
            if len(self._queue) >= self._size:
                self._drop()
            self._queue.append(occurrence)
            if self.fires is not None:
                self.fires()

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
    def client_handle(self) -> int:
        return self._handle

    @property
    def waiting(self) -> int:
        """How many events wait to be sent."""
        return self._kept() if self._reporting or self._released else 0

    def _kept(self) -> int:
        return len(self._ahead) + len(self._queue) + (self._lost is not None)

    def release(self) -> None:
        """Send what waits, though the item only samples."""
        self._released = self._kept() > 0

    def take(self, most: int, language: str) -> list[bytes]:
        """Take out the oldest events, `most` at once, as they lie in a notification."""
        if not self.waiting:
            return []
        taken = [self.filter.encode(each, self._handle, language) for each in self._take(most)]
        self._released = self._released and self._kept() > 0
        return taken

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


class EventSubscription(Published):
    """A subscription whose events become one part of a publish response.

    Attributes:
        events: its items on events.
        language: what its client speaks.
        together: how many items on events its session has.
    """

    def __init__(self, most: int, *about: Any, **more: Any) -> None:
        super().__init__(most, *about, **more)
        self.events: dict[int, EventItem] = {}
        self.language: Callable[[], str] = lambda: ENGLISH
        self.together: Callable[[], int] = lambda: len(self.events)

    def waits(self) -> bool:
        return super().waits() or any(each.waiting for each in self.events.values())

    def room(self) -> int:
        """Return how many notifications of values fit beside the events of the next response."""
        events = sum(each.waiting for each in self.events.values()) if self.events else 0
        return self._most - min(events, max(1, self._most // 2))

    def _pop_triggered_datachanges(self, result: Any) -> None:
        self._pop_values(result, self.room())

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
