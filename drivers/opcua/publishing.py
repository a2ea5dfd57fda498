"""What a subscription owes its client beside values and events: cycles, a lifetime, triggers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription

from drivers.opcua.queue import OVERFLOW

MOST_LINKS = 1_000  # of a subscription
MOST_AT_ONCE = 10_000  # notifications in one response


async def _to_nobody(subscription: Any) -> None:
    """Nobody is told of the end of a subscription that never had a session."""


class Links:
    """Which items are reported, though only sampled, when another has something to tell.

    Source: OPC 10000-4, 5.13.1.6 Triggering model.
    """

    def __init__(self) -> None:
        self._of: dict[int, dict[int, None]] = {}
        self._times: Counter[int] = Counter()
        self._fired: set[int] = set()

    def __contains__(self, triggering: int) -> bool:
        return triggering in self._of

    def add(self, triggering: int, linked: int) -> bool:
        """Link two items; False where there are as many links as there may be."""
        there = self._of.get(triggering, {})
        if linked in there:
            return True
        if self._times.total() >= MOST_LINKS:
            return False
        self._of.setdefault(triggering, {})[linked] = None
        self._times[linked] += 1
        return True

    def remove(self, triggering: int, linked: int) -> bool:
        """End a link; tell whether it was there."""
        there = self._of.get(triggering, {})
        if linked not in there:
            return False
        del there[linked]
        self._times[linked] -= 1
        if not self._times[linked]:
            del self._times[linked]
        if not there:
            del self._of[triggering]
            self._fired.discard(triggering)
        return True

    def forget(self, item: int) -> None:
        """End all links of an item that is gone."""
        for linked in list(self._of.get(item, ())):
            self.remove(item, linked)
        if item in self._times:
            for triggering in list(self._of):
                self.remove(triggering, item)

    def fire(self, item: int) -> None:
        """Note that an item has something to tell."""
        if item in self._of:
            self._fired.add(item)

    def take(self) -> set[int]:
        """Return what is linked to the items that had something to tell since the last time."""
        if not self._fired:
            return set()
        found = {linked for item in self._fired for linked in self._of[item]}
        self._fired.clear()
        return found


class Published(InternalSubscription):  # type: ignore[misc]
    """A subscription that ends with its lifetime, and says so.

    `most` is MaxNotificationsPerPublish, 0 where the client does not mind. Source: OPC 10000-4, 5.14.2.

    Attributes:
        links: its items' triggers.
        quiet: items that sample and do not report, of those whose notifications are asyncua's.
        released: of these, what a trigger lets out.
        ended: is told when the lifetime has ended.
    """

    _task: asyncio.Task[None] | None

    def __init__(self, most: int, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.links = Links()
        self.quiet: set[int] = set()
        self.released: set[int] = set()
        self.ended: Callable[[Any], Awaitable[None]] = _to_nobody
        self._most = min(most or MOST_AT_ONCE, MOST_AT_ONCE)

    def modify(self, most: int, other_pace: bool) -> None:
        """Take another MaxNotificationsPerPublish; `other_pace` where `data` has another interval now."""
        self._most = min(most or MOST_AT_ONCE, MOST_AT_ONCE)
        self._keep_alive_count = 0
        if other_pace and self._task is not None:  # it waits for the end of an interval, and of nothing else
            self._task.cancel()
            self._task = asyncio.create_task(self._subscription_loop())

    def revive(self) -> None:
        """Begin the lifetime anew: the client is there. Source: OPC 10000-4, 5.14.1.1."""
        self._publish_cycles_count = 0

    def acknowledge(self, number: int) -> bool:
        """Forget a message that arrived; tell whether it was kept until now."""
        return self._not_acknowledged_results.pop(number, None) is not None

    def kept(self, number: int) -> Any:
        """Return a message that was not acknowledged, None where it is not kept."""
        result = self._not_acknowledged_results.get(number)
        return None if result is None else result.NotificationMessage

    def available(self) -> list[int]:
        """Return the numbers of the messages that were not acknowledged."""
        return list(self._not_acknowledged_results)

    def farewell(self, code: int) -> Any:
        """Return the last result that a session has of this subscription: a StatusChangeNotification."""
        result = ua.PublishResult(SubscriptionId=self.data.SubscriptionId, MoreNotifications=False)
        result.NotificationMessage.SequenceNumber = self._notification_seq
        result.NotificationMessage.NotificationData.append(
            ua.StatusChangeNotification(Status=ua.StatusCode(code))
        )
        return result

    def reports(self, item: int) -> bool:
        """Tell whether what waits for an item, of those whose notifications are asyncua's, is sent."""
        return item not in self.quiet or item in self.released

    def waits(self) -> bool:
        """Tell whether something waits to be sent."""
        return any(self.reports(item) for item in self._triggered_datachanges)

    def trigger(self) -> None:
        """Let out what waits for items whose triggers had something to tell."""
        linked = self.links.take()
        if linked:
            self.monitored_item_srv.release(linked)

    async def enqueue_datachange_event(self, item: int, notification: Any, size: int) -> None:
        """Queue a value of one of asyncua's own nodes; asyncua tells nobody that one went.

        Source: OPC 10000-4, 5.13.1.5 Queue parameters.
        """
        queue = self._triggered_datachanges.setdefault(item, [])
        if len(queue) < size:
            queue.append(notification)
            return
        oldest = self.monitored_item_srv._monitored_items[item].discard_oldest
        if oldest:
            del queue[: len(queue) - size + 1]
        else:
            del queue[size - 1 :]
        queue.append(notification)
        if size > 1:
            mark_overflow(queue[0 if oldest else -1])

    def has_published_results(self) -> bool:
        if self._startup or (self._publishing_enabled and self.waits()):
            return True
        self._keep_alive_count += 1
        return bool(self._keep_alive_count >= self.data.RevisedMaxKeepAliveCount)

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Publish what waits, in as many responses as it takes, while the client has asked for them.

        Without `requestdata` a publishing interval has ended; after so many without an answer to the client
        the subscription ends. Tells whether `requestdata` was answered: what was would be answered once more
        otherwise. Source: OPC 10000-4, 5.14.1.2.
        """
        if requestdata is None:
            self._publish_cycles_count += 1
            if self._publish_cycles_count > self.data.RevisedLifetimeCount:
                await self._end()
                return False
        self.trigger()
        answered = sent = await self._send(requestdata)
        while sent and self._publishing_enabled and self.waits():
            sent = await self._send()
        return answered

    async def _end(self) -> None:
        self._closing, self._task = True, None  # this is that task, and it ends now
        if self.delete_callback is not None:
            self.delete_callback()
        self.monitored_item_srv.delete_all_monitored_items()
        await self.ended(self)

    async def _send(self, requestdata: Any = None) -> bool:
        if not self.has_published_results():
            return False
        if requestdata is None:
            if self.pub_request_callback is None:
                return False
            requestdata = self.pub_request_callback(self.data.SubscriptionId)
            if requestdata is None:
                return False
        await self.pub_result_callback(self._pop_publish_result(), requestdata)
        return True

    def _pop_publish_result(self) -> Any:
        result = super()._pop_publish_result()
        result.MoreNotifications = bool(self._publishing_enabled and self.waits())
        return result

    def _pop_values(self, result: Any, most: int) -> None:
        """Take out values that are notifications already, `most` at once; asyncua takes all."""
        taken: list[Any] = []
        empty: list[int] = []
        for item, queue in self._triggered_datachanges.items():
            if len(taken) >= most:
                break
            if self.reports(item):
                part = queue[: most - len(taken)]
                taken += self.finished(item, part)
                del queue[: len(part)]
                if not queue:
                    empty.append(item)
        for item in empty:
            del self._triggered_datachanges[item]
            self.released.discard(item)
        if taken:
            result.NotificationMessage.NotificationData.append(ua.DataChangeNotification(taken))

    def finished(self, item: int, notifications: list[Any]) -> list[Any]:
        """Return an item's notifications as they are sent."""
        return notifications

    def drop(self, item: int) -> None:
        """Forget what waits for an item, of those whose notifications are asyncua's."""
        self._triggered_datachanges.pop(item, None)
        self.released.discard(item)

    def set_quiet(self, item: int, quiet: bool) -> None:
        """Sample an item and keep what it has, or report it."""
        self.released.discard(item)
        if quiet:
            self.quiet.add(item)
        else:
            self.quiet.discard(item)

    def release(self, item: int) -> None:
        """Send what waits for an item that does not report."""
        if item in self._triggered_datachanges:
            self.released.add(item)


def mark_overflow(notification: Any) -> None:
    """Mark a notification as the one beside which others are missing."""
    value = notification.Value
    notification.Value = ua.DataValue(
        value.Value,
        ua.StatusCode(value.StatusCode.value | OVERFLOW),
        value.SourceTimestamp,
        value.ServerTimestamp,
    )
