"""The plant's controller, apps and machines as the companion specifications have them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.methods import COLD
from drivers.opcua.server import OpcuaServerConfig, plugin
from runtime.clock import ManualClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Access, DataType, PlcOutline, PlcTask, Role, Tag

ROOT = "nb/bottling/line1"
TAGS = [
    Tag(f"{ROOT}/tank/level", DataType.REAL, source="io", variable="Main.level"),
    Tag(f"{ROOT}/tank/valve", DataType.BOOL, source="plc", variable="main.Valve"),
    Tag(f"{ROOT}/tank/elapsed", DataType.TIME, source="plc", variable="Main.delay.ET"),
    Tag(f"{ROOT}/tank/third", DataType.INT, source="plc", variable="Main.levels[3]"),
    Tag(f"{ROOT}/line/mode", DataType.INT, source="plc", variable="mode", access=Access.READ_WRITE),
    Tag(f"{ROOT}/line/lamp", DataType.BOOL, source="plc", variable="%QX0.0"),
    Tag("sys/plc/scans", DataType.ULINT, source="plc"),
    Tag("sys/plc/tasks/fast/scans", DataType.ULINT, source="plc"),
    Tag("sys/apps/warning/runs", DataType.UDINT, source="warning"),
    Tag(f"{ROOT}/line/worn", DataType.BOOL, source="warning"),
]
OUTLINE = PlcOutline(
    (
        PlcTask("fast", "Cell", 10_000_000, 1, (("Main", "Control"), ("Main.delay", "TON"))),
        PlcTask("slow", "Cell", 0, 5, (("Report", "Reporter"),)),
    ),
    {
        "main.level": ("Main", "VAR_INPUT"),
        "main.valve": ("Main", "VAR_OUTPUT"),
        "main.delay": ("Main", "VAR"),
        "main.levels": ("Main", "VAR"),
        "mode": ("", "VAR_GLOBAL"),
    },
)
DI, PLC, MODEL = 4, 5, 7
LOGINS = {Role.VIEWER: ("vera", "look"), Role.OPERATOR: ("olga", "pump")}
LOGINS |= {Role.ENGINEER: ("erik", "valve"), Role.ADMIN: ("admin", "s3cret")}


def client(url: str, name: str | None = None, secret: str = "") -> Client:
    opc = Client(url, timeout=60, watchdog_intervall=60)
    if name:
        opc.set_user(name)
        opc.set_password(secret)
    return opc


async def forward(node: Node, kind: Any = ua.ObjectIds.HierarchicalReferences) -> dict[str, Any]:
    """Return the references of a node by browse name."""
    found = await node.get_references(kind, ua.BrowseDirection.Forward)
    return {f"{each.BrowseName.NamespaceIndex}:{each.BrowseName.Name}": each for each in found}


def test_the_plc_is_shown_after_plcopen_and_each_tag_is_one_node(serve: Any) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with serve(TAGS, clock) as served, client(served.url) as opc:
            devices = opc.get_node(ua.NodeId(5001, DI))
            assert await forward(devices) == {}, "nothing runs yet"
            assert (await opc.get_namespace_array())[4:7] == [
                "http://opcfoundation.org/UA/DI/",
                "http://PLCopen.org/OpcUa/IEC61131-3/",
                "http://opcfoundation.org/UA/Machinery/",
            ]
            served.port.outline = OUTLINE
            async with asyncio.timeout(60):
                while not await forward(devices):  # a second may be under way, in a thread
                    await clock.advance(1)

            (shown,) = (await forward(devices)).values()
            assert (shown.BrowseName, shown.TypeDefinition) == (
                ua.QualifiedName("demo", MODEL),
                ua.NodeId(1001, PLC),
            )
            plc = opc.get_node(shown.NodeId)
            below = await forward(plc)
            wanted = {"Resources", "GlobalVars", "AccessVars", "ConfigVars", "Configuration", "Diagnostic"}
            assert {f"{PLC}:{each}" for each in wanted} < set(below)
            assert {f"{DI}:Manufacturer", f"{DI}:Model", f"{DI}:SerialNumber"} < set(below)
            assert below[f"{PLC}:GlobalVars"].TypeDefinition == ua.NodeId(1005, DI)
            cell = await plc.get_child([f"{PLC}:Resources", f"{MODEL}:Cell"])
            assert await cell.read_type_definition() == ua.NodeId(1002, PLC)

            tasks = await forward(await cell.get_child(f"{PLC}:Tasks"))
            assert set(tasks) == {f"{DI}:SupportedTypes", f"{MODEL}:fast", f"{MODEL}:slow"}
            fast = opc.get_node(tasks[f"{MODEL}:fast"].NodeId)
            assert tasks[f"{MODEL}:fast"].TypeDefinition == ua.NodeId(1006, PLC)
            assert await (await fast.get_child(f"{PLC}:Priority")).read_value() == 1
            assert await (await fast.get_child(f"{PLC}:Interval")).read_value() == "T#10ms"
            assert "2:scans" in await forward(fast)

            programs = await cell.get_child(f"{PLC}:Programs")
            instances = await forward(programs)
            assert set(instances) == {f"{DI}:SupportedTypes", f"{MODEL}:Main", f"{MODEL}:Report"}
            main = opc.get_node(instances[f"{MODEL}:Main"].NodeId)
            type_ = opc.get_node(instances[f"{MODEL}:Main"].TypeDefinition)
            assert await type_.read_browse_name() == ua.QualifiedName("Control", MODEL)
            supers = await type_.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
            assert [each.NodeId for each in supers] == [ua.NodeId(1004, PLC)]
            above = opc.get_node(ua.NodeId(1004, PLC))
            assert set(await forward(above, ua.ObjectIds.HasSubtype)) == {
                f"{MODEL}:Control",
                f"{MODEL}:Reporter",
            }
            run_by = await forward(main, ua.NodeId(4006, PLC))
            assert list(run_by) == [f"{MODEL}:fast"]

            variables = await forward(main)
            kinds = {name: each.ReferenceTypeId.Identifier for name, each in variables.items()}
            assert kinds == {"2:level": 4001, "2:valve": 4002, "2:elapsed": 4004, "2:third": 4004}
            assert variables["2:level"].NodeId == ua.NodeId(f"{ROOT}/tank/level", 2)
            level = opc.get_node(variables["2:level"].NodeId)
            parents = await level.get_references(
                ua.ObjectIds.HierarchicalReferences, ua.BrowseDirection.Inverse
            )
            assert {each.BrowseName.Name for each in parents} == {"tank", "Main"}
            assert set(await forward(await plc.get_child(f"{PLC}:GlobalVars"))) == {"2:mode", "2:lamp"}
            assert set(await forward(await plc.get_child(f"{PLC}:Diagnostic"))) == {"2:scans"}

            served.port.outline = replace(OUTLINE, tasks=OUTLINE.tasks[:1])
            async with asyncio.timeout(60):
                while f"{MODEL}:slow" in await forward(await cell.get_child(f"{PLC}:Tasks")):
                    await clock.advance(1)
            assert set(await forward(above, ua.ObjectIds.HasSubtype)) == {f"{MODEL}:Control"}
            served.port.outline = None
            async with asyncio.timeout(60):
                while await forward(devices):
                    await clock.advance(1)
            with pytest.raises(UaStatusCodeError, match="BadNodeIdUnknown"):
                await fast.read_browse_name()
            assert len(await level.get_references(33, ua.BrowseDirection.Inverse)) == 1

    asyncio.run(main())


@pytest.mark.parametrize("role", LOGINS)
def test_every_method_of_the_model_takes_the_role_that_it_tells(serve: Any, secure: Any, role: Role) -> None:
    async def main() -> None:
        async with serve(TAGS) as served:
            served.port.users["vera"] = ("look", Role.VIEWER)
            served.port.outline = OUTLINE
            model = served.component._service._server.context.model
            model.refresh()
            methods = model._built.methods
            assert len(methods) > 3
            async with secure(served.url, *LOGINS[role]) as client:
                for node, method in methods.items():
                    given = [ua.Variant(True if each is COLD else "why") for each in method.parameters]
                    called = ua.CallMethodRequest(method.owner, node, given)
                    (result,) = await client.uaclient.call([called])
                    want = "Good" if role >= method.role else "BadUserAccessDenied"
                    assert result.StatusCode.name == want, node

    asyncio.run(main())


async def outcome(opc: Client, owner: str, *arguments: ua.Variant) -> tuple[str, list[str]]:
    """Call an object's Restart; return the status and what is said of each argument."""
    request = ua.CallMethodRequest(
        ua.NodeId(owner, MODEL), ua.NodeId(f"{owner}/Restart", MODEL), list(arguments)
    )
    (result,) = await opc.uaclient.call([request])
    return result.StatusCode.name, [each.name for each in result.InputArgumentResults]


