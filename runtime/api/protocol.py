"""HTTP and WebSocket connections that know who is at the other end, and do not wait for it for ever."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from typing import Any

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from runtime.api.guard import CERTIFICATE, PEER
from runtime.api.registration import peer_credentials

REQUEST_S = 15.0
PIECES, PIECE = 1000, 64  # of a body: after so many they must have so many bytes each, on the average
STALLED_S = 60.0


class _Patience:
    """Drops a connection after some time, unless that is called off."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._transport.abort)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Connection(h11.Connection):
    """An HTTP connection that reads no more of a body in crumbs: each costs as much as a large piece."""

    crumbs = False
    _pieces = _bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.crumbs:
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            self.crumbs = self._pieces > PIECES and self._bytes < self._pieces * PIECE
        return event


class HttpProtocol(H11Protocol):
    """HTTP whose scope knows the account, or the certificate, at the other end.

    A request must be there whole after `REQUEST_S`, and its answer be taken after `STALLED_S`. One that comes
    in crumbs is dropped: a megabyte of them would hold up the loop for seconds.
    """

    conn: _Connection
    _request: _Patience
    _answer: _Patience

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.conn = _Connection(h11.SERVER)
        self.app_state = {**self.app_state, **_peer(transport)}
        self._request = _Patience(transport, REQUEST_S)
        self._answer = _Patience(transport, STALLED_S)
        super().connection_made(transport)
        self._request.begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.crumbs:
            self.transport.abort()
        ours = self.transport.get_protocol() is self  # it may be a WebSocket's by now
        if ours and self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._request.begin()
        else:
            self._request.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request.end()
        self._answer.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer.begin()

    def resume_writing(self) -> None:
        self._answer.end()
        super().resume_writing()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is dropped when its client takes nothing for `STALLED_S`."""

    _answer: _Patience
    _pong: list[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._answer = _Patience(transport, STALLED_S)
        self._pong = []
        super().connection_made(transport)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # refused: uvicorn would log each as an error

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # empty ones say nothing, and may come without end
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # pongs would wait without bound: the newest answers all (RFC 6455, 5.5.3)
            self._pong = self.conn.data_to_send()[-1:] or self._pong

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer.begin()

    def resume_writing(self) -> None:
        self._answer.end()
        super().resume_writing()
        if self._pong and not self.close_sent:
            self.transport.write(self._pong.pop())

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer.end()
        super().connection_lost(exc)


def _peer(transport: asyncio.Transport) -> dict[str, Any]:
    connection = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        return {PEER: peer_credentials(connection)[1]}
    secured = transport.get_extra_info("ssl_object")
    shown = secured.getpeercert(binary_form=True) if secured else None
    return {CERTIFICATE: hashlib.sha256(shown).hexdigest()} if shown else {}
