"""RTU: frames, lines on pseudo terminals, RTU within TCP; no answer passes for that to another question."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame.connection import Traffic
from drivers.modbus import rtu
from drivers.modbus.address import Table
from drivers.modbus.line import RtuTransport, gap_ns
from drivers.modbus.messages import Request
from drivers.modbus.owed import Owed
from drivers.modbus.rtu import Requests, awaited, crc, frame
from drivers.modbus.serialport import Line, SerialPort, open_port
from drivers.modbus.transport import Manner
from runtime.contract import DataType, Quality
from runtime.errors import ConnectError

SECOND = 1_000_000_000


def test_the_crc_is_the_standards():
    # The standard's own example: function 7 of unit 2. Source: MODBUS over Serial Line V1.02, 6.2.2
    assert crc(b"\x02\x07") == 0x1241
    assert frame(2, b"\x07") == b"\x02\x07\x41\x12"


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 247), st.binary(min_size=2, max_size=250)
)
def test_an_answer_is_found_within_noise_however_it_is_cut(before, after, unit, data):
    data = data[: len(data) // 2 * 2]
    answer = bytes([3, len(data)]) + data
    stream = before + frame(unit, answer) + after
    want = awaited(unit, b"\x03\0\0\0\1", len(data))
    found = want.find(stream)
    assert found == (answer, after)
    for cut in range(0, len(stream) - len(after), 7):
        assert want.find(stream[:cut]) is None


def test_noise_that_looks_like_the_beginning_of_an_answer_does_not_hide_a_refusal():
    want = awaited(1, b"\x03\0\0\0\x64", 200)
    stream = bytes([1, 3, 200, 7]) + frame(1, b"\x83\x02")
    assert want.find(stream) is None
    assert want.find(stream, final=True) == (b"\x83\x02", b"")


def test_requests_are_found_between_the_answers_of_other_devices():
    line = Requests()
    stream = (
        frame(2, b"\x03\x02\0\7") + frame(1, b"\x03\0\0\0\1") + b"\xff\0" + frame(1, b"\x10\0\0\0\1\2\0\5")
    )
    found = [each for byte in stream for each in line.take(bytes([byte]))]
    assert [each for each in found if each[0] == 1] == [(1, b"\x03\0\0\0\1"), (1, b"\x10\0\0\0\1\2\0\5")]


@given(st.binary(max_size=600))
def test_any_noise_is_bounded_and_the_next_request_is_found(noise):
    line = Requests()
    line.take(noise)
    line.silence()
    assert line.take(frame(9, b"\x06\0\1\0\2"))[-1] == (9, b"\x06\0\1\0\2")


@pytest.mark.parametrize("noise", [b"\x10", b"\x01\x10\0\0\0\x7b\xf6"])
def test_much_noise_at_once_costs_no_more_than_some(noise, monkeypatch):
    looked = []
    monkeypatch.setattr(rtu, "is_whole", lambda data: looked.append(data) or rtu.crc(data) == 0)
    requests = Requests()
    asked = frame(1, b"\x03\0\0\0\1")
    assert requests.take(asked * 2000) == [(1, b"\x03\0\0\0\1")] * 2000
    looked.clear()
    requests.take(noise * 20_000)
    assert len(looked) < 2000
    requests.silence()
    assert requests.take(asked) == [(1, b"\x03\0\0\0\1")]


def test_what_is_owed_is_flushed_by_any_answer_that_came_after():
    owed = Owed(10 * SECOND, 60 * SECOND)
    owed.missed(3, 0)
    assert not owed.is_clear(3, 1)
    assert owed.is_clear(16, 1)
    assert owed.probe()[0] == 8
    owed.missed(8, 1)
    assert owed.probe()[0] == 4  # this unit may not know the echo
    owed.answered(4, 2)
    assert owed.is_clear(3, 2)
    # Two echoes were asked for, one refusal came: what was asked after the first may still come.
    for function in (3, 8, 4, 8):
        owed.missed(function, 3)
    owed.strayed(8, 4)
    assert owed.is_clear(3, 4)
    assert not owed.is_clear(4, 4)
    assert owed.is_clear(4, 14 * SECOND)  # nothing comes that late


def test_a_unit_that_answers_twice_is_asked_something_else_in_between():
    owed = Owed(10 * SECOND, 60 * SECOND)
    owed.strayed(3, 0)
    for at in range(1, 5):
        assert not owed.is_clear(3, at)
        owed.answered(owed.probe()[0], at)
        assert owed.is_clear(3, at)
        owed.answered(3, at)
    owed.answered(8, 61 * SECOND)
    assert owed.is_clear(3, 61 * SECOND)


@pytest.mark.parametrize(("baud", "gap_us"), [(9600, 4010), (19200, 2005), (38400, 1750), (115200, 1750)])
def test_frames_are_parted_by_three_and_a_half_characters(baud, gap_us):
    assert abs(gap_ns(Line("/dev/x", baud).char_s) / 1000 - gap_us) < 2


# Lines.


def server_tags(tag):
    return [
        tag("count", DataType.INT, "30001", source="twin"),
        tag("other", DataType.INT, "3!30001", source="twin"),
        tag("mode", DataType.INT, "40001"),
        tag("motor", DataType.BOOL, "00001"),
    ]


def client_tags(tag):
    return [
        tag("count", DataType.INT, "30001"),
        tag("other", DataType.INT, "3!30001"),
        tag("mode", DataType.INT, "40001", source="plc"),
        tag("motor", DataType.BOOL, "00001", source="plc"),
        tag("absent", DataType.INT, "9!30001"),
    ]


async def cross(server, client, wait):
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        serving, polling = server.start(group), client.start(group)
        server.port.set("count", -5)
        server.port.set("other", 6)
        client.port.set("mode", 7)
        client.port.set("motor", True)
        await wait(lambda: client.port.value("count") == -5 and client.port.value("other") == 6)
        await wait(lambda: server.port.value("mode") == 7 and server.port.value("motor") is True)
        await wait(lambda: client.port.quality("absent") == Quality.BAD_NO_COMMUNICATION)
        server.port.set("count", 8)
        await wait(lambda: client.port.value("count") == 8)
        serving.cancel()
        polling.cancel()


def test_values_cross_a_serial_line_both_ways_with_several_units(side, tag, wait, line):
    async def main():
        with line() as pair:
            ends = [{"baud": 115200, "parity": "none", "device": path} for path in pair.paths]
            server = side(server_tags(tag), "server", serial=ends[0])
            client = side(client_tags(tag), "client", serial=ends[1], timeout="500ms")
            await cross(server, client, wait)

    asyncio.run(main())


def test_values_cross_rtu_within_tcp(side, tag, wait, free_port):
    async def main():
        port = free_port()
        server = side(server_tags(tag), "server", framing="rtu", port=port)
        await cross(server, side(client_tags(tag), "client", framing="rtu", port=port, timeout="500ms"), wait)

    asyncio.run(main())


def test_a_line_that_is_not_there_is_told_and_taken_up_when_it_comes(side, tag, wait, line, tmp_path):
    async def main():
        with line() as pair:
            link = tmp_path / "tty"
            server = side(server_tags(tag), "server", serial={"device": str(link)})
            client = side(client_tags(tag), "client", serial={"device": pair.paths[1]}, timeout="500ms")
            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                serving, polling = server.start(group), client.start(group)
                await wait(lambda: "there is no" in server.port.health_text)
                link.symlink_to(pair.paths[0])
                server.port.set("count", 4)
                await wait(lambda: client.port.value("count") == 4)
                assert server.port.healthy
                serving.cancel()
                polling.cancel()

    asyncio.run(main())


def test_a_line_in_use_and_a_file_that_is_no_line_are_told(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConnectError, match="no serial port"):
        open_port(Line(str(file)))
    with pytest.raises(ConnectError, match="there is no"):
        open_port(Line(str(tmp_path / "no")))
    master, slave = os.openpty()
    first = open_port(Line(os.ttyname(slave)))
    with pytest.raises(ConnectError, match="in use"):
        open_port(Line(os.ttyname(slave)))
    os.close(first)
    with pytest.raises(ConnectError, match="RS-485"):
        open_port(Line(os.ttyname(slave), rs485=True))
    for each in (master, slave):
        os.close(each)


class Peer:
    """A device on the other end of a pseudo terminal, that answers in order, but how a test wants.

    Register n of it is 100 * n, then plus one with each answer: what is old shows.
    """

    def __init__(self, knows=frozenset({3, 8}), timeout_s=60.0):
        self.timeout_s = timeout_s
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.knows = knows
        self.script = []
        self.asked = []
        self.count = 0
        self.free_s = 0.0
        self.timers = []
        self.line = Requests()

    def __enter__(self):
        asyncio.get_running_loop().add_reader(self.master, self.read)
        line = Line(os.ttyname(self.slave), 115200, "none")
        self.traffic = Traffic()
        manner = Manner(timeout_s=self.timeout_s, retries=0)
        self.transport = RtuTransport(self.traffic, lambda: None, manner, {}, line.char_s)
        SerialPort(open_port(line), self.transport)
        return self

    def __exit__(self, *_):
        self.transport.close()
        for timer in self.timers:
            timer.cancel()
        asyncio.get_running_loop().remove_reader(self.master)
        for each in (self.master, self.slave):
            os.close(each)

    def read(self):
        for unit, message in self.line.take(os.read(self.master, 4096)):
            self.asked.append(message[0])
            self.count += 1
            answer = self.answer(unit, message)
            how = self.script.pop(0) if self.script and message[0] == 3 else "well"
            if answer is None or how == "lost":
                continue
            before, after, late_s = b"", b"", 0.0
            match how:
                case "twice":
                    after = answer
                case "garbled":
                    answer = answer[:-3] + bytes([answer[-3] ^ 0x10]) + answer[-2:]
                case "noise":
                    before = b"\x00\xff\x01\x03\x55"
                case "foreign":
                    before = frame(2, b"\x03\x02\0\x63")
                case "late":
                    late_s = 0.3
            self.send(before + answer + after, late_s)
            if how == "twice, late":
                self.send(answer, 0.004)

    def answer(self, unit, message):
        if message[0] not in self.knows:
            return None if self.knows == {3} else frame(unit, bytes([message[0] | 0x80, 1]))
        if message[0] == 8:
            return frame(unit, message)
        start, count = int.from_bytes(message[1:3], "big"), int.from_bytes(message[3:5], "big")
        words = [100 * (start + row) + self.count for row in range(count)]
        data = b"".join(word.to_bytes(2, "big") for word in words)
        return frame(unit, bytes([3, len(data)]) + data)

    def send(self, data, late_s):
        loop = asyncio.get_running_loop()
        self.free_s = max(self.free_s, loop.time() + late_s) + 1e-6
        self.timers.append(loop.call_at(self.free_s, os.write, self.master, data))

    async def register(self, number, *, strict=True):
        """Return (what is read, how many answers there were when it was asked for), or None."""
        before = self.count
        (reply,) = await self.transport.exchange([Request(1, Table.HOLDING_REGISTER, number, 1)])
        if not reply.ok:
            return None
        value = int.from_bytes(reply.data, "big")
        right = value // 100 == number and value % 100 > before
        assert right or not strict, f"register {number} got {value} after {before} answers"
        return value if right else None


TROUBLES = ["twice", "garbled", "noise", "foreign", "late", "lost"]


@pytest.mark.parametrize("knows", [{3, 8}, {3, 4}], ids=["echo", "refuses"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_trouble_makes_an_answer_pass_for_another(trouble, knows):
    async def main():
        with Peer(knows, 0.2 if trouble in ("garbled", "late", "lost") else 60.0) as peer:
            async with asyncio.timeout(60):
                while await peer.register(1) is None:
                    pass
            peer.script = [trouble]
            got = [await peer.register(number) for number in (2, 3, 4)]
            if trouble in ("twice", "noise", "foreign"):
                assert None not in got
            async with asyncio.timeout(60):
                while None in [await peer.register(number) for number in (2, 3)]:
                    pass

    asyncio.run(main())


def test_a_device_that_is_always_late_never_gives_a_value_and_one_that_doubles_always_does():
    async def main():
        with Peer(timeout_s=0.2) as peer:
            peer.script = ["late"] * 4
            assert [await peer.register(number) for number in (1, 2)] == [None, None]
            peer.script = []
            async with asyncio.timeout(60):
                while await peer.register(3) is None:
                    pass
        with Peer() as peer:
            peer.script = ["twice"] * 6
            assert None not in [await peer.register(number) for number in (1, 2, 3, 4, 5, 6)]

    asyncio.run(main())


def test_a_second_answer_that_comes_after_the_next_question_is_told_apart_from_then_on():
    async def main():
        with Peer() as peer:
            peer.script = ["twice, late"] * 12
            for number in (1, 2, 3, 4):
                await peer.register(number, strict=False)
            assert None not in [await peer.register(number) for number in (5, 6, 7, 8)]

    asyncio.run(main())


def test_a_device_that_knows_one_function_only_is_asked_again_once_nothing_can_come_any_more():
    owed = Owed(10 * SECOND, 60 * SECOND)
    owed.missed(3, 0)
    for at in range(1, 12):
        probe = owed.probe()[0]
        owed.missed(probe, at * SECOND)
        assert owed.is_clear(3, at * SECOND) == (at >= 10) or probe == 3
