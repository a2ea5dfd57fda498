"""OPC UA by hand: a connection without security whose every byte can be wrong."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

NOBODY = "http://opcfoundation.org/UA/SecurityPolicy#None"
SAID_WITHIN_S = 10.0
_PART = 60_000
_LARGEST = 64 * 1024 * 1024
_UINT32 = struct.Struct("<I")


def text(said: str | None) -> bytes:
    """Return a String. Source: OPC 10000-6, 5.2.2.4."""
    data = b"" if said is None else said.encode()
    return struct.pack("<i", -1 if said is None else len(data)) + data


def framed(kind: bytes, body: bytes, chunk: bytes = b"F") -> bytes:
    """Return a message with its header; the channel, where there is one, is part of the body."""
    return kind + chunk + _UINT32.pack(len(body) + 8) + body


def hello(
    url: str, receive: int = 65_536, send: int = 65_536, most: int = 0, chunks: int = 0, version: int = 0
) -> bytes:
    """Return a Hello. Source: OPC 10000-6, 7.1.2.3."""
    return framed(b"HEL", struct.pack("<5I", version, receive, send, most, chunks) + text(url))


class Raw:
    """One connection; sequence numbers, channel and token are kept, and may be spoilt."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.reader, self.writer = reader, writer
        self.url = f"opc.tcp://127.0.0.1:{port}/"
        self.channel = self.token = self.sequence = self.request = 0
        self.authentication: Any = ua.NodeId()

    @classmethod
    async def connect(cls, port: int, source: str = "127.0.0.1") -> Raw:
        """Connect from an address of loopback.

        Raises:
            OSError: nobody listens, or one does not want us.
        """
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)), port)

    def close(self) -> None:
        self.writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Send.

        Raises:
            OSError: the server has hung up.
        """
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the server has hung up")
        self.writer.write(data)

    async def receive(self) -> tuple[bytes, bytes] | None:
        """Return kind with chunk type, and body, of the next message; None once the server has hung up.

        Raises:
            TimeoutError: it says nothing.
        """
        async with asyncio.timeout(SAID_WITHIN_S):
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                head = await self.reader.readexactly(8)
                size = min(_UINT32.unpack_from(head, 4)[0], _LARGEST)
                return head[:4], await self.reader.readexactly(size - 8)
            return None

    async def hello(self) -> None:
        self.send(hello(self.url))
        await self.receive()

    def sequenced(self, body: bytes) -> bytes:
        """Return a body with its sequence header."""
        self.sequence += 1
        self.request += 1
        return struct.pack("<II", self.sequence, self.request) + body

    def opening(self, renew: bool = False) -> bytes:
        """Return an OpenSecureChannel request. Source: OPC 10000-6, 6.7.2, 6.7.4."""
        request = ua.OpenSecureChannelRequest()
        request.Parameters.RequestType = ua.SecurityTokenRequestType(int(renew))
        request.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        request.Parameters.RequestedLifetime = 3_600_000
        head = _UINT32.pack(self.channel) + text(NOBODY) + text(None) + text(None)
        return framed(b"OPN", head + self.sequenced(struct_to_binary(request)))

    async def open(self, renew: bool = False) -> bool:
        """Open the channel; tell whether the server did."""
        self.send(self.opening(renew))
        said = await self.receive()
        if said is None or said[0] != b"OPNF":
            return False
        body = Buffer(said[1])
        body.skip(4)
        struct_from_binary(ua.AsymmetricAlgorithmHeader, body)
        struct_from_binary(ua.SequenceHeader, body)
        answer = struct_from_binary(ua.OpenSecureChannelResponse, body)
        self.channel = answer.Parameters.SecurityToken.ChannelId
        self.token = answer.Parameters.SecurityToken.TokenId
        return True

    def message(self, body: bytes, chunk: bytes = b"F", kind: bytes = b"MSG") -> bytes:
        """Return one chunk of a message."""
        return framed(kind, struct.pack("<II", self.channel, self.token) + self.sequenced(body), chunk)

    def messages(self, body: bytes) -> bytes:
        """Return a message in as many chunks as it takes."""
        self.request += 1
        parts = [body[at : at + _PART] for at in range(0, len(body), _PART)] or [b""]
        made = []
        for number, part in enumerate(parts, start=1):
            self.sequence += 1
            head = struct.pack("<4I", self.channel, self.token, self.sequence, self.request)
            made.append(framed(b"MSG", head + part, b"F" if number == len(parts) else b"C"))
        return b"".join(made)

    def asked(self, request: Any) -> bytes:
        """Return the bytes of a request of this session."""
        request.RequestHeader.AuthenticationToken = self.authentication
        request.RequestHeader.TimeoutHint = 10_000
        data: bytes = struct_to_binary(request)
        return data

    async def ask(self, request: Any | bytes) -> Any:
        """Send a request and return its response, decoded; None once the server has hung up.

        Responses to requests before it are passed over.
        """
        self.send(self.messages(request if isinstance(request, bytes) else self.asked(request)))
        parts, asked = b"", _UINT32.pack(self.request)
        while True:
            said = await self.receive()
            if said is None:
                return None
            if said[0][:3] != b"MSG":
                return None
            if said[1][12:16] != asked:  # Source: OPC 10000-6, 6.7.2.4 Sequence header
                continue
            parts += said[1][16:]
            if said[0] == b"MSGF":
                break
        body = Buffer(parts)
        kind = nodeid_from_binary(body.copy())
        return struct_from_binary(ua.extension_objects_by_typeid[kind], body)

    async def log_in(self) -> bool:
        """Open a session without a name; tell whether the server let us in."""
        request = ua.CreateSessionRequest()
        request.Parameters.EndpointUrl = self.url
        request.Parameters.RequestedSessionTimeout = 60_000
        request.Parameters.ClientNonce = bytes(32)
        made = await self.ask(request)
        if not isinstance(made, ua.CreateSessionResponse):
            return False
        self.authentication = made.Parameters.AuthenticationToken
        activate = ua.ActivateSessionRequest()
        activate.Parameters.UserIdentityToken = ua.AnonymousIdentityToken(PolicyId="anonymous")
        return isinstance(await self.ask(activate), ua.ActivateSessionResponse)

    async def enter(self, session: bool = True) -> bool:
        """Say hello, open a channel and, where wanted, a session; tell whether that went well."""
        await self.hello()
        return await self.open() and (not session or await self.log_in())


def long_answer() -> Any:
    """Return a short request with a long answer: all references of a node that has many."""
    browse = ua.BrowseRequest()
    browse.Parameters.NodesToBrowse = [
        ua.BrowseDescription(ua.NodeId(22), ua.BrowseDirection.Both, ua.NodeId(), True, 0, 63)
    ]
    return browse
