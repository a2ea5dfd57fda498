"""`ironworks check`: four lines are enough, and every mistake is told with its place and a remedy."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drivers.sparkplug.section import EdgeConfig, plugin
from runtime.contract import Access, DataType


def section(**config):
    base = {"name": "spark", "kind": "sparkplug.edge", "urls": ["mqtts://broker.plant.example"], "group": "g"}
    return EdgeConfig.model_validate(base | config)


def findings(plant, root, table, **config):
    settings = section(**config)
    everything = [*table, *plugin.declare(Path(), root, settings).tags]
    return list(plugin.check(plant(everything), settings, ("drivers", 0)))


def test_four_lines_are_enough(plant, root, tag):
    assert findings(plant, root, [tag("a")]) == []
    assert section().urls == ["mqtts://broker.plant.example:8883"]


@pytest.mark.parametrize(
    ("config", "says", "remedy"),
    [
        ({"tags": ["b/**"]}, "'b/**' matches no tag", "tags"),
        ({"devices": {"d": ["b/**"]}}, "device 'd': 'b/**' matches no tag", ""),
        ({"devices": {"d": {"tags": ["d/*"], "online": "nothing"}}}, "no tag 'nothing'", ""),
        ({"devices": {"d": {"tags": ["d/*"], "online": "a"}}}, "a is no BOOL", "TRUE while"),
        ({"devices": {"d": ["d/**", "e/**"]}}, "are both metric 'x' of device 'd'", "two devices"),
        ({"urls": ["mqtt://10.0.0.1"], "user": "u", "password_env": "P"}, "password would cross", "mqtts://"),
        ({"urls": ["mqtt://10.0.0.1"]}, "can read and change", "mqtts://"),
        ({"urls": ["mqtts://b", "mqtts://b:8883"]}, "is named twice", "once"),
        ({"ca": "nowhere.pem"}, "ca: there is no file nowhere.pem", "put it there"),
        (
            {"commands": {"actor": "scada", "role": "operator"}},
            "no tag that is published can be written",
            "rw",
        ),
    ],
)
def test_a_wrong_setting_is_told_once(plant, root, tag, config, says, remedy):
    (found,) = findings(plant, root, [tag("a"), tag("d/x"), tag("e/x")], **config)
    assert says in found.text
    assert remedy in found.remedy


@pytest.mark.parametrize("name", ["bdSeq", "Node Control/Rebirth"])
def test_a_tag_that_would_be_a_metric_of_sparkplug_itself_is_told(plant, root, tag, name):
    (found,) = findings(plant, root, [tag("a"), tag(name)])
    assert ("Sparkplug's own" in found.text, found.place.line) == (True, 3)
    assert "rename" in found.remedy
    assert not findings(plant, root, [tag(f"d/{name}")], devices={"d": ["d/**"]})


def test_names_that_differ_by_case_and_tags_on_the_node_are_told(plant, root, tag):
    tags = [tag("a", access=Access.READ_WRITE), tag("A"), tag("b", device="spark", address="x")]
    first, second = findings(plant, root, tags)
    assert (first.severity, "but for the case" in first.text) == ("warning", True)
    assert "has no tags of its own" in second.text
    assert str(second.place) == "tags.csv:4:1"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"urls": []}, "at least 1"),
        ({"urls": ["http://b"]}, "not the URL of an MQTT broker"),
        ({"urls": ["mqtt://u:p@b"]}, "user does not belong"),
        ({"urls": ["mqtt://b:99999"]}, "is no URL"),
        ({"urls": ["mqtt://b/path"]}, "not the URL"),
        ({"group": "a/b"}, "is no Sparkplug id: it has '/'"),
        ({"node": "a#"}, "it has '#'"),
        ({"devices": {"a+": ["x"]}}, "it has '+'"),
        ({"group": " a"}, "spaces at the ends"),
        ({"deadband": "much"}, "no deadband"),
        ({"deadband": "200%"}, "at most 100"),
        ({"password_env": "P"}, "without a user"),
        ({"user": "u", "password_env": "P", "password_file": "f"}, "keep one of the two"),
        ({"certificate": "c.pem"}, "belong together"),
        ({"urls": ["mqtt://127.0.0.1"], "ca": "c.pem"}, "mqtts://"),
        ({"mqtt": "4"}, "'3.1.1' or '5'"),
        ({"commands": {"actor": "a", "role": "king"}}, "not a role"),
        ({"interval": "1ms"}, "greater than or equal"),
        ({"quality": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_value_is_refused(config, says):
    with pytest.raises(ValidationError) as raised:
        section(**config)
    assert says in str(raised.value)


def test_a_device_follows_its_driver(plant, root, tag):
    online = tag("there", DataType.BOOL)
    tags = [tag("f/a", source="plc"), tag("g/a", source="io"), online]
    settings = section(devices={"f": {"tags": ["f/*"], "online": "there"}, "g": ["g/*"]})
    declared = plugin.declare(Path(), root, settings).tags
    from drivers.frame.connection import declare_link

    whole = plant([*tags, *declared, *declare_link("io").tags])
    (component,) = plugin.build(whole, settings)
    assert {name: found.path for name, found in component._plan.online.items()} == {
        "f": online.path,
        "g": "sys/drivers/io/online",
    }
    assert {(each.device, each.metric) for each in component._plan.entries} == {
        ("f", "a"),
        ("g", "a"),
        ("", "there"),
    }
