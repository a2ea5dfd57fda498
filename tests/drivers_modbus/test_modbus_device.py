"""The device's answers, byte for byte, and its behaviour on a socket."""

import asyncio
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.address import Point, parse
from drivers.modbus.device import Device, Wish
from drivers.modbus.identity import identify
from drivers.modbus.identity import parse as parse_identity
from drivers.modbus.mbap import FrameError, frame, split_frames
from runtime.contract import Batch, DataType, Tag

IRONWORKS = " 49 72 6f 6e 77 6f 72 6b 73"
BASIC = " 00 09" + IRONWORKS + " 01 09" + IRONWORKS.replace("49", "69") + " 02 03 31 2e 30"


def make_device():
    points = make_points()
    return Device(points, 1, len(points), lambda point: point.tag.source == "io")


def make_points():
    rows = [
        ("00001", DataType.BOOL, "io"), ("00002", DataType.BOOL, "io"), ("00005", DataType.BOOL, "plc"),
        ("10001", DataType.BOOL, "plc"), ("30001", DataType.INT, "plc"), ("30002", DataType.REAL, "plc"),
        ("40001", DataType.INT, "io"), ("40002", DataType.REAL, "io"), ("40010", DataType.INT, "plc"),
        ("3!40001", DataType.INT, "io"),
    ]  # fmt: skip
    return [
        Point(Tag(f"s/t{index}", kind, source=source, id=index), parse(address, kind))
        for index, (address, kind, source) in enumerate(rows)
    ]


def ask(device, text, unit=1):
    response, batch = device.answer(unit, bytes.fromhex(text), 5)
    return response.hex(" "), batch


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("01 0000 0005", "01 01 00"),
        ("02 0000 0001", "02 01 00"),
        ("03 0000 0003", "03 06 00 00 00 00 00 00"),
        ("04 0000 0003", "04 06 00 00 00 00 00 00"),
        # illegal function
        ("07", "87 01"),
        ("2b 0e 01 00", "ab 01"),
        # illegal value: counts of 0 and one too many, wrong byte counts, wrong coil value, wrong length
        ("01 0000 0000", "81 03"),
        ("01 0000 07d1", "81 03"),
        ("02 0000 07d1", "82 03"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007e", "83 03"),
        ("04 0000 007e", "84 03"),
        ("03 0000", "83 03"),
        ("05 0000 1234", "85 03"),
        ("0f 0000 0000 00", "8f 03"),
        ("0f 0000 07b1 f7" + " 00" * 247, "8f 03"),
        ("0f 0000 0002 02 01 01", "8f 03"),
        ("10 0000 0000 00", "90 03"),
        ("10 0000 007c f8" + " 00" * 248, "90 03"),
        ("10 0000 0001 02 01", "90 03"),
        ("10 0000 0001 04 0102 0304", "90 03"),
        # illegal address: outside, past the end, not for masters to write
        ("01 0005 0001", "81 02"),
        ("03 000a 0001", "83 02"),
        ("03 0000 007d", "83 02"),
        ("03 ffff 0002", "83 02"),
        ("05 0004 ff00", "85 02"),
        ("06 0009 0001", "86 02"),
        ("06 0004 0001", "86 02"),
        ("10 0002 0002 04 0000 0000", "90 02"),
        # the value is judged before the address, and both parts of 23 before anything is written
        ("05 0100 1234", "85 03"),
        ("0f 0100 0002 02 01", "8f 03"),
        ("10 0100 0001 01 01", "90 03"),
        ("16 0100 00f2 0025", "96 02"),
        ("16 0000 00f2", "96 03"),
        ("17 0000 007e 0000 0001 02 0007", "97 03"),
        ("17 0000 0001 0000 007a f4" + " 00" * 244, "97 03"),
        ("17 0000 0001 0000 0001 04 0007", "97 03"),
        ("17 0100 0001 0000 0001 02 0007", "97 02"),
        ("17 0000 0001 0009 0001 02 0007", "97 02"),
        # writes
        ("05 0000 ff00", "05 00 00 ff 00"),
        ("06 0000 0102", "06 00 00 01 02"),
        ("0f 0000 0002 01 03", "0f 00 00 00 02"),
        ("10 0000 0003 06 0001 0000 0000", "10 00 00 00 03"),
        ("16 0000 00f2 0025", "16 00 00 00 f2 00 25"),
        ("17 0000 0001 0000 0001 02 0007", "17 02 00 07"),
    ],
)
def test_answers_are_exact(request_hex, answer):
    assert ask(make_device(), request_hex)[0] == answer


