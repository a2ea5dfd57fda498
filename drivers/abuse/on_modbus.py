"""Attacks on the Modbus server."""

from __future__ import annotations

import asyncio
import struct
from random import Random

from drivers.abuse.corpus import modbus
from drivers.abuse.mutate import mutated, spoilt_frame
from drivers.abuse.target import Attack, Target, over_and_over
from drivers.modbus.mbap import frame

_FLOOD = 20_000


async def spoilt(target: Target, random: Random) -> None:
    """Send requests with wrong lengths, counts, functions and headers."""
    valid = modbus()

    async def one() -> None:
        reader, writer = await target.connect(target.modbus)
        for _ in range(50):
            if writer.transport.is_closing():
                return
            writer.write(spoilt_frame(random, mutated(random, random.choice(valid), valid)))
            target.count("Modbus requests spoilt")
        async with asyncio.timeout(0.2):
            await reader.read(65_536)
        writer.transport.abort()

    await over_and_over(one, target, 0.01)


async def flood(target: Target, random: Random) -> None:
    """Ask as fast as it goes, on several connections."""
    read = frame(1, 1, struct.pack(">BHH", 4, 0, 2)) * 500

    async def one() -> None:
        reader, writer = await target.connect(target.modbus)
        for _ in range(_FLOOD // 500):
            writer.write(read)
            target.count("Modbus requests flooded", 500)
            if not await reader.read(65_536):
                return
        writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(over_and_over(one, target, 0.01))


async def unread(target: Target, random: Random) -> None:
    """Ask for much and take nothing of it."""
    read = frame(1, 1, struct.pack(">BHH", 4, 0, 2)) * 500

    async def one() -> None:
        _, writer = await target.connect(target.modbus)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while True:
            writer.write(read)
            target.count("Modbus answers that nobody took", 500)
            await writer.drain()

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(over_and_over(one, target, 0.2))


ATTACKS: dict[str, Attack] = {
    "Modbus: spoilt requests": spoilt,
    "Modbus: floods": flood,
    "Modbus: answers not taken": unread,
}
