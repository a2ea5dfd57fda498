"""Client and server of ours on loopback: values cross, devices go and come back."""

import asyncio

import pytest

from runtime.contract import Access, DataType, Quality
from runtime.errors import ConnectError

GOOD = int(Quality.GOOD)


def pair(side, tag, specs, port=0, **client):
    """Return a rack and a plant with the same addresses, as `rack: remote_io` mirrors them.

    A spec is (name, type, address, read) where `read` tells that the plant reads it.
    """
    rack = [tag(name, kind, at, source="twin" if read else "io") for name, kind, at, read in specs]
    plant = [tag(name, kind, at, source="io" if read else "plc") for name, kind, at, read in specs]
    return side(rack, "server", port=port), lambda port: side(plant, "client", **({"port": port} | client))


async def with_both(server, make_client, body, wait):
    async with asyncio.TaskGroup() as group:
        serving = server.start(group)
        await server.component.listening.wait()
        client = make_client(server.component.port)
        polling = client.start(group)
        try:
            await body(client, serving)
        finally:
            serving.cancel()
            polling.cancel()


SPECS = [
    ("bottle", DataType.BOOL, "10001", True),
    ("ready", DataType.BOOL, "30050.3", True),
    ("count", DataType.UDINT, "30001", True),
    ("torque", DataType.REAL, "30003#CDAB", True),
    ("level", DataType.REAL, "30010:uint16*0.1-50", True),
    ("recipe", DataType.STRING, "30020:string[9]", True),
    ("total", DataType.LINT, "30030#DCBA", True),
    ("motor", DataType.BOOL, "00001", False),
    ("valve", DataType.BOOL, "00002", False),
    ("speed", DataType.REAL, "40001", False),
    ("mode", DataType.INT, "40003", False),
    ("lamp", DataType.BOOL, "40004.1", False),
    ("horn", DataType.BOOL, "40004.14", False),
]


def test_every_kind_of_value_crosses_both_ways(side, tag, wait):
    server, make_client = pair(side, tag, SPECS)
    field = {
        "bottle": True, "ready": True, "count": 4_000_000_001, "torque": 1.5, "level": 12.5,
        "recipe": "橙汁 7", "total": -(2**60) - 1,
    }  # fmt: skip
    plc = {"motor": True, "valve": True, "speed": -2.25, "mode": -7, "lamp": True, "horn": True}

    async def body(client, serving):
        for name, value in field.items():
            server.port.set(name, value)
        for name, value in plc.items():
            client.port.set(name, value)
        await wait(lambda: all(client.port.value(name) == value for name, value in field.items()))
        await wait(lambda: all(server.port.value(name) == value for name, value in plc.items()))
        client.port.set("lamp", False)
        await wait(lambda: server.port.value("lamp") is False)
        assert server.port.value("horn") is True  # the other bit of the register stayed
        server.port.set("count", 5)
        await wait(lambda: client.port.value("count") == 5)

    asyncio.run(with_both(server, make_client, body, wait))


def test_a_lost_device_is_uncertain_then_bad_and_good_again_without_restart(side, tag, wait, free_port):
    server, make_client = pair(side, tag, SPECS, port=free_port())
    seen = []

    async def body(client, serving):
        for name in ("count", "torque"):
            server.port.set(name, 7)
        client.port.set("mode", 3)
        await wait(lambda: client.port.value("count") == 7 and server.port.value("mode") == 3)
        assert client.port.value("sys/drivers/io/online") is True
        port, client.port.submitted = server.component.port, seen
        serving.cancel()
        await wait(lambda: client.port.quality("count") == Quality.BAD_NO_COMMUNICATION)
        assert client.port.value("sys/drivers/io/online") is False
        assert not client.port.healthy
        qualities = [row.quality for batch in seen for row in batch if row.id == client.port.tags["count"].id]
        assert qualities == [Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION]

        again = side(server.tags[: len(SPECS)], "server", port=port)  # it has forgotten everything
        async with asyncio.TaskGroup() as group:
            task = again.start(group)
            again.port.set("count", 8)
            await wait(lambda: client.port.value("count") == 8)
            assert client.port.quality("count") == GOOD
            await wait(lambda: again.port.value("mode") == 3)  # outputs are written again
            await wait(lambda: client.port.value("sys/drivers/io/online") is True)
            kinds = [event.kind for event in client.port.emitted if event.source == "io"]
            assert kinds == ["driver.online", "driver.offline", "driver.online"]
            task.cancel()

    asyncio.run(with_both(server, make_client, body, wait))


def test_a_wrong_address_does_not_hurt_its_neighbours(side, tag, wait):
    served = [("a", DataType.INT, "30001", True), ("b", DataType.INT, "30008", True)]
    asked = [*served, ("c", DataType.INT, "30009", True), ("d", DataType.INT, "30012", True)]
    server, _ = pair(side, tag, served)
    _, make_client = pair(side, tag, asked)

    async def body(client, serving):
        server.port.set("a", 1)
        server.port.set("b", 2)
        await wait(lambda: client.port.value("a") == 1 and client.port.value("b") == 2)
        for name in ("c", "d"):
            await wait(lambda name=name: client.port.quality(name) == Quality.BAD_CONFIGURATION_ERROR)
        refused = [event for event in client.port.emitted if event.kind == "driver.address_refused"]
        assert len(refused) == 2
        assert "1!300009" in refused[0].text
        server.port.set("b", 3)
        await wait(lambda: client.port.value("b") == 3)
        assert len([event for event in client.port.emitted if event.kind == "driver.address_refused"]) == 2

    asyncio.run(with_both(server, make_client, body, wait))


