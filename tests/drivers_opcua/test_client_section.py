"""`ironworks check`: every mistake in the section of an OPC UA client is told with its place and a remedy."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drivers.frame.login import password_of
from drivers.opcua.client.section import ClientConfig, plugin
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Access, DataType
from runtime.errors import ConnectError, Place

ROOT = "site/area/line"
FAR = "opc.tcp://192.168.0.10:4840"


def section(**config):
    return ClientConfig.model_validate({"name": "io", "kind": "opcua.client", "urls": [FAR]} | config)


def findings(tags, **config):
    settings = section(**config)
    everything = [*tags, *plugin.declare(Path(), ROOT, settings).tags]
    places = {tag.path: Place("tags.csv", row + 2, 1) for row, tag in enumerate(tags)}
    file = Path("plant.yaml")
    head = PlantFile(plant="test", root=ROOT)
    plant = Plant(file, head, Document(file, {}), TagList(everything, ROOT), places, ())
    return list(plugin.check(plant, settings, ("drivers", 0)))


def test_a_right_section_has_no_findings(tag):
    tags = [
        tag("a", DataType.INT, "ns=2;s=a", access=Access.READ_WRITE),
        tag("b", DataType.INT, "ns=2;s=b#.x"),
        tag("c", DataType.INT, "ns=2;s=c", source="plc"),
        tag("d", DataType.BOOL, "call:ns=2;s=P>ns=2;s=Reset", access=Access.READ_WRITE),
    ]
    assert findings(tags, groups={"slow": {"period": "1s", "deadband": "2%", "tags": ["a"]}}) == []


@pytest.mark.parametrize(
    ("name", "address", "more", "says", "remedy"),
    [
        ("a", "", {}, "has no address", "ironworks drivers browse io"),
        ("a", "Pump.Speed", {}, "not a node id", "did you mean 'ns=2;s=Pump.Speed'?"),
        ("a", "ns=2;s=b", {"source": "plc"}, "are both written to ns=2;s=b", "another address"),
        ("a", "event:i=1", {"access": Access.READ_WRITE}, "which nobody can write", "set access to r"),
        ("a", "event:i=1", {}, "whether a condition is active", "set type to BOOL"),
        ("a", "call:i=85>i=1#[0]", {"access": Access.READ_WRITE}, "gives back", "set access to r"),
        ("a", "call:i=85>i=1#[0].x", {}, "is one value", "write #[0] or #.Name"),
        ("a", "call:i=85>i=1", {}, "nobody may write it", "set access to rw"),
        ("a", "call:i=85>i=1", {"source": "plc"}, "whenever it changes", "set source to io"),
    ],
)
def test_a_wrong_tag_is_told_once_with_place_and_remedy(tag, name, address, more, says, remedy):
    tags = [tag("first", DataType.INT, "ns=2;s=b", source="plc"), tag(name, DataType.INT, address, **more)]
    (found,) = findings(tags)
    assert says in found.text
    assert remedy in found.remedy
    assert str(found.place) == "tags.csv:3:1"


def test_nodes_named_by_index_are_warned_of_where_there_are_two_servers(tag):
    addresses = {"a": "ns=1;s=a", "b": "nsu=urn:x;s=ns=2;b", "c": "ns=2;s=a"}
    tags = [tag(name, DataType.INT, address) for name, address in addresses.items()]
    assert findings(tags) == []
    (found,) = findings(tags, security="None", urls=["opc.tcp://localhost", "opc.tcp://localhost:4841"])
    assert (found.severity, "/c'" in found.text) == ("warning", True)


def test_a_readable_network_is_warned_of_and_a_readable_password_refused():
    assert findings([], urls=["opc.tcp://localhost"]) == []
    assert section(urls=["opc.tcp://localhost"]).policy == "None"
    assert section().policy == "Basic256Sha256"
    (found,) = findings([], security="None")
    assert found.severity == "warning"
    (found,) = findings([], security="None", user="anna", password_env="X")
    assert (found.severity, "password would cross" in found.text) == ("error", True)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"urls": []}, "at least 1 item"),
        ({"urls": ["http://x"]}, "not the URL of an OPC UA server"),
        ({"urls": ["opc.tcp://x:99999"]}, "is no URL"),
        ({"urls": ["opc.tcp://anna:x@y"]}, "a user does not belong in the URL"),
        ({"deadband": "many"}, "is no deadband"),
        ({"deadband": "200%"}, "at most 100 %"),
        ({"deadband": float("nan")}, "0 or more"),
        ({"period": "0ms"}, "greater than or equal"),
        ({"user": "a", "password_env": "A", "password_file": "b"}, "keep one of the two"),
        ({"password_env": "A"}, "a password without a user"),
        ({"password": "geheim"}, "Extra inputs"),
        ({"user_key": "a"}, "belong together"),
        ({"user": "a", "user_key": "a", "user_certificate": "b"}, "keep one of the two"),
        ({"security": "None", "user_key": "a", "user_certificate": "b"}, "needs a policy to sign with"),
        ({"back_after": "2d"}, "less than or equal"),
    ],
)
def test_a_wrong_section_is_refused(config, says):
    with pytest.raises(ValidationError, match=says):
        section(**config)


def test_a_password_comes_from_where_the_plant_file_says(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("geheim\n")
    monkeypatch.setenv("SECRET", "auch")
    assert password_of(tmp_path, section()) is None
    assert password_of(tmp_path, section(user="a", password_file="secret")) == "geheim"
    assert password_of(tmp_path, section(user="a", password_env="SECRET")) == "auch"
    with pytest.raises(ConnectError, match="cannot be read"):
        password_of(tmp_path, section(user="a", password_file="missing"))
    (tmp_path / "bytes").write_bytes(b"\xff\xd2")
    with pytest.raises(ConnectError, match="bytes cannot be read: it is not UTF-8"):
        password_of(tmp_path, section(user="a", password_file="bytes"))


def test_urls_take_the_usual_port():
    assert section(urls=["opc.tcp://plc/server", "opc.tcp://[::1]"]).urls == [
        "opc.tcp://plc:4840/server",
        "opc.tcp://[::1]:4840",
    ]
