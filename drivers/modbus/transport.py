"""Modbus TCP on a socket: pymodbus's messages, with several requests under way at once.

pymodbus's own client waits for each reply before the next request and turns registers into lists of
Python numbers one by one; here replies keep their bytes, for numpy.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from drivers.frame.connection import Traffic
from drivers.modbus.address import Table
from drivers.modbus.codec import unpack_bits
from drivers.modbus.mbap import FrameError, frame, split_frames
from drivers.modbus.messages import SILENCE, Reply, Request
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.errors import ConnectError

# Each bad frame would be a line on the console; the quality of the values tells it once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_READS = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE_INPUT: ReadDiscreteInputsRequest,
    Table.INPUT_REGISTER: ReadInputRegistersRequest,
    Table.HOLDING_REGISTER: ReadHoldingRegistersRequest,
}


class _ReadReply(ModbusPDU):  # type: ignore[misc]  # pymodbus is untyped to us
    """A read response that keeps its bytes."""

    data = b""

    def decode(self, data: bytes) -> None:
        if not data or data[0] != len(data) - 1:
            raise ValueError("byte count and length differ")
        self.data = data[1:]

    def __str__(self) -> str:
        return f"{len(self.data)} bytes"


def _read_reply(code: int) -> type[ModbusPDU]:
    return type(f"_ReadReply{code}", (_ReadReply,), {"function_code": code})


def _decoder() -> Any:
    decoder = DecodePDU(False)
    for table in Table:
        decoder.register(_read_reply(table.read_function))
    return decoder


def message_of(request: Request) -> bytes:
    """Return the message of a request: function code and data."""
    where = {"address": request.start, "dev_id": request.unit}
    if request.data is None:
        pdu = _READS[request.table](count=request.count, **where)
    elif request.table.is_bits:
        bits = unpack_bits(request.data, request.count).astype(bool).tolist()
        pdu = (WriteSingleCoilRequest if request.count == 1 else WriteMultipleCoilsRequest)(
            bits=bits, **where
        )
    else:
        words = [int.from_bytes(request.data[at : at + 2], "big") for at in range(0, len(request.data), 2)]
        write = WriteSingleRegisterRequest if request.count == 1 else WriteMultipleRegistersRequest
        pdu = write(registers=words, **where)
    return bytes([pdu.function_code]) + bytes(pdu.encode())


class TcpTransport(asyncio.Protocol):
    """One connection; `exchange` is for one caller at a time.

    Attributes:
        depth: requests under way at once; devices that answer only one at a time need 1.
        retries: how often a request is sent again after `timeout_s` without an answer.
    """

    def __init__(
        self, traffic: Traffic, on_lost: Callable[[], None], depth: int, timeout_s: float, retries: int
    ) -> None:
        self.lost: str | None = None
        self._traffic, self._on_lost = traffic, on_lost
        self._depth, self._timeout_ns, self._retries = depth, round(timeout_s * SECOND_NS), retries
        self._decoder = _decoder()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._number = 0
        self._requests: Sequence[Request] = ()
        self._messages: list[bytes] = []
        self._replies: list[Reply] = []
        self._attempts: list[int] = []
        self._waiting: deque[int] = deque()
        self._under_way: dict[int, tuple[int, int]] = {}
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, requests: Sequence[Request]) -> list[Reply]:
        """Send the requests and return their replies in the same order.

        Raises:
            ConnectError: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        self._requests = requests
        self._messages = [message_of(request) for request in requests]
        self._replies = [SILENCE] * len(requests)
        self._attempts = [0] * len(requests)
        self._waiting = deque(range(len(requests)))
        self._under_way = {}
        while self._waiting or self._under_way:
            if self.lost is not None:
                raise ConnectError(self.lost)
            self._finished = loop.create_future()
            self._send_more()
            oldest_ns = min(sent_ns for _, sent_ns in self._under_way.values())
            left_ns = oldest_ns + self._timeout_ns - monotonic_ns()
            timer = loop.call_later(max(left_ns, 0) / SECOND_NS, self._finish)
            try:
                await self._finished
            finally:
                timer.cancel()
            self._give_up_on_late(monotonic_ns() - self._timeout_ns)
        return self._replies

    def _give_up_on_late(self, before_ns: int) -> None:
        """Send again what was sent too long ago, or leave it silent after the last attempt."""
        late = [number for number, (_, sent_ns) in self._under_way.items() if sent_ns <= before_ns]
        for number in late:
            index, _ = self._under_way.pop(number)
            self._traffic.timeouts += 1
            if self._attempts[index] <= self._retries:
                self._waiting.append(index)

    def _send_more(self) -> None:
        frames = []
        while self._waiting and len(self._under_way) < self._depth:
            index = self._waiting.popleft()
            self._number = self._number % 0xFFFF + 1
            self._under_way[self._number] = (index, monotonic_ns())
            self._attempts[index] += 1
            frames.append(frame(self._number, self._requests[index].unit, self._messages[index]))
        if frames and self._transport:
            self._traffic.requests += len(frames)
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "the device closed the connection")

    def data_received(self, data: bytes) -> None:
        try:
            frames, self._buffer = split_frames(self._buffer + data)
        except FrameError as exc:
            self._end(f"the device does not speak Modbus TCP: {exc}")
            self.close()
            return
        now_ns = monotonic_ns()
        for number, unit, message in frames:
            waited = self._under_way.pop(number, None)
            if waited is None:
                continue  # an answer after its time, already counted as a timeout
            index, sent_ns = waited
            self._replies[index] = self._reply(self._requests[index], unit, message)
            self._traffic.round_trip_ms += ((now_ns - sent_ns) / 1e6 - self._traffic.round_trip_ms) * 0.1
        self._send_more()
        if not self._under_way:
            self._finish()

    def _reply(self, request: Request, unit: int, message: bytes) -> Reply:
        response = self._decoder.decode(message)
        if response is None or unit != request.unit:
            return SILENCE
        if response.isError():
            self._traffic.exceptions += 1
            return Reply(exception=response.exception_code)
        if request.data is not None:
            return Reply()
        size = (request.count + 7) // 8 if request.table.is_bits else 2 * request.count
        if response.function_code != request.table.read_function or len(response.data) != size:
            return SILENCE
        return Reply(response.data)

    def _end(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
            self._finish()
            self._on_lost()

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)


async def connect(
    host: str,
    port: int,
    traffic: Traffic,
    on_lost: Callable[[], None],
    depth: int,
    timeout_s: float,
    retries: int,
) -> TcpTransport:
    """Connect to a device.

    Raises:
        ConnectError: refused, unreachable or too slow.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(max(timeout_s, 1.0)):
            _, transport = await loop.create_connection(
                lambda: TcpTransport(traffic, on_lost, depth, timeout_s, retries), host, port
            )
    except TimeoutError as exc:
        raise ConnectError(f"{host}:{port} does not accept connections in time") from exc
    except OSError as exc:
        raise ConnectError(f"cannot connect to {host}:{port}: {exc.strerror or exc}") from exc
    return transport
