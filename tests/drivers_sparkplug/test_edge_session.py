"""An edge node on Mosquitto, read by protobuf's own runtime: births, data, deaths, commands."""

import asyncio

import pytest

from drivers.sparkplug import edge as leaving
from drivers.sparkplug import sending
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Access, DataType, Quality

pytestmark = pytest.mark.peer


def test_a_birth_tells_every_metric_and_data_follows_by_alias(
    broker, listen, edge, tag, wait, root, monkeypatch
):
    monkeypatch.setattr(leaving, "LEAVE_S", 60.0)  # or the broker publishes the will as well
    node = edge(
        [
            tag(
                "tank/level", unit="%", unit_text="%", low=0.0, high=100.0, description="Syrup", deadband=0.5
            ),
            tag("tank/count", DataType.INT),
            tag("name", DataType.STRING),
            tag("unknown", DataType.DINT),
        ],
        [broker.url],
        devices={"tank": ["tank/**"]},
    )

    async def main():
        host = await listen(broker).ready()
        node.port.set("tank/level", 41.5)
        node.port.set("tank/count", -5)
        node.port.set("name", "Düse")
        async with node.running():
            await wait(lambda: host.of("DBIRTH"))
            await wait(lambda: node.fact("online"))
            node.port.set("tank/level", 42.0, Quality.UNCERTAIN_LAST_USABLE_VALUE)
            await wait(lambda: host.of("DDATA"))
            node.port.set("tank/level", 42.25)
            await wait(lambda: len(host.of("DDATA")) == 2)
            node.port.set("tank/level", 42.5)  # within the deadband
            node.port.set("name", "b")
            await wait(lambda: host.of("NDATA"))
        await wait(lambda: host.of("NDEATH"))
        return host

    host = asyncio.run(main())
    topics = [topic for topic, *_ in host.messages]
    assert topics[:2] == ["spBv1.0/group/NBIRTH/test", "spBv1.0/group/DBIRTH/test/tank"]
    assert topics[-1] == "spBv1.0/group/NDEATH/test"
    (birth,), (device,), (death,) = host.of("NBIRTH"), host.of("DBIRTH"), host.of("NDEATH")
    own = {metric.name: metric for metric in birth.metrics}
    assert set(own) >= {"name", "unknown", "bdSeq", "Node Control/Rebirth"}
    assert own["name"].string_value == "Düse"
    assert (own["unknown"].is_null, own["unknown"].WhichOneof("value")) == (True, None)
    assert own["unknown"].timestamp == birth.timestamp > 0
    assert (own["Node Control/Rebirth"].boolean_value, own["Node Control/Rebirth"].alias) == (False, 0)
    assert own["bdSeq"].long_value == death.metrics[0].long_value == 0
    assert (own["bdSeq"].datatype, len(death.metrics), death.HasField("seq")) == (4, 1, False)
    of_tank = {each.name: each for each in device.metrics}
    level, count = of_tank["level"], of_tank["count"]
    assert (level.datatype, level.float_value, count.datatype, count.int_value) == (9, 41.5, 2, 0xFFFF_FFFB)
    told = dict(zip(level.properties.keys, level.properties.values, strict=True))
    assert told["engUnit"].string_value == "%"
    assert (told["engLow"].double_value, told["engHigh"].double_value) == (0.0, 100.0)
    assert (told["Quality"].type, told["Quality"].int_value) == (3, 192)
    assert told["documentation"].string_value == "Syrup"
    seqs = [payload.seq for topic, payload, *_ in host.messages if "NDEATH" not in topic]
    assert seqs == list(range(len(seqs)))
    assert all((qos, retain) == (0, False) for topic, _, qos, retain in host.messages if "DEATH" not in topic)
    first, second = (payload.metrics[0] for payload in host.of("DDATA"))
    assert [first.alias, second.alias] == [level.alias] * 2
    assert [first.float_value, second.float_value] == [42.0, 42.25]
    assert not first.name
    assert not first.HasField("datatype")
    assert first.properties.values[0].int_value == 500
    assert second.properties.values[0].int_value == 192
    (name,) = host.metrics("NDATA")
    assert (name.alias, name.string_value) == (own["name"].alias, "b")
    assert name.timestamp == node.port.table.source_ns[node.port.tags["name"].id] // 1_000_000


