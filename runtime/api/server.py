"""The component that serves the API on a unix socket and, where wanted, on TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from runtime.api.answers import refusal
from runtime.api.app import create_app
from runtime.api.front import Front
from runtime.api.guard import BODY_LIMIT
from runtime.api.protocol import HttpProtocol, WebSocketProtocol
from runtime.api.registration import Registration
from runtime.api.services import Services
from runtime.contract import Port

_CONNECTIONS = 256
_KEPT_S = 15  # idle; clients give theirs up after five, so that none is closed under a request
_STOP_S = 1


class ApiServer:
    """One application on all sockets; `bind` may be called ahead, so that a start fails early."""

    name = "api"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._registration = Registration(services.plant)
        self._app: FastAPI | None = None

    def bind(self) -> None:
        """Take the sockets.

        Raises:
            PlantError: the plant runs already, or the port is taken.
        """
        self._registration.bind()

    def release(self) -> None:
        """Give the sockets back: for a start that failed after `bind`."""
        self._registration.release()

    async def renew(self) -> None:
        """Serve the plant as it is now; connections stay, and requests under way end as they began."""
        if self._app is not None:
            self._app = await asyncio.to_thread(create_app, self._services)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        begun = scope["type"] != "http"

        async def tell(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except asyncio.CancelledError:  # the plant ends: no error
            if not begun:  # uvicorn would say 500
                remedy = "it may have been done: look once the plant runs again"
                await refusal(503, "the plant stopped before it answered", remedy)(scope, receive, send)

    async def run(self, port: Port) -> None:
        if self._registration.unix is None:
            self.bind()
        self._app = create_app(self._services)
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=BODY_LIMIT,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEPT_S,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        state = server.server_state

        def protocol() -> HttpProtocol:
            return HttpProtocol(config, state, server.lifespan.state)

        def present() -> Iterator[str]:
            ours = (each for each in state.connections if isinstance(each, (HttpProtocol, WebSocketProtocol)))
            return (each.client[0] for each in ours if each.client)

        unix = [self._registration.unix] if self._registration.unix else []
        try:
            await server.startup(sockets=unix)
            async with asyncio.TaskGroup() as group:
                group.create_task(server.main_loop())
                group.create_task(Front(self._services, self._registration, protocol, present).run(port))
        finally:
            try:
                async with asyncio.timeout(_STOP_S):
                    await server.shutdown(sockets=unix)
            except TimeoutError:  # clients that do not read: what waits for them is dropped
                for connection in list(state.connections):
                    connection.transport.abort()
                for task in list(state.tasks):
                    task.cancel()
            finally:
                self._registration.release()
