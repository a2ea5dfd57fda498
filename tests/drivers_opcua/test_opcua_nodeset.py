"""NodeSet2 files in and out: vendor's types and variables in our server, our address space in others."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from asyncua import Server, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from typer.testing import CliRunner

from drivers.cli import app
from drivers.opcua.server import OpcuaServer, OpcuaServerConfig, plugin
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Access, DataType, Tag
from runtime.errors import ConfigError, Finding
from runtime.testing import FakePort

ROOT = "nb/bottling/line1"
SCRIPT = Path(__file__).with_name("peer_nodeset.js")
URI = "http://pumps.example/UA/"
HEAD = f"""<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"
    xmlns:uax="http://opcfoundation.org/UA/2008/02/Types.xsd">
  <NamespaceUris><Uri>{URI}</Uri></NamespaceUris>
  <Models><Model ModelUri="{URI}"><RequiredModel ModelUri="http://opcfoundation.org/UA/" /></Model></Models>
  <Aliases><Alias Alias="Double">i=11</Alias><Alias Alias="HasComponent">i=47</Alias></Aliases>
"""
PUMP = f"""{HEAD}
  <UADataType NodeId="ns=1;i=3001" BrowseName="1:PumpMode">
    <DisplayName Locale="en">PumpMode</DisplayName>
    <References><Reference ReferenceType="i=45" IsForward="false">i=29</Reference></References>
    <Definition Name="1:PumpMode"><Field Name="Off" Value="0" /><Field Name="Auto" Value="1" /></Definition>
  </UADataType>
  <UAObjectType NodeId="ns=1;i=1001" BrowseName="1:PumpType">
    <DisplayName>PumpType</DisplayName>
    <References><Reference ReferenceType="i=45" IsForward="false">i=58</Reference></References>
  </UAObjectType>
  <UAVariable NodeId="ns=1;i=6001" BrowseName="1:Speed" DataType="Double">
    <DisplayName>Speed</DisplayName>
    <References>
      <Reference ReferenceType="i=40">i=63</Reference>
      <Reference ReferenceType="i=37">i=78</Reference>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;i=1001</Reference>
    </References>
  </UAVariable>
  <UAObject NodeId="ns=1;s=Pump1" BrowseName="1:Pump1">
    <DisplayName>Pump 1</DisplayName>
    <References>
      <Reference ReferenceType="i=40">ns=1;i=1001</Reference>
      <Reference ReferenceType="i=35" IsForward="false">i=85</Reference>
    </References>
  </UAObject>
  <UAMethod NodeId="ns=1;s=Pump1.Start" BrowseName="1:Start">
    <DisplayName>Start</DisplayName>
    <References>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;s=Pump1</Reference>
    </References>
  </UAMethod>
  <UAVariable NodeId="ns=1;s=Pump1.Speed" BrowseName="1:Speed" DataType="Double" AccessLevel="3">
    <DisplayName>Speed</DisplayName>
    <References>
      <Reference ReferenceType="i=40">i=63</Reference>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;s=Pump1</Reference>
    </References>
    <Value><uax:Double>2.5</uax:Double></Value>
  </UAVariable>
  <UAVariable NodeId="ns=1;s=Pump1.Mode" BrowseName="1:Mode" DataType="ns=1;i=3001">
    <DisplayName>Mode</DisplayName>
    <References>
      <Reference ReferenceType="i=40">i=63</Reference>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;s=Pump1</Reference>
    </References>
  </UAVariable>
  <UAVariable NodeId="ns=1;s=Pump1.Names" BrowseName="1:Names" DataType="i=12" ValueRank="1">
    <DisplayName>Names</DisplayName>
    <References>
      <Reference ReferenceType="i=40">i=63</Reference>
      <Reference ReferenceType="HasComponent" IsForward="false">ns=1;s=Pump1</Reference>
    </References>
    <Value><uax:ListOfString><uax:String>a</uax:String><uax:String>b</uax:String></uax:ListOfString></Value>
  </UAVariable>
  <UAVariable NodeId="ns=1;s=Pump1.Range" BrowseName="1:Range" DataType="i=884">
    <DisplayName>Range</DisplayName>
    <References>
      <Reference ReferenceType="i=40">i=68</Reference>
      <Reference ReferenceType="i=46" IsForward="false">ns=1;s=Pump1</Reference>
    </References>
    <Value>
      <uax:ExtensionObject>
        <uax:TypeId><uax:Identifier>i=885</uax:Identifier></uax:TypeId>
        <uax:Body><uax:Range><uax:Low>-1</uax:Low><uax:High>7.5</uax:High></uax:Range></uax:Body>
      </uax:ExtensionObject>
    </Value>
  </UAVariable>
