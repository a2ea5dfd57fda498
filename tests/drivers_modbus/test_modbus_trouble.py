"""Devices that answer wrongly: each trouble has its quality, and none stops the client."""

import asyncio

import pytest

from drivers.frame import connection, held
from drivers.modbus.listener import Listener
from runtime.clock import SECOND_NS
from runtime.contract import Access, DataType, Quality


def with_device(side, tag, answer, body, **config):
    """Run a client against a device that answers every message as told."""

    async def main():
        listener = Listener(answer, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        tags = [tag("a", DataType.INT, "30001"), tag("out", DataType.INT, "40001", source="plc")]
        client = side(tags, "client", port=port, **config)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await body(client)
            polling.cancel()
        listener.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (1, Quality.BAD_CONFIGURATION_ERROR),
        (2, Quality.BAD_CONFIGURATION_ERROR),
        (4, Quality.BAD_DEVICE_FAILURE),
        (6, Quality.UNCERTAIN_LAST_USABLE_VALUE),
        (8, Quality.BAD_DEVICE_FAILURE),
        (11, Quality.BAD_NO_COMMUNICATION),
    ],
)
def test_each_exception_has_its_quality(side, tag, wait, code, quality):
    now = {"refuse": False}

    def answer(unit, message):
        return bytes([message[0] | 0x80, code]) if now["refuse"] else b"\x04\x02\x00\x07"

    async def body(client):
        await wait(lambda: client.port.value("a") == 7)
        now["refuse"] = True
        await wait(lambda: client.port.quality("a") == quality)
        assert (client.port.value("a") == 7) == (not Quality.is_bad(quality))
        await wait(lambda: (client.port.value("sys/drivers/io/exceptions") or 0) > 0)

    with_device(side, tag, answer, body)


@pytest.mark.parametrize(
    "nonsense",
    [b"\x04\x02\x00", b"\x04\x04\x00\x07\x00\x07", b"\x03\x02\x00\x07", b"\x04", b"\x84", b"\x84\x00"],
)
def test_an_answer_that_does_not_go_with_the_request_is_no_value(side, tag, wait, nonsense, monkeypatch):
    monkeypatch.setattr(connection, "GRACE_NS", SECOND_NS // 4)

    async def body(client):
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)
        assert client.port.quality("a") == Quality.BAD_NO_COMMUNICATION

    with_device(side, tag, lambda unit, message: nonsense, body, timeout="100ms")


def test_an_answer_of_another_unit_is_not_taken_and_the_right_one_is_waited_for(side, tag, wait):
    async def answer(reader, writer):
        while head := await reader.read(12):
            for unit, value in ((head[6] + 1, 666), (head[6], 7)):
                writer.write(head[:5] + bytes([5, unit, 4, 2]) + value.to_bytes(2, "big"))
        writer.close()

    async def main():
        gateway = await asyncio.start_server(answer, "127.0.0.1", 0)
        client = side([tag("a", DataType.INT, "30001")], "client", port=gateway.sockets[0].getsockname()[1])
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: (client.port.value("sys/drivers/io/requests") or 0) > 20)
            assert client.port.value("a") == 7
            polling.cancel()
        gateway.close()
        told = {
            row.raw for batch in client.port.submitted for row in batch if row.id == 0 and not row.quality
        }
        assert told == {7}
        assert client.port.value("sys/drivers/io/timeouts") == 0

    asyncio.run(main())


def test_a_device_that_cuts_a_read_off_at_its_end_keeps_the_places_that_it_has(side, tag, wait):
    """Servers made with jsmodbus answer so, where the standard wants exception 2."""
    registers = bytes(range(20))  # 40001 to 40010
    late = []

    def answer(unit, message):
        if late:
            return late.pop()
        start, count = int.from_bytes(message[1:3], "big"), int.from_bytes(message[3:5], "big")
        data = registers[2 * start : 2 * (start + count)]
        return bytes([message[0], len(data)]) + data

    async def main():
        listener = Listener(answer, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        there = {"a": 1, "b": 5, "c": 9}
        tags = [tag(name, DataType.INT, f"{40000 + at}") for name, at in there.items()]
        tags += [tag("d", DataType.INT, "40012"), tag("e", DataType.REAL, "40010")]
        client = side(tags, "client", port=port)
        values = [0x0001, 0x0809, 0x1011]
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: [client.port.value(name) for name in there] == values)
            bad = Quality.BAD_CONFIGURATION_ERROR
            await wait(lambda: client.port.quality("d") == client.port.quality("e") == bad)
            assert [client.port.quality(name) for name in there] == [Quality.GOOD] * 3
            told = [event.text for event in client.port.emitted if event.kind == "driver.address_refused"]
            assert len(told) == 2
            assert all("fewer places than asked for" in text for text in told)
            late.append(b"\x03\x00")  # once, it may be the answer to an older question
            await wait(lambda: not late)
            await wait(lambda: [client.port.quality(name) for name in there] == [Quality.GOOD] * 3)
            assert not any(
                row.quality == bad and row.id < len(there) for batch in client.port.submitted for row in batch
            )
            assert client.port.value("sys/drivers/io/reconnects") == 0
            polling.cancel()
        listener.close()

    asyncio.run(main())


