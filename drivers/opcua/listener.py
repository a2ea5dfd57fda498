"""Sockets: no size is believed, and nothing is read faster than it is answered and the answers are taken."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol

from drivers.frame.connection import NOWHERE, ends_of
from drivers.frame.tapped import Tapped
from drivers.opcua.limits import whence

if TYPE_CHECKING:
    from drivers.opcua.harden import HardenedServer

MAX_CHUNK = 65_536
MAX_WAITING = 64
TAKEN_WITHIN_S = 30.0
GOODBYE_S = 5.0
SHORTEST_MESSAGE = 12


class Protocol(OPCUAProtocol):  # type: ignore[misc]
    """One socket: believes no size, and reads no faster than it answers."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            listener.iserver, listener._policies, listener.clients, listener.closing_tasks, listener.limits
        )
        self._listener = listener
        self._pending = bytearray()
        self._patience: asyncio.TimerHandle | None = None
        self._ends = NOWHERE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = whence(transport.get_extra_info("peername"))
        same = sum(whence(each.peer_name) == address for each in self.clients)
        if len(self.clients) >= self.iserver.max_connections or same >= self.iserver.per_address.connections:
            self.iserver.served.drop(address, f"there are too many connections, {same} of them its own")
            transport.abort()  # type: ignore[attr-defined]
            return
        super().connection_made(transport)
        self._ends = ends_of(transport)
        tapped = Tapped(self.transport, self.iserver.served, self._ends)
        self.processor = self.iserver.make_processor(tapped, self.limits)
        self.processor.set_policies(self.policies)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._resume()
        super().connection_lost(exc)
        self._listener.gone.set()

    def pause_writing(self) -> None:
        """Do nothing more for a client that does not take its answers, and hang up after a while."""
        self.processor.taken.clear()
        self.transport.pause_reading()
        self._patience = asyncio.get_running_loop().call_later(TAKEN_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._resume()
        self._parse()

    def _resume(self) -> None:
        if self.processor is not None:
            self.processor.taken.set()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def end(self) -> None:
        """Close; a client that does not take the last answer is not waited for."""
        self.transport.close()
        asyncio.get_running_loop().call_later(GOODBYE_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self.iserver.served.received(self._ends, data)
        self._pending += data
        self._parse()

    def _parse(self) -> None:
        """Hand whole messages on; one that claims too much ends the connection before it takes memory."""
        if self.transport is None or self.transport.is_closing():
            return
        while len(self._pending) >= 8 and self.messages.qsize() < MAX_WAITING:
            size = int.from_bytes(self._pending[4:8], "little")
            if not SHORTEST_MESSAGE <= size <= MAX_CHUNK:
                self.transport.abort()
                return
            if len(self._pending) < size:
                break
            message = bytes(self._pending[:size])
            del self._pending[:size]
            super().data_received(message)
            if self._buffer:  # asyncua could not read it, and would put the next one behind it
                self.transport.abort()
                return
        if self.messages.qsize() < MAX_WAITING and self.processor.taken.is_set():
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        going = False
        await self.processor.taken.wait()
        try:
            going = bool(await super()._process_one_msg(header, buf))
        finally:
            if not going:  # a message that breaks the rules ends the connection; asyncua reads on
                self.end()
        self._parse()
        return going


class Listener(BinaryServer):  # type: ignore[misc]
    """The listening socket and its connections."""

    def __init__(self, server: HardenedServer, bound: socket.socket, limits: Any) -> None:
        host, port = bound.getsockname()[:2]
        super().__init__(server, host, port, limits)
        self.gone = asyncio.Event()
        self._bound = bound

    def _make_protocol(self) -> Protocol:
        return Protocol(self)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make_protocol, sock=self._bound)
        self.cleanup_task = asyncio.create_task(self._close_task_loop())

    async def stop(self) -> None:
        """Drop every connection and wait until each has cleaned up."""
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.transport.abort()
        while self.clients:
            self.gone.clear()
            await self.gone.wait()
        await super().stop()
        for session in self.iserver.holders:
            await session.close_session(True)