</UANodeSet>
"""
TAGS = [
    Tag(f"{ROOT}/pump/speed", DataType.LREAL, access=Access.READ_WRITE, low=0.0, high=60.0),
    Tag(f"{ROOT}/pump/mode", DataType.DINT),
    Tag(f"{ROOT}/pump/real", DataType.REAL),
]


def settings(**config: Any) -> OpcuaServerConfig:
    return OpcuaServerConfig(**{"name": "opcua", "port": 0, "nodesets": ["pump.xml"]} | config)


def findings(folder: Path, config: OpcuaServerConfig) -> list[Finding]:
    """Return what `ironworks check` says of the driver's section."""
    file = folder / "plant.yaml"
    document = Document(file, {}, {("drivers", 0, "nodes"): (9, 5)})
    tags = TagList(TAGS, ROOT)
    plant = Plant(file, PlantFile(plant="demo", root=ROOT), document, tags, {}, ())
    return list(plugin.check(plant, config, ("drivers", 0)))


def test_a_vendors_types_and_variables_are_served_and_a_bound_variable_is_its_tag(
    opcua_state: Path, tmp_path: Path, secure: Any
) -> None:
    (tmp_path / "pump.xml").write_text(PUMP)
    config = settings(
        nodes={f"nsu={URI};s=Pump1.Speed": "pump/speed", f"nsu={URI};s=Pump1.Mode": "pump/mode"}
    )
    assert findings(tmp_path, config) == []

    async def main() -> None:
        port = FakePort([*TAGS, *plugin.declare(Path(), ROOT, config).tags], "opcua", ROOT, WallClock())
        component = OpcuaServer("demo", opcua_state, config, tmp_path)
        task = asyncio.create_task(component.run(port))
        try:
            while not component.url:
                await asyncio.sleep(0.01)
                assert not task.done(), task.exception()
            port.set("pump/speed", 12.0)
            async with secure(component.url) as opc:
                index = await opc.get_namespace_index(URI)
                pump = await opc.nodes.objects.get_child(f"{index}:Pump1")
                type_ = opc.get_node(await pump.read_type_definition())
                assert await type_.read_browse_name() == ua.QualifiedName("PumpType", index)
                rule = await type_.get_child(f"{index}:Speed")
                assert [each.NodeId.Identifier for each in await rule.get_references(37)] == [78]
                speed = await pump.get_child(f"{index}:Speed")
                assert await speed.read_value() == 12.0
                assert await (await pump.get_child(f"{index}:Names")).read_value() == ["a", "b"]
                limits = await (await pump.get_child(f"{index}:Range")).read_value()
                assert (limits.Low, limits.High) == (-1.0, 7.5)
                told = await opc.get_node(ua.NodeId(3001, index)).read_data_type_definition()
                assert [(each.Name, each.Value) for each in told.Fields] == [("Off", 0), ("Auto", 1)]

                seen: asyncio.Queue[float] = asyncio.Queue()

                class Handler:
                    def datachange_notification(self, _node: Any, value: float, _data: Any) -> None:
                        seen.put_nowait(value)

                subscription = await opc.create_subscription(50, Handler())
                await subscription.subscribe_data_change(speed)
                assert await asyncio.wait_for(seen.get(), 60) == 12.0
                port.set("pump/speed", 13.0)
                assert await asyncio.wait_for(seen.get(), 60) == 13.0
                with pytest.raises(UaStatusCodeError, match="BadUserAccessDenied"):
                    await speed.write_value(14.0)
                assert port.writes[-1][:2] == (f"{ROOT}/pump/speed", 14.0), "it went through the gate"
                start = ua.NodeId("Pump1.Start", index)
                for owner, method, code in (
                    (pump.nodeid, start, "BadNotExecutable"),  # nothing here carries it out
                    (ua.NodeId(ua.ObjectIds.ObjectsFolder), start, "BadMethodInvalid"),
                    (pump.nodeid, speed.nodeid, "BadMethodInvalid"),
                    (pump.nodeid, ua.NodeId("Pump1.Stop", index), "BadMethodInvalid"),
                    (ua.NodeId("Pump2", index), start, "BadNodeIdUnknown"),
                    (ua.NodeId(2253), ua.NodeId(12749), "BadNotImplemented"),  # SetSubscriptionDurable
                ):
                    (result,) = await opc.uaclient.call([ua.CallMethodRequest(owner, method)])
                    assert result.StatusCode.name == code
                rule_value = rule.write_value(1.0)
                with pytest.raises(UaStatusCodeError, match="BadNotWritable"):
                    await rule_value
        finally:
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())


