"""What an OPC UA client sees of the plant."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.server import OpcuaServer, OpcuaServerConfig
from runtime.clock import ManualClock
from runtime.contract import Access, DataType, Event, Quality, Tag
from runtime.errors import ConnectError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SAMPLES: dict[DataType, tuple[Any, str, Any]] = {
    DataType.BOOL: (True, "Boolean", True),
    DataType.SINT: (-128, "SByte", -128),
    DataType.INT: (-32768, "Int16", -32768),
    DataType.DINT: (-(2**31), "Int32", -(2**31)),
    DataType.LINT: (-(2**63), "Int64", -(2**63)),
    DataType.USINT: (255, "Byte", 255),
    DataType.UINT: (65535, "UInt16", 65535),
    DataType.UDINT: (2**32 - 1, "UInt32", 2**32 - 1),
    DataType.ULINT: (2**64 - 1, "UInt64", 2**64 - 1),
    DataType.BYTE: (0xAB, "Byte", 0xAB),
    DataType.WORD: (0xABCD, "UInt16", 0xABCD),
    DataType.DWORD: (0xABCDEF01, "UInt32", 0xABCDEF01),
    DataType.LWORD: (0xABCDEF0123456789, "UInt64", 0xABCDEF0123456789),
    DataType.REAL: (1.5, "Float", 1.5),
    DataType.LREAL: (1 / 3, "Double", 1 / 3),
    DataType.TIME: (1_500_000, "Double", 1.5),
    DataType.DT: (
        1_700_000_000_123_456_000,
        "DateTime",
        EPOCH + timedelta(microseconds=1_700_000_000_123_456),
    ),
    DataType.STRING: ("grün 灌装", "String", "grün 灌装"),
}


def client(url: str, name: str = "", secret: str = "") -> Client:
    made = Client(url, timeout=60, watchdog_intervall=60)
    if name:
        made.set_user(name)
        made.set_password(secret)
    return made


async def code_of(work: Any) -> str:
    with pytest.raises(UaStatusCodeError) as caught:
        await work
    return ua.StatusCode(caught.value.code).name


async def read_both(opc: Client, node: Any) -> ua.DataValue:
    wanted = ua.ReadValueId(node.nodeid, ua.AttributeIds.Value)
    params = ua.ReadParameters(0, ua.TimestampsToReturn.Both, [wanted])
    (value,) = await opc.uaclient.read(params)
    return value


class Changes:
    """Handler of a subscription: keeps what came, and waits for it."""

    def __init__(self) -> None:
        self.values: asyncio.Queue[ua.DataValue] = asyncio.Queue()

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.put_nowait(data.monitored_item.Value)

    async def next(self) -> ua.DataValue:
        async with asyncio.timeout(60):
            return await self.values.get()


def test_a_client_browses_the_isa95_levels_down_to_the_tags(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served.url) as opc:
            line = await opc.nodes.objects.get_child(["2:demo", "2:nb", "2:bottling", "2:line1"])
            below = [(await each.read_browse_name()).Name for each in await line.get_children()]
            assert below == ["all", "tank", "line"]
            tank = await line.get_child(["2:tank"])
            (level,) = await tank.get_children()
            assert level.nodeid.to_string() == served.node("tank/level_pct")
            assert (await level.get_parent()).nodeid == tank.nodeid
            facts = await opc.nodes.objects.get_child(["2:demo", "2:sys", "2:drivers", "2:opcua"])
            assert len(await facts.get_children()) == 17
            assert await opc.get_namespace_array() == [
                "http://opcfoundation.org/UA/",
                "urn:ironworks:demo",
                "urn:ironworks:demo:tags",
                "urn:ironworks:demo:alarms",
                "http://opcfoundation.org/UA/DI/",
                "http://PLCopen.org/OpcUa/IEC61131-3/",
                "http://opcfoundation.org/UA/Machinery/",
                "urn:ironworks:demo:model",
            ]

    asyncio.run(main())


def test_a_tag_carries_range_unit_description_and_access(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served.url) as opc:
            level = opc.get_node(served.node("tank/level_pct"))
            properties = {(await each.read_browse_name()).Name: each for each in await level.get_properties()}
            span = await properties["EURange"].read_value()
            unit = await properties["EngineeringUnits"].read_value()
            assert (span.Low, span.High) == (0.0, 100.0)
            assert (unit.DisplayName.Text, unit.Description.Text) == ("%", "%")
            assert (await level.read_description()).Text == "Syrup level"
            assert await level.get_access_level() == {ua.AccessLevel.CurrentRead, ua.AccessLevel.HistoryRead}
            assert (await level.read_type_definition()).Identifier == ua.ObjectIds.AnalogItemType
            speed = opc.get_node(served.node("line/speed"))
            assert ua.AccessLevel.CurrentWrite in await speed.get_access_level()
            assert ua.AccessLevel.CurrentWrite not in await speed.get_user_access_level()

    asyncio.run(main())


def test_the_range_of_a_time_is_in_ms_as_its_value_is(serve: Any) -> None:
    tag = Tag("nb/bottling/line1/soak", DataType.TIME, low=0.0, high=3e9, access=Access.READ_WRITE)

    async def main() -> None:
        async with serve([tag]) as served, client(served.url) as opc:
            served.port.set("soak", 3_000_000_000)
            soak = opc.get_node(served.node("soak"))
            span = await (await soak.get_child("0:EURange")).read_value()
            assert (await soak.read_value(), span.Low, span.High) == (3000.0, 0.0, 3000.0)

    asyncio.run(main())


async def pages(opc: Client, node: Any, most: int) -> list[list[str]]:
    """Browse a node page by page; return the names on each."""
    description = ua.BrowseDescription(
        node.nodeid, ua.BrowseDirection.Forward, ua.NodeId(ua.ObjectIds.Organizes), True, 0, 63
    )
    request = ua.BrowseParameters(RequestedMaxReferencesPerNode=most, NodesToBrowse=[description])
    (result,) = await opc.uaclient.browse(request)
    found = []
    while True:
        assert result.StatusCode.is_good()
        found.append([each.BrowseName.Name for each in result.References])
        if not result.ContinuationPoint:
            return found
        further = ua.BrowseNextParameters(False, [result.ContinuationPoint])
        (result,) = await opc.uaclient.browse_next(further)


def test_what_is_below_a_node_is_browsed_in_pages(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        many = [Tag(f"nb/bottling/line1/all/x{number}", DataType.REAL) for number in range(2500)]
        async with serve(many) as served, client(served.url) as opc:
            folder = opc.get_node(served.node("all//x500 … x999/"))
            names = [f"x{number}" for number in range(500, 1000)]
            for most, sizes in ((0, [500]), (200, [200, 200, 100]), (5000, [500])):
                found = await pages(opc, folder, most)
                assert [len(each) for each in found] == sizes
                assert [name for page in found for name in page] == names
            wanted = ua.BrowseDescription(folder.nodeid, ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes))
            monkeypatch.setattr("drivers.opcua.browsing.MOST_TOGETHER", 300)
            results = await opc.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[wanted] * 10))
            assert [len(each.References) for each in results] == [30] * 10, "as many as fit together"
            assert all(each.ContinuationPoint for each in results)
            codes = ua.StatusCodes
            for point in (b"", b"x", b"\1\0\0\0\0\0\0\0rubbish", bytes(40)):
                (result,) = await opc.uaclient.browse_next(ua.BrowseNextParameters(False, [point]))
                assert result.StatusCode.value == codes.BadContinuationPointInvalid
            (result,) = await opc.uaclient.browse_next(ua.BrowseNextParameters(True, [b"x"]))
            assert result.StatusCode.is_good()
            with pytest.raises(ua.UaStatusCodeError, match="BadNothingToDo"):
                await opc.uaclient.browse(ua.BrowseParameters())

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_every_type_is_read_as_its_own_with_status_and_source_time(serve: Any, fast: bool) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with serve(clock=clock, fast=fast) as served, client(served.url) as opc:
            for data_type, (value, _, _) in SAMPLES.items():
                served.port.set(f"all/{data_type.iec.lower()}", value)
            source = EPOCH + timedelta(microseconds=clock.now_ns() // 1000)
            await clock.advance(2.5)
            for data_type, (_, wire, expected) in SAMPLES.items():
                node = opc.get_node(served.node(f"all/{data_type.iec.lower()}"))
                value = await read_both(opc, node)
                assert value.Value.VariantType.name == wire
                assert value.Value.Value == expected
                assert value.StatusCode.value == Quality.GOOD
                assert value.SourceTimestamp == source
                assert value.ServerTimestamp == source + timedelta(seconds=2.5)
                declared = await node.read_data_type_as_variant_type()
                assert declared.name == wire

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_a_bad_value_is_null_and_an_old_value_never_good(serve: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, client(served.url) as opc:
            level = opc.get_node(served.node("tank/level_pct"))
            value = await level.read_data_value(raise_on_bad_status=False)
            assert value.StatusCode.value == Quality.BAD_WAITING_FOR_INITIAL_DATA
            assert (value.Value.Value, value.SourceTimestamp) == (None, None)
            served.port.set("tank/level_pct", 40.0)
            assert await level.read_value() == 40.0
            served.port.set("tank/level_pct", 40.0, Quality.BAD_NO_COMMUNICATION)
            await asyncio.sleep(0)
            value = await level.read_data_value(raise_on_bad_status=False)
            assert (value.StatusCode.value, value.Value.Value) == (Quality.BAD_NO_COMMUNICATION, None)
            served.port.set("tank/level_pct", 39.0, Quality.UNCERTAIN_LAST_USABLE_VALUE)
            value = await level.read_data_value(raise_on_bad_status=False)
            assert (value.StatusCode.value, value.Value.Value) == (Quality.UNCERTAIN_LAST_USABLE_VALUE, 39.0)

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_a_subscriber_gets_value_quality_and_source_time(serve: Any, fast: bool) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with serve(clock=clock, fast=fast) as served, client(served.url) as opc:
            changes = Changes()
            subscription = await opc.create_subscription(50, changes)
            await subscription.subscribe_data_change(opc.get_node(served.node("tank/level_pct")))
            assert (await changes.next()).StatusCode.value == Quality.BAD_WAITING_FOR_INITIAL_DATA
            await clock.advance(1)
            served.port.set("tank/level_pct", 41.5)
            value = await changes.next()
            assert (value.Value.Value, value.StatusCode.value) == (41.5, Quality.GOOD)
            assert value.SourceTimestamp == EPOCH + timedelta(microseconds=clock.now_ns() // 1000)
            served.port.set("tank/level_pct", 41.5, Quality.BAD_NO_COMMUNICATION)
            value = await changes.next()
            assert (value.Value.Value, value.StatusCode.value) == (None, Quality.BAD_NO_COMMUNICATION)
            served.port.set("tank/level_pct", 41.5)
            assert (await changes.next()).Value.Value == 41.5
            await subscription.delete()
            served.port.set("tank/level_pct", 50.0)
            await asyncio.sleep(0.2)
            assert changes.values.empty()

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_queue_keeps_the_newest_values_and_tells_the_overflow(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, client(served.url) as opc:
            ask, node = asking(opc), opc.get_node(served.node("tank/level_pct")).nodeid
            served.port.set("tank/level_pct", 0.0)
            await ask.watch(await ask.subscribe(50), node, QueueSize=3)
            await ask.published()
            for number in range(1, 9):  # whatever interval ends meanwhile: nobody asks for what it has
                served.port.set("tank/level_pct", float(number))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            values = asking.values(await ask.published())
            assert [each.Value.Value for each in values] == [6.0, 7.0, 8.0]
            assert [each.StatusCode.value for each in values] == [0x480, 0, 0]

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_sampling_interval_and_deadband_thin_out_changes(serve: Any, asking: Any, fast: bool) -> None:
    async def main() -> None:
        async with serve(fast=fast) as served, client(served.url) as one, client(served.url) as other:
            served.port.set("tank/level_pct", 10.0)
            slow, coarse = asking(one), asking(other)
            node = one.get_node(served.node("tank/level_pct")).nodeid
            percent = ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Percent, 5.0)
            await slow.watch(await slow.subscribe(300), node, SamplingInterval=300.0, QueueSize=10)
            await coarse.watch(await coarse.subscribe(50), node, Filter=percent, QueueSize=10)

            async def told(ask: Any) -> list[float]:
                return [each.Value.Value for each in asking.values(await ask.published())]

            assert await told(slow) == await told(coarse) == [10.0]
            began = asyncio.get_running_loop().time()
            for value in (11.0, 12.0, 16.0, 17.0):
                served.port.set("tank/level_pct", value)
                await asyncio.sleep(0.02)
            took = asyncio.get_running_loop().time() - began
            samples = await told(slow)
            assert samples[-1] == 17.0
            assert len(samples) <= 1 + took / 0.3
            assert await told(coarse) == [16.0]

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_a_deadband_of_a_time_is_in_ms_as_its_value_is(serve: Any, fast: bool) -> None:
    tag = Tag("nb/bottling/line1/soak", DataType.TIME, low=0.0, high=100e9, access=Access.READ_WRITE)

    async def main() -> None:
        async with serve([tag], fast=fast) as served, client(served.url) as opc:
            served.port.set("soak", 10_000_000_000)
            soak = opc.get_node(served.node("soak"))
            for kind, amount in ((ua.DeadbandType.Absolute, 500.0), (ua.DeadbandType.Percent, 0.5)):
                changes = Changes()
                subscription = await opc.create_subscription(50, changes)
                filter_ = ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, kind, amount)
                await subscription._subscribe(soak, ua.AttributeIds.Value, mfilter=filter_, queuesize=10)
                begin = (await changes.next()).Value.Value
                for more_ms in (499, 500, 501):
                    served.port.set("soak", round((begin + more_ms) * 1e6))
                    await asyncio.sleep(0.1)
                assert (await changes.next()).Value.Value == begin + 501.0, kind
                assert changes.values.empty()
                await subscription.delete()

    asyncio.run(main())


def test_a_write_goes_through_the_gate_as_the_user_of_the_session(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as opc:
            speed = opc.get_node(served.node("line/speed"))
            await speed.write_value(42.0, ua.VariantType.Float)
            assert served.port.value("line/speed") == 42.0
            path, value, actor, reason = served.port.writes[-1]
            assert (path, value, reason) == ("nb/bottling/line1/line/speed", 42.0, "OPC UA write")
            assert (actor.name, actor.role.name, actor.via) == ("olga", "OPERATOR", "opcua")
            for data_type, (value, wire, sent) in SAMPLES.items():
                node = opc.get_node(served.node(f"all/{data_type.iec.lower()}"))
                await node.write_value(sent, ua.VariantType[wire])
                assert served.port.value(f"all/{data_type.iec.lower()}") == value

    asyncio.run(main())


def test_a_null_text_is_an_empty_one(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as opc:
            served.port.set("all/string", "before")
            node = opc.get_node(served.node("all/string"))
            await node.write_value(ua.DataValue(ua.Variant(None, ua.VariantType.String)))
            assert served.port.value("all/string") == ""
            nothing = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
            assert await code_of(node.write_value(nothing)) == "BadTypeMismatch"

    asyncio.run(main())


def test_a_refused_write_says_why_and_changes_nothing(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as opc:

            async def refused(path: str, value: Any, type_: ua.VariantType) -> str:
                return await code_of(opc.get_node(served.node(path)).write_value(value, type_))

            f, i, b = ua.VariantType.Float, ua.VariantType.Int16, ua.VariantType.Boolean
            assert await refused("line/speed", 61.0, f) == "BadOutOfRange"
            assert await refused("line/speed", float("nan"), f) == "BadOutOfRange"
            assert await refused("line/speed", 42.0, ua.VariantType.Double) == "BadTypeMismatch"
            assert await refused("line/speed", [42.0], f) == "BadTypeMismatch"
            assert await refused("line/recipe", 3, i) == "BadUserAccessDenied"
            assert await refused("tank/level_pct", 3.0, f) == "BadNotWritable"
            assert await refused("line/nothing", 3.0, f) == "BadNodeIdUnknown"
            assert await refused("line/run", True, b) == "BadInvalidState"
            never = datetime(9999, 12, 31, tzinfo=UTC)
            assert await refused("all/dt", never, ua.VariantType.DateTime) == "BadOutOfRange"
            assert await refused("all/time", 1e300, ua.VariantType.Double) == "BadOutOfRange"
            assert await refused("all/time", float("nan"), ua.VariantType.Double) == "BadOutOfRange"
            status = opc.get_node(ua.NodeId(ua.ObjectIds.Server_ServiceLevel))
            assert await code_of(status.write_value(1, ua.VariantType.Byte)) == "BadNotWritable"
            assert served.port.value("line/speed") is None
            refusals = {path for path, *_ in served.port.writes}
            assert len(refusals) == 6, "refused attempts reach the gate, and so the audit trail"

    asyncio.run(main())


def test_anonymous_reads_but_does_not_write(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url) as opc:
            speed = opc.get_node(served.node("line/speed"))
            served.port.set("line/speed", 5.0)
            assert await speed.read_value() == 5.0
            assert await code_of(speed.write_value(6.0, ua.VariantType.Float)) == "BadUserAccessDenied"
            assert served.port.value("line/speed") == 5.0

    asyncio.run(main())


def test_anonymous_none_refuses_a_client_without_a_name(serve: Any) -> None:
    async def main() -> None:
        async with serve(anonymous="none") as served:
            opc = client(served.url)
            assert await code_of(opc.connect()) == "BadIdentityTokenRejected"
            async with client(served.url, "olga", "pump") as opc:
                assert await opc.nodes.objects.get_children()

    asyncio.run(main())


def test_only_exposed_tags_exist(serve: Any) -> None:
    async def main() -> None:
        async with serve(expose=["tank/*"]) as served, client(served.url) as opc:
            served.port.set("tank/level_pct", 5.0)
            assert await opc.get_node(served.node("tank/level_pct")).read_value() == 5.0
            assert await code_of(opc.get_node(served.node("line/speed")).read_value()) == "BadNodeIdUnknown"

    asyncio.run(main())


def alarm(name: str, state: str) -> Event:
    active, acknowledged = state == "unacknowledged", state != "unacknowledged"
    data = {
        "name": name,
        "tag": "tank/level_pct",
        "state": state,
        "priority": "high",
        "active": active,
        "acknowledged": acknowledged,
        "text": {"en": "Level high", "zh": "液位高"},
    }
    return Event("alarm.raised", "alarms", 1_700_000_000_000_000_000, "Level high", {"alarm": data})


async def shown_in(folder: Any, name: str) -> Any:
    """Return a child once it is there."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await folder.get_child([name])
            except ua.uaerrors.BadNoMatch:
                await asyncio.sleep(0.01)


