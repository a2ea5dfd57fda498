"""Subscriptions: one for each scan group, built from the list of wanted items, and watched for freshness."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from asyncua import ua
from asyncua.ua.uaprotocol_auto import DataChangeFilter
from numpy.typing import NDArray

from drivers.opcua.client.errors import RefusedError, SilentError
from drivers.opcua.client.reading import UNENCODED, Reading
from drivers.opcua.client.session import CHUNK, Session, ends_session, fitting, is_unencoded
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import ConnectError

QUEUE = 10
_LONGEST_MS = 24 * 3_600_000.0
PUBLISHES = 2  # requests that wait at the server, for each subscription
PATIENCE, LONGEST_PATIENCE = 3, 48  # intervals without a word
MAX_ACKNOWLEDGEMENTS = 1000
MAX_MISSING = 100  # messages that are asked for again
MAX_PARKED = 100
_TOO_MANY = frozenset({ua.StatusCodes.BadTooManyMonitoredItems, ua.StatusCodes.BadOutOfMemory})
_FILTER = frozenset(
    {
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    }
)


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are asked for at one pace.

    Attributes:
        period_ns: publishing interval; time between two polls.
        sampling_ns: how often the server looks.
        deadband: least change that the server tells; in per cent of EURange where `percent`.
        rows: rows of the wanted items.
    """

    name: str
    period_ns: int
    sampling_ns: int
    deadband: float
    percent: bool
    rows: NDArray[np.intp]


