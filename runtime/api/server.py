"""The component that serves the API on a unix socket and, where wanted, on loopback TCP."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.api.app import create_app
from runtime.api.guard import BODY_LIMIT, PEER
from runtime.api.registration import Registration, peer_credentials
from runtime.api.services import Services
from runtime.contract import Port

_CONNECTIONS = 256
_STOP_S = 1


class ApiServer:
    """One application on all sockets; `bind` may be called ahead, so that a start fails early."""

    name = "api"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._registration = Registration(services.plant)

    def bind(self) -> None:
        """Take the sockets.

        Raises:
            PlantError: the plant runs already, or the port is taken.
        """
        self._registration.bind()

    def release(self) -> None:
        """Give the sockets back: for a start that failed after `bind`."""
        self._registration.release()

    async def run(self, port: Port) -> None:
        if not self._registration.sockets:
            self.bind()
        config = uvicorn.Config(
            create_app(self._services),
            http=_PeerProtocol,
            ws="websockets-sansio",
            ws_max_size=BODY_LIMIT,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        try:
            await server.startup(sockets=self._registration.sockets)
            endpoint = self._registration.announce()
            port.health(True, endpoint.http or "")
            await server.main_loop()
        finally:
            try:
                async with asyncio.timeout(_STOP_S):
                    await server.shutdown(sockets=self._registration.sockets)
            except TimeoutError:  # clients that do not read: what waits for them is dropped
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
                for task in list(server.server_state.tasks):
                    task.cancel()
            finally:
                self._registration.release()


class _PeerProtocol(H11Protocol):
    """HTTP whose scope knows the uid at the other end of a unix socket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        connection = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, PEER: peer_credentials(connection)[1]}
        super().connection_made(transport)