def test_a_refused_write_is_told_once(side, tag, wait):
    asked = []

    def answer(unit, message):
        if message[0] == 6:
            asked.append(message)
            return b"\x86\x02"
        return b"\x04\x02\x00\x07"

    async def body(client):
        client.port.set("out", 5)
        await wait(lambda: len(asked) == 1)
        client.port.set("out", 6)
        await wait(lambda: len(asked) == 2)
        told = [event for event in client.port.emitted if event.kind == "driver.write_refused"]
        assert len(told) == 1
        assert "out" in told[0].text
        assert "illegal data address" in told[0].text

    with_device(side, tag, answer, body)


def test_a_device_that_takes_a_write_back_does_not_seem_to_keep_it(side, tag, wait):
    async def main():
        value = {"now": 7, "reads": 0}

        def answer(unit, message):
            if message[0] == 6:
                value["now"], value["reads"] = int.from_bytes(message[3:], "big"), 0
                return message
            value["reads"] += 1
            now = value["now"] if value["reads"] == 1 else 7  # it is read back once, then it is gone
            return b"\x03\x02" + now.to_bytes(2, "big")

        listener = Listener(answer, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        client = side([tag("sp", DataType.INT, "40001", access=Access.READ_WRITE)], "client", port=port)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: client.port.value("sp") == 7)
            assert await client.port.command("sp", 9) is None
            await wait(lambda: client.port.value("sp") == 7)
            polling.cancel()
        listener.close()

    asyncio.run(main())


def test_a_busy_device_gets_the_write_again_with_the_newest_value(side, tag, wait):
    asked, later = [], []

    def answer(unit, message):
        if message[0] == 6:
            asked.append(int.from_bytes(message[3:], "big"))
            while later:
                later.pop()()
            return b"\x86\x06" if len(asked) < 3 else message
        return b"\x04\x02\x00\x07"

    async def body(client):
        later.append(lambda: client.port.set("out", 6))  # before it is told that the device is busy
        client.port.set("out", 5)
        await wait(lambda: len(asked) == 3)
        assert asked == [5, 6, 6]

    with_device(side, tag, answer, body)


def test_a_device_that_speaks_another_protocol_is_offline_and_says_why(side, tag, wait, monkeypatch):
    monkeypatch.setattr(connection, "GRACE_NS", SECOND_NS // 4)

    async def greet(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read()
        writer.close()

    async def main():
        other = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        client = side([tag("a", DataType.INT, "30001")], "client", port=port)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: client.port.value("sys/drivers/io/online") is False)
            await wait(lambda: "does not speak Modbus TCP" in client.port.health_text)
            polling.cancel()
        other.close()

    asyncio.run(main())


def test_a_device_that_restarts_again_and_again_leaves_no_wrong_value(side, tag, wait, free_port):
    async def main():
        value = {"now": 0}

        def answer(unit, message):
            return b"\x04\x02" + value["now"].to_bytes(2, "big")

        listener = Listener(answer, 4, 10**12)
        port = await listener.open("127.0.0.1", free_port())
        client = side([tag("a", DataType.INT, "30001")], "client", port=port)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            for round_ in range(1, 6):
                value["now"] = round_
                await wait(lambda: client.port.value("a") == value["now"])
                assert client.port.quality("a") == Quality.GOOD
                listener.close()
                await wait(lambda: client.port.quality("a") == Quality.BAD_NO_COMMUNICATION)
                listener = Listener(answer, 4, 10**12)
                await listener.open("127.0.0.1", port)
            assert not polling.done()
            polling.cancel()
        listener.close()

    asyncio.run(main())


class Registers:
    """Registers with 7 in them, and places that are refused with a code, as are reads that are too long."""

    def __init__(self, code, places, longest=125):
        self.code, self.places, self.longest, self.asked = code, places, longest, []

    def __call__(self, unit, message):
        self.asked.append(message)
        start, count = int.from_bytes(message[1:3], "big"), int.from_bytes(message[3:5], "big")
        if count > self.longest or self.places & set(range(start, start + count)):
            return bytes([message[0] | 0x80, self.code])
        return bytes([message[0], 2 * count]) + b"\0\7" * count


def with_registers(side, tag, device, body):
    async def main():
        listener = Listener(device, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        client = side([tag(f"r{at}", DataType.INT, f"3{at + 1:04d}") for at in range(9)], "client", port=port)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await body(client)
            polling.cancel()
        listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 9, 200])