class Subscription:
    """One subscription on a server.

    Attributes:
        interval_ns: longest time in which a server that is well says something.
        cycle_ns: time between two looks of the server whether there is something to say.
        heard_ns: when it last did, on the steady clock.
        items: what the server calls the monitored item of each row.
        next_number: that of the next message. They begin with 1. Source: OPC 10000-4, 5.14.1.1.
        missing: numbers of messages that were lost; `parked` has what came after them.
        is_torn: some are lost for good.
    """

    def __init__(self, group: Group, id_: int, interval_ns: int, cycle_ns: int, heard_ns: int) -> None:
        self.group = group
        self.id = id_
        self.interval_ns = interval_ns
        self.cycle_ns = cycle_ns
        self.heard_ns = heard_ns
        self.items: dict[int, int] = {}
        self.held = False
        self.next_number = 1
        self.missing: deque[int] = deque()
        self.parked: deque[Any] = deque()
        self.is_torn = False

    @property
    def late_ns(self) -> int:
        """Return after how long without a word values are uncertain.

        Some servers (python-opcua) count two cycles more than was agreed before they send a keep-alive.
        """
        return max(PATIENCE * self.interval_ns // 2, self.interval_ns + 5 * self.cycle_ns // 2)

    def lost_ns(self, patience: int) -> int:
        """Return after how long without a word it is lost."""
        return max(patience * self.interval_ns, self.interval_ns + 4 * self.cycle_ns)


async def subscribe(session: Session, group: Group, keep_alive_ns: int, clock: Clock) -> Subscription:
    """Create a subscription without items.

    Raises:
        RefusedError: the server has none for us.
        ConnectError: it does not answer.
    """
    request = ua.CreateSubscriptionRequest()
    asked = request.Parameters
    asked.RequestedPublishingInterval = group.period_ns / 1e6
    count = max(1, keep_alive_ns // group.period_ns)
    asked.RequestedMaxKeepAliveCount = count
    asked.RequestedLifetimeCount = 30 * count  # the server forgets us after that many silent intervals
    asked.MaxNotificationsPerPublish = 0
    asked.PublishingEnabled = True
    found = (await session.ask(request, ua.CreateSubscriptionResponse)).Parameters
    if not 0 < found.RevisedPublishingInterval < _LONGEST_MS:
        raise ConnectError(f"the server revises the interval to {found.RevisedPublishingInterval} ms")
    cycle_ns = round(found.RevisedPublishingInterval * 1e6)
    interval_ns = max(cycle_ns * max(1, found.RevisedMaxKeepAliveCount), group.period_ns)
    return Subscription(group, found.SubscriptionId, interval_ns, cycle_ns, clock.steady_ns())


async def unsubscribe(session: Session, subscription: Subscription) -> None:
    """Delete a subscription; one that is not there any more is no matter.

    Raises:
        ConnectError: the server does not answer.
    """
    request = ua.DeleteSubscriptionsRequest()
    request.Parameters.SubscriptionIds = [subscription.id]
    try:
        await session.ask(request, ua.DeleteSubscriptionsResponse)
    except RefusedError as exc:
        if ends_session(exc):
            raise


async def add_items(
    session: Session, subscription: Subscription, rows: Sequence[int], reading: Reading
) -> list[int]:
    """Create monitored items, many a call; return the rows for which the server has no room.

    What it refuses is quarantined; a deadband that it cannot do is left out. Items that rows have already are
    deleted: the server took them, and refuses their values.

    Raises:
        ConnectError: the server does not answer.
    """
    await remove_items(session, subscription, rows)
    group, left = subscription.group, []
    todo = deque((row, each, group.deadband > 0) for row, each in reading.wanted(rows))
    most = session.limits["items"]
    while todo:
        chunk = [todo.popleft() for _ in range(min(most, CHUNK, len(todo)))]
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters.SubscriptionId = subscription.id
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ItemsToCreate = [_item(group, *each) for each in chunk]
        try:
            answer = await session.ask(request, ua.CreateMonitoredItemsResponse)
        except RefusedError as exc:
            if exc.code != ua.StatusCodes.BadTooManyOperations or most == 1:
                raise
            most = max(1, most // 2)
            todo.extendleft(reversed(chunk))
            continue
        refused = []
        for (row, each, filtered), result in zip(chunk, fitting(answer.Results, chunk), strict=True):
            code = result.StatusCode.value
            if code >> 31 == 0:
                subscription.items[row] = result.MonitoredItemId
                continue
            if filtered and code in _FILTER:
                todo.append((row, each, False))
            elif code in _TOO_MANY:
                left.append(row)
            else:
                refused.append((row, code))
        reading.refuse(refused)
    return left


async def remove_items(session: Session, subscription: Subscription, rows: Sequence[int]) -> None:
    async def some(chunk: Sequence[int]) -> Any:
        request = ua.DeleteMonitoredItemsRequest()
        request.Parameters.SubscriptionId = subscription.id
        request.Parameters.MonitoredItemIds = list(chunk)
        return (await session.ask(request, ua.DeleteMonitoredItemsResponse)).Results

    ids = [subscription.items.pop(row) for row in rows if row in subscription.items]
    try:
        await session.in_pieces("items", ids, some)
    except RefusedError as exc:
        if ends_session(exc):
            raise


def _item(group: Group, row: int, wanted: Any, filtered: bool) -> Any:
    item = ua.MonitoredItemCreateRequest(ItemToMonitor=wanted, MonitoringMode=ua.MonitoringMode.Reporting)
    asked = ua.MonitoringParameters(
        ClientHandle=row, SamplingInterval=group.sampling_ns / 1e6, QueueSize=QUEUE, DiscardOldest=True
    )
    if filtered:
        kind = ua.DeadbandType.Percent if group.percent else ua.DeadbandType.Absolute
        asked.Filter = DataChangeFilter(ua.DataChangeTrigger.StatusValue, kind, group.deadband)
    item.RequestedParameters = asked
    return item


class Listener(Protocol):
    """Takes in events."""

    def take(self, fields: Sequence[Any]) -> None:
        """Take in the fields of one."""
        ...

    async def refresh(self) -> None:
        """Have the server tell anew what holds: some were lost."""
        ...


class Publishing:
    """The publish requests of one session, and what comes in answer.

    Attributes:
        heard: whether anything came.
    """

    def __init__(
        self,
        session: Session,
        subscriptions: Sequence[Subscription],
        reading: Reading,
        listener: Listener,
        clock: Clock,
    ) -> None:
        self._session = session
        self._by_id = {each.id: each for each in subscriptions}
        self._reading = reading
        self._listener = listener
        self._clock = clock
        self._heard: deque[tuple[int, int]] = deque(maxlen=MAX_ACKNOWLEDGEMENTS)
        self._workers = 0
        self.heard = False
        self._gap = asyncio.Event()
        self._freed_ns = 0  # when items were left out last
        self._freeing = asyncio.Lock()

    @property
    def count(self) -> int:
        """Return how many requests shall wait at the server."""
        return min(20, PUBLISHES * len(self._by_id))

    async def pump(self) -> None:
        """Publish until the connection is gone.

        Raises:
            ConnectError: it is, or the server has no subscription of ours any more.
        """
        self._workers += 1
        while True:
            request = ua.PublishRequest()
            taken = [self._heard.popleft() for _ in range(len(self._heard))]
            request.Parameters.SubscriptionAcknowledgements = [
                ua.SubscriptionAcknowledgement(SubscriptionId=id_, SequenceNumber=number)
                for id_, number in taken
            ]
            asked_ns = self._clock.steady_ns()
            try:
                answer = await self._session.ask(request, ua.PublishResponse, timeout_s=0)
            except RefusedError as exc:
                if exc.code == ua.StatusCodes.BadTooManyPublishRequests and self._workers > 1:
                    self._workers -= 1
                    return
                if exc.code == ua.StatusCodes.BadTimeout:
                    continue
                if is_unencoded(exc) and await self._left_out(asked_ns):
                    self._heard.extend(taken)
                    continue
                raise
            self._take(answer.Parameters)

    async def _left_out(self, asked_ns: int) -> bool:
        """Leave out what the server cannot encode; tell whether that was why it refused to say anything.

        Raises:
            ConnectError: the server does not answer.
        """
        async with self._freeing:
            for subscription in self._by_id.values() if asked_ns > self._freed_ns else ():
                rows = await self._reading.unencoded(self._session, list(subscription.items))
                if rows:
                    await remove_items(self._session, subscription, rows)
                    self._reading.refuse([(row, UNENCODED) for row in rows])
                    subscription.is_torn = True  # what was to be said beside them is lost
                    self._freed_ns = self._clock.steady_ns()
                    self._gap.set()
            return asked_ns <= self._freed_ns

    def _take(self, answer: Any) -> None:
        subscription = self._by_id.get(answer.SubscriptionId)
        if subscription is None:
            return  # of a life before: the server deletes it by itself
        subscription.heard_ns = self._clock.steady_ns()
        self.heard = True
        if subscription.held:
            subscription.held = False
            self._reading.affirm(subscription.group.rows)
        message = answer.NotificationMessage
        missing = range(subscription.next_number, message.SequenceNumber)
        if missing:
            subscription.missing.extend(missing[-MAX_MISSING:])
            subscription.is_torn = subscription.is_torn or len(missing) > MAX_MISSING
            subscription.next_number = message.SequenceNumber
            self._gap.set()
        if message.NotificationData:  # a keep-alive only has the number of what comes next
            self._heard.append((subscription.id, message.SequenceNumber))
            subscription.next_number = message.SequenceNumber + 1
        if not subscription.missing:
            self._accept(message)
        elif len(subscription.parked) < MAX_PARKED:
            subscription.parked.append(message)
        else:  # the server does not say what was missed: what comes now counts more
            self._unpark(subscription)
            self._accept(message)

    def _accept(self, message: Any) -> None:
        for data in message.NotificationData or ():
            if isinstance(data, ua.DataChangeNotification):
                n = len(self._reading.items)
                values = [
                    (each.ClientHandle, each.Value) for each in data.MonitoredItems if each.ClientHandle < n
                ]
                self._reading.take(values)
            elif isinstance(data, ua.EventNotificationList):
                for event in data.Events or ():
                    self._listener.take(event.EventFields or ())
            elif isinstance(data, ua.StatusChangeNotification) and data.Status.value >> 31:
                raise ConnectError(f"the server ends a subscription: {data.Status.name}")

    def _unpark(self, subscription: Subscription) -> None:
        """Give up what was missed, and take what came after it."""
        subscription.is_torn = True
        subscription.missing.clear()
        while subscription.parked:
            self._accept(subscription.parked.popleft())

    async def watch(self, patience: int) -> None:
        """Mark what is late, and end where a subscription says nothing for three intervals.

        `patience` takes their place until the first word, which a slow server says later.

        Raises:
            SilentError: it did not.
        """
        pause_ns = min(each.interval_ns for each in self._by_id.values()) // 4
        while True:
            before_ns = self._clock.steady_ns()
            await self._clock.sleep(pause_ns / SECOND_NS)
            now_ns = self._clock.steady_ns()
            slept_ns = now_ns - before_ns - pause_ns  # so long it was we who did not run
            for each in self._by_id.values():
                if slept_ns > pause_ns:
                    each.heard_ns += slept_ns
                silent_ns = now_ns - each.heard_ns
                if silent_ns > each.lost_ns(PATIENCE if self.heard else patience):
                    seconds = silent_ns / SECOND_NS
                    raise SilentError(f"no publish and no keep-alive for {seconds:.1f} s")
                if silent_ns > each.late_ns and not each.held:
                    each.held = True
                    self._reading.hold(each.group.rows)

    async def mend(self) -> None:
        """Ask again for messages that were lost; read everything once where the server has them no more.

        What came after a lost message waits for it, so that values stay in order of time.

        Raises:
            ConnectError: the server does not answer.
        """
        while True:
            await self._gap.wait()
            self._gap.clear()
            for subscription in self._by_id.values():
                while subscription.missing:
                    number = subscription.missing[0]
                    message = await self._again(subscription.id, number)
                    if message is None or number not in subscription.missing:
                        self._unpark(subscription)
                        break
                    subscription.missing.remove(number)
                    self._heard.append((subscription.id, message.SequenceNumber))
                    self._accept(message)
                while subscription.parked and not subscription.missing:
                    self._accept(subscription.parked.popleft())
                if subscription.is_torn:
                    subscription.is_torn = False
                    await self._read_all(subscription)

    async def _again(self, id_: int, number: int) -> Any:
        """Return a message that was lost, or None where the server has it no more."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId, request.Parameters.RetransmitSequenceNumber = id_, number
        try:
            message = (await self._session.ask(request, ua.RepublishResponse)).NotificationMessage
        except RefusedError as exc:
            if exc.code == ua.StatusCodes.BadSubscriptionIdInvalid:
                raise
            return None
        return message if message.SequenceNumber == number else None

    async def _read_all(self, subscription: Subscription) -> None:
        if not len(subscription.group.rows):
            await self._listener.refresh()
            return
        wanted = self._reading.wanted(subscription.group.rows.tolist())
        found = await self._session.read([each for _, each in wanted])
        self._reading.take([(row, data) for (row, _), data in zip(wanted, found, strict=True)])
