"""Peers that answer wrongly, and bytes that nobody meant: no value, a reason, never an end."""

import asyncio
import struct
from contextlib import suppress
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.s7.address import Area
from drivers.s7.iso import FrameError, Incoming, connect_request, data_packet
from drivers.s7.messages import AskState, Item, Read, Write
from drivers.s7.pdu import message_of, replies_of, setup_answer
from runtime.contract import Access, DataType, Quality

ITEM = Item(Area.DB, 1, 0, 4)
CONFIRM = bytes.fromhex("0300000b06d00001000100")
REFUSE = bytes.fromhex("0300000b06800001000100")
SETUP = data_packet(struct.pack(">BBHHHHBB BBHHH", 0x32, 3, 0, 1, 8, 0, 0, 0, 0xF0, 0, 1, 1, 240))


def answer(number, body, code=4, count=1, error=0):
    head = struct.pack(">BBHHHHH", 0x32, 3, 0, number, 2, len(body), error)
    return head + bytes([code, count]) + body


def with_peer(side, tag, script, body, **config):
    """Run a client against a peer that says what the script makes of each packet."""

    async def main():
        async def serve(reader, writer):
            try:
                while header := await reader.readexactly(4):
                    packet = await reader.readexactly(int.from_bytes(header[2:], "big") - 4)
                    writer.write(script(packet))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = side([tag("a", DataType.DINT, "DB1.DBD0", access=Access.READ_WRITE)], port=port, **config)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            polling = client.start(group)
            await body(client)
            polling.cancel()
        server.close()

    asyncio.run(main())


def scripted(reply):
    """Return a script that connects as it should and answers reads as told."""

    def script(packet):
        if packet[1] == 0xE0:
            return CONFIRM
        message = packet[3:]
        if message[10] == 0xF0:
            return SETUP
        return reply(int.from_bytes(message[4:6], "big"), message)

    return script


WELL = bytes.fromhex("ff040020") + b"\0\0\0\7"


@pytest.mark.parametrize(
    ("body", "code", "count", "error", "quality"),
    [
        (bytes.fromhex("0a000000"), 4, 1, 0, Quality.BAD_CONFIGURATION_ERROR),
        (bytes.fromhex("01000000"), 4, 1, 0, Quality.BAD_DEVICE_FAILURE),
        (b"", 4, 1, 0x8104, Quality.BAD_CONFIGURATION_ERROR),
        (b"", 4, 1, 0x8302, Quality.UNCERTAIN_LAST_USABLE_VALUE),
        (bytes.fromhex("ff0400100007"), 4, 1, 0, Quality.BAD_NO_COMMUNICATION),  # two bytes for four
        (bytes.fromhex("ff040020000007"), 4, 1, 0, Quality.BAD_NO_COMMUNICATION),  # cut off
        (WELL, 5, 1, 0, Quality.BAD_NO_COMMUNICATION),  # the answer to a write
        (WELL, 4, 2, 0, Quality.BAD_NO_COMMUNICATION),
        (WELL + WELL, 4, 1, 0, Quality.BAD_NO_COMMUNICATION),
    ],
    ids=["no-object", "hardware", "denied", "busy", "short", "cut", "write", "two", "longer"],
)
def test_each_answer_has_its_quality(side, tag, wait, body, code, count, error, quality):
    now = {"wrong": False}

    def reply(number, message):
        if not now["wrong"] or message[1] == 7:
            return data_packet(answer(number, WELL))
        return data_packet(answer(number, body, code, count, error))

    async def watch(client):
        await wait(lambda: client.port.value("a") == 7)
        now["wrong"] = True
        await wait(lambda: client.port.quality("a") == quality)

    with_peer(side, tag, scripted(reply), watch)


def test_a_write_without_an_answer_is_not_told_as_one_that_did_not_arrive(side, tag, wait):
    def reply(number, message):
        return b"" if message[10] == 5 else data_packet(answer(number, WELL))

    async def write(client):
        await wait(lambda: client.port.value("a") == 7)
        told = await client.port.command("a", 8)
        assert told == "the CPU does not answer: whether the value arrived is not known"

    with_peer(side, tag, scripted(reply), write, timeout="500ms")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (lambda packet: b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak ISO"),
        (lambda packet: REFUSE, "refuses the connection; check rack and slot"),
        (lambda packet: CONFIRM if packet[1] == 0xE0 else data_packet(bytes(12)), "refuses to communicate"),
        (lambda packet: b"", "does not answer in time"),
    ],
    ids=["other", "refused", "nonsense", "mute"],
)
def test_a_peer_that_is_no_such_cpu_is_offline_and_says_why(side, tag, wait, monkeypatch, script, says):
    monkeypatch.setattr("drivers.frame.connection.GRACE_NS", 0)  # for the mute one

    async def watch(client):
        await wait(lambda: says in client.port.health_text)
        assert client.port.quality("a") == Quality.BAD_NO_COMMUNICATION
        assert client.port.value("sys/drivers/io/online") is False

    with_peer(side, tag, script, watch, timeout="300ms")


