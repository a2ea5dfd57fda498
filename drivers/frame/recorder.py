"""Records what goes over a driver's connections while somebody asks for it: bounded in time and in size."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from drivers.frame.connection import Ends, Traffic
from drivers.frame.pcap import HEADER, Capture
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import WriteRejectedError

WAITING = 4 * 1024 * 1024  # bytes that a slow reader may leave lying; beyond them packets are lost


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of connections; the port is 0 where any will do."""

    address: IPv4Address | IPv6Address
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Return what `10.0.0.5`, `10.0.0.5:40000`, `fe80::1` or `[fe80::1]:40000` means.

        Raises:
            WriteRejectedError: it means nothing.
        """
        host, number = text, "0"
        if text.count(":") == 1 or "]:" in text:
            host, _, number = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        try:
            port = int(number)
            if not 0 <= port <= 65_535:
                raise ValueError(text)
            return cls(ip_address(host), port)
        except ValueError as exc:
            text = f"{text!r} is no address of a connection"
            raise WriteRejectedError(text, "write it like 10.0.0.5, or 10.0.0.5:40000 with its port") from exc

    def is_of(self, ends: Ends) -> bool:
        """Tell whether a connection leads there."""
        host, port = ends.peer
        return self.port in (0, port) and ip_address(host.partition("%")[0]) == self.address


class Recording:
    """One recording on its way to who asked for it.

    Attributes:
        lost: bytes of the connections that are not in it: fetched too slowly, or within TLS.
    """

    def __init__(
        self, recorder: Recorder, clock: Clock, for_ns: int, most: int, peer: Peer | None = None
    ) -> None:
        self.lost = 0
        self._peer = peer
        self._recorder = recorder
        self._clock = clock
        self._end_ns = clock.steady_ns() + for_ns
        self._room = most - len(HEADER)
        self._capture = Capture()
        self._packets: deque[bytes] = deque([HEADER])
        self._size = len(HEADER)
        self._wake = asyncio.Event()

    def take(self, ends: Ends, is_sent: bool, data: bytes) -> None:
        """Take in what went over a connection."""
        if self._peer is not None and not self._peer.is_of(ends):
            return
        if self._size > WAITING or ends.secret:  # what is encrypted on the wire is not shown in the clear
            self.lost += len(data)
            self._capture.skip(ends, len(data), sent=is_sent)
            return
        packets = self._capture.packets(self._clock.now_ns(), ends, data, sent=is_sent)
        if len(packets) > self._room:
            self._room = 0  # later and smaller ones would be out of turn
        else:
            self._room -= len(packets)
            self._size += len(packets)
            self._packets.append(packets)
        self._wake.set()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file piece by piece until its time or its size is over."""
        while True:
            if self._packets:
                piece = b"".join(self._packets)
                self._packets.clear()
                self._size = 0
                yield piece
                continue
            left_ns = self._end_ns - self._clock.steady_ns()
            if left_ns <= 0 or self._room <= 0:
                return
            self._wake.clear()
            timer = asyncio.get_running_loop().call_later(left_ns / SECOND_NS, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    def close(self) -> None:
        """End it, whether it was fetched whole or not."""
        self._recorder.end(self)


class Recorder:
    """What a driver offers for recording: its traffic, over all lives of the component."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._traffic: Traffic | None = None
        self._clock: Clock | None = None
        self._recording: Recording | None = None

    def follow(self, traffic: Traffic, clock: Clock) -> None:
        """Take the traffic of a component that begins."""
        if self._traffic is not None:
            self._traffic.tap = None
        self._traffic, self._clock = traffic, clock
        traffic.tap = self._recording.take if self._recording is not None else None

    def begin(self, for_ns: int, most: int, peer: str = "") -> Recording:
        """Begin a recording of so long and so many bytes; the caller closes it.

        `peer` chooses connections by the address of their other end, or by address and port.

        Raises:
            WriteRejectedError: there is one already, the driver has not started, or the peer is no address.
        """
        chosen = Peer.parse(peer) if peer else None
        if self._traffic is None or self._clock is None:
            raise WriteRejectedError(f"{self._name} has not started", "see `ironworks components list`")
        if self._recording is not None:
            raise WriteRejectedError(f"{self._name} is being recorded", "wait until that has ended")
        self._recording = Recording(self, self._clock, for_ns, most, chosen)
        self._traffic.tap = self._recording.take
        return self._recording

    def end(self, recording: Recording) -> None:
        """Record no more."""
        if self._recording is recording:
            self._recording = None
            if self._traffic is not None:
                self._traffic.tap = None