def test_alarms_are_seen_and_acknowledged_as_the_user_of_the_session(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as opc:
            folder = await opc.nodes.objects.get_child(["2:demo", "3:Alarms"])
            served.port.bus.emit(alarm("tank.high", "unacknowledged"))
            shown = await shown_in(folder, "3:tank.high")
            state = await shown.get_child(["3:State"])
            active = await shown.get_child(["3:Active"])
            text = await shown.get_child(["3:Text"])
            assert (await state.read_value(), await active.read_value()) == ("unacknowledged", True)
            assert (await text.read_value()).Text == "Level high"
            assert (await state.read_data_value()).SourceTimestamp.year == 2023
            changes = Changes()
            subscription = await opc.create_subscription(50, changes)
            await subscription.subscribe_data_change(state)
            assert (await changes.next()).Value.Value == "unacknowledged"
            acknowledge = await folder.get_child(["3:Acknowledge"])
            await folder.call_method(acknowledge, "tank.high", ua.LocalizedText("seen"))
            name, actor, comment = served.port.acknowledged[-1]
            assert (name, actor.name, comment) == ("tank.high", "olga", "seen")
            served.port.bus.emit(alarm("tank.high", "acknowledged"))
            assert (await changes.next()).Value.Value == "acknowledged"
            assert await code_of(folder.call_method(acknowledge, "tank.high")) == "BadArgumentsMissing"
            wrong = folder.call_method(acknowledge, 7, ua.LocalizedText(""))
            assert await code_of(wrong) == "BadInvalidArgument"
            assert len(served.port.acknowledged) == 1

    asyncio.run(main())


def test_a_viewer_does_not_acknowledge(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url) as opc:
            folder = opc.get_node("ns=3;s=Alarms")
            call = folder.call_method(ua.NodeId("Acknowledge", 3), "tank.high", ua.LocalizedText(""))
            assert await code_of(call) == "BadUserAccessDenied"
            assert served.port.acknowledged == []

    asyncio.run(main())


@pytest.mark.parametrize("fast", [True, False])
def test_who_asks_for_a_node_that_is_not_there_counts_as_refused(serve: Any, secure: Any, fast: bool) -> None:
    nowhere, there = ua.NodeId("nowhere", 2), ua.NodeId(ua.ObjectIds.Server)
    value = ua.AttributeIds.Value

    async def main() -> None:
        async with serve(fast=fast) as served, secure(served.url, "olga", "pump") as opc:
            counted = served.component._service.served
            speed = opc.get_node(served.node("line/speed"))
            made = await opc.create_subscription(1000, Changes())
            item = ua.MonitoredItemCreateRequest(ua.ReadValueId(nowhere, value))
            item.RequestedParameters.SamplingInterval = 100.0
            data = ua.DataValue(ua.Variant(1.0, ua.VariantType.Float))
            write = ua.WriteParameters(NodesToWrite=[ua.WriteValue(nowhere, value, Value=data)])
            browse = ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription(nowhere)])
            read = ua.ReadParameters(
                NodesToRead=[
                    ua.ReadValueId(each, value)
                    for each in (speed.nodeid, nowhere, ua.NodeId("gone", 2), there)
                ]
            )
            call = ua.CallMethodRequest(nowhere, nowhere)
            asked = {
                "Read": lambda: opc.uaclient.read(read),
                "Write": lambda: opc.uaclient.write(write),
                "Browse": lambda: opc.uaclient.browse(browse),
                "Call": lambda: opc.uaclient.call([call]),
                "CreateMonitoredItems": lambda: opc.uaclient.create_monitored_items(
                    ua.CreateMonitoredItemsParameters(made.subscription_id, ItemsToCreate=[item])
                ),
            }
            for number, (service, ask) in enumerate(asked.items(), start=1):
                await ask()
                assert counted.last_refusal == f"127.0.0.1: {service}: BadNodeIdUnknown"
                assert counted.codes == {"BadNodeIdUnknown": number}
            assert await code_of(speed.write_value(1000.0, ua.VariantType.Float)) == "BadOutOfRange"
            assert counted.codes["BadOutOfRange"] == 1
            before = counted.exceptions
            served.port.set("line/speed", 1.0, ua.StatusCodes.BadNodeIdUnknown)  # as another server told it
            for node in (speed, opc.get_node(there)):
                await node.read_data_value(raise_on_bad_status=False)
            await opc.get_node(there).read_attribute(ua.AttributeIds.DisplayName)
            await speed.read_attributes([ua.AttributeIds.EventNotifier])
            assert counted.exceptions == before

    asyncio.run(main())


