"""Captures hold the bytes of both directions, in packets that add up, bounded in time and size."""

import asyncio
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.frame.connection import Ends, Traffic
from drivers.frame.pcap import HEADER, MOST_FLOWS, Capture, checksum
from drivers.frame.recorder import WAITING, Recorder
from runtime.clock import WallClock
from runtime.errors import WriteRejectedError

FOUR = Ends(("10.0.0.5", 40_000), ("10.0.0.9", 502))
SIX = Ends(("fe80::1%eth0", 40_000), ("fe80::2", 4840))


def packets_of(data):
    """Take a capture apart: (ns, source, target, sequence, acknowledged, payload) of each packet."""
    assert data[:24] == HEADER
    at, found = 24, []
    while at < len(data):
        seconds, ns, kept, length = struct.unpack_from("<IIII", data, at)
        assert kept == length
        packet = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if packet[0] >> 4 == 4:
            head, addresses = 20, packet[12:20]
            assert checksum(packet[:20]) == 0
            assert struct.unpack_from(">H", packet, 2)[0] == len(packet)
            pseudo = addresses + struct.pack(">HH", 6, len(packet) - 20)
        else:
            head, addresses = 40, packet[8:40]
            assert struct.unpack_from(">H", packet, 4)[0] == len(packet) - 40
            pseudo = addresses + struct.pack(">II", len(packet) - 40, 6)
        tcp = packet[head:]
        assert checksum(pseudo + tcp) == 0
        source, target, sequence, acknowledged, flags = struct.unpack_from(">HHIIH", tcp)
        assert flags == 0x5018
        half = len(addresses) // 2
        start, end = (addresses[:half], source), (addresses[half:], target)
        found.append((seconds * 10**9 + ns, start, end, sequence, acknowledged, tcp[20:]))
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([FOUR, SIX]),
    st.lists(st.tuples(st.booleans(), st.binary(max_size=4000)), max_size=8),
)
def test_both_streams_come_out_of_the_file_as_they_went_in(ends, said):
    capture = Capture()
    data = HEADER + b"".join(
        capture.packets(1_700_000_000_123_456_789 + row, ends, each, sent=sent)
        for row, (sent, each) in enumerate(said)
    )
    streams = {True: b"", False: b""}
    for at_ns, start, end, sequence, acknowledged, payload in packets_of(data):
        sent = end[1] == ends.peer[1]
        assert (start[1], end[1]) == ((ends.own[1], ends.peer[1])[:: 1 if sent else -1])
        assert sequence == 1 + len(streams[sent])
        assert acknowledged == 1 + len(streams[not sent])
        streams[sent] += payload
        assert said[at_ns - 1_700_000_000_123_456_789][0] == sent
    for sent, stream in streams.items():
        assert stream == b"".join(each for way, each in said if way == sent)


def recorded(play, for_ns=10**11, most=1 << 20):
    """Record what `play(recorder, traffic)` lets go over a link; return file and recording."""

    async def main():
        recorder, traffic = Recorder("io"), Traffic()
        recorder.follow(traffic, WallClock())
        recording = recorder.begin(for_ns, most)
        play(recorder, traffic)
        data = b""
        async with asyncio.timeout(60):
            async for piece in recording.pieces():
                data += piece
        recording.close()
        assert traffic.tap is None
        return data, recording

    return asyncio.run(main())


def test_a_recording_ends_with_its_time_and_counts_go_on():
    def play(recorder, traffic):
        traffic.sent(FOUR, b"question")
        traffic.received(FOUR, b"answer")

    data, _ = recorded(play, for_ns=20_000_000)
    assert [payload for *_, payload in packets_of(data)] == [b"question", b"answer"]


def test_a_recording_ends_with_its_size_and_the_file_is_whole():
    def play(recorder, traffic):
        for _ in range(100):
            traffic.sent(FOUR, bytes(1000))
        assert traffic.bytes_sent == 100_000

    data, _ = recorded(play, most=10_000)
    assert 8_000 < len(data) <= 10_000
    assert len(packets_of(data)) == 9


def test_a_slow_reader_loses_packets_and_the_gap_can_be_seen():
    count = 2 * WAITING // 1_000_000

    def play(recorder, traffic):
        for _ in range(count):
            traffic.received(FOUR, bytes(1_000_000))

    async def main():
        recorder, traffic = Recorder("io"), Traffic()
        recorder.follow(traffic, WallClock())
        recording = recorder.begin(10**11, 1 << 28)
        play(recorder, traffic)
        pieces = recording.pieces()
        data = await anext(pieces)
        traffic.received(FOUR, b"after")
        data += await anext(pieces)
        recording.close()
        return data, recording

    data, recording = asyncio.run(main())
    assert 0 < recording.lost < count * 1_000_000
    *_, sequence, _, payload = packets_of(data)[-1]
    assert (payload, sequence) == (b"after", 1 + count * 1_000_000)


def test_one_recording_at_a_time_and_it_goes_on_when_the_component_begins_anew():
    def play(recorder, traffic):
        with pytest.raises(WriteRejectedError, match="is being recorded"):
            recorder.begin(10**9, 10_000)
        traffic.sent(FOUR, b"before")
        again = Traffic()
        recorder.follow(again, WallClock())
        traffic.sent(FOUR, b"of a dead link")
        again.sent(FOUR, b"after")
        recorder.follow(traffic, WallClock())

    data, _ = recorded(play, for_ns=20_000_000)
    assert [payload for *_, payload in packets_of(data)] == [b"before", b"after"]


def test_of_a_connection_with_tls_nothing_is_shown():
    def play(recorder, traffic):
        traffic.sent(Ends(*[("10.0.0.5", 802)] * 2, secret=True), b"setpoint")
        assert traffic.bytes_sent == 8

    data, recording = recorded(play, for_ns=20_000_000)
    assert (data, recording.lost) == (HEADER, 8)


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("10.0.0.9", [b"four"]),
        ("10.0.0.9:502", [b"four"]),
        ("10.0.0.9:503", []),
        ("fe80::2", [b"six"]),
        ("[fe80::2]:4840", [b"six"]),
    ],
)
def test_one_peer_is_recorded_alone(peer, found):
    async def main():
        recorder, traffic = Recorder("io"), Traffic()
        recorder.follow(traffic, WallClock())
        recording = recorder.begin(1, 1 << 20, peer)
        traffic.sent(FOUR, b"four")
        traffic.sent(SIX, b"six")
        return b"".join([piece async for piece in recording.pieces()])

    assert [payload for *_, payload in packets_of(asyncio.run(main()))] == found


@pytest.mark.parametrize("peer", ["scada", "10.0.0", "10.0.0.9:", "10.0.0.9:70000", "[fe80::2", "::1:x"])
def test_a_peer_that_is_no_address_is_refused(peer):
    recorder = Recorder("io")
    recorder.follow(Traffic(), WallClock())
    with pytest.raises(WriteRejectedError, match="no address of a connection"):
        recorder.begin(10**9, 10_000, peer)


def test_many_connections_take_no_more_memory_than_some():
    capture = Capture()
    for number in range(MOST_FLOWS + 10):
        ends = Ends(("10.0.0.5", 4840), ("10.0.0.9", number))
        capture.packets(0, ends, b"HEL", sent=False)
    assert len(capture._flows) == MOST_FLOWS


def test_a_driver_that_has_not_started_has_nothing_to_record():
    with pytest.raises(WriteRejectedError, match="has not started"):
        Recorder("io").begin(10**9, 10_000)
