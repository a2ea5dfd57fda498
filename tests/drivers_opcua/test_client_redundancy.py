"""Servers that stand in for each other: the better one is used, and no value goes back in time."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
from asyncua import ua

from drivers.opcua.chaos.process import free_port
from drivers.opcua.client import supervisor
from drivers.opcua.client.address import Point, parse
from drivers.opcua.client.items import Items, Said
from runtime.contract import DataType, Quality, Tag

GOOD = int(Quality.GOOD)
LEVEL = ua.NodeId(ua.ObjectIds.Server_ServiceLevel)


def plc(uris, value, at=None):
    """A server whose last namespace has `a`, with the time at which its value was last seen."""

    async def build(server):
        for uri in uris:
            space = await server.register_namespace(uri)
        node = await server.nodes.objects.add_variable(
            ua.NodeId("a", space), "a", value, ua.VariantType.Int32
        )
        if at is not None:
            await node.write_value(ua.DataValue(ua.Variant(value, ua.VariantType.Int32), SourceTimestamp=at))

    return build


async def level(server, number):
    await server.get_node(LEVEL).write_value(number, ua.VariantType.Byte)


def urls():
    return [f"opc.tcp://127.0.0.1:{free_port()}" for _ in range(2)]


def port_of(url):
    return int(url.rpartition(":")[2])


def test_the_better_server_is_gone_over_to_and_the_first_gone_back_to(side, tag, stock, run, wait):
    both = urls()
    plant = side([tag("a", DataType.DINT, "nsu=urn:plc;s=a")], both, back_after="700ms")
    port = plant.port

    def on(number):
        return port.value("sys/drivers/io/server") == both[number] and port.quality("a") == GOOD

    async def main():
        async with (
            stock(plc(["urn:plc"], 1), port_of(both[0])) as (first, _),
            stock(plc(["urn:other", "urn:plc"], 2), port_of(both[1])) as (second, _),
            run(plant),
        ):
            await wait(lambda: on(0) and port.value("a") == 1)
            await wait(lambda: port.value("sys/drivers/io/standby") == f"{both[1]}: 200")
            assert port.healthy
            await level(first, 100)
            await wait(lambda: on(1) and port.value("a") == 2)
            await wait(lambda: "not to the first" in port.health_text)
            await level(second, 100)  # no better than the first: that one is gone back to, but not at once
            await wait(lambda: on(0) and port.value("a") == 1)
            await level(first, 1)
            await wait(lambda: on(1))
        switched = [each.text for each in port.emitted if each.kind == "driver.switched"]
        assert len(switched) == 3
        assert f"goes over to {both[1]}: its service level is 200, that of {both[0]} 100" in switched[0]
        assert "has been well for" in switched[1]
        assert "driver.offline" not in {each.kind for each in port.emitted}

    asyncio.run(main())


def test_a_standby_that_could_not_take_over_is_told_before_it_must(side, tag, stock, run, wait):
    both = urls()
    plant = side([tag("a", DataType.DINT, "nsu=urn:plc;s=a")], both, back_after="200ms")
    port = plant.port

    async def main():
        async with run(plant):
            async with stock(plc(["urn:plc"], 1), port_of(both[0])):
                await wait(lambda: f"{both[1]} could not take over: nothing listens" in port.health_text)
                await wait(lambda: port.quality("a") == GOOD)
                assert port.value("sys/drivers/io/state") == "degraded"
            async with stock(plc(["urn:plc"], 2), port_of(both[1])):
                await wait(lambda: port.value("a") == 2 and port.quality("a") == GOOD)

    asyncio.run(main())


def test_an_index_that_is_another_namespace_on_the_second_server_is_not_read(side, tag, stock, run, wait):
    both = urls()
    plant = side([tag("a", DataType.DINT, "ns=2;s=a"), tag("b", DataType.DINT, "nsu=urn:plc;s=a")], both)
    port = plant.port

    async def main():
        async with (
            stock(plc(["urn:plc"], 1), port_of(both[0])) as (first, _),
            stock(plc(["urn:wrong", "urn:plc"], 2), port_of(both[1])) as (second, _),
        ):
            space = await second.get_namespace_index("urn:wrong")
            await second.nodes.objects.add_variable(ua.NodeId("a", space), "a", 666, ua.VariantType.Int32)
            async with run(plant):
                await wait(lambda: port.value("a") == 1 and "200" in port.value("sys/drivers/io/standby"))
                await level(first, 0)
                await wait(lambda: port.value("b") == 2 and port.quality("b") == GOOD)
                assert port.quality("a") == Quality.BAD_CONFIGURATION_ERROR
                assert port.table.raw[port.tags["a"].id] == 1
        (moved,) = [each.text for each in port.emitted if each.kind == "driver.namespace_moved"]
        assert "ns=2 is not urn:plc" in moved

    asyncio.run(main())


def test_a_server_that_lags_behind_does_not_take_values_back(side, tag, stock, run, wait, monkeypatch):
    monkeypatch.setattr(supervisor, "SETTLE_S", 600.0)
    both, now = urls(), datetime.now(UTC)
    plant = side([tag("a", DataType.DINT, "nsu=urn:plc;s=a")], both)
    port = plant.port

    async def main():
        async with (
            stock(plc(["urn:plc"], 5, now), port_of(both[0])) as (first, _),
            stock(plc(["urn:plc"], 4, now - timedelta(seconds=5)), port_of(both[1])) as (second, _),
            run(plant),
        ):
            await wait(lambda: port.quality("a") == GOOD and "200" in port.value("sys/drivers/io/standby"))
            port.submitted.clear()
            await level(first, 0)
            await wait(lambda: port.value("sys/drivers/io/server") == both[1])
            await wait(lambda: port.quality("a") == Quality.UNCERTAIN_LAST_USABLE_VALUE)
            node = second.get_node("ns=2;s=a")
            await node.write_value(ua.DataValue(ua.Variant(6, ua.VariantType.Int32), SourceTimestamp=now))
            await wait(lambda: port.value("a") == 6 and port.quality("a") == GOOD)
        rows = [each for batch in port.submitted for each in batch if each.id == port.tags["a"].id]
        assert {each.raw for each in rows} == {5, 6}
        assert sorted(each.source_ns for each in rows) == [each.source_ns for each in rows]

    asyncio.run(main())


def items(n=1):
    tags = [Tag(f"a/b/c/t{i}", DataType.DINT, id=i, source="io", device="io") for i in range(n)]
    return Items([Point(each, parse("i=1")) for each in tags])


def test_after_a_while_the_server_in_use_is_believed():
    kept = items(2)
    kept.take([Said(0, 5, GOOD, 100), Said(1, 5, GOOD, 100)], 100)
    kept.hold(np.arange(2), 110)
    kept.switch(0)
    batch = kept.take([Said(0, 4, GOOD, 90), Said(1, 5, GOOD, 90)], 120)
    assert batch.ids.tolist() == [1]  # the same value only has another time
    assert kept.affirm(np.arange(2), 130) is None
    batch = kept.settle(140)
    assert (batch.ids.tolist(), batch.raw.tolist(), batch.source_ns.tolist()) == ([0], [4], [140])
    assert kept.take([Said(0, 3, GOOD, 150)], 150).raw.tolist() == [3]


def test_the_clocks_of_two_servers_are_told_apart():
    kept = items()
    kept.take([Said(0, 5, GOOD, 1000)], 1000)
    kept.switch(-500)
    assert kept.take([Said(0, 6, GOOD, 600)], 1000).raw.tolist() == [6]