def test_every_type_arrives_as_the_standard_names_it(broker, listen, edge, tag, wait):
    values = {
        DataType.BOOL: (True, 11, "boolean_value", True),
        DataType.SINT: (-5, 1, "int_value", 0xFFFF_FFFB),
        DataType.INT: (-5, 2, "int_value", 0xFFFF_FFFB),
        DataType.DINT: (-5, 3, "int_value", 0xFFFF_FFFB),
        DataType.LINT: (-5, 4, "long_value", (1 << 64) - 5),
        DataType.USINT: (200, 5, "int_value", 200),
        DataType.UINT: (50_000, 6, "int_value", 50_000),
        DataType.UDINT: (1 << 31, 7, "int_value", 1 << 31),
        DataType.ULINT: (1 << 63, 8, "long_value", 1 << 63),
        DataType.BYTE: (0xA5, 5, "int_value", 0xA5),
        DataType.WORD: (0xA5A5, 6, "int_value", 0xA5A5),
        DataType.DWORD: (0xA5A5_A5A5, 7, "int_value", 0xA5A5_A5A5),
        DataType.LWORD: (0xA5 << 56, 8, "long_value", 0xA5 << 56),
        DataType.REAL: (1.5, 9, "float_value", 1.5),
        DataType.LREAL: (0.1, 10, "double_value", 0.1),
        DataType.TIME: (-1_500_000, 4, "long_value", (1 << 64) - 1_500_000),
        DataType.DT: (1_700_000_000_123_456_789, 13, "long_value", 1_700_000_000_123),
        DataType.STRING: ("温度", 12, "string_value", "温度"),
    }
    assert set(values) == set(DataType)
    node = edge([tag(each.iec.lower(), each) for each in DataType], [broker.url])

    async def main():
        host = await listen(broker).ready()
        for data_type, (value, *_) in values.items():
            node.port.set(data_type.iec.lower(), value)
        async with node.running():
            await wait(lambda: host.of("NBIRTH"))
        return {metric.name: metric for metric in host.of("NBIRTH")[0].metrics}

    born = asyncio.run(main())
    for data_type, (_, number, field, carried) in values.items():
        metric = born[data_type.iec.lower()]
        assert metric.datatype == number, data_type
        assert metric.WhichOneof("value") == field, data_type
        assert getattr(metric, field) == carried, data_type


def test_hosts_write_through_the_gate_and_are_told_what_came_of_it(broker, listen, edge, tag, wait):
    rw = {"access": Access.READ_WRITE, "source": "operator"}
    node = edge(
        [
            tag("speed", low=0.0, high=60.0, **rw),
            tag("filler/count", DataType.INT, **rw),
            tag("level"),
        ],
        [broker.url],
        devices={"filler": ["filler/**"]},
        commands={"actor": "scada", "role": "operator"},
    )

    async def main():
        host = await listen(broker).ready()
        node.port.set("speed", 10.0)
        node.port.set("level", 1.0)
        host.command("NCMD", "speed", retain=True, float_value=5.0)
        await wait(lambda: host.messages)
        async with node.running():
            await wait(lambda: host.metrics("DBIRTH"))
            aliases = {m.name: m.alias for m in host.metrics("NBIRTH") + host.metrics("DBIRTH")}
            host.command("NCMD", "speed", datatype=9, float_value=20.0)
            await wait(lambda: [m.float_value for m in host.metrics("NDATA")][-1:] == [20.0])
            seen = len(host.metrics("NDATA"))
            host.command("NCMD", "", alias=aliases["speed"], float_value=99.0)
            await wait(lambda: len(host.metrics("NDATA")) > seen)
            assert host.metrics("NDATA")[-1].float_value == 20.0
            host.command("DCMD", "count", device="filler", datatype=2, int_value=0xFFFB)
            await wait(lambda: [m.int_value for m in host.metrics("DDATA")][-1:] == [0xFFFF_FFFB])
            host.command("NCMD", "level", float_value=3.0)
            host.command("NCMD", "speed", string_value="fast")
            host.command("NCMD", "nothing", float_value=3.0)
            host.client.publish("spBv1.0/group/NCMD/test", b"\xff\xff\xff", 1)
            await wait(lambda: node.fact("commands_refused") == 6)
            assert node.port.value("speed") == 20.0
            assert node.port.value("filler/count") == -5
        return [event.text for event in node.port.emitted if event.kind == "driver.command_refused"]

    texts = asyncio.run(main())
    assert [(actor.name, actor.via) for _, _, actor, _ in node.port.writes][:1] == [("scada", "sparkplug")]
    for says in (
        "99 is out of range",
        "level is read only",
        "'fast'",
        "no such metric",
        "retained",
        "no Sparkplug",
    ):
        assert any(says in text for text in texts), (says, texts)