def test_the_server_tells_of_itself_in_sys_tags(serve: Any) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with serve(clock=clock) as served:
            assert served.port.value("sys/drivers/opcua/running") is True
            recording = served.component.recorder.begin(10**12, 1 << 20, "127.0.0.1")
            async with client(served.url) as opc:
                await opc.get_node(served.node("line/speed")).read_data_value(raise_on_bad_status=False)
                await opc.create_subscription(50, Changes())

                def told() -> list[object]:
                    return [
                        served.port.value(f"sys/drivers/opcua/{name}")
                        for name in ("sessions", "subscriptions")
                    ]

                async with asyncio.timeout(60):
                    while told() != [1, 1]:  # the second that is under way looks at certificates in a thread
                        await clock.advance(1)
                assert served.port.value("sys/drivers/opcua/reads") >= 1
                with pytest.raises(ua.UaStatusCodeError):
                    await opc.uaclient.browse(ua.BrowseParameters())

                def fact(name: str) -> object:
                    return served.port.value(f"sys/drivers/opcua/{name}")

                async with asyncio.timeout(60):
                    while not fact("last_refusal"):
                        await clock.advance(1)
                assert fact("last_refusal") == "127.0.0.1: Browse: BadNothingToDo"
                assert (fact("connections"), fact("clients")) == (1, "127.0.0.1")
                assert (fact("exceptions"), fact("exception_codes")) == (1, "BadNothingToDo: 1")
                assert (fact("dropped"), fact("requests") > 3) == (0, True)
                capture = await anext(recording.pieces())
                recording.close()
                assert capture.index(b"HELF") < capture.index(b"ACKF") < capture.index(b"OPNF")
                now = opc.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime))
                assert await now.read_value() == EPOCH + timedelta(microseconds=clock.now_ns() // 1000)
        assert served.port.value("sys/drivers/opcua/running") is False

    asyncio.run(main())


def test_a_port_in_use_is_told_with_its_number_and_a_remedy(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            taken = int(served.url.rstrip("/").rpartition(":")[2])
            settings = OpcuaServerConfig(name="opcua", port=taken)
            before = asyncio.all_tasks()
            with pytest.raises(ConnectError, match=f"port {taken}.*in use") as caught:
                await OpcuaServer("demo", serve.state, settings).run(served.port)
            assert "another `port`" in caught.value.remedy
            assert asyncio.all_tasks() == before

    asyncio.run(main())


def test_it_stops_without_waiting_for_clients_and_leaves_no_task(serve: Any) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with serve() as served:
            mine = asyncio.all_tasks()
            opc = client(served.url)
            await opc.connect()
            subscription = await opc.create_subscription(100, Changes())
            await subscription.subscribe_data_change(opc.get_node(served.node("line/speed")))
            theirs = {each for each in asyncio.all_tasks() - mine if "server" not in repr(each.get_coro())}
            loop = asyncio.get_running_loop()
            start = loop.time()
            served.task.cancel()
            await asyncio.wait([served.task])
            assert loop.time() - start < 30  # their sessions would last for minutes
            assert served.task.cancelled()
            for _ in range(5):
                await asyncio.sleep(0)
            left = [each for each in asyncio.all_tasks() - before - theirs if "asyncua/server" in repr(each)]
            assert left == []
            with pytest.raises(OSError, match="Connect call failed"):
                await client(served.url).connect()

    asyncio.run(main())


def test_one_whose_clients_take_long_to_go_stops_all_the_same(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("drivers.opcua.service.STOP_WITHIN_S", 0.1)

    async def main() -> None:
        async with serve() as served:
            face = served.component._service._face
            stop = face.stop

            async def slowly() -> None:
                await stop()
                await asyncio.sleep(60)

            monkeypatch.setattr(face, "stop", slowly)
            served.task.cancel()
            await asyncio.wait([served.task])
            assert served.task.cancelled()

    asyncio.run(main())
    assert "opcua was not done with its clients within 0.1 s" in caplog.text
