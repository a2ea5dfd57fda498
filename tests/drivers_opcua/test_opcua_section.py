"""The section `kind: opcua.server` of a plant file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.frame.serving import FACTS
from drivers.opcua.server import OpcuaServerConfig, plugin
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import DataType, Role, Tag
from runtime.errors import Place

ROOT = "nb/bottling/line1"
FILE = Path("plant.yaml")


@pytest.fixture
def plant() -> Plant:
    marks = {
        ("drivers", 0): (7, 5),
        ("drivers", 0, "expose", 1): (8, 20),
        ("drivers", 0, "anonymous"): (9, 5),
    }
    tags = TagList([Tag(f"{ROOT}/tank/level_pct", DataType.REAL)], ROOT)
    return Plant(FILE, PlantFile(plant="demo", root=ROOT), Document(FILE, {}, marks), tags, {}, ())


def test_importing_the_plugin_loads_no_opc_ua_library() -> None:
    code = "import sys, drivers.opcua.server; sys.exit('asyncua' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defaults_are_loopback_and_viewers() -> None:
    config = OpcuaServerConfig.model_validate({"name": "opcua", "kind": "opcua.server"})
    assert config.loopback
    assert config.model_dump(mode="json")["anonymous"] == "viewer"
    assert not OpcuaServerConfig(name="opcua", host="0.0.0.0").loopback
    assert not OpcuaServerConfig(name="opcua", host="gateway.example").loopback
    assert OpcuaServerConfig(name="opcua", host="::1").loopback


def test_anonymous_may_be_none_and_nothing_unknown() -> None:
    assert OpcuaServerConfig.model_validate({"name": "x", "anonymous": "none"}).anonymous is None
    with pytest.raises(ValueError, match="viewer, operator, engineer, admin or none"):
        OpcuaServerConfig.model_validate({"name": "x", "anonymous": "boss"})


def test_its_facts_are_tags_that_it_is_the_source_of() -> None:
    tags = plugin.declare(Path(), ROOT, OpcuaServerConfig(name="ua")).tags
    names = {"running", "sessions", "subscriptions", "items", "reads", "writes", *FACTS}
    names |= {"certificate_days", "client_certificate_days"}
    assert {tag.path for tag in tags} == {f"sys/drivers/ua/{name}" for name in names}
    assert {tag.source for tag in tags} == {"ua"}


def test_a_glob_that_matches_nothing_is_told_with_its_place(plant: Plant) -> None:
    config = OpcuaServerConfig(name="opcua", expose=["tank/*", "tnak/level_pct"])
    (finding,) = plugin.check(plant, config, ("drivers", 0))
    assert (finding.severity, finding.place) == ("warning", Place(FILE, 8, 20))
    assert "tank/level_pct" in finding.remedy


def test_strangers_from_the_network_may_not_be_operators(plant: Plant) -> None:
    config = OpcuaServerConfig.model_validate({"name": "opcua", "host": "0.0.0.0", "anonymous": "operator"})
    (finding,) = plugin.check(plant, config, ("drivers", 0))
    assert (finding.severity, finding.place) == ("error", Place(FILE, 9, 5))
    assert not list(plugin.check(plant, OpcuaServerConfig(name="opcua"), ("drivers", 0)))


def test_strangers_from_the_network_are_refused_unless_the_plant_file_lets_them_look(plant: Plant) -> None:
    outside = {"name": "opcua", "host": "0.0.0.0"}
    assert OpcuaServerConfig(name="opcua").stranger is Role.VIEWER
    silent = OpcuaServerConfig.model_validate(outside)
    assert silent.stranger is None
    assert not list(plugin.check(plant, silent, ("drivers", 0)))
    said = OpcuaServerConfig.model_validate({**outside, "anonymous": "viewer"})
    assert said.stranger is Role.VIEWER
    (finding,) = plugin.check(plant, said, ("drivers", 0))
    assert (finding.severity, finding.place) == ("warning", Place(FILE, 9, 5))
