"""What clients may ask of the services, and asyncua answers wrongly: exact codes, nothing lost or doubled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.client import ua_client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.ua.ua_binary import uatcp_to_binary
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # `ua` has a subclass that is not decoded

from drivers.opcua.picking import picked, span_of

NAMESPACES = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
NAME = "nb/bottling/line1/all/string"
LEVEL = "nb/bottling/line1/tank/level_pct"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOTH = pytest.mark.parametrize("fast", [True, False])


def opened(served: Any) -> Client:
    return Client(served.url, timeout=60, watchdog_intervall=60)


@BOTH
def test_each_publish_request_is_answered_once_and_nothing_is_lost(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask = asking(client)
            served.port.set("tank/level_pct", 0.0)
            await ask.watch(await ask.subscribe(100, most=2), ua.NodeId(LEVEL, 2))
            assert [each.Value.Value for each in asking.values(await ask.published())] == [0.0]
            for number in range(1, 8):
                served.port.set("tank/level_pct", float(number))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            found: list[float] = []
            while len(found) < 7:  # one request after the other: a doubled answer ends asyncua's connection
                page = await ask.published()
                assert len(asking.values(page)) <= 2
                found += [each.Value.Value for each in asking.values(page)]
                assert page.MoreNotifications == (len(found) < 7)
            assert found == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]

    asyncio.run(main())


@BOTH
def test_a_tag_that_changes_faster_than_it_is_sampled_has_a_value_each_interval(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask = asking(client)
            served.port.set("tank/level_pct", 0.0)
            await ask.watch(await ask.subscribe(2000), ua.NodeId(LEVEL, 2), SamplingInterval=250.0)
            await ask.published()
            began, found = asyncio.get_running_loop().time(), []
            for number in range(1, 40):
                served.port.set("tank/level_pct", float(number))
                await asyncio.sleep(0.04)
            while found[-1:] != [39.0]:
                found += [each.Value.Value for each in asking.values(await ask.published())]
            took_s = asyncio.get_running_loop().time() - began
            assert 4 <= len(found) <= took_s / 0.25 + 1
            assert found == sorted(found)

    asyncio.run(main())


def test_what_was_not_acknowledged_can_be_had_again_and_what_was_is_gone(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            served.port.set("tank/level_pct", 3.0)
            number = await ask.subscribe()
            await ask.watch(number, ua.NodeId(LEVEL, 2))
            sent = await ask.published()
            sequence = sent.NotificationMessage.SequenceNumber

            async def again() -> Any:
                asked = {"SubscriptionId": number, "RetransmitSequenceNumber": sequence}
                return (await ask("Republish", **asked)).NotificationMessage

            for _ in range(2):
                message = await again()
                assert message.SequenceNumber == sequence
                (part,) = message.NotificationData
                assert part.MonitoredItems[0].Value.Value.Value == 3.0
            gone = {"SubscriptionId": number, "RetransmitSequenceNumber": 4711}
            assert await ask.code("Republish", **gone) == "BadMessageNotAvailable"
            gone["SubscriptionId"] = 4711
            assert await ask.code("Republish", **gone) == "BadSubscriptionIdInvalid"
            served.port.set("tank/level_pct", 4.0)
            told = await ask.published(
                ua.SubscriptionAcknowledgement(number, sequence),
                ua.SubscriptionAcknowledgement(number, sequence),
                ua.SubscriptionAcknowledgement(4711, 1),
            )
            expected = ["Good", "BadSequenceNumberUnknown", "BadSubscriptionIdInvalid"]
            assert [each.name for each in told.Results] == expected
            asked = {"SubscriptionId": number, "RetransmitSequenceNumber": sequence}
            assert await ask.code("Republish", **asked) == "BadMessageNotAvailable"

    asyncio.run(main())


def test_a_subscription_takes_another_pace(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            served.port.set("tank/level_pct", 0.0)
            number = await ask.subscribe(3_600_000)
            assert asking.values(await ask.published()) == []  # a subscription begins with a keep-alive
            await ask.watch(number, ua.NodeId(LEVEL, 2))
            answer = await ask(
                "ModifySubscription",
                SubscriptionId=number,
                RequestedPublishingInterval=60.0,
                RequestedLifetimeCount=5,
                RequestedMaxKeepAliveCount=20,
                MaxNotificationsPerPublish=1,
            )
            revised = answer.Parameters
            assert revised.RevisedPublishingInterval == 60.0
            assert (revised.RevisedLifetimeCount, revised.RevisedMaxKeepAliveCount) == (60, 20)
            assert [each.Value.Value for each in asking.values(await ask.published())] == [0.0]
            for number in (1, 2, 3):  # three in one interval of 60 ms would be one of an hour
                served.port.set("tank/level_pct", float(number))
                page = await ask.published()
                assert [each.Value.Value for each in asking.values(page)] == [float(number)]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("interval_ms", "wanted", "keep_alive", "lifetime"),
    [
        (100.0, (0, 0), 100, 600),  # ten seconds, a minute
        (3_600_000.0, (0, 0), 1, 3),
        (100.0, (2**32 - 1, 2**32 - 1), 12_000, 36_000),  # an hour
        (100.0, (700, 10), 700, 2_100),  # a lifetime is three keep-alives at least
    ],
)
def test_what_nobody_takes_is_kept_for_a_minute_unless_asked_and_never_for_ever(
    serve: Any, asking: Any, interval_ms: float, wanted: tuple[int, int], keep_alive: int, lifetime: int
) -> None:
    async def main() -> None:
        async with serve() as served, Client(served.url, timeout=60, watchdog_intervall=60) as client:
            answer = await asking(client)(
                "CreateSubscription",
                RequestedPublishingInterval=interval_ms,
                RequestedMaxKeepAliveCount=wanted[0],
                RequestedLifetimeCount=wanted[1],
            )
            made = answer.Parameters
            assert (made.RevisedMaxKeepAliveCount, made.RevisedLifetimeCount) == (keep_alive, lifetime)

    asyncio.run(main())


def test_publish_requests_that_wait_are_answered_when_the_last_subscription_goes(
    serve: Any, asking: Any
) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            number = await ask.subscribe()
            await ask.published()
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(ask.code("Publish")) for _ in range(3)]
                await asyncio.sleep(0)  # they are sent, and nothing overtakes them
                deleted = await ask("DeleteSubscriptions", SubscriptionIds=[number])
            assert [each.name for each in deleted.Results] == ["Good"]
            assert [each.result() for each in waiting] == ["BadNoSubscription"] * 3

    asyncio.run(main())


@BOTH
def test_ranges_encodings_and_timestamps_are_as_they_were_asked_for(
    serve: Any, asking: Any, fast: bool
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask = asking(client)
            served.port.set("all/string", "grün")
            served.port.set("tank/level_pct", 5.0)
            whole = (await ask.read(NAMESPACES)).Value.Value
            name, level = ua.NodeId(NAME, 2), ua.NodeId(LEVEL, 2)
            for node, part, expected in (
                (NAMESPACES, "0", whole[:1]),
                (NAMESPACES, "1:2", whole[1:3]),
                (NAMESPACES, "2:100", whole[2:]),
                (name, "1:2", "rü"),
                (NAMESPACES, "100", "BadIndexRangeNoData"),
                (NAMESPACES, "2:1", "BadIndexRangeInvalid"),
                (NAMESPACES, "x", "BadIndexRangeInvalid"),
                (NAMESPACES, "0,0", "BadIndexRangeNoData"),
                (level, "0", "BadIndexRangeNoData"),
                (level, "1:1", "BadIndexRangeInvalid"),
            ):
                value = await ask.read(node, part=part)
                found = value.Value.Value if value.StatusCode.is_good() else value.StatusCode.name
                assert found == expected, (node, part)
            for node, attribute, encoding, code in (
                (level, "Value", "Default Binary", "Good"),
                (level, "Value", "Default XML", "BadDataEncodingUnsupported"),
                (NAMESPACES, "Value", "no such", "BadDataEncodingInvalid"),
                (level, "DisplayName", "Default Binary", "BadDataEncodingInvalid"),
            ):
                value = await ask.read(node, encoding=encoding, attribute=ua.AttributeIds[attribute])
                assert value.StatusCode.name == code
            for stamps, source, server in (
                (0, True, False),
                (1, False, True),
                (2, True, True),
                (3, False, False),
            ):
                for node in (NAMESPACES, level, name):
                    value = await ask.read(node, stamps, part="0" if node is NAMESPACES else None)
                    assert (bool(value.SourceTimestamp), bool(value.ServerTimestamp)) == (source, server)
            number = await ask.subscribe()
            await ask.watch(number, NAMESPACES, part="1:2", stamps=1)
            (value,) = asking.values(await ask.published()) or asking.values(await ask.published())
            assert (value.Value.Value, value.SourceTimestamp) == (whole[1:3], None)
            for node, part, code in (
                (NAMESPACES, "x", "BadIndexRangeInvalid"),
                (level, "0", "BadIndexRangeNoData"),
            ):
                (result,) = await ask.watch(number, node, part=part)
                assert result.StatusCode.name == code

    asyncio.run(main())


def test_requests_that_cannot_be_are_told_as_the_standard_says(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            level, number = ua.NodeId(LEVEL, 2), await ask.subscribe()
            each = [ua.ReadValueId(level, ua.AttributeIds.Value)]
            assert await ask.code("Read", MaxAge=-1.0, NodesToRead=each) == "BadMaxAgeInvalid"
            stamps = ua.TimestampsToReturn.Invalid
            code = "BadTimestampsToReturnInvalid"
            assert await ask.code("Read", TimestampsToReturn=stamps, NodesToRead=each) == code
            asked = {"SubscriptionId": number, "TimestampsToReturn": stamps}
            assert await ask.code("CreateMonitoredItems", **asked) == code
            wanted = [ua.HistoryReadValueId(level)]
            for stamps, code in ((3, "BadInvalidTimestampArgument"), (4, "BadTimestampsToReturnInvalid")):
                asked = {"TimestampsToReturn": ua.TimestampsToReturn(stamps), "NodesToRead": wanted}
                asked["HistoryReadDetails"] = ua.ReadRawModifiedDetails()
                assert await ask.code("HistoryRead", **asked) == code
            for service, about in (
                ("CreateMonitoredItems", {"SubscriptionId": number}),
                ("ModifyMonitoredItems", {"SubscriptionId": number}),
                ("DeleteMonitoredItems", {"SubscriptionId": number}),
                ("SetMonitoringMode", {"SubscriptionId": number}),
                ("SetPublishingMode", {}),
                ("DeleteSubscriptions", {}),
                ("Call", {}),
                ("RegisterNodes", {}),
                ("UnregisterNodes", {}),
            ):
                assert await ask.code(service, **about) == "BadNothingToDo", service
            objects = ua.NodeId(ua.ObjectIds.ObjectsFolder)
            for node, attribute, code in (
                (level, 99, "BadAttributeIdInvalid"),
                (objects, ua.AttributeIds.Value, "BadAttributeIdInvalid"),
                (ua.NodeId("no such", 2), ua.AttributeIds.Value, "BadNodeIdUnknown"),
                (level, ua.AttributeIds.DisplayName, "BadNotWritable"),
                (NAMESPACES, ua.AttributeIds.Value, "BadNotWritable"),
            ):
                written = ua.WriteValue(node, attribute, None, ua.DataValue(ua.Variant(1.0)))
                (status,) = (await ask("Write", NodesToWrite=[written])).Results
                assert status.name == code
            for part, code in (
                ("x", "BadIndexRangeInvalid"),
                ("2:1", "BadIndexRangeInvalid"),
                ("0,y", "BadIndexRangeInvalid"),
                ("0:1", "BadWriteNotSupported"),
            ):
                written = ua.WriteValue(level, ua.AttributeIds.Value, part, ua.DataValue(ua.Variant(1.0)))
                (status,) = (await ask("Write", NodesToWrite=[written])).Results
                assert status.name == code
            codes = []
            for more in (
                {},
                {"SourceTimestamp": NOW, "ServerTimestamp": NOW},
                {"StatusCode": ua.StatusCode(ua.StatusCodes.BadSensorFailure)},
            ):
                value = ua.DataValue(ua.Variant(1.0, ua.VariantType.Float), **more)
                written = ua.WriteValue(level, ua.AttributeIds.Value, None, value)
                (status,) = (await ask("Write", NodesToWrite=[written])).Results
                codes.append(status.name)
            plain, stamped, bad = codes
            assert stamped == plain != bad == "BadWriteNotSupported"
            for change, code in (
                ({"ReferenceTypeId": ua.NodeId(999_999)}, "BadReferenceTypeIdInvalid"),
                ({"ReferenceTypeId": objects}, "BadReferenceTypeIdInvalid"),
                ({"BrowseDirection": ua.BrowseDirection.Invalid}, "BadBrowseDirectionInvalid"),
                ({"NodeId": ua.NodeId("no such", 2)}, "BadNodeIdUnknown"),
                ({"ReferenceTypeId": ua.NodeId()}, "Good"),
            ):
                wanted = ua.BrowseDescription(NodeId=objects, BrowseDirection=ua.BrowseDirection.Forward)
                wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
                for name, value in change.items():
                    setattr(wanted, name, value)
                (result,) = (await ask("Browse", NodesToBrowse=[wanted])).Results
                assert result.StatusCode.name == code
            view = ua.ViewDescription(ua.NodeId("no such", 2))
            assert await ask.code("Browse", View=view, NodesToBrowse=[wanted]) == "BadViewIdUnknown"
            missing = [ua.RelativePathElement(TargetName=ua.QualifiedName("no such", 2))]
            nameless = [ua.RelativePathElement(TargetName=ua.QualifiedName(None))]
            for start, elements, code in (
                (objects, [], "BadNothingToDo"),
                (objects, nameless, "BadBrowseNameInvalid"),
                (objects, missing, "BadNoMatch"),
                (ua.NodeId("no such", 2), missing, "BadNodeIdUnknown"),
            ):
                path = ua.BrowsePath(start, ua.RelativePath(elements))
                (result,) = (await ask("TranslateBrowsePathsToNodeIds", BrowsePaths=[path])).Results
                assert result.StatusCode.name == code
            get_items, server = ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems), ua.NodeId(2253)
            for owner, method, code in (
                (ua.NodeId("no such", 2), get_items, "BadNodeIdUnknown"),
                (objects, get_items, "BadMethodInvalid"),
                (server, get_items, "BadArgumentsMissing"),
            ):
                call = ua.CallMethodRequest(owner, method)
                (result,) = (await ask("Call", MethodsToCall=[call])).Results
                assert result.StatusCode.name == code

    asyncio.run(main())


@BOTH
def test_numbers_that_an_enumeration_lacks_are_told_by_the_code_of_the_service(
    serve: Any, asking: Any, fast: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask, level = asking(client), ua.NodeId(LEVEL, 2)
            number, read = await ask.subscribe(), [ua.ReadValueId(level, ua.AttributeIds.Value)]
            code = "BadTimestampsToReturnInvalid"
            assert await ask.code("Read", TimestampsToReturn=0x99, NodesToRead=read) == code
            for service in ("CreateMonitoredItems", "ModifyMonitoredItems"):
                assert await ask.code(service, SubscriptionId=number, TimestampsToReturn=-1) == code
            wanted = ua.BrowseDescription(level, 77)
            (result,) = (await ask("Browse", NodesToBrowse=[wanted])).Results
            assert result.StatusCode.name == "BadBrowseDirectionInvalid"
            parameters = ua.MonitoringParameters(1, 0.0, None, 1, True)
            for node, attribute in ((level, 13), (NAMESPACES, 13), (ua.NodeId(2253), 12)):
                item = ua.MonitoredItemCreateRequest(ua.ReadValueId(node, attribute), 99, parameters)
                request = {"SubscriptionId": number, "ItemsToCreate": [item]}
                (result,) = (await ask("CreateMonitoredItems", **request)).Results
                assert result.StatusCode.name == "BadMonitoringModeInvalid"
            (item,) = await ask.watch(number, level)
            request = {"SubscriptionId": number, "MonitoredItemIds": [item.MonitoredItemId]}
            assert (
                await ask.code("SetMonitoringMode", MonitoringMode=99, **request)
                == "BadMonitoringModeInvalid"
            )

    asyncio.run(main())
    assert "Traceback" not in caplog.text


@BOTH
def test_a_filter_that_cannot_be_is_refused_by_what_is_wrong_with_it(
    serve: Any, asking: Any, fast: bool
) -> None:
    status, absolute, percent = ua.DataChangeTrigger.StatusValue, 1, 2
    level, text = ua.NodeId(LEVEL, 2), ua.NodeId(NAME, 2)
    moment = ua.NodeId("nb/bottling/line1/all/dt", 2)  # a DateTime is no Number
    without_range, name = ua.NodeId("nb/bottling/line1/all/real", 2), ua.AttributeIds.DisplayName
    value = ua.AttributeIds.Value
    cases = (
        (level, value, DataChangeFilter(status, absolute, 1.0), "Good"),
        (level, value, DataChangeFilter(status, percent, 100.0), "Good"),
        (level, value, DataChangeFilter(status, percent, 100.1), "BadDeadbandFilterInvalid"),
        (level, value, DataChangeFilter(status, absolute, -1.0), "BadDeadbandFilterInvalid"),
        (level, value, DataChangeFilter(status, absolute, float("nan")), "BadDeadbandFilterInvalid"),
        (level, value, DataChangeFilter(status, 3, 1.0), "BadDeadbandFilterInvalid"),
        (level, value, DataChangeFilter(9, 0, 0.0), "BadMonitoredItemFilterInvalid"),
        (NAMESPACES, value, DataChangeFilter(9, 0, 0.0), "BadMonitoredItemFilterInvalid"),
        (NAMESPACES, value, DataChangeFilter(status, absolute, 1.0), "BadMonitoredItemFilterUnsupported"),
        (level, value, ua.AggregateFilter(), "BadMonitoredItemFilterUnsupported"),
        (text, value, DataChangeFilter(status, absolute, 1.0), "BadFilterNotAllowed"),
        (text, value, DataChangeFilter(status, absolute, 0.0), "Good"),
        (moment, value, DataChangeFilter(status, absolute, 1.0), "BadFilterNotAllowed"),
        (without_range, value, DataChangeFilter(status, percent, 1.0), "BadFilterNotAllowed"),
        (level, name, DataChangeFilter(status, absolute, 1.0), "BadFilterNotAllowed"),
    )

    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask = asking(client)
            number = await ask.subscribe()
            for node, attribute, wanted, code in cases:

                def asked(filter_: Any) -> Any:
                    return ua.MonitoringParameters(1, 0.0, filter_, 1, True)

                def item(filter_: Any, node: Any = node, attribute: int = attribute) -> Any:
                    read = ua.ReadValueId(node, attribute)
                    return ua.MonitoredItemCreateRequest(read, ua.MonitoringMode.Reporting, asked(filter_))

                request = {"SubscriptionId": number, "ItemsToCreate": [item(wanted), item(None)]}
                refused, made = (await ask("CreateMonitoredItems", **request)).Results
                assert (refused.StatusCode.name, made.StatusCode.name) == (code, "Good"), (node, wanted)
                change = ua.MonitoredItemModifyRequest(made.MonitoredItemId, asked(wanted))
                answer = await ask("ModifyMonitoredItems", SubscriptionId=number, ItemsToModify=[change])
                assert [each.StatusCode.name for each in answer.Results] == [code], (node, wanted)

    asyncio.run(main())


def test_publish_requests_can_be_cancelled_by_their_handle(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            await ask.subscribe(interval_ms=60_000)
            await ask.published()  # the first says at once that there is a subscription
            waiting = [asyncio.ensure_future(ask.code("Publish")) for _ in range(2)]
            await ask.read(NAMESPACES)  # both are sent meanwhile
            handle = client.uaclient.protocol._request_handle
            handles = handle, handle - 1, handle - 2, 99_999
            asked = [await ask("Cancel", RequestHandle=each) for each in handles]
            answers = [each.Parameters for each in asked]
            assert [each.CancelCount for each in answers] == [1, 1, 0, 0], "the third was done before"
            assert await asyncio.gather(*waiting) == ["BadRequestCancelledByClient"] * 2

    asyncio.run(main())


def test_get_endpoints_gives_those_of_the_profiles_that_are_asked_for(serve: Any) -> None:
    async def main() -> None:
        binary = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
        other = "http://opcfoundation.org/UA-Profile/Transport/https-uabinary"
        async with serve() as served, opened(served) as client:
            for profiles, count in (([], 7), ([binary], 7), ([other], 0), ([other, binary], 7)):
                wanted = ua.GetEndpointsParameters(EndpointUrl=served.url, ProfileUris=profiles)
                endpoints = await client.uaclient.get_endpoints(wanted)
                assert len(endpoints) == count
                assert all(each.TransportProfileUri == binary for each in endpoints)

    asyncio.run(main())


def test_endpoints_are_told_as_the_client_wrote_the_url(serve: Any) -> None:
    """node-opcua takes only an endpoint of just its URL, and people leave the slash at the end out."""

    async def main() -> None:
        async with serve() as served, opened(served) as client:
            port = served.url.rpartition(":")[2].removesuffix("/")
            for asked, told in (
                (f"opc.tcp://127.0.0.1:{port}", f"opc.tcp://127.0.0.1:{port}"),
                (f"opc.tcp://plant.example:{port}/", f"opc.tcp://plant.example:{port}/"),
                (f"opc.tcp://plant.example:{port}", f"opc.tcp://plant.example:{port}"),
                (f"opc.tcp://plant.example:{port}/else", f"opc.tcp://plant.example:{port}/"),
                ("", served.url),
                ("opc.tcp://[", served.url.removesuffix("/")),
            ):
                wanted = ua.GetEndpointsParameters(EndpointUrl=asked)
                endpoints = await client.uaclient.get_endpoints(wanted)
                assert {each.EndpointUrl for each in endpoints} == {told}
                assert {url for each in endpoints for url in each.Server.DiscoveryUrls} == {told}
                found = await client.uaclient.find_servers(ua.FindServersParameters(EndpointUrl=asked))
                assert found[0].DiscoveryUrls == [told]

    asyncio.run(main())


def test_nodes_are_registered_as_they_are(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask, nodes = asking(client), [ua.NodeId(LEVEL, 2), ua.NodeId(NAME, 2)]
            answer = await ask("RegisterNodes", NodesToRegister=nodes)
            assert answer.Parameters.RegisteredNodeIds == nodes
            assert await ask.code("UnregisterNodes", NodesToUnregister=nodes) == "Good"

    asyncio.run(main())


def test_the_limits_that_the_server_names_are_its_limits(serve: Any, asking: Any) -> None:
    start = "Server_ServerCapabilities_OperationLimits_MaxNodesPer"
    node = ua.NodeId(LEVEL, 2)
    path = ua.BrowsePath(node, ua.RelativePath([ua.RelativePathElement(TargetName=ua.QualifiedName("x"))]))
    wanted = {
        "Read": ("Read", "NodesToRead", ua.ReadValueId(node, ua.AttributeIds.Value)),
        "Write": ("Write", "NodesToWrite", ua.WriteValue(node, ua.AttributeIds.DisplayName)),
        "Browse": ("Browse", "NodesToBrowse", ua.BrowseDescription(node)),
        "RegisterNodes": ("RegisterNodes", "NodesToRegister", node),
        "TranslateBrowsePathsToNodeIds": ("TranslateBrowsePathsToNodeIds", "BrowsePaths", path),
        "MethodCall": ("Call", "MethodsToCall", ua.CallMethodRequest(node, node)),
    }

    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            for name, (service, field, each) in wanted.items():
                limit = (await ask.read(ua.NodeId(getattr(ua.ObjectIds, f"{start}{name}")))).Value.Value
                assert await ask.code(service, **{field: [each] * limit}) == "Good", name
                assert await ask.code(service, **{field: [each] * (limit + 1)}) == "BadTooManyOperations"

    asyncio.run(main())


def test_a_browse_tells_what_its_mask_asks_for(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            organizes, folder = ua.NodeId(ua.ObjectIds.Organizes), ua.NodeId(ua.ObjectIds.FolderType)
            told = {
                1: ("ReferenceTypeId", organizes, ua.NodeId()),
                2: ("IsForward", True, False),
                4: ("NodeClass", ua.NodeClass.Object, ua.NodeClass.Unspecified),
                8: ("BrowseName", ua.QualifiedName("tank", 2), ua.QualifiedName()),
                16: ("DisplayName", "tank", None),
                32: ("TypeDefinition", folder, ua.NodeId()),
            }
            for mask in (0, 1, 2, 4, 8, 16, 32, 0b101010, 63):
                wanted = ua.BrowseDescription(ua.NodeId("nb/bottling/line1/", 2), ResultMask=mask)
                wanted.ReferenceTypeId = organizes
                request = {"NodesToBrowse": [wanted], "RequestedMaxReferencesPerNode": 2}
                (result,) = (await ask("Browse", **request)).Results
                tank = result.References[1]
                assert tank.NodeId == ua.NodeId("nb/bottling/line1/tank/", 2)
                for bit, (name, shown, hidden) in told.items():
                    found = getattr(tank, name)
                    found = found.Text if isinstance(found, ua.LocalizedText) else found
                    assert found == (shown if mask & bit else hidden), (mask, name)
                points = {
                    "ReleaseContinuationPoints": False,
                    "ContinuationPoints": [result.ContinuationPoint],
                }
                further = await ask("BrowseNext", **points)
                (result,) = further.Parameters.Results
                assert bool(result.References[0].BrowseName.Name) == bool(mask & 8)

    asyncio.run(main())


def test_a_reference_tells_the_type_of_objects_and_variables_both_ways(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client:
            ask, both = asking(client), ua.BrowseDirection.Both
            folder, analog = (
                ua.NodeId(getattr(ua.ObjectIds, f"{name}Type")) for name in ("Folder", "AnalogItem")
            )
            tank, organizes = ua.NodeId("nb/bottling/line1/tank/", 2), ua.NodeId(ua.ObjectIds.Organizes)
            for node, types in (
                (tank, [analog, folder]),
                (ua.NodeId(LEVEL, 2), [folder]),
                (ua.NodeId("Alarms", 3), [folder]),
            ):
                wanted = ua.BrowseDescription(node, both, organizes, True, 0, 63)
                (result,) = (await ask("Browse", NodesToBrowse=[wanted])).Results
                assert [each.TypeDefinition for each in result.References] == types

    asyncio.run(main())


def test_a_continuation_point_is_of_one_session_and_used_once(
    serve: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serve() as served, opened(served) as client, opened(served) as another:
            ask, other = asking(client), asking(another)
            wanted = ua.BrowseDescription(ua.NodeId(ua.ObjectIds.ObjectsFolder), ResultMask=63)

            async def browsed(count: int = 1) -> list[bytes]:
                answer = await ask("Browse", NodesToBrowse=[wanted] * count, RequestedMaxReferencesPerNode=1)
                return [each.ContinuationPoint for each in answer.Results]

            async def further(by: Any, *points: bytes, release: bool = False) -> list[str]:
                request = {"ReleaseContinuationPoints": release, "ContinuationPoints": list(points)}
                return [
                    each.StatusCode.name for each in (await by("BrowseNext", **request)).Parameters.Results
                ]

            points = await browsed(5)
            assert len(set(points)) == 5, "though all are of one node"
            assert await further(other, points[0]) == ["BadContinuationPointInvalid"]
            assert await further(ask, points[0], points[0]) == ["Good", "BadContinuationPointInvalid"]
            assert await further(ask, points[1], release=True) == ["Good"]
            assert await further(ask, *points[:3]) == ["BadContinuationPointInvalid"] * 2 + ["Good"]
            monkeypatch.setattr("drivers.opcua.points.MOST_POINTS", 5)
            await browsed(2)
            assert await further(ask, *points[3:]) == ["BadContinuationPointInvalid", "Good"], "the oldest go"

    asyncio.run(main())


@BOTH
def test_a_part_of_a_text_is_watched(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, opened(served) as client:
            ask, name = asking(client), ua.NodeId(NAME, 2)
            served.port.set("all/string", "grün")
            number = await ask.subscribe(50)
            results = await ask.watch(number, name, part="1:2")
            results += await ask.watch(number, name, part="2:1")
            results += await ask.watch(number, name, part="0,0")
            told = [each.StatusCode.name for each in results]
            assert told == ["Good", "BadIndexRangeInvalid", "BadIndexRangeNoData"]

            async def following() -> Any:
                (value,) = asking.values(await ask.published()) or asking.values(await ask.published())
                return value.Value.Value if value.StatusCode.is_good() else value.StatusCode.name

            assert await following() == "rü"
            for text, part in (("drüben", "rü"), ("blau", "la"), ("x", "BadIndexRangeNoData"), ("ab", "b")):
                served.port.set("all/string", text)
                if part != "rü":  # a change elsewhere in the text is none
                    assert await following() == part

    asyncio.run(main())


def hello(limits: dict[str, int]) -> Any:
    """Make a client that says in its Hello what it takes."""

    class Small(UASocketProtocol):  # type: ignore[misc]
        async def send_hello(self, url: str, *_: int) -> Any:
            sizes = {"ReceiveBufferSize": 65_536, "SendBufferSize": 65_536} | limits
            self._callbackmap[0] = acknowledged = asyncio.get_running_loop().create_future()
            self.transport.write(uatcp_to_binary(ua.MessageType.Hello, ua.Hello(EndpointUrl=url, **sizes)))
            return await acknowledged

    return Small


@pytest.mark.parametrize(
    "limits", [{"MaxMessageSize": 20_000}, {"MaxChunkCount": 2, "ReceiveBufferSize": 8_192}]
)
def test_what_a_client_cannot_take_is_not_sent_and_what_it_sends_is_taken(
    serve: Any, asking: Any, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    async def main() -> None:
        monkeypatch.setattr(ua_client, "UASocketProtocol", hello(limits))
        async with serve() as served, opened(served) as client:
            ask = asking(client)
            served.port.set("tank/level_pct", 0.0)
            each = ua.ReadValueId(ua.NodeId(LEVEL, 2), ua.AttributeIds.Value)
            assert await ask.code("Read", NodesToRead=[each] * 2_000) == "BadResponseTooLarge"
            assert await ask.code("Read", NodesToRead=[each] * 10) == "Good"
            number = await ask.subscribe()
            await ask.published()
            served.port.set("tank/level_pct", 1.0)
            await ask.watch(number, *[ua.NodeId(LEVEL, 2)] * 400)
            served.port.set("all/string", "x" * 30_000)
            await ask.published()
            await ask.watch(number, ua.NodeId(NAME, 2))
            assert await ask.code("Publish") == "BadResponseTooLarge"
            assert await ask.code("Read", NodesToRead=[each]) == "Good"

    asyncio.run(main())


def test_the_acknowledge_says_what_each_side_takes(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        sizes = {"ReceiveBufferSize": 10_000, "SendBufferSize": 20_000, "MaxMessageSize": 5_000}
        monkeypatch.setattr(ua_client, "UASocketProtocol", hello(sizes))
        async with serve() as served:
            client = opened(served)
            await client.connect_socket()
            acknowledge = await client.uaclient.protocol.send_hello(served.url)
            client.disconnect_socket()
            assert (acknowledge.ReceiveBufferSize, acknowledge.SendBufferSize) == (20_000, 10_000)
            assert acknowledge.MaxMessageSize == 4 * 1024 * 1024

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "span"),
    [("0", (0, 0)), ("3:7", (3, 7)), ("7:3", None), ("3:3", None), ("", None), ("-1", None), ("1:", None)],
)
def test_a_range_is_two_numbers_the_lower_first(text: str, span: Any) -> None:
    assert span_of(text) == span


def test_a_value_that_is_bad_stays_what_it_is() -> None:
    bad = ua.DataValue(None, ua.StatusCode(ua.StatusCodes.BadNoCommunication))
    assert picked(bad, ua.ReadValueId(ua.NodeId(), ua.AttributeIds.Value, "0"), 2) is bad
