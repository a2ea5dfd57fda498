"""What is attacked, and the connections of one attack, which end with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from drivers.abuse.raw import Raw
from runtime.clock import WallClock
from runtime.contract import Clock

FOE = "127.0.0.66"
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Target:
    """A plant on loopback, from an attacker's side.

    Attributes:
        opcua, modbus, http: ports.
        seen: path of a tag that anybody may look at.
        kept: path of a tag that nobody here may write.
        pace: shortens all that an attack itself waits.
        client: folder of a certificate that the OPC UA server trusts, and its key.
        tried: what was done, by name.
        refused: by user, how many writes the gate answered that the user has no right.
    """

    opcua: int
    modbus: int
    http: int
    seen: str
    kept: str
    pace: float = 1.0
    client: Path = Path()
    clock: Clock = field(default_factory=WallClock)
    tried: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def ports(self) -> tuple[int, int, int]:
        return self.opcua, self.modbus, self.http

    def count(self, what: str, number: int = 1) -> None:
        self.tried[what] = self.tried.get(what, 0) + number

    async def wait(self, seconds: float) -> None:
        await self.clock.sleep(seconds * self.pace)

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as the attacker.

        Raises:
            OSError: it is not let in.
        """
        self.count("connections")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(FOE, 0))
        self._open.append(writer)
        return reader, writer

    async def raw(self) -> Raw:
        """Connect to the OPC UA server by hand.

        Raises:
            OSError: it is not let in.
        """
        return Raw(*await self.connect(self.opcua), self.opcua)

    def reset(self, writer: asyncio.StreamWriter) -> None:
        """Close with a reset instead of a goodbye."""
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        writer.transport.abort()

    def end(self) -> None:
        """Close whatever the attack left open."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()


Attack = Callable[[Target, Random], Awaitable[None]]


async def over_and_over(attempt: Callable[[], Awaitable[None]], target: Target, pause_s: float = 0.0) -> None:
    """Do something until the attack is ended; that the server hangs up or says nothing is its right."""
    while True:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await attempt()
        await target.wait(pause_s)


async def at_once(number: int, make: Callable[[], Awaitable[None]]) -> None:
    """Do something many times at the same time."""
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(_quiet(make))


async def _quiet(make: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        await make()