def test_bad_values_are_not_written(side, tag, wait):
    server, make_client = pair(side, tag, SPECS)

    async def body(client, serving):
        client.port.set("mode", 3)
        await wait(lambda: server.port.value("mode") == 3)
        client.port.set("mode", 9, Quality.BAD_DEVICE_FAILURE)
        client.port.set("speed", 1.0)
        await wait(lambda: server.port.value("speed") == 1.0)
        assert server.port.value("mode") == 3

    asyncio.run(with_both(server, make_client, body, wait))


def test_a_person_writes_a_tag_of_the_device_and_it_is_read_back(side, tag, wait):
    def tags():
        more = {"access": Access.READ_WRITE}
        return [
            tag("setpoint", DataType.REAL, "40001:uint16*0.1", **more),
            tag("enable", DataType.BOOL, "40002.5", **more),
            tag("name", DataType.STRING, "40010:string[6]", **more),
        ]

    server = side(tags(), "server")

    async def body(client, serving):
        await wait(lambda: client.port.value("setpoint") == 0)
        assert await client.port.command("setpoint", 12.5) is None
        assert client.port.value("setpoint") == 12.5
        assert server.port.value("setpoint") == 12.5
        assert await client.port.command("enable", True) is None
        assert server.port.value("enable") is True
        assert await client.port.command("name", "Ada") is None
        assert server.port.value("name") == "Ada"
        assert "does not fit" in await client.port.command("setpoint", 1e6)
        assert "does not fit" in await client.port.command("name", "too long a name")
        assert await server.port.command("setpoint", 3.5) is None
        await wait(lambda: client.port.value("setpoint") == 3.5)
        serving.cancel()
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)
        assert "offline" in await client.port.command("setpoint", 1.0)

    asyncio.run(with_both(server, lambda port: side(tags(), "client", port=port), body, wait))


def test_a_device_that_accepts_but_never_answers_is_offline(side, tag, wait):
    async def main():
        held = []
        mute = await asyncio.start_server(lambda reader, writer: held.append(writer), "127.0.0.1", 0)
        port = mute.sockets[0].getsockname()[1]
        client = side([tag("a", DataType.INT, "30001")], "client", port=port, timeout="100ms")
        async with asyncio.TaskGroup() as group:
            polling = client.start(group)
            await wait(lambda: client.port.value("sys/drivers/io/online") is False)
            assert client.port.quality("a") == Quality.BAD_NO_COMMUNICATION
            await wait(lambda: (client.port.value("sys/drivers/io/timeouts") or 0) >= 2)
            polling.cancel()
        for writer in held:
            writer.close()
        mute.close()

    asyncio.run(main())


def test_a_silent_unit_does_not_silence_the_others(side, tag, wait):
    served = [("a", DataType.INT, "1!30001", True)]
    asked = [*served, ("b", DataType.INT, "2!30001", True)]
    server, _ = pair(side, tag, served)
    _, make_client = pair(side, tag, asked, timeout="500ms")

    async def body(client, serving):
        server.port.set("a", 1)
        await wait(lambda: client.port.value("a") == 1)
        await wait(lambda: client.port.quality("b") == Quality.BAD_NO_COMMUNICATION)
        server.port.set("a", 2)
        await wait(lambda: client.port.value("a") == 2)
        assert client.port.value("sys/drivers/io/online") is True

    asyncio.run(with_both(server, make_client, body, wait))


def test_slow_groups_are_polled_less_often(side, tag, wait):
    specs = [("fast", DataType.INT, "30001", True), ("tank/level", DataType.INT, "30002", True)]
    groups = {"slow": {"period": "1h", "tags": ["tank/*"]}}
    server, make_client = pair(side, tag, specs, groups=groups)

    async def body(client, serving):
        server.port.set("fast", 1)
        server.port.set("tank/level", 1)
        await wait(lambda: client.port.value("fast") == 1 and client.port.value("tank/level") is not None)
        was = client.port.value("tank/level")
        server.port.set("tank/level", 5)
        server.port.set("fast", 5)
        await wait(lambda: client.port.value("fast") == 5)
        assert client.port.value("tank/level") == was

    asyncio.run(with_both(server, make_client, body, wait))


def test_what_a_master_wrote_is_uncertain_when_masters_fall_silent(side, tag, wait):
    def client(port):
        return side([tag("mode", DataType.INT, "40001", source="plc")], "client", port=port)

    server = side([tag("mode", DataType.INT, "40001")], "server", watchdog="100ms")

    async def main():
        async with asyncio.TaskGroup() as group:
            serving = server.start(group)
            await server.component.listening.wait()
            for _ in range(2):  # it is good again as soon as the master is back, with the same value
                master = client(server.component.port)
                master.port.set("mode", 3)
                polling = master.start(group)
                await wait(lambda: server.port.quality("mode") == GOOD)
                polling.cancel()
                await wait(lambda: server.port.quality("mode") == Quality.UNCERTAIN_LAST_USABLE_VALUE)
                assert server.port.value("mode") == 3
            serving.cancel()

    asyncio.run(main())


def test_a_port_in_use_is_told_with_the_remedy(side, tag):
    async def main():
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            await side([tag("a", DataType.INT, "30001", source="twin")], "server", port=port).run()
        assert "another port" in caught.value.remedy
        taken.close()

    asyncio.run(main())