IDENTITY = {0: b"Ironworks", 1: b"ironworks", 2: b"1.0", 4: b"Ironworks", 5: b"bottling"}


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("2b 0d 01 00", "ab 01"),  # another MEI
        ("2b 0e 00 00", "ab 03"),  # no such code
        ("2b 0e 05 00", "ab 03"),
        ("2b 0e 01", "ab 03"),
        ("2b 0e 04 03", "ab 02"),  # one object that is not there
        ("2b 0e 04 02", "2b 0e 04 82 00 00 01 02 03 31 2e 30"),
        ("2b 0e 01 02", "2b 0e 01 82 00 00 01 02 03 31 2e 30"),
        # a stream from an object that is not there begins anew; more than we have gets what we have
        ("2b 0e 01 77", "2b 0e 01 82 00 00 03" + BASIC),
        (
            "2b 0e 03 00",
            "2b 0e 03 82 00 00 05" + BASIC + " 04 09" + IRONWORKS + " 05 08 62 6f 74 74 6c 69 6e 67",
        ),
    ],
)
def test_identification_is_exact(request_hex, answer):
    device = Device(make_points(), 1, 20, lambda point: True, IDENTITY)
    assert device.answer(1, bytes.fromhex(request_hex), 5)[0].hex(" ") == answer


def test_identification_that_does_not_fit_one_message_is_told_in_several():
    identity = {number: bytes([65 + number]) * 60 for number in range(7)}
    found, first, rounds = {}, 0, 0
    while rounds == 0 or first:
        objects, first = parse_identity(b"\x2b" + identify(identity, bytes([14, 2, first])))
        found |= objects
        rounds += 1
    assert rounds == 3
    assert {number: text.encode() for number, text in found.items()} == identity


def test_a_device_on_a_serial_line_leaves_other_units_to_others_and_obeys_broadcasts():
    device = Device(make_points(), 1, 20, lambda point: point.tag.source == "io", on_line=True)
    assert ask(device, "03 0000 0001", 2) == ("", None)
    assert ask(device, "03 0000 0001", 255) == ("", None)
    answer, batch = ask(device, "06 0000 0009", 0)
    assert answer == ""
    assert sorted(batch.ids.tolist()) == [6, 9]  # that register of both units
    assert ask(device, "08 0000 a537")[0] == "08 00 00 a5 37"
    assert ask(device, "08 0001 0000")[0] == "88 01"
    assert ask(device, "08 0000")[0] == "88 03"
    assert ask(make_device(), "08 0000 a537")[0] == "88 01"  # serial line only


def commanded():
    def is_input(point):
        return point.tag.source == "io"

    return Device(
        make_points(), 1, 20, is_input, on_line=True, is_commanded=lambda point: not is_input(point)
    )


def test_a_broadcast_writes_nothing_that_the_gate_decides_on():
    device = commanded()
    assert isinstance(device.answer(1, bytes.fromhex("0600090001"), 5), Wish)
    assert ask(device, "06 0009 0001", 0) == ("", None)
    assert ask(device, "03 0009 0001")[0] == "03 02 00 00"


def test_a_bit_that_has_its_register_for_itself_is_wanted_whatever_it_is():
    rows = [("40001.3", DataType.BOOL), ("40002.0", DataType.BOOL), ("40002.9", DataType.BOOL)]
    points = [
        Point(Tag(f"s/t{index}", kind, source="plc", id=index), parse(address, kind))
        for index, (address, kind) in enumerate(rows)
    ]
    device = Device(points, 1, 3, lambda _: False, is_commanded=lambda _: True)
    wish = device.answer(1, bytes.fromhex("10 0000 0002 04 0008 0200"), 5)
    assert [(each.tag.id, each.value, each.shares) for each in wish.wanted] == [
        (0, True, False), (1, False, True), (2, True, True),
    ]  # fmt: skip
    masked = device.answer(1, bytes.fromhex("16 0001 fdff 0200"), 5)
    assert [(each.tag.id, each.value, each.shares) for each in masked.wanted] == [(2, True, False)]


def test_a_wish_writes_nothing_before_it_is_taken_and_names_what_it_wants():
    device = commanded()
    wish = device.answer(1, bytes.fromhex("0f 0004 0001 01 01"), 5)
    assert [(each.tag.id, each.value, each.shares) for each in wish.wanted] == [(2, True, False)]
    assert wish.what == "function 15 at 4 of unit 1"
    assert ask(device, "01 0004 0001")[0] == "01 01 00"
    assert wish.take(6) is None
    assert wish.response().hex(" ") == "0f 00 04 00 01"
    assert isinstance(device.answer(1, bytes.fromhex("02 0000 0001"), 5), tuple)
    assert ask(device, "06 0003 0001")[0] == "86 02"  # half of a REAL that masters own


def test_unit_ids():
    device = make_device()
    for unit in (0, 1, 255, 3):
        assert ask(device, "03 0000 0001", unit)[0] == "03 02 00 00"
    assert ask(device, "03 0000 0001", 2)[0] == "83 0b"
    assert ask(device, "01 0000 0001", 3)[0] == "81 02"