def test_methods_restart_the_plc_a_task_or_an_app_as_the_user_of_the_session(serve: Any, secure: Any) -> None:
    fast, good = "plc/Resources/Cell/Tasks/fast", ("Good", ["Good", "Good"])
    cold, why = ua.Variant(True), ua.Variant("new recipe")

    async def main() -> None:
        async with serve(TAGS) as served, secure(served.url, "erik", "valve") as opc:
            served.port.outline = OUTLINE
            served.component._service._server.context.model.refresh()
            method = opc.get_node(ua.NodeId(f"{fast}/Restart", MODEL))
            arguments = await (await method.get_child("0:InputArguments")).read_value()
            assert [(each.Name, each.DataType.Identifier) for each in arguments] == [
                ("Cold", 1),
                ("Reason", 12),
            ]

            assert await outcome(opc, fast, cold, why) == good
            assert await outcome(opc, "plc/MethodSet", ua.Variant(False), ua.Variant("")) == good
            assert await outcome(opc, "apps/warning", why) == ("Good", ["Good"])
            asked = [(name, how, actor.name, reason) for name, how, actor, reason in served.port.restarts]
            assert asked == [
                ("plc task fast", "cold", "erik", "new recipe"),
                ("plc", "warm", "erik", ""),
                ("warning", "", "erik", "new recipe"),
            ]

            mismatch = "BadTypeMismatch"
            for given, told in (
                ((), ("BadArgumentsMissing", [])),
                ((cold,), ("BadArgumentsMissing", [])),
                ((cold, why, why), ("BadTooManyArguments", [])),
                ((why, why), ("BadInvalidArgument", [mismatch, "Good"])),
                ((ua.Variant(1), ua.Variant(2)), ("BadInvalidArgument", [mismatch, mismatch])),
                ((ua.Variant([True]), why), ("BadInvalidArgument", [mismatch, "Good"])),
                ((ua.Variant(None), why), ("BadInvalidArgument", [mismatch, "Good"])),
                ((cold, ua.Variant("x" * 1001)), ("BadInvalidArgument", ["Good", "BadOutOfRange"])),
            ):
                assert await outcome(opc, fast, *given) == told
            other = ua.CallMethodRequest(
                ua.NodeId("plc", MODEL), ua.NodeId(f"{fast}/Restart", MODEL), [cold, why]
            )
            (result,) = await opc.uaclient.call([other])
            assert result.StatusCode.name == "BadMethodInvalid"
            assert len(served.port.restarts) == 3

        async with serve(TAGS) as served, secure(served.url, "olga", "pump") as opc:
            served.port.outline = OUTLINE
            served.component._service._server.context.model.refresh()
            assert (await outcome(opc, fast, cold, why))[0] == "BadUserAccessDenied"
            assert served.port.restarts == []

    asyncio.run(main())


