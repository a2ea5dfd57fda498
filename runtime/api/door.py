"""The door on TCP: how many come in, from where, and how long a handshake may take."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Iterable

from runtime.config import is_loopback
from runtime.contract import Clock

log = logging.getLogger(__name__)
CONNECTIONS = 192  # fewer than the server takes: the unix socket has room whatever comes over TCP
PER_ADDRESS = 48
HANDSHAKES = 32
HANDSHAKES_PER_ADDRESS = 8
HANDSHAKE_S = 5.0
_GOODBYE_S = 5.0
_PAUSE_S = 1.0


class Door:
    """Accepts connections while there is room, all in all and for each address; others are closed at once.

    Attributes:
        turned_away: connections refused, or ended by their handshake.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        present: Callable[[], Iterable[str]],
        context: Callable[[], ssl.SSLContext | None] | None,
        clock: Clock,
    ) -> None:
        """`present` tells the addresses of who is in; without `context` there is no TLS."""
        self.turned_away = 0
        self._make = make
        self._present = present
        self._context = context
        self._clock = clock
        self._opening: list[str] = []

    async def serve(self, listening: socket.socket) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        failing = False
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    connection, (host, *_) = await loop.sock_accept(listening)
                    failing = False
                except OSError as exc:  # no more descriptors, most likely
                    if not failing:
                        log.error("no connection can be accepted: %s", exc.strerror)
                    failing = True
                    await self._clock.sleep(_PAUSE_S)
                    continue
                address = counted(host)
                if self._has_room(address):
                    self._opening.append(address)
                    group.create_task(self._open(connection, address))
                else:
                    self.turned_away += 1
                    connection.close()

    def _has_room(self, address: str) -> bool:
        there = [*map(counted, self._present()), *self._opening]
        if len(there) >= CONNECTIONS or len(self._opening) >= HANDSHAKES:
            return False
        if is_loopback(address):  # accounts of this machine share it, and leave room for the network
            return there.count(address) < CONNECTIONS - PER_ADDRESS
        opening = self._opening.count(address)
        return opening < HANDSHAKES_PER_ADDRESS and there.count(address) < PER_ADDRESS

    async def _open(self, connection: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._context is None:
                await loop.connect_accepted_socket(self._make, connection)
                return
            context = self._context()
            if context is None:  # there is no certificate yet
                raise ConnectionAbortedError
            await loop.connect_accepted_socket(
                self._make,
                connection,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except OSError:  # TLS errors too: what the other side makes of it is told there
            self.turned_away += 1
            connection.close()
        finally:
            self._opening.remove(address)


def counted(host: str) -> str:
    """Return what an address is counted as: a network of IPv6, which one machine may have whole."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return host if address.is_loopback else str(ipaddress.IPv6Address(int(address) >> 64 << 64))