@pytest.mark.parametrize("places", [{5}, {0}, {2, 7}])
def test_a_refused_place_does_not_take_its_neighbours_along_whatever_the_code(side, tag, wait, code, places):
    wrong = Quality.BAD_CONFIGURATION_ERROR if code < 4 else Quality.BAD_DEVICE_FAILURE

    async def body(client):
        await wait(
            lambda: all(client.port.quality(f"r{at}") == (wrong if at in places else 0) for at in range(9))
        )

    with_registers(side, tag, Registers(code, places), body)


@pytest.mark.parametrize("places", [{5}, {0}, {2, 7}, set(range(9))])
def test_what_was_divided_is_read_as_one_again_once_nothing_of_it_is_refused(
    side, tag, wait, places, monkeypatch
):
    monkeypatch.setattr(held, "RETEST_S", 0.1)
    device = Registers(2, places)

    async def body(client):
        def has(quality, chosen):
            return all(client.port.quality(f"r{at}") == quality for at in chosen)

        for _ in range(2):
            device.places = places
            await wait(lambda: has(Quality.BAD_CONFIGURATION_ERROR, places))
            await wait(lambda: has(Quality.GOOD, set(range(9)) - places))
            device.places = set()
            await wait(lambda: has(Quality.GOOD, range(9)))
            await wait(lambda: device.asked[-1][2:5] == device.asked[-2][2:5] == b"\0\0\x09")
        await wait(lambda: client.port.value("sys/drivers/io/scan_requests") == 1)

    with_registers(side, tag, device, body)


def test_values_of_a_divided_block_stay_bad_until_the_device_answers(side, tag, wait, free_port):
    device = Registers(2, {5})

    async def main():
        listener = Listener(device, 4, 10**12)
        port = await listener.open("127.0.0.1", free_port())
        tags = [tag(f"r{at}", DataType.INT, f"3{at + 1:04d}") for at in (4, 5, 6)]
        client = side(tags, "client", port=port, timeout="500ms")
        watch = client.port.bus.journal(client.port.tags.select("**/r4"))
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: client.port.quality("r5") == Quality.BAD_CONFIGURATION_ERROR)
            listener.close()
            listener = Listener(lambda unit, message: b"", 4, 10**12)  # it connects, and says nothing
            await listener.open("127.0.0.1", port)
            await wait(lambda: client.port.quality("r4") == Quality.BAD_NO_COMMUNICATION)
            asked = client.port.value("sys/drivers/io/requests")
            await wait(lambda: client.port.value("sys/drivers/io/requests") > asked + 3)
            polling.cancel()
        listener.close()
        said = [quality for batch in iter(watch.take, None) for quality in batch.quality.tolist()]
        assert said[-3:] == [Quality.GOOD, Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION]

    asyncio.run(main())


def test_a_device_that_takes_short_reads_only_is_not_asked_for_long_ones_again(side, tag, wait, monkeypatch):
    monkeypatch.setattr(held, "RETEST_S", 0.1)
    device = Registers(2, set(), longest=4)

    async def body(client):
        await wait(lambda: all(client.port.quality(f"r{at}") == Quality.GOOD for at in range(9)))
        asked = len(device.asked)
        await wait(lambda: len(device.asked) > asked + 30)
        assert max(int.from_bytes(message[3:5], "big") for message in device.asked[asked:]) <= 4

    with_registers(side, tag, device, body)


def test_a_table_that_is_refused_as_a_whole_is_not_asked_for_place_by_place(side, tag, wait):
    device = Registers(1, set(range(9)))

    async def body(client):
        await wait(lambda: "9 of 9 tags are refused" in client.port.health_text)
        assert [message[2:5] for message in device.asked] == [b"\0\0\x09", b"\0\0\1", b"\1\0\x08"]

    with_registers(side, tag, device, body)


def test_a_device_that_fails_for_a_while_is_read_in_blocks_afterwards(side, tag, wait):
    device = Registers(4, set(range(9)))

    async def body(client):
        await wait(lambda: len(device.asked) > 30)
        assert client.port.quality("r8") == Quality.BAD_DEVICE_FAILURE
        device.places = set()
        await wait(lambda: all(client.port.quality(f"r{at}") == Quality.GOOD for at in range(9)))
        await wait(lambda: client.port.value("sys/drivers/io/scan_requests") == 2)

    with_registers(side, tag, device, body)
