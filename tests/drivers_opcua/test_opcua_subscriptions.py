"""Subscriptions beside their values: other sessions, lifetimes, modes, triggers, methods; slow writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua import publishing
from drivers.opcua import session as sessions
from drivers.opcua import transfer as transfers
from drivers.opcua.certificate import own_certificate

LEVEL = ua.NodeId("nb/bottling/line1/tank/level_pct", 2)
SPEED = ua.NodeId("nb/bottling/line1/line/speed", 2)
NAME = ua.NodeId("nb/bottling/line1/all/string", 2)
SERVICE_LEVEL = ua.NodeId(ua.ObjectIds.Server_ServiceLevel)
SERVER = ua.NodeId(ua.ObjectIds.Server)
BOTH = pytest.mark.parametrize("fast", [True, False])
LIVES_S = 60.0


@asynccontextmanager
async def opened(url: str, name: str = "olga", secret: str = "pump") -> Any:
    """A client that keeps nothing alive by itself; without a name it is nobody."""
    client = Client(url, timeout=60, watchdog_intervall=60)
    if name:
        client.set_user(name)
        client.set_password(secret)
    async with client:
        yield client


def numbers(page: Any) -> list[Any]:
    return [
        item.Value.Value.Value
        for part in page.NotificationMessage.NotificationData or []
        for item in getattr(part, "MonitoredItems", ())
    ]


def changes(page: Any) -> list[str]:
    return [
        part.Status.name
        for part in page.NotificationMessage.NotificationData or []
        if isinstance(part, ua.StatusChangeNotification)
    ]


async def put(served: Any, *values: float, path: str = "tank/level_pct") -> None:
    """Set a tag so that each value is seen."""
    for value in values:
        served.port.set(path, value)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def transfer(ask: Any, *subscriptions: int, initial: bool = False) -> Any:
    answer = await ask(
        "TransferSubscriptions", SubscriptionIds=list(subscriptions), SendInitialValues=initial
    )
    return answer.Parameters.Results


def inner(served: Any) -> Any:
    return served.component._service._server


# Transfer.


@BOTH
def test_a_subscription_moves_to_another_session_with_its_queues_and_what_was_sent(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as old, opened(served.url) as new:
            one, other = asking(old), asking(new)
            await put(served, 0.0)
            number = await one.subscribe(60)
            results = await one.watch(number, LEVEL, SERVICE_LEVEL)
            sent = await one.published()
            assert numbers(sent) == [0.0, 255]
            await put(served, 1.0, 2.0, 3.0)
            (result,) = await transfer(other, number)
            assert result.StatusCode.is_good()
            assert result.AvailableSequenceNumbers == [sent.NotificationMessage.SequenceNumber]
            again = {"SubscriptionId": number, "RetransmitSequenceNumber": result.AvailableSequenceNumbers[0]}
            assert numbers(await other("Republish", **again)) == [0.0, 255]
            assert await one.code("Republish", **again) == "BadSubscriptionIdInvalid"
            page = await other.published()
            assert (page.SubscriptionId, numbers(page)) == (number, [1.0, 2.0, 3.0])
            assert page.NotificationMessage.SequenceNumber == sent.NotificationMessage.SequenceNumber + 1
            assert changes(await one.published()) == ["GoodSubscriptionTransferred"]
            assert await one.code("Publish") == "BadNoSubscription"
            await put(served, 4.0)
            assert numbers(await other.published()) == [4.0]
            deleted = {"SubscriptionId": number, "MonitoredItemIds": [results[0].MonitoredItemId]}
            assert await one.code("DeleteMonitoredItems", **deleted) == "BadSubscriptionIdInvalid"
            assert await other.code("DeleteMonitoredItems", **deleted) == "Good"

    asyncio.run(main())


@BOTH
def test_initial_values_are_sent_where_they_are_asked_for_and_nothing_waits(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as old, opened(served.url) as new:
            one, other = asking(old), asking(new)
            await put(served, 7.0)
            await put(served, "x", path="all/string")
            number = await one.subscribe(60, keep_alive=3)
            await one.watch(number, LEVEL, NAME, SERVICE_LEVEL)
            assert numbers(await one.published()) == [7.0, "x", 255]
            await transfer(other, number)
            assert numbers(await other.published()) == []  # a keep-alive
            await put(served, 8.0)
            await transfer(one, number, initial=True)
            assert changes(await other.published()) == ["GoodSubscriptionTransferred"]
            assert changes(await one.published()) == ["GoodSubscriptionTransferred"]  # of the first time
            assert sorted(numbers(await one.published()), key=str) == [255, 8.0, "x"]
            (result,) = await transfer(one, number, initial=True)  # it is there already
            assert result.StatusCode.is_good()
            assert sorted(numbers(await one.published()), key=str) == [255, 8.0, "x"]

    asyncio.run(main())


def test_who_waits_for_a_publication_is_told_at_once_that_the_subscription_went(
    serve: Any, asking: Any
) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as old, opened(served.url) as new:
            one, other = asking(old), asking(new)
            number = await one.subscribe(3_600_000)
            await one.published()
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(one("Publish")), group.create_task(one.code("Publish"))]
                await one.read(LEVEL)  # they are there now
                (result,) = await transfer(other, number)
            assert result.StatusCode.is_good()
            assert changes(waiting[0].result().Parameters) == ["GoodSubscriptionTransferred"]
            assert waiting[1].result() == "BadNoSubscription"

    asyncio.run(main())


def test_a_client_of_asyncua_is_told_that_its_subscription_went(serve: Any, wait: Any) -> None:
    class Told:
        def __init__(self) -> None:
            self.status: list[Any] = []

        def status_change_notification(self, status: Any) -> None:
            self.status.append(status)

    async def main() -> None:
        async with serve() as served, opened(served.url) as old, opened(served.url) as new:
            told = Told()
            made = await old.create_subscription(60, told)
            wanted = ua.TransferSubscriptionsParameters([made.subscription_id], False)
            (result,) = await new.uaclient.transfer_subscriptions(wanted)
            assert result.StatusCode.is_good()
            await wait(lambda: bool(told.status))
            (status,) = told.status
            assert status.Status.name == "GoodSubscriptionTransferred"

    asyncio.run(main())


def test_nobody_takes_a_subscription_of_another_user(
    serve: Any, asking: Any, secure: Callable[..., Client], tmp_path: Path
) -> None:
    async def main() -> None:
        own_certificate(tmp_path, "urn:other", "other")

        async def taken(client: Any, number: int) -> str:
            (result,) = await transfer(asking(client), number)
            return str(result.StatusCode.name)

        def stranger(url: str) -> Client:
            made = secure(url)
            made.folder, made.uri = tmp_path, "urn:other"  # type: ignore[attr-defined]
            return made

        async with serve() as served, opened(served.url) as olga:
            ask = asking(olga)
            hers = await ask.subscribe()
            assert await ask.code("TransferSubscriptions") == "BadNothingToDo"
            async with opened(served.url, "erik", "valve") as erik:
                assert await taken(erik, hers) == "BadUserAccessDenied"
                assert await taken(erik, 4711) == "BadSubscriptionIdInvalid"
            async with opened(served.url, "") as nobody, opened(served.url, "") as same:
                assert await taken(nobody, hers) == "BadUserAccessDenied"
                theirs = await asking(nobody).subscribe()
                assert await taken(same, theirs) == "BadUserAccessDenied"  # anybody could be that
                assert await taken(olga, theirs) == "BadUserAccessDenied"
            async with secure(served.url) as first, secure(served.url) as second:
                signed = await asking(first).subscribe()
                assert await taken(olga, signed) == "BadUserAccessDenied"
                async with stranger(served.url) as another:
                    assert await taken(another, signed) == "BadUserAccessDenied"
                assert await taken(second, signed) == "Good"
            assert await ask.code("SetPublishingMode", SubscriptionIds=[hers]) == "Good"

    asyncio.run(main())


@pytest.mark.parametrize("end", ["closed", "silent", "lost"])
def test_a_subscription_outlives_its_session_and_can_be_had(
    serve: Any, asking: Any, wait: Any, fall_silent: Any, end: str
) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as new:
            old = Client(served.url, timeout=60, watchdog_intervall=60)
            old.set_user("olga")
            old.set_password("pump")
            await old.connect()
            one, other = asking(old), asking(new)
            await put(served, 0.0)
            number = await one.subscribe(60)
            await one.watch(number, LEVEL)
            assert numbers(await one.published()) == [0.0]
            await put(served, 1.0)
            if end == "closed":
                await old.uaclient.close_session(False)
            if end == "silent":
                fall_silent(inner(served).owner_of(number))
            else:
                old.disconnect_socket()
                await wait(lambda: len(served.component._service._face.addresses) == 1)
            await wait(lambda: len(inner(served).sessions) == (2 if end == "lost" else 1))
            await put(served, 2.0)
            (result,) = await transfer(other, number)
            assert result.StatusCode.is_good()
            assert numbers(await other.published()) == [1.0, 2.0]
            await old.disconnect() if end == "silent" else None

    asyncio.run(main())


def test_a_session_that_closes_with_its_subscriptions_leaves_none(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as new:
            async with opened(served.url) as old:
                ask = asking(old)
                number = await ask.subscribe()
                await ask.watch(number, LEVEL)
            (result,) = await transfer(asking(new), number)
            assert result.StatusCode.name == "BadSubscriptionIdInvalid"
            assert inner(served).context.watch.size == 0

    asyncio.run(main())


async def shorten(ask: Any, *subscriptions: int) -> None:
    """Let subscriptions last for no more than three intervals from now on."""
    for number in subscriptions:
        counts = {"RequestedMaxKeepAliveCount": 1, "RequestedLifetimeCount": 3}
        await ask("ModifySubscription", SubscriptionId=number, RequestedPublishingInterval=60.0, **counts)


async def left_behind(served: Any, asking: Any, count: int = 1, *, short: bool = False) -> list[int]:
    """Leave subscriptions of olga without a session."""
    client = Client(served.url, timeout=60, watchdog_intervall=60)
    client.set_user("olga")
    client.set_password("pump")
    await client.connect()
    ask = asking(client)
    made = [await ask.subscribe(60, keep_alive=1) for _ in range(count)]
    for each in made:
        await ask.watch(each, LEVEL)
    if short:
        await shorten(ask, *made)
    await client.uaclient.close_session(False)
    client.disconnect_socket()
    return made


def test_what_nobody_takes_ends_with_its_lifetime(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as new:
            (number,) = await left_behind(served, asking, short=True)
            watch = inner(served).context.watch
            async with asyncio.timeout(LIVES_S):
                while watch.size:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            (result,) = await transfer(asking(new), number)
            assert result.StatusCode.name == "BadSubscriptionIdInvalid"
            assert inner(served).departed.sessions() == []

    asyncio.run(main())


def test_subscriptions_without_a_session_are_bounded_and_give_way_to_those_with_one(
    serve: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "MOST_DEPARTED", 12)

    async def main() -> None:
        async with serve(per_address=2) as served:  # and 20 subscriptions
            first = await left_behind(served, asking, 8)
            second = await left_behind(served, asking, 8)
            async with opened(served.url) as client:
                ask = asking(client)
                found = await transfer(ask, first[0], second[0])
                assert [each.StatusCode.name for each in found] == ["BadSubscriptionIdInvalid", "Good"]
                for _ in range(19):
                    await ask.subscribe()
                assert inner(served).departed.sessions() == []
                with pytest.raises(UaStatusCodeError) as caught:
                    await ask.subscribe()
                assert ua.StatusCode(caught.value.code).name == "BadTooManySubscriptions"

    asyncio.run(main())


# Lifetime.


@BOTH
def test_a_session_is_told_of_the_end_of_a_lifetime(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client:
            ask = asking(client)
            number = await ask.subscribe(60, keep_alive=1)
            stays = await ask.subscribe(3_600_000)
            await ask.watch(number, LEVEL)
            await shorten(ask, number)
            watch = inner(served).context.watch
            async with asyncio.timeout(LIVES_S):
                while watch.size:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            page = await ask.published()
            assert (page.SubscriptionId, changes(page)) == (number, ["BadTimeout"])
            assert not page.MoreNotifications
            await ask("DeleteSubscriptions", SubscriptionIds=[stays])
            assert await ask.code("Publish") == "BadNoSubscription"

    asyncio.run(main())


def test_a_lifetime_goes_on_while_its_client_asks(serve: Any, asking: Any, wait: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as client:
            ask = asking(client)
            number = await ask.subscribe(3_600_000, keep_alive=1, lifetime=3)
            await ask.published()
            (session,) = inner(served).sessions
            made = session.subscription_service.subscriptions[number]
            end_interval = made.publish_results  # which is what the hour would end with
            for _ in range(12):
                async with asyncio.TaskGroup() as group:
                    waiting = group.create_task(ask.published())
                    await wait(lambda: session.processor._publish_requests)
                    await end_interval()
                page = waiting.result()
                assert (page.SubscriptionId, changes(page)) == (number, [])
            for _ in range(10):  # intervals without a Publish request
                await end_interval()
                await ask("SetPublishingMode", SubscriptionIds=[number], PublishingEnabled=True)
            page = await ask.published()
            assert (page.SubscriptionId, changes(page)) == (number, [])
            for _ in range(4):
                await end_interval()
            assert changes(await ask.published()) == ["BadTimeout"]

    asyncio.run(main())


def test_ends_that_nobody_asks_for_are_bounded(
    serve: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_FAREWELLS", 2)

    async def main() -> None:
        async with serve() as served, opened(served.url) as client:
            ask = asking(client)
            made = [await ask.subscribe(60, keep_alive=1, lifetime=3) for _ in range(4)]
            (session,) = inner(served).sessions
            async with asyncio.timeout(LIVES_S):
                while session.subscription_service.subscriptions:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            pages = [await ask.published(), await ask.published()]
            assert {each.SubscriptionId for each in pages} < set(made)
            assert await ask.code("Publish") == "BadNoSubscription"

    asyncio.run(main())


# Monitored items.


@BOTH
def test_timestamps_change_with_the_item(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client:
            ask = asking(client)
            await put(served, 0.0)
            number = await ask.subscribe(60)
            made = await ask.watch(number, LEVEL, SERVICE_LEVEL)
            await ask.published()
            for stamps in range(4):
                modified = await ask(
                    "ModifyMonitoredItems",
                    SubscriptionId=number,
                    TimestampsToReturn=ua.TimestampsToReturn(stamps),
                    ItemsToModify=[
                        ua.MonitoredItemModifyRequest(
                            each.MonitoredItemId, ua.MonitoringParameters(50 + at, 0.0, QueueSize=10)
                        )
                        for at, each in enumerate(made)
                    ],
                )
                assert [each.StatusCode.name for each in modified.Results] == ["Good", "Good"]
                await asking(client).code("Call", MethodsToCall=[called("ResendData", number)])
                page = await ask.published()
                parts = page.NotificationMessage.NotificationData
                found = {each.ClientHandle: each.Value for part in parts for each in part.MonitoredItems}
                assert set(found) == {50, 51}
                for value in found.values():
                    assert value.ServerTimestamp is None or stamps in (1, 2)
                    assert value.SourceTimestamp is None or stamps in (0, 2)
                assert (found[50].SourceTimestamp is None) == (stamps in (1, 3))
                assert (found[50].ServerTimestamp is None) == (stamps in (0, 3))

    asyncio.run(main())


def called(name: str, *arguments: int, owner: Any = SERVER) -> Any:
    given = [ua.Variant(each, ua.VariantType.UInt32) for each in arguments]
    return ua.CallMethodRequest(owner, ua.NodeId(getattr(ua.ObjectIds, f"Server_{name}")), given)


@BOTH
def test_an_item_on_a_node_that_is_no_tag_says_that_values_went_and_is_modified_as_asked_for(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client:
            ask, space = asking(client), inner(served).aspace

            async def levels(*found: int) -> None:
                for each in found:
                    value = ua.DataValue(ua.Variant(each, ua.VariantType.Byte))
                    await space.write_attribute_value(SERVICE_LEVEL, ua.AttributeIds.Value, value)

            async def told() -> list[tuple[int, int]]:
                page = await ask.published()
                return [(each.Value.Value, each.StatusCode.value) for each in asking.values(page)]

            number = await ask.subscribe(50)
            (made,) = await ask.watch(number, SERVICE_LEVEL, QueueSize=3)
            assert await told() == [(255, 0)]
            await levels(1, 2, 3, 4)
            assert await told() == [(2, 0x480), (3, 0), (4, 0)]
            modified = await ask(
                "ModifyMonitoredItems",
                SubscriptionId=number,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToModify=[
                    ua.MonitoredItemModifyRequest(
                        made.MonitoredItemId,
                        ua.MonitoringParameters(0, -1.0, QueueSize=2, DiscardOldest=False),
                    )
                ],
            )
            assert modified.Results[0].RevisedSamplingInterval == made.RevisedSamplingInterval == 50
            await levels(5, 6, 7, 8)
            assert await told() == [(5, 0), (8, 0x480)]

    asyncio.run(main())


@BOTH
def test_what_is_only_sampled_is_kept_and_told_when_it_reports_and_what_is_disabled_is_lost(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client:
            ask = asking(client)
            await put(served, 0.0)
            number = await ask.subscribe(60, keep_alive=2)
            made = await ask.watch(number, LEVEL, SERVICE_LEVEL, mode=1, QueueSize=3)

            async def set_mode(mode: int) -> None:
                wanted = {"SubscriptionId": number, "MonitoringMode": ua.MonitoringMode(mode)}
                wanted["MonitoredItemIds"] = [each.MonitoredItemId for each in made]
                await ask("SetMonitoringMode", **wanted)

            assert numbers(await ask.published()) == []
            await put(served, 1.0, 2.0)
            assert numbers(await ask.published()) == []
            await set_mode(2)
            assert numbers(await ask.published()) in ([0.0, 1.0, 2.0, 255], [255, 0.0, 1.0, 2.0])
            await set_mode(1)
            await put(served, 3.0, 4.0, 5.0, 6.0)
            assert numbers(await ask.published()) == []
            await set_mode(2)
            page = await ask.published()
            assert numbers(page) == [4.0, 5.0, 6.0]
            codes = [each.StatusCode.value for each in asking.values(page)]
            assert codes == [0x480, 0, 0]  # one was lost
            await set_mode(1)
            await put(served, 7.0, 8.0)
            await set_mode(0)
            await put(served, 9.0)
            await set_mode(2)
            assert sorted(numbers(await ask.published())) == [9.0, 255]

    asyncio.run(main())


@BOTH
def test_a_trigger_lets_out_what_was_only_sampled(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client:
            ask = asking(client)
            await put(served, 0.0)
            await put(served, 1.0, path="line/speed")
            number = await ask.subscribe(60, keep_alive=2)
            (cause,) = await ask.watch(number, SPEED)
            linked = await ask.watch(number, LEVEL, SERVICE_LEVEL, mode=1)
            items = [each.MonitoredItemId for each in linked]
            assert numbers(await ask.published()) == [1.0]

            async def link(**links: list[int]) -> tuple[list[str], list[str]]:
                asked = {"SubscriptionId": number, "TriggeringItemId": cause.MonitoredItemId}
                answer = (await ask("SetTriggering", **asked, **links)).Parameters
                return (
                    [each.name for each in answer.AddResults or []],
                    [each.name for each in answer.RemoveResults or []],
                )

            added = await link(LinksToAdd=[*items, 4711], LinksToRemove=[items[0]])
            assert added == (["Good", "Good", "BadMonitoredItemIdInvalid"], ["BadMonitoredItemIdInvalid"])
            await put(served, 2.0, 3.0)
            assert numbers(await ask.published()) == []
            await put(served, 5.0, path="line/speed")
            found = numbers(await ask.published())
            assert sorted(found) == [0.0, 2.0, 3.0, 5.0, 255]
            await put(served, 4.0)
            assert numbers(await ask.published()) == []  # the trigger holds for once
            await put(served, 6.0, path="line/speed")
            assert sorted(numbers(await ask.published())) == [4.0, 6.0]
            assert await link(LinksToRemove=items) == ([], ["Good", "Good"])
            await put(served, 7.0)
            await put(served, 8.0, path="line/speed")
            assert numbers(await ask.published()) == [8.0]

    asyncio.run(main())


def test_an_alarm_triggers_and_can_be_triggered(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as client:
            ask = asking(client)
            await put(served, 0.0)
            await put(served, 1.0, path="line/speed")
            number = await ask.subscribe(60, keep_alive=2)
            (sampled,) = await ask.watch(number, LEVEL, mode=1)
            (cause,) = await ask.watch(number, SPEED)
            wanted = ua.ReadValueId(SERVER, ua.AttributeIds.EventNotifier)
            names = [ua.SimpleAttributeOperand(ua.NodeId(ua.ObjectIds.BaseEventType), [], 13)]
            names[0].BrowsePath = [ua.QualifiedName("Severity", 0)]
            filtered = ua.EventFilter(SelectClauses=names)
            events = []
            for mode in (1, 2):
                parameters = ua.MonitoringParameters(9, 0.0, filtered, 10, True)
                request = ua.MonitoredItemCreateRequest(wanted, ua.MonitoringMode(mode), parameters)
                answer = await ask("CreateMonitoredItems", SubscriptionId=number, ItemsToCreate=[request])
                events.append(answer.Results[0].MonitoredItemId)
            quiet, reports = events
            assert numbers(await ask.published()) == [1.0]
            for item, other in ((reports, sampled.MonitoredItemId), (cause.MonitoredItemId, quiet)):
                links = {"TriggeringItemId": item, "LinksToAdd": [other]}
                await ask("SetTriggering", SubscriptionId=number, **links)
            refresh = ua.CallMethodRequest(
                ua.NodeId(ua.ObjectIds.ConditionType),
                ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh),
                [ua.Variant(number, ua.VariantType.UInt32)],
            )
            assert await ask.code("Call", MethodsToCall=[refresh]) == "Good"
            page = await ask.published()
            assert (numbers(page), told(page)) == ([], 2)  # RefreshStart and RefreshEnd trigger nothing
            served.port.bus.emit(raised())
            await asyncio.sleep(0)
            page = await ask.published()
            assert (numbers(page), told(page)) == ([0.0], 1)
            await put(served, 2.0, path="line/speed")
            page = await ask.published()
            assert (numbers(page), told(page)) == ([2.0], 1)

    asyncio.run(main())


def told(page: Any) -> int:
    return sum(len(getattr(part, "Events", ())) for part in page.NotificationMessage.NotificationData or [])


def raised() -> Any:
    from runtime.contract import Event

    alarm = {
        "name": "tank.high", "tag": "nb/bottling/line1/tank/level_pct", "kind": "high", "limit": 90.0,
        "priority": "high", "state": "unacknowledged", "active": True, "acknowledged": False,
        "text": {"en": "Level high", "zh": ""}, "raised_ns": 1, "cleared_ns": None, "acknowledged_ns": None,
        "acknowledged_by": "", "comment": "", "shelved": None, "out_of_service": None,
    }  # fmt: skip
    return Event("alarm.raised", "alarms", 1, "", {"alarm": alarm, "by": ""})


def test_triggers_that_cannot_be_are_told_and_links_are_bounded(
    serve: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MOST_LINKS", 3)

    async def main() -> None:
        async with serve() as served, opened(served.url) as client:
            ask = asking(client)
            number = await ask.subscribe(60)
            made = [each.MonitoredItemId for each in await ask.watch(number, *[LEVEL] * 5)]
            asked = {"SubscriptionId": number, "TriggeringItemId": made[0]}
            assert await ask.code("SetTriggering", **asked) == "BadNothingToDo"
            asked["LinksToAdd"] = made[1:]
            answer = await ask("SetTriggering", **asked)
            found = [each.name for each in answer.Parameters.AddResults]
            assert found == ["Good", "Good", "Good", "BadTooManyMonitoredItems"]
            await ask("DeleteMonitoredItems", SubscriptionId=number, MonitoredItemIds=[made[1]])
            asked["LinksToAdd"] = made[4:]
            answer = await ask("SetTriggering", **asked)  # the one that is gone made room
            assert [each.name for each in answer.Parameters.AddResults] == ["Good"]
            code = "BadMonitoredItemIdInvalid"
            assert await ask.code("SetTriggering", **asked | {"TriggeringItemId": 4711}) == code
            code = "BadSubscriptionIdInvalid"
            assert await ask.code("SetTriggering", **asked | {"SubscriptionId": 4711}) == code

    asyncio.run(main())


# Methods of the Server object.


@BOTH
def test_a_client_finds_its_items_again_and_has_their_values_sent(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served.url) as client, opened(served.url) as other:
            ask = asking(client)
            await put(served, 3.0)
            number = await ask.subscribe(60, keep_alive=2)
            made = await ask.watch(number, LEVEL, SERVICE_LEVEL)
            quiet = await ask.watch(number, LEVEL, mode=1)
            assert sorted(numbers(await ask.published())) == [3.0, 255]
            node = client.get_node(SERVER)
            items, handles = await node.call_method(
                ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems), ua.Variant(number, ua.VariantType.UInt32)
            )
            assert items == [each.MonitoredItemId for each in (*made, *quiet)]
            assert handles == [0, 1, 0]
            await node.call_method(
                ua.NodeId(ua.ObjectIds.Server_ResendData), ua.Variant(number, ua.VariantType.UInt32)
            )
            assert sorted(numbers(await ask.published())) == [3.0, 255]
            assert numbers(await ask.published()) == []

            async def codes(ask: Any, *requests: Any) -> list[str]:
                answer = await ask("Call", MethodsToCall=list(requests))
                return [each.StatusCode.name for each in answer.Results]

            for name in ("GetMonitoredItems", "ResendData"):
                assert await codes(
                    ask,
                    called(name, 4711),
                    called(name),
                    called(name, number, number),
                    called(name, number, owner=LEVEL),
                    ua.CallMethodRequest(SERVER, called(name).MethodId, [ua.Variant("x")]),
                ) == [
                    "BadSubscriptionIdInvalid",
                    "BadArgumentsMissing",
                    "BadTooManyArguments",
                    "BadMethodInvalid",
                    "BadInvalidArgument",
                ]
                assert await codes(asking(other), called(name, number)) == ["BadUserAccessDenied"]

    asyncio.run(main())


# Slow writes.


def test_a_session_that_is_over_serves_nothing_more(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served.url) as client:
            ask = asking(client)
            await put(served, 1.0)
            data = ua.DataValue(ua.Variant(2.0, ua.VariantType.Float))
            each = ua.ReadValueId(LEVEL, ua.AttributeIds.Value)
            assert await ask.code("Read", NodesToRead=[each]) == "Good"
            await ask("CloseSession")
            assert await ask.code("Read", NodesToRead=[each]) == "BadSessionClosed"
            values = [ua.WriteValue(SPEED, ua.AttributeIds.Value, None, data)]
            assert await ask.code("Write", NodesToWrite=values) == "BadSessionClosed"
            assert await ask.code("Publish") == "BadSessionClosed"

    asyncio.run(main())


def test_a_write_is_of_who_asked_for_it_though_the_session_is_another_s_when_it_begins(
    serve: Any, asking: Any, secure: Callable[..., Client]
) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as client:
            ask = asking(client)
            data = ua.DataValue(ua.Variant(2.0, ua.VariantType.Float))
            values = [ua.WriteValue(SPEED, ua.AttributeIds.Value, None, data)]
            async with asyncio.TaskGroup() as group:
                written = group.create_task(ask("Write", NodesToWrite=values))
                group.create_task(client.activate_session())
            (status,) = written.result().Results
            assert status.is_good()
            assert [each[2].name for each in served.port.writes] == ["olga"]
            (status,) = (await ask("Write", NodesToWrite=values)).Results
            assert status.name == "BadUserAccessDenied"

    asyncio.run(main())


def test_a_write_that_waits_for_its_device_holds_up_nothing_else(
    serve: Any, asking: Any, secure: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as client:
            ask = asking(client)
            answers, arrived = asyncio.Event(), 0
            write = served.port.write

            async def slow(*about: Any) -> None:
                nonlocal arrived
                arrived += 1
                await answers.wait()
                await write(*about)

            monkeypatch.setattr(served.port, "write", slow)

            def written(value: float) -> Any:
                data = ua.DataValue(ua.Variant(value, ua.VariantType.Float))
                return [ua.WriteValue(SPEED, ua.AttributeIds.Value, None, data)]

            await put(served, 1.0)
            number = await ask.subscribe(60)
            await ask.watch(number, LEVEL)
            async with asyncio.TaskGroup() as group:
                some = sessions.MAX_BESIDE
                for value in range(some - 1):
                    group.create_task(told_good(ask, written(float(value))))
                assert (await ask.read(LEVEL)).Value.Value == 1.0
                assert numbers(await ask.published()) == [1.0]
                assert arrived == some - 1
                for value in range(some - 1, some + 1):  # the last one waits, and what comes behind it
                    group.create_task(told_good(ask, written(float(value))))
                behind = group.create_task(ask.read(LEVEL))
                async with opened(served.url) as other:  # whom that does not concern
                    assert (await asking(other).read(LEVEL)).Value.Value == 1.0
                assert (arrived, behind.done()) == (some, False)
                answers.set()
            assert served.port.value("line/speed") == float(some)  # in the order that they came in

    async def told_good(ask: Any, values: Any) -> None:
        (status,) = (await ask("Write", NodesToWrite=values)).Results
        assert status.is_good()

    asyncio.run(main())