def test_a_late_answer_is_never_taken_for_another(side, tag, wait):
    held = []

    def reply(number, message):
        """Answer the third read with silence, the fourth with both: 3 was asked for when the value was 99."""
        held.append(number)
        if len(held) == 3:
            return b""
        value = struct.pack(">i", len(held))
        late = (
            data_packet(answer(held[2], bytes.fromhex("ff040020") + struct.pack(">i", 99)))
            if len(held) == 4
            else b""
        )
        return late + data_packet(answer(number, bytes.fromhex("ff040020") + value))

    async def watch(client):
        await wait(lambda: (client.port.value("a") or 0) > 6)
        id_ = client.port.tags["a"].id
        assert 99 not in [row.raw for batch in client.port.submitted for row in batch if row.id == id_]

    with_peer(side, tag, scripted(reply), watch, timeout="200ms")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_break_the_transport(chunks):
    incoming = Incoming()
    incoming.confirmed = True
    with suppress(FrameError):
        for chunk in chunks:
            incoming.take(chunk)


def mode_answer(number, mode):
    """Return the CPU's answer to the question for its mode: SSL-ID W#16#0424, one record."""
    record = bytes([0x51, 0x44, 0xFF, mode]) + bytes(16)
    listed = struct.pack(">HHHH", 0x0424, 0, len(record), 1) + record
    body = struct.pack(">BBH", 0xFF, 9, len(listed)) + listed
    parameters = bytes.fromhex("000112081284010100000000")
    return struct.pack(">BBHHHH", 0x32, 7, 0, number, len(parameters), len(body)) + parameters + body


def test_a_mode_that_is_not_told_once_is_asked_for_again(side, tag, wait, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1)
    answers = [8, None, 4, 8, None, None]  # run, nothing, stop, run, nothing twice
    asked = []

    def reply(number, message):
        if message[1] != 7:
            return data_packet(answer(number, WELL))
        asked.append(answers[len(asked)])
        return data_packet(mode_answer(number, asked[-1])) if asked[-1] else b""

    def told(client):
        """Return what was told of the mode, each change once: the next answer may be there before we look."""
        mode = client.port.tags["sys/drivers/io/cpu"].id
        seen = (
            (batch.text.get(row, ""), Quality(int(batch.quality[row])).name)
            for batch in client.port.submitted
            for row in np.flatnonzero(batch.ids == mode).tolist()
        )
        return [each for each, _ in groupby(seen)]

    async def watch(client):
        last = ("run", "BAD_CONFIGURATION_ERROR")
        await wait(lambda: told(client)[-1:] == [last])
        await asyncio.sleep(1.5)  # one that does not know the question is not asked any more
        assert asked == answers
        run, stop, unsure = ("run", "GOOD"), ("stop", "GOOD"), ("run", "UNCERTAIN_LAST_USABLE_VALUE")
        assert told(client) == [run, unsure, stop, run, unsure, last]
        assert [each.data["mode"] for each in client.kinds("driver.cpu")] == ["stop", "run"]

    with_peer(side, tag, scripted(reply), watch, timeout="2s")  # a time in which it becomes due again


REQUESTS = [Read((ITEM,)), Read((ITEM, ITEM)), Write(ITEM, b"abcd"), AskState()]


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(REQUESTS))
def test_no_bytes_break_the_messages(data, request_):
    for message in (data, b"\x32\x03" + data, b"\x32\x07" + data, answer(1, data), answer(1, data, 4, 2)):
        replies = replies_of(request_, message)
        assert len(replies) == (len(request_.items) if isinstance(request_, Read) else 1)
        with suppress(ValueError):
            assert setup_answer(message)[0] >= 64


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.integers(1, 40))
def test_messages_come_whole_however_they_are_cut(message, step):
    incoming = Incoming()
    incoming.take(CONFIRM)
    stream = data_packet(message) * 3
    parts = [incoming.take(stream[at : at + step]) for at in range(0, len(stream), step)]
    assert [each for part in parts for each in part] == [message] * 3


def test_messages_are_those_of_the_protocol():
    assert connect_request(0x0100, 0x0201).hex() == "0300001611e00000000100c1020100c2020201c0010a"
    read = message_of(Read((Item(Area.DB, 7, 2, 4), Item(Area.TIMER, 0, 5, 1))), 0x1234)
    assert read.hex() == "320100001234001a00000402120a10020004000784000010120a101d000100001d000005"
    bit = message_of(Write(Item(Area.DB, 7, 2, 1, 3), b"\1"), 1)
    assert bit.hex() == "320100000001000e00050501120a100100010007840000130003000101"
