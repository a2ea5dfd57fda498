"""A wire between client and server that can be cut so that neither notices, be slow, or lose and repeat.

It knows bytes only: what is lost or comes twice is what one end wrote at once, mostly a whole message.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from random import Random

from runtime.contract import Clock

_CHUNK = 65_536


class Relay:
    """Hands bytes on, on loopback.

    Attributes:
        port: where clients connect.
        target: port of the server.
        swallows: what comes is read and goes nowhere; a connection that once swallowed never heals.
        delay_s: how late bytes come, each way.
        loss: chance that what was written at once is lost, each way.
        twice: chance that an answer comes twice.
        narrow: it takes little of what is sent before it hands that on, as a slow line does.
        late: chance that an answer comes only after `late_s`; what follows it waits, as on a wire.
    """

    def __init__(self, target: int, clock: Clock, seed: int = 1, *, narrow: bool = False) -> None:
        self.port = 0
        self.narrow = narrow
        self.target = target
        self.delay_s = 0.0
        self.swallows = False
        self.loss = self.twice = self.late = 0.0
        self.late_s = 0.0
        self._clock = clock
        self._random = Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        if self.narrow:  # connections have it from here; Linux grows what was not set
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        self._server = await asyncio.start_server(self._connected, sock=listening)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        if self._carrying:
            await asyncio.wait(self._carrying)

    async def _connected(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            await self._between(client, back)
        finally:
            self._carrying.discard(task)

    async def _between(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        try:
            server, out = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self._writers.discard(back)
            back.close()
            return
        self._writers.add(out)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(client, out, answers=False))
                ways.create_task(self._carry(server, back, answers=True))
        finally:
            for writer in (out, back):
                self._writers.discard(writer)
                writer.close()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        dead = False
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                dead = dead or self.swallows
                if dead or self._happens(self.loss):
                    continue
                wait_s = self.delay_s + (self.late_s if answers and self._happens(self.late) else 0.0)
                if wait_s:
                    await self._clock.sleep(wait_s)
                target.write(data * 2 if answers and self._happens(self.twice) else data)
                await target.drain()
            if not dead and target.can_write_eof():
                target.write_eof()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance
