"""`ironworks check`: every mistake in an S7 section is told with its place and a remedy."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from drivers.s7.client import ClientConfig, plugin
from runtime.contract import Access, DataType


def section(**config):
    return ClientConfig.model_validate({"name": "io", "kind": "s7.client", "host": "127.0.0.1"} | config)


def findings(plant, tags, **config):
    made = section(**config)
    whole = plant([*tags, *plugin.declare(Path(), "site/area/line", made).tags])
    return list(plugin.check(whole, made, ("drivers", 0)))


def test_a_right_section_has_no_findings(plant, tag):
    tags = [
        tag("a", DataType.INT, "DB1.DBW0"),
        tag("b", DataType.BOOL, "M0.0", source="plc"),
        tag("c", DataType.BOOL, "M0.1", source="plc"),
        tag("d", DataType.REAL, "DB1.DBD4:REAL", access=Access.READ_WRITE),
        tag("e", DataType.INT, "C5"),
    ]
    groups = {"slow": {"period": "1s", "tags": ["a"], "deadband": "1%"}}
    assert findings(plant, tags, groups=groups, backup="plc2", backup_rack=1, backup_slot=3) == []


@pytest.mark.parametrize(
    ("rows", "says", "line"),
    [
        ([("a", DataType.INT, "")], "has no address", 2),
        ([("a", DataType.INT, "MW0"), ("b", DataType.INT, "xyz")], "not an S7 address", 3),
        ([("a", DataType.BOOL, "E0.0", "plc")], "lies in inputs", 2),
        ([("a", DataType.TIME, "T5", "plc")], "lies in timers", 2),
        ([("a", DataType.INT, "IW0", "io", Access.READ_WRITE)], "written by people", 2),
        ([("a", DataType.DINT, "MD0", "plc"), ("b", DataType.INT, "MW2", "plc")], "both written", 3),
        ([("a", DataType.BOOL, "M3.3", "plc"), ("b", DataType.INT, "MW2", "plc")], "both written", 3),
        ([("a", DataType.INT, "MW0:UINT")], "UINT (0 to 65535) does not always fit INT", 2),
        ([("a", DataType.INT, "MD0:REAL")], "REAL does not always fit INT", 2),
    ],
)
def test_mistakes_are_told_with_line_and_remedy(plant, tag, rows, says, line):
    tags = [
        tag(name, data_type, address, *more[:1], access=more[1] if len(more) > 1 else Access.READ)
        for name, data_type, address, *more in rows
    ]
    (found,) = findings(plant, tags)
    assert says in found.text
    assert found.place.line == line
    assert found.remedy


def test_groups_backups_and_a_missing_extra_are_told(plant, tag, monkeypatch):
    tags = [tag("a", DataType.INT, "MW0")]
    (found,) = findings(plant, tags, groups={"slow": {"period": "1s", "tags": ["tank/*"]}})
    assert found.severity == "warning"
    (found,) = findings(plant, tags, backup_slot=3)
    assert "without backup" in found.text
    monkeypatch.setitem(sys.modules, "snap7", None)
    (found,) = findings(plant, tags)
    assert found.remedy == "pip install 'ironworks[s7]'"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"host": "192.168.0.300"}, "is no host"),
        ({"slot": 32}, "less than or equal to 31"),
        ({"tsap": "2.1.1"}, "two hexadecimal bytes"),
        ({"tsap": "zz.01"}, "two hexadecimal bytes"),
        ({"tsap": 2.01}, "in quotes"),
        ({"tsap": 0o201}, "in quotes"),
        ({"encoding": "latin-9000"}, "is no encoding"),
        ({"encoding": "utf-16"}, "is no encoding"),
        ({"connection": "hmi"}, "'pg', 'op' or 'basic'"),
    ],
)
def test_settings_that_cannot_be_are_refused(config, says):
    with pytest.raises(ValidationError, match=says):
        section(**config)


def test_rack_slot_and_connection_make_the_transport_address():
    assert section().remote_tsap(0, 1) == 0x0201
    assert section(connection="pg").remote_tsap(1, 3) == 0x0123
    assert section(tsap="10.00").remote_tsap(0, 1) == 0x1000


def test_reading_the_section_does_not_load_the_protocol_library():
    code = "import sys, drivers.s7.client; print('snap7' in sys.modules)"
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