def test_a_write_of_a_master_changes_only_what_it_names():
    device = make_device()
    _, batch = ask(device, "10 0000 0003 06 0007 3fc0 0000")
    values = {row.id: row.raw for row in batch}
    assert values == {6: 7, 7: DataType.REAL.encode(1.5)}
    assert batch.source_ns.tolist() == [5, 5]
    assert ask(device, "06 0000 0007")[1] is None  # nothing new
    ask(device, "06 0000 0012")
    assert ask(device, "16 0000 00f2 0025")[1].raw.tolist() == [0x17]  # the standard's own example


def test_what_is_no_number_is_refused_where_there_is_no_range_either():
    device = make_device()
    assert ask(device, "10 0001 0002 04 7fc0 0000") == ("90 03", None)
    assert ask(device, "10 0001 0002 04 7f80 0000")[0] == "10 00 01 00 02"  # infinite


def test_values_of_the_plant_are_read_and_bad_ones_hold_the_last():
    device = make_device()
    device.show(Batch.of([4, 5, 3], [2**64 - 2, DataType.REAL.encode(1.5), 1], 1))
    assert ask(device, "04 0000 0003")[0] == "04 06 ff fe 3f c0 00 00"
    assert ask(device, "02 0000 0001")[0] == "02 01 01"
    device.show(Batch.of([4], [9], 2, 0x8031_0000))
    assert ask(device, "04 0000 0001")[0] == "04 02 ff fe"


@given(st.integers(0, 255), st.binary(min_size=1, max_size=253))
def test_any_request_gets_a_well_formed_answer(unit, message):
    response, _ = make_device().answer(unit, message, 1)
    assert response[0] & 0x7F == message[0] & 0x7F
    assert 2 <= len(response) <= 253


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255), st.binary(min_size=1, max_size=253))),
    st.data(),
)
def test_frames_are_found_however_they_are_cut(frames, data):
    stream = b"".join(frame(*each) for each in frames)
    cut = data.draw(st.integers(0, len(stream)))
    first, rest = split_frames(stream[:cut])
    second, rest = split_frames(rest + stream[cut:])
    assert first + second == frames
    assert rest == b""


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00ff 01"])
def test_a_wrong_header_is_an_error(header):
    with pytest.raises(FrameError):
        split_frames(bytes.fromhex(header) + bytes(10))


def serve(side, tag, body, **config):
    server = side([tag("a", DataType.INT, "30001", source="twin")], "server", **config)

    async def main():
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            task = server.start(group)
            await server.component.listening.wait()
            await body(server, server.component.port)
            task.cancel()

    asyncio.run(main())


READ = struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 1)


def test_requests_that_arrive_together_are_all_answered_in_order(side, tag):
    async def body(server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        server.port.set("a", 258)
        requests = [struct.pack(">HHHBBHH", number, 0, 6, 1, 4, 0, 1) for number in range(50)]
        stream = b"".join(requests)
        writer.write(stream[:7])
        await writer.drain()
        writer.write(stream[7:])
        answers = await reader.readexactly(50 * 11)
        frames, _ = split_frames(answers)
        assert [number for number, _, _ in frames] == list(range(50))
        writer.close()

    serve(side, tag, body)


def test_a_master_that_talks_nonsense_is_disconnected_and_others_are_not(side, tag, wait):
    async def body(server, port):
        good = await asyncio.open_connection("127.0.0.1", port)
        bad = await asyncio.open_connection("127.0.0.1", port)
        bad[1].write(b"GET / HTTP/1.1\r\n\r\n")
        assert await bad[0].read() == b""
        good[1].write(READ)
        assert len(await good[0].readexactly(11)) == 11
        facts = ("sys/drivers/io/dropped", "sys/drivers/io/connections")
        await wait(lambda: [server.port.value(fact) for fact in facts] == [1, 1])
        for _, writer in (good, bad):
            writer.close()

    serve(side, tag, body)


def test_connections_are_limited_and_idle_ones_are_closed(side, tag):
    async def body(server, port):
        first = await asyncio.open_connection("127.0.0.1", port)
        first[1].write(READ)
        await first[0].readexactly(11)
        second = await asyncio.open_connection("127.0.0.1", port)
        assert await second[0].read() == b""
        assert await first[0].read() == b""  # idle for too long
        third = await asyncio.open_connection("127.0.0.1", port)
        third[1].write(READ)
        assert len(await third[0].readexactly(11)) == 11
        for _, writer in (first, second, third):
            writer.close()

    serve(side, tag, body, connections=1, idle="1s")


def test_registers_and_numpy_agree_on_a_full_block():
    kinds = [DataType.INT] * 125
    points = [
        Point(Tag(f"s/t{index}", kind, source="plc", id=index), parse(f"3{index + 1:05d}", kind))
        for index, kind in enumerate(kinds)
    ]
    device = Device(points, 1, 125, lambda point: False)
    device.show(Batch.of(np.arange(125), np.arange(125), 1))
    response, _ = device.answer(1, bytes.fromhex("04 0000 007d"), 1)
    assert np.frombuffer(response[2:], ">u2").tolist() == list(range(125))
