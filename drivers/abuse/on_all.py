"""Attacks that every port knows: too many connections, too slow ones, and none that stays."""

from __future__ import annotations

import asyncio
import functools
from random import Random

from drivers.abuse.corpus import http, modbus
from drivers.abuse.raw import hello
from drivers.abuse.target import Attack, Target, at_once, over_and_over
from drivers.modbus.mbap import frame

HELD = 1_000
_AT_A_TIME = 50
_RESETS = 20


def first_words(target: Target, port: int) -> bytes:
    """Return what a client of that port says first."""
    if port == target.opcua:
        return hello(f"opc.tcp://127.0.0.1:{port}/")
    if port == target.modbus:
        return frame(1, 1, modbus()[2])
    return http(f"127.0.0.1:{port}", target.seen)[0]


async def hold(target: Target, random: Random, held: int = HELD) -> None:
    """Keep a thousand connections open to each port, half of them silent."""
    for port in target.ports:
        words = first_words(target, port)

        async def one(port: int = port, words: bytes = words) -> None:
            _, writer = await target.connect(port)
            if random.random() < 0.5:
                writer.write(words)

        for _ in range(0, held, _AT_A_TIME):
            await at_once(_AT_A_TIME, one)
    await asyncio.Event().wait()


async def trickle(target: Target, random: Random) -> None:
    """Say what is to be said byte by byte, on as many connections as there are (slow-loris)."""

    async def one(port: int) -> None:
        _, writer = await target.connect(port)
        for byte in first_words(target, port)[:-1]:
            if writer.transport.is_closing():
                break
            writer.write(bytes([byte]))
            await target.wait(random.uniform(0.2, 1.5))

    async with asyncio.TaskGroup() as group:
        for port in target.ports:
            for _ in range(40):
                group.create_task(over_and_over(functools.partial(one, port), target, 0.5))


async def resets(target: Target, random: Random) -> None:
    """Connect, say something or nothing, and reset."""

    async def one() -> None:
        port = random.choice(target.ports)
        _, writer = await target.connect(port)
        words = first_words(target, port)
        writer.write(words[: random.randrange(len(words) + 1)])
        target.reset(writer)

    async def many() -> None:
        await at_once(_RESETS, one)

    await over_and_over(many, target, 0.02)


async def rubbish(target: Target, random: Random) -> None:
    """Say what no protocol has, as much as goes."""

    async def one() -> None:
        _, writer = await target.connect(random.choice(target.ports))
        for _ in range(20):
            writer.write(random.randbytes(random.choice((1, 100, 60_000))))
            await writer.drain()

    await over_and_over(one, target, 0.02)


ATTACKS: dict[str, Attack] = {
    "a thousand connections": hold,
    "slow-loris": trickle,
    "resets": resets,
    "rubbish": rubbish,
}
