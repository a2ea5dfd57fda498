"""Masters that mean no good, at our server: the others are served, and nothing grows."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

from drivers.modbus import listener as listening
from drivers.modbus.listener import Listener
from drivers.modbus.mbap import frame

ELSEWHERE = "127.0.0.66"
READ = frame(7, 1, struct.pack(">BHH", 3, 0, 125))
ANSWER = frame(7, 1, bytes([3, 250]) + bytes(250))


@asynccontextmanager
async def served(limit=10, idle_ns=60_000_000_000):
    listener = Listener(lambda unit, message: ANSWER[7:], limit, idle_ns)
    try:
        yield listener, await listener.open("127.0.0.1", 0)
    finally:
        listener.close()


async def connect(port, source=ELSEWHERE):
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


async def ask(port):
    reader, writer = await connect(port, "127.0.0.1")
    writer.write(READ)
    answer = await reader.readexactly(len(ANSWER))
    writer.close()
    return answer


def test_no_address_has_all_connections():
    async def main():
        async with served() as (listener, port):
            held = [await connect(port) for _ in range(20)]
            for _, writer in held:
                writer.write(READ)
            said = await asyncio.gather(*(reader.read(1) for reader, _ in held), return_exceptions=True)
            assert sum(each == b"\0" for each in said) == 8
            assert listener.served.dropped == 12
            assert await ask(port) == ANSWER
            for _, writer in held:
                writer.close()

    asyncio.run(main())


def test_part_of_a_request_byte_by_byte_keeps_nobody_connected():
    async def main():
        async with served(idle_ns=200_000_000) as (listener, port):
            reader, writer = await connect(port)
            async with asyncio.timeout(60):
                with_a_byte = iter(READ[:-1] + b"")
                while not reader.at_eof():
                    if byte := next(with_a_byte, None):
                        writer.write(bytes([byte]))
                    await asyncio.sleep(0.05)
                    listener.close_idle()
                    if reader.exception() is not None:
                        break
            assert listener.served.requests == 0
            assert listener.served.dropped == 1

    asyncio.run(main())


def test_many_requests_at_once_are_answered_in_order_and_others_in_between(monkeypatch):
    async def main():
        monkeypatch.setattr(listening, "AT_ONCE", 4)
        order = []

        def answer(unit, message):
            order.append(unit)
            return ANSWER[7:]

        listener = Listener(answer, 10, 60_000_000_000)
        port = await listener.open("127.0.0.1", 0)
        _, flood = await connect(port)
        _, other = await connect(port, "127.0.0.1")
        flood.write(b"".join(frame(number, 9, READ[7:]) for number in range(2_000)))
        other.write(frame(1, 5, READ[7:]))
        async with asyncio.timeout(60):
            while len(order) < 2_001:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert order.index(5) < 2_000
        listener.close()

    asyncio.run(main())


def test_a_master_that_takes_no_answers_is_asked_nothing_more():
    async def main():
        async with served() as (listener, port):
            _, writer = await connect(port)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            writer.transport.pause_reading()
            for _ in range(200_000):
                writer.write(READ)
            seen = -1
            async with asyncio.timeout(60):
                while listener.served.requests != seen or not seen:
                    seen = listener.served.requests
                    await asyncio.sleep(0.2)
            assert seen < 100_000  # those wait in the sockets
            (theirs,) = listener.connections
            assert theirs._transport.get_write_buffer_size() < 1_000_000
            assert len(theirs._requests) * len(READ) <= 2**18 + len(READ)
            assert await ask(port) == ANSWER
            writer.transport.abort()

    asyncio.run(main())