def test_without_commands_hosts_may_not_write(broker, listen, edge, tag, wait):
    node = edge([tag("speed", access=Access.READ_WRITE, source="operator")], [broker.url])

    async def main():
        host = await listen(broker).ready()
        node.port.set("speed", 10.0)
        async with node.running():
            await wait(lambda: node.fact("online"))
            host.command("NCMD", "speed", float_value=20.0)
            await wait(lambda: host.metrics("NDATA"))
        assert [m.float_value for m in host.metrics("NDATA")] == [10.0]

    asyncio.run(main())
    assert node.port.writes == []


class Pausing(WallClock):
    """Long sleeps are as long as a test says."""

    def __init__(self):
        super().__init__()
        self.pauses, self.goes_on = asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds):
        if seconds < 60:
            await super().sleep(seconds)
            return
        self.pauses.set()
        await self.goes_on.wait()


def test_a_rebirth_is_answered_with_the_same_bdseq_and_the_present_values(
    broker, listen, edge, tag, wait, monkeypatch
):
    monkeypatch.setattr(sending, "_REBIRTH_NS", 3600 * SECOND_NS)
    node = edge([tag("a"), tag("d/b")], [broker.url], devices={"d": ["d/**"]})
    node.port.clock = clock = Pausing()

    async def main():
        host = await listen(broker).ready()
        async with node.running():
            await wait(lambda: node.fact("online"))
            node.port.set("a", 1.0)
            await wait(lambda: host.of("NDATA"))
            host.command("NCMD", "Node Control/Rebirth", boolean_value=True)
            await wait(clock.pauses.is_set)
            host.command("NCMD", "Node Control/Rebirth", boolean_value=True)
            host.command("NCMD", "nothing", float_value=3.0)
            await wait(lambda: node.fact("commands_refused") == 1)  # so it has both
            clock.goes_on.set()
            await wait(lambda: len(host.of("DBIRTH")) == 2)
            node.port.set("a", 2.0)
            await wait(lambda: len(host.of("NDATA")) == 2)
        first, second = host.of("NBIRTH")
        assert [m.long_value for b in (first, second) for m in b.metrics if m.name == "bdSeq"] == [0, 0]
        assert (second.seq, host.of("DBIRTH")[1].seq, host.of("NDATA")[1].seq) == (0, 1, 2)
        assert {m.name: m.float_value for m in second.metrics}["a"] == 1.0
        assert {m.name: m.alias for m in first.metrics} == {m.name: m.alias for m in second.metrics}

    asyncio.run(main())


def test_a_device_that_its_driver_loses_dies_and_is_born_again(broker, listen, edge, tag, wait):
    node = edge(
        [tag("d/a"), tag("there", DataType.BOOL)],
        [broker.url],
        devices={"d": {"tags": ["d/**"], "online": "there"}},
    )

    async def main():
        host = await listen(broker).ready()
        node.port.set("there", False)
        node.port.set("d/a", 1.0)
        async with node.running():
            await wait(lambda: node.fact("online"))
            assert host.of("DBIRTH") == []
            node.port.set("there", True)
            await wait(lambda: host.of("DBIRTH"))
            node.port.set("d/a", 2.0)
            node.port.set("there", False)
            await wait(lambda: host.of("DDEATH"))
            await wait(lambda: node.fact("queued") == 0)
            node.port.set("d/a", 3.0)
            await wait(lambda: node.fact("queued") == 1)
            node.port.set("d/a", 4.0)
            node.port.set("there", True)
            await wait(lambda: len(host.of("DBIRTH")) == 2 and len(host.of("DDATA")) == 2)
        verbs = [topic.split("/")[2] for topic, *_ in host.messages if topic.endswith("/d")]
        assert verbs == ["DBIRTH", "DDATA", "DDEATH", "DBIRTH", "DDATA"]
        told = [(each.metrics[0].float_value, each.metrics[0].is_historical) for each in host.of("DDATA")]
        assert told == [(2.0, False), (3.0, True)]
        assert host.of("DBIRTH")[1].metrics[0].float_value == 4.0
        assert not host.of("DDEATH")[0].metrics

    asyncio.run(main())