BAD = {
    "no file": (None, "cannot be read", 0),
    "empty": ("", "not XML: no element found", 1),
    "not XML": ("<UANodeSet><a></UANodeSet>", "not XML: mismatched tag", 1),
    "bomb": ('<!DOCTYPE a [<!ENTITY b "c">]><UANodeSet/>', "a document type is not taken", 1),
    "deep": ("<UANodeSet>" + "<a>" * 100, "deep", 1),
    "other root": ("<html/>", "holds 'html'", 1),
    "no namespace": ("<UANodeSet/>", "no NamespaceUris", 1),
    "of the standard": (
        HEAD.replace(URI, "http://opcfoundation.org/UA/") + "</UANodeSet>",
        "of the server itself",
        4,
    ),
    "of the plant": (
        HEAD.replace(URI, "urn:ironworks:demo:tags") + "</UANodeSet>",
        "of the server itself",
        4,
    ),
    "unknown class": (HEAD + "<UAThing/></UANodeSet>", "'UAThing' is no class", 7),
    "no id": (HEAD + '<UAObject BrowseName="1:a"/></UANodeSet>', "needs NodeId", 7),
    "bad id": (HEAD + '<UAObject NodeId="ns=1;x=1" BrowseName="1:a"/></UANodeSet>', "no node id", 7),
    "large id": (
        HEAD + '<UAObject NodeId="ns=1;i=4294967296" BrowseName="1:a"/></UANodeSet>',
        "no node id",
        7,
    ),
    "index": (HEAD + '<UAObject NodeId="ns=2;i=1" BrowseName="1:a"/></UANodeSet>', "namespace index 2", 7),
    "not its own": (HEAD + '<UAObject NodeId="i=85" BrowseName="a"/></UANodeSet>', "does not define", 7),
    "number": (
        HEAD + '<UAVariable NodeId="ns=1;i=1" BrowseName="1:a" ValueRank="x"/></UANodeSet>',
        "'x' is no number",
        7,
    ),
    "value": (
        HEAD + '<UAVariable NodeId="ns=1;i=1" BrowseName="1:a"><Value><Byte>300</Byte></Value>'
        "</UAVariable></UANodeSet>",
        "300 does not fit Byte",
        7,
    ),
    "twice": (PUMP.replace('"ns=1;s=Pump1.Names"', '"ns=1;s=Pump1.Mode"'), "described twice", 53),
    "model": (
        PUMP.replace(
            '<RequiredModel ModelUri="http://opcfoundation.org/UA/"', '<RequiredModel ModelUri="urn:x"'
        ),
        "needs the model urn:x",
        5,
    ),
    "supertype": (
        PUMP.replace(
            'ns=1;i=1001</Reference>\n      <Reference ReferenceType="i=35"',
            'ns=1;i=9</Reference>\n      <Reference ReferenceType="i=35"',
        ),
        "refers to ns=8;i=9",
        25,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_with_its_place_and_once(tmp_path: Path, case: str) -> None:
    text, told, line = BAD[case]
    if text is not None:
        (tmp_path / "pump.xml").write_text(text)
    (finding,) = findings(tmp_path, settings())
    assert told in finding.text
    assert (finding.severity, finding.place.file, finding.place.line) == (
        "error",
        tmp_path / "pump.xml",
        line,
    )
    assert finding.remedy


@pytest.mark.parametrize(
    ("node", "tag", "told"),
    [
        ("ns=8;s=Pump1.Speed", "pump/speed", "by index"),
        ("nsu=http://pumps.example/ua/;s=Pump1.Speed", "pump/speed", "no namespace"),
        (f"nsu={URI};s=Pump1.Sped", "pump/speed", "no such node"),
        (f"nsu={URI};s=Pump1", "pump/speed", "no variable"),
        (f"nsu={URI};s=Pump1.Speed", "pump/sped", "no tag that clients see"),
        (f"nsu={URI};s=Pump1.Speed", "pump/real", "is of type Double"),
        (f"nsu={URI};s=Pump1.Names", "pump/speed", "is an array"),
        ("Pump1.Speed", "pump/speed", "'Pump1.Speed'"),
    ],
)
def test_a_binding_that_cannot_be_is_told(tmp_path: Path, node: str, tag: str, told: str) -> None:
    (tmp_path / "pump.xml").write_text(PUMP)
    (finding,) = findings(tmp_path, settings(nodes={node: tag}))
    assert told in finding.text
    assert finding.remedy
    assert finding.place.file == tmp_path / "plant.yaml"


def test_a_server_does_not_start_on_a_bad_file(opcua_state: Path, tmp_path: Path) -> None:
    (tmp_path / "pump.xml").write_text("<html/>")
    config = settings()
    port = FakePort(plugin.declare(Path(), ROOT, config).tags, "opcua", ROOT)
    with pytest.raises(ConfigError, match="holds 'html'"):
        asyncio.run(OpcuaServer("demo", opcua_state, config, tmp_path).run(port))


PROGRAM = """
CONFIGURATION Plant
RESOURCE Cell ON PLC
    TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM Main WITH fast : Control;
END_RESOURCE
END_CONFIGURATION
PROGRAM Control
VAR_INPUT level : REAL; END_VAR
VAR_OUTPUT valve : BOOL; END_VAR
    valve := level > 50.0;
END_PROGRAM
"""
PLANT = """plant: demo
root: nb/bottling/line1
api: {port: null}
plc: {}
drivers:
  - {name: io, kind: simulated}
  - {name: opcua, kind: opcua.server, port: 4841, nodesets: [pump.xml]}
"""
CSV = """path,type,unit,low,high,source,variable,description
tank/level,REAL,%,0,100,io,Main.level,"Level <of> the ""tank"" & more"
tank/valve,BOOL,,,,plc,Main.valve,
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a plant's address space by the command."""
    folder = tmp_path_factory.mktemp("plant")
    (folder / "plc").mkdir()
    for name, text in {
        "plant.yaml": PLANT,
        "tags.csv": CSV,
        "plc/main.st": PROGRAM,
        "pump.xml": PUMP,
    }.items():
        (folder / name).write_text(text)
    out = folder / "out.xml"
    result = CliRunner().invoke(
        app, ["nodeset", "opcua", "--out", str(out), "--plant", str(folder), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["nodes"] > 150
    return out


def test_asyncua_loads_what_was_exported(exported: Path) -> None:
    async def main() -> None:
        server = Server()
        await server.init()
        await server.import_xml(exported)
        spaces = await server.get_namespace_array()
        tags, model, di, plc = (
            spaces.index(each)
            for each in (
                "urn:ironworks:demo:tags",
                "urn:ironworks:demo:model",
                "http://opcfoundation.org/UA/DI/",
                "http://PLCopen.org/OpcUa/IEC61131-3/",
            )
        )
        level = server.get_node(ua.NodeId(f"{ROOT}/tank/level", tags))
        assert (await level.read_description()).Text == 'Level <of> the "tank" & more'
        limits = await (await level.get_child("0:EURange")).read_value()
        assert (limits.Low, limits.High) == (0.0, 100.0)
        assert await level.read_data_type() == ua.NodeId(ua.ObjectIds.Float)
        assert await level.read_type_definition() == ua.NodeId(ua.ObjectIds.AnalogItemType)
        main_ = await server.nodes.objects.get_child(
            [
                f"{di}:DeviceSet",
                f"{model}:demo",
                f"{plc}:Resources",
                f"{model}:Cell",
                f"{plc}:Programs",
                f"{model}:Main",
            ]
        )
        inputs = await main_.get_references(ua.NodeId(4001, plc), ua.BrowseDirection.Forward)
        assert [each.NodeId for each in inputs] == [level.nodeid]
        restart = server.get_node(ua.NodeId("plc/Resources/Cell/Tasks/fast/Restart", model))
        arguments = await (await restart.get_child("0:InputArguments")).read_value()
        assert [each.Name for each in arguments] == ["Cold", "Reason"]
        pumps = spaces.index(URI)
        speed = server.get_node(ua.NodeId("Pump1.Speed", pumps))
        assert await speed.read_value() == 2.5

    asyncio.run(main())


def test_what_was_exported_is_read_again_by_ourselves(exported: Path) -> None:
    from drivers.opcua.nodesets.reading import read_nodeset, records_of_files

    read = read_nodeset(exported)
    assert read.findings == []
    indexes = {uri: number for number, uri in enumerate(["", *read.uris])}
    records, wrong = records_of_files([read], indexes, lambda node_id: node_id.NamespaceIndex == 0)
    assert wrong == []
    assert len(records) == exported.read_text().count("<UA") - 1


@pytest.mark.peer
def test_it_is_valid_and_node_opcua_loads_it(exported: Path, node_package: Callable[[str], Path]) -> None:
    modules = node_package("node-opcua-server")
    schema = xmlschema.XMLSchema(str(modules / "node-opcua-nodesets" / "nodesets" / "UANodeSet.xsd"))
    assert [str(each) for each in schema.iter_errors(str(exported))] == []
    done = subprocess.run(
        ["node", str(SCRIPT), str(exported)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | {"NODE_PATH": str(modules)},
    )
    assert done.returncode == 0, done.stderr
    (line,) = (each for each in done.stdout.splitlines() if each.startswith("{"))
    found = json.loads(line)
    assert found["uris"][1:] == [
        "urn:ironworks:demo:tags",
        "urn:ironworks:demo:alarms",
        "http://opcfoundation.org/UA/DI/",
        "http://PLCopen.org/OpcUa/IEC61131-3/",
        "http://opcfoundation.org/UA/Machinery/",
        "urn:ironworks:demo:model",
        URI,
    ]
    assert found["controller"] == ["demo", "CtrlConfigurationType"]
    assert found["task"] == {"name": "fast", "type": "CtrlTaskType", "interval": "T#10ms", "priority": 1}
    assert found["program"] == {"name": "Main", "type": "Control", "above": "CtrlProgramType"}
    assert found["level"] == {"type": "AnalogItemType", "range": [0, 100], "folders": ["tank", "Main"]}