def test_a_walk_of_any_size_keeps_no_more_than_so_many_nodes(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.model.MOST_WEIGHT", 400)
    tags = [
        Tag(f"{ROOT}/unit{number // 20}/signal{number % 20}", DataType.REAL, low=0.0, high=1.0)
        for number in range(200)
    ]

    async def main() -> None:
        async with serve(tags) as served, client(served.url) as opc:
            nodes = served.component._service._server.context.nodes
            served.port.set("unit9/signal19", 0.5)
            first = opc.get_node(served.node("unit0/signal0"))
            assert await first.read_browse_name() == ua.QualifiedName("signal0", 2)
            before = len(nodes)
            seen, todo = 0, [opc.get_node(ua.NodeId("/", 2))]
            while todo:
                node = todo.pop()
                seen += 1
                todo += await node.get_children()
            assert seen > 400
            assert len(nodes) < before + 80
            assert await first.read_browse_name() == ua.QualifiedName("signal0", 2)
            assert await opc.get_node(served.node("unit9/signal19")).read_value() == 0.5

    asyncio.run(main())


MACHINE = {
    "folder": f"{ROOT}/tank",
    "name": "Syrup tank",
    "manufacturer": "ACME",
    "serial_number": "4711",
    "product_instance_uri": "urn:acme:tank:4711",
    "model": "T-100",
    "location": "Hall 2",
    "year_of_construction": 2019,
    "initial_operation": "2020-03-01T00:00:00Z",
}


def test_machines_are_found_with_their_nameplates_and_lead_to_their_tags(serve: Any) -> None:
    async def main() -> None:
        async with serve(TAGS, machines=[MACHINE]) as served, client(served.url) as opc:
            machines = await opc.nodes.objects.get_child("6:Machines")
            (tank,) = (await forward(machines)).values()
            assert tank.BrowseName == ua.QualifiedName("Syrup tank", MODEL)
            below = await forward(opc.get_node(tank.NodeId))
            identification = below[f"{DI}:Identification"]
            assert identification.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasAddIn)
            assert identification.TypeDefinition == ua.NodeId(1012, 6)
            shown = await forward(opc.get_node(identification.NodeId))
            values = {name: await opc.get_node(each.NodeId).read_value() for name, each in shown.items()}
            assert values == {
                "4:Manufacturer": ua.LocalizedText("ACME"),
                "4:SerialNumber": "4711",
                "4:ProductInstanceUri": "urn:acme:tank:4711",
                "4:Model": ua.LocalizedText("T-100"),
                "6:Location": "Hall 2",
                "6:YearOfConstruction": 2019,
                "6:InitialOperationDate": datetime(2020, 3, 1, tzinfo=UTC),
            }
            assert below["2:tank"].NodeId == ua.NodeId(f"{ROOT}/tank/", 2)
            assert "2:level" in await forward(opc.get_node(below["2:tank"].NodeId))
            type_ = opc.get_node(ua.NodeId(1012, 6))
            (above,) = await type_.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
            mandatory = await forward(opc.get_node(above.NodeId))
            assert {"4:Manufacturer", "4:SerialNumber"} < set(mandatory)

    asyncio.run(main())


