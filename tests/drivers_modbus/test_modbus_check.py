"""`ironworks check`: every mistake in a Modbus section is told with its place and a remedy."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from drivers.modbus.client import ClientConfig
from drivers.modbus.client import plugin as client_plugin
from drivers.modbus.server import ServerConfig
from drivers.modbus.server import plugin as server_plugin
from runtime.contract import Access, DataType


def findings(plant, tags, kind, **config):
    plugin, model = (client_plugin, ClientConfig) if kind == "client" else (server_plugin, ServerConfig)
    config = {"host": "127.0.0.1"} | config
    section = model.model_validate({"name": "io", "kind": f"modbus.{kind}"} | config)
    return list(plugin.check(plant_with(plant, plugin, section, tags), section, ("drivers", 0)))


def plant_with(plant, plugin, section, tags):
    return plant([*tags, *plugin.declare(Path(), "site/area/line", section).tags])


def test_a_right_section_has_no_findings(plant, tag):
    tags = [
        tag("a", DataType.INT, "30001"),
        tag("b", DataType.BOOL, "00001", source="plc"),
        tag("c", DataType.REAL, "40001", source="plc"),
        tag("d", DataType.BOOL, "40003.0", source="plc"),
        tag("e", DataType.BOOL, "40003.1", source="plc"),
    ]
    assert findings(plant, tags, "client", groups={"slow": {"period": "1s", "tags": ["a"]}}) == []
    assert findings(plant, [tags[0].__class__(**{**_fields(tags[0]), "source": "twin"})], "server") == []


def _fields(tag):
    return {name: getattr(tag, name) for name in tag.__slots__}


@pytest.mark.parametrize(
    ("tags", "says", "line"),
    [
        ([("a", DataType.INT, "")], "has no address", 2),
        ([("a", DataType.INT, "30001"), ("b", DataType.INT, "xyz")], "not a Modbus address", 3),
        ([("a", DataType.INT, "30001", "plc")], "lies in input registers", 2),
        ([("a", DataType.INT, "30001", "io", Access.READ_WRITE)], "written by people", 2),
        ([("a", DataType.DINT, "40001", "plc"), ("b", DataType.INT, "40002", "plc")], "both written", 3),
        ([("a", DataType.BOOL, "40001.3", "plc"), ("b", DataType.INT, "40001", "plc")], "both written", 3),
        ([("a", DataType.INT, "30001:uint16")], "does not always fit INT", 2),
    ],
)
def test_mistakes_are_told_with_line_and_remedy(plant, tag, tags, says, line):
    made = [
        tag(row[0], row[1], row[2], source=row[3] if len(row) > 3 else "io",
            access=row[4] if len(row) > 4 else Access.READ)
        for row in tags
    ]  # fmt: skip
    (found,) = findings(plant, made, "client")
    assert says in found.text
    assert found.place.line == line
    assert found.remedy


def test_a_unit_that_no_device_on_a_line_can_be_is_told(plant, tag):
    tags = [tag(f"a{unit}", DataType.INT, f"{unit}!30001") for unit in (0, 1, 247, 248)]
    line = {"host": None, "port": None, "serial": {"device": "/dev/ttyS0"}}
    found = findings(plant, tags, "client", **line)
    assert [each.text.rpartition(" ")[2] for each in found] == ["0", "248"]
    assert not findings(plant, tags, "client")


def test_a_server_on_a_line_cannot_be_the_unit_that_means_all(plant, tag):
    tags = [tag("a", DataType.INT, "30001", source="plc"), tag("b", DataType.INT, "7!30001", source="plc")]
    line = {"name": "io", "kind": "modbus.server", "serial": {"device": "/dev/ttyS0"}}
    section = ServerConfig.model_validate(line | {"unit": 0})
    (found,) = server_plugin.check(plant_with(plant, server_plugin, section, tags), section, ("drivers", 0))
    assert ("is unit 0" in found.text, found.place.line) == (True, 2)
    assert "unit:" in found.remedy


def test_a_server_cannot_take_what_masters_cannot_write(plant, tag):
    (found,) = findings(plant, [tag("a", DataType.INT, "30001", source="io")], "server")
    assert "masters" in found.text


def test_a_group_that_matches_nothing_is_a_warning(plant, tag):
    groups = {"slow": {"period": "1s", "tags": ["tank/*"]}}
    (found,) = findings(plant, [tag("a", DataType.INT, "30001")], "client", groups=groups)
    assert found.severity == "warning"
    assert "tank/*" in found.text


@pytest.mark.parametrize("host", ["192.168.0.300", "plc:502", "", "a b", "-x", "http://plc"])
def test_hosts_that_cannot_be_are_refused(host):
    with pytest.raises(ValidationError, match="is no host"):
        ClientConfig(name="io", kind="modbus.client", host=host)


@pytest.mark.parametrize("host", ["192.168.0.3", "::1", "plc", "filler-1.line.example"])
def test_hosts_that_can_be_are_taken(host):
    assert ClientConfig(name="io", kind="modbus.client", host=host).host == host


def test_a_driver_declares_an_alarm_for_its_loss():
    config = ClientConfig(name="io", kind="modbus.client", host="plc")
    declared = client_plugin.declare(Path(), "site", config)
    (alarm,) = declared.alarms
    assert alarm.name == "io.offline"
    assert alarm.tag in {tag.path for tag in declared.tags}
    assert alarm.on_delay == 2_000_000_000
    assert alarm.text.in_language("zh") == "io 无应答"


def test_a_server_that_the_network_reaches_is_told(plant):
    (finding,) = findings(plant, [], "server", host="0.0.0.0", port=5020)
    assert finding.severity == "warning"
    assert "knows no login" in finding.text
    assert not findings(plant, [], "server", port=5020)


def test_reading_the_section_does_not_load_the_protocol_library():
    code = "import sys, drivers.modbus.client, drivers.modbus.server; print('pymodbus' in sys.modules)"
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
