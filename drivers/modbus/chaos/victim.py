"""The device that is tormented, in a process of its own: registers that say where they are and when it is.

`python -m drivers.modbus.chaos.victim '{"port": 502, "framing": "rtu"}'` prints `ready` when it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys

from drivers.chaos.marked import word
from drivers.modbus.listener import Listener, RtuFraming, TcpFraming
from runtime.clock import WallClock

SPACING = 200  # registers from the first of a group to the first of the next


async def serve(port: int, framing: str = "tcp") -> None:
    """Answer reads until killed; other functions are refused."""
    clock = WallClock()

    def answer(unit: int, message: bytes) -> bytes:
        if message[0] == 8 and framing == "rtu":
            return message
        if message[0] != 3:
            return bytes([message[0] | 0x80, 1])
        start, count = int.from_bytes(message[1:3], "big"), int.from_bytes(message[3:5], "big")
        now_ns = clock.now_ns()
        places = range(start, start + count)
        words = b"".join(word(place // SPACING, now_ns).to_bytes(2, "big") for place in places)
        return bytes([3, len(words)]) + words

    listener = Listener(answer, 100, 10**12, RtuFraming if framing == "rtu" else TcpFraming)
    await listener.open("127.0.0.1", port)
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for that
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
