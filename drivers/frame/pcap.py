"""A capture that Wireshark opens: the bytes of connections, in packets that are made up around them.

Addresses, ports, times, order and bytes are those of the socket; how the bytes lay in packets, and what TCP
did besides, is not known there.

Source: draft-ietf-opsawg-pcap, 4 and 5 (file with ns); LINKTYPE_RAW; RFC 791, RFC 8200, RFC 9293, RFC 1071.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from drivers.frame.connection import Ends

HEADER = struct.pack("<IHHiIII", 0xA1B2_3C4D, 2, 4, 0, 0, 65_535, 101)
SEGMENT = 1_440
MOST_FLOWS = 4_096
_TCP = 6
_PUSH_ACK = 0x5018  # a header of five words


@dataclass(slots=True)
class _Flow:
    """What each end has sent, in bytes; ours first."""

    counts: list[int] = field(default_factory=lambda: [1, 1])
    packets: int = 0


class Capture:
    """Makes packets of what goes over any number of connections."""

    def __init__(self) -> None:
        self._flows: OrderedDict[Ends, _Flow] = OrderedDict()

    def packets(self, at_ns: int, ends: Ends, data: bytes, *, sent: bool) -> bytes:
        """Return records for what went over a connection at a time; `sent`: by us."""
        flow = self._flow(ends)
        source, target = (ends.own, ends.peer) if sent else (ends.peer, ends.own)
        ours, theirs = (0, 1) if sent else (1, 0)
        out = []
        for first in range(0, len(data), SEGMENT):
            piece = data[first : first + SEGMENT]
            flow.packets += 1
            packet = _packet(source, target, flow.counts[ours], flow.counts[theirs], flow.packets, piece)
            flow.counts[ours] += len(piece)
            out.append(struct.pack("<IIII", *divmod(at_ns, 10**9), len(packet), len(packet)) + packet)
        return b"".join(out)

    def skip(self, ends: Ends, count: int, *, sent: bool) -> None:
        """Leave out bytes; Wireshark shows that they are missing."""
        self._flow(ends).counts[0 if sent else 1] += count

    def _flow(self, ends: Ends) -> _Flow:
        """Return what is known of a connection; the one that was silent for longest is forgotten for it."""
        flow = self._flows.pop(ends, None) or _Flow()
        self._flows[ends] = flow
        if len(self._flows) > MOST_FLOWS:
            self._flows.popitem(last=False)
        return flow


def _packet(
    source: tuple[str, int],
    target: tuple[str, int],
    sequence: int,
    acknowledged: int,
    number: int,
    data: bytes,
) -> bytes:
    start, end = _address(source[0]), _address(target[0])
    length = 20 + len(data)
    words = (source[1], target[1], sequence & 0xFFFF_FFFF, acknowledged & 0xFFFF_FFFF, _PUSH_ACK, 0xFFFF)
    if len(start) == 4:
        pseudo = start + end + struct.pack(">HH", _TCP, length)
    else:
        pseudo = start + end + struct.pack(">II", length, _TCP)
    bare = struct.pack(">HHIIHHHH", *words, 0, 0)
    tcp = struct.pack(">HHIIHHHH", *words, checksum(pseudo + bare + data), 0)
    if len(start) == 16:
        return struct.pack(">IHBB", 6 << 28, length, _TCP, 64) + start + end + tcp + data
    fields = (0x45, 0, 20 + length, number & 0xFFFF, 0x4000, 64, _TCP)
    head = struct.pack(">BBHHHBBH", *fields, 0) + start + end
    return struct.pack(">BBHHHBBH", *fields, checksum(head)) + start + end + tcp + data


def _address(text: str) -> bytes:
    return ipaddress.ip_address(text.partition("%")[0]).packed


def checksum(data: bytes) -> int:
    """Return the ones' complement sum that IP and TCP carry."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