def test_a_machine_that_is_nowhere_or_twice_there_is_told_with_its_place() -> None:
    file = Path("plant.yaml")
    marks: dict[tuple[str | int, ...], tuple[int, int]]
    marks = {("drivers", 0, "machines", 1, "folder"): (9, 5), ("drivers", 0, "machines", 2, "name"): (12, 5)}
    plant = Plant(
        file, PlantFile(plant="demo", root=ROOT), Document(file, {}, marks), TagList(TAGS, ROOT), {}, ()
    )
    machines = [
        MACHINE | {"folder": "tank"},
        MACHINE | {"folder": "tnak", "name": "Other", "product_instance_uri": "urn:acme:tank:2"},
        MACHINE | {"folder": "line", "product_instance_uri": "urn:acme:tank:3"},
    ]
    config = OpcuaServerConfig.model_validate({"name": "opcua", "machines": machines})
    nowhere, twice = plugin.check(plant, config, ("drivers", 0))
    assert (nowhere.place.line, twice.place.line) == (9, 12)
    assert "below 'tnak'" in nowhere.text
    assert "name 'Syrup tank'" in twice.text
    with pytest.raises(ValueError, match="serial_number"):
        OpcuaServerConfig.model_validate(
            {"name": "opcua", "machines": [{"folder": "tank", "manufacturer": "A"}]}
        )


def test_the_server_says_what_it_can_do_and_which_parts_of_the_companions_it_has(serve: Any) -> None:
    wanted = {
        "Server_ServerStatus_State": 0,
        "Server_ServerStatus_BuildInfo_ProductUri": "urn:ironworks",
        "Server_ServerStatus_BuildInfo_ManufacturerName": "Ironworks",
        "Server_ServerStatus_SecondsTillShutdown": 0,
        "Server_ServerCapabilities_LocaleIdArray": ["en", "zh"],
        "Server_ServerRedundancy_RedundancySupport": 0,
        "Server_ServerCapabilities_MinSupportedSampleRate": 0.0,
        "Server_ServerCapabilities_MaxBrowseContinuationPoints": 1000,
        "Server_ServerCapabilities_MaxStringLength": 4 * 1024 * 1024,
        "Server_ServerCapabilities_MaxSessions": 100,
        "Server_ServerCapabilities_MaxMonitoredItemsQueueSize": 1000,
        "Server_ServerCapabilities_OperationLimits_MaxNodesPerRead": 10_000,
        "Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall": 100,
        "Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateData": 0,
        "HistoryServerCapabilities_AccessHistoryDataCapability": True,
        "HistoryServerCapabilities_DeleteRawCapability": False,
        "HistoryServerCapabilities_MaxReturnDataValues": 100_000,
        "DefaultHAConfiguration_AggregateConfiguration_TreatUncertainAsBad": False,
        "DefaultHAConfiguration_AggregateConfiguration_PercentDataGood": 100,
    }

    async def main() -> None:
        async with serve(TAGS) as served, client(served.url) as opc:
            nodes = [opc.get_node(ua.NodeId(getattr(ua.ObjectIds, name))) for name in wanted]
            assert dict(zip(wanted, await opc.read_values(nodes), strict=True)) == wanted
            built = opc.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo_BuildDate))
            assert (await built.read_value()).year > 2000
            for folder in ("Server_ServerCapabilities", "HistoryServerCapabilities"):
                number = getattr(ua.ObjectIds, f"{folder}_AggregateFunctions")
                assert {"0:Average", "0:Interpolative"} < set(await forward(opc.get_node(ua.NodeId(number))))

            spaces = opc.get_node(ua.NodeId(ua.ObjectIds.Server_Namespaces))
            told = {}
            for each in await spaces.get_children():
                uri = await (await each.get_child("0:NamespaceUri")).read_value()
                told[uri] = await (await each.get_child("0:IsNamespaceSubset")).read_value()
            del told["http://opcfoundation.org/UA/"]
            assert told == {
                "http://opcfoundation.org/UA/DI/": True,
                "http://PLCopen.org/OpcUa/IEC61131-3/": True,
                "http://opcfoundation.org/UA/Machinery/": True,
                "urn:ironworks:demo:tags": False,
                "urn:ironworks:demo:alarms": False,
                "urn:ironworks:demo:model": False,
            }

    asyncio.run(main())
