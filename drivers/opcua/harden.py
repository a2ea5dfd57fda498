"""What asyncua leaves open before and at login: tokens, attachment, passwords, sizes, caps.

Each point has a test that fails on the stock server.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from asyncua.ua.ua_binary import struct_from_binary
from cryptography.exceptions import InvalidSignature

from drivers.opcua.rules import Needs, needs_of
from runtime.contract import Actor

MAX_CHUNK = 65_536
MAX_MESSAGE = 4 * 1024 * 1024
MAX_BEFORE_LOGIN = 65_536
MIN_PEER_BUFFER = 8_192  # Source: OPC 10000-6, 7.1.2.3 Hello
MAX_SECRET = 1024
MAX_WAITING = 64
LOGIN_WITHIN_S = 10.0
SESSIONS_PER_SERVER = 100
SUBSCRIPTIONS_PER_SESSION = 50
QUEUE_LIMIT = 1000
SHORTEST_MESSAGE = 12

_IDS = ua.ObjectIds
_CREATE = _IDS.CreateSessionRequest_Encoding_DefaultBinary
_ACTIVATE = _IDS.ActivateSessionRequest_Encoding_DefaultBinary
_DISCOVERY = {
    _IDS.FindServersRequest_Encoding_DefaultBinary,
    _IDS.GetEndpointsRequest_Encoding_DefaultBinary,
}
_RSA_OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"

Authenticate = Callable[[str, str], Awaitable[Actor | None]]


class NoUsers(UserManager):  # type: ignore[misc]
    """Lets nobody in: sessions are activated by `HardenedSession.identify` only."""

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> None:
        return None


class HardenedServer(InternalServer):  # type: ignore[misc]
    """asyncua's inner server with our sessions.

    Attributes:
        plain_allowed: whether a channel without security may carry a session.
        anonymous: who a client without a name is; None where it may not log in.
    """

    def __init__(self, authenticate: Authenticate, anonymous: Actor | None, plain_allowed: bool) -> None:
        super().__init__(NoUsers())
        self.authenticate = authenticate
        self.anonymous = anonymous
        self.plain_allowed = plain_allowed
        self.disabled_clock = True
        self.allow_remote_admin = False
        tokens = (ua.UserNameIdentityToken,)
        self.supported_tokens = (ua.AnonymousIdentityToken, *tokens) if anonymous else tokens
        self.max_pending_activation_seconds = LOGIN_WITHIN_S
        self.max_subscriptions = SUBSCRIPTIONS_PER_SESSION
        self.max_monitored_item_queue_size = QUEUE_LIMIT
        self.max_unacked_messages_per_subscription = 100

    @property
    def sessions(self) -> list[HardenedSession]:
        return list(self._external_sessions.values())

    def create_session(self, name: str, user: Any = None, external: bool = False) -> HardenedSession:
        if len(self._external_sessions) >= SESSIONS_PER_SERVER:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        return self.make_session(name)

    async def make_room(self) -> None:
        """Where sessions run out, end the one whose client has been gone longest."""
        lost = [each for each in self.sessions if each.processor is None]
        if lost and len(self._external_sessions) >= SESSIONS_PER_SERVER:
            await min(lost, key=lambda each: each._last_activity).close_session(True)

    def make_session(self, name: str) -> HardenedSession:
        return HardenedSession(self, self.subscription_service, name)


class HardenedSession(InternalSession):  # type: ignore[misc]
    """A session with a token nobody can guess, opened only by someone known.

    Attributes:
        actor: who it is, once activated.
        processor: the connection that it is attached to; None when its client is gone.
        certificate: the client certificate of the channel that created it.
    """

    def __init__(self, server: HardenedServer, subscriptions: Any, name: str) -> None:
        super().__init__(server, server.aspace, subscriptions, name)
        self.state: Any = SessionState.Created
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        self.external = True
        self.actor: Actor | None = None
        self.processor: Processor | None = None
        self.certificate: bytes | None = None
        server.register_external_session(self)

    async def identify(self, token: Any, encrypted: bool) -> Actor:
        """Return who the token proves.

        Raises:
            ServiceError: it proves nobody.
        """
        if token is None or isinstance(token, ua.ExtensionObject | ua.AnonymousIdentityToken):
            if self.iserver.anonymous is None:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
            return self.iserver.anonymous  # type: ignore[no-any-return]
        if not isinstance(token, ua.UserNameIdentityToken):
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        actor: Actor | None = await self.iserver.authenticate(
            token.UserName or "", self._secret_of(token, encrypted)
        )
        if actor is None:
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        return actor

    def _secret_of(self, token: Any, encrypted: bool) -> str:
        """Source: OPC 10000-4, 7.41.2.2 Legacy encrypted token secret."""
        secret: bytes = token.Password or b""
        if token.EncryptionAlgorithm:
            if token.EncryptionAlgorithm != _RSA_OAEP:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
            nonce = self.nonce or b""
            try:
                plain = uacrypto.decrypt_rsa_oaep(self.iserver.private_key, secret)
                (length,) = struct.unpack_from("<I", plain)
            except (ValueError, struct.error) as exc:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from exc
            body = plain[4 : 4 + length]
            secret = body[: len(body) - len(nonce)]
            if len(body) != length or not secrets.compare_digest(body[len(secret) :], nonce):
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
        elif not encrypted:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)  # a password in the clear
        if len(secret) > MAX_SECRET:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
        try:
            return secret.decode()
        except UnicodeDecodeError as exc:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from exc

    def activate(self, actor: Actor) -> Any:
        """Open the session for someone who was identified."""
        if self.state == SessionState.Closed:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        self.actor = actor
        self.user = User(role=UserRole.User, name=actor.name)
        self.nonce = secrets.token_bytes(32)
        self.state = SessionState.Activated
        self.touch()
        self._start_timeout_watchdog()
        return ua.ActivateSessionResult(ServerNonce=self.nonce)


class Processor(UaProcessor):  # type: ignore[misc]
    """One connection: checks the token of every request, and attaches a session after it authenticated."""

    session: HardenedSession | None

    async def process(self, header: Any, body: Any) -> bool:
        going = bool(await super().process(header, body))
        if header.MessageType == ua.MessageType.Hello and self._limits.max_send_buffer < MIN_PEER_BUFFER:
            return False
        active = self.session is not None and self.session.is_activated()
        return going and (active or self._connection._incoming_size <= MAX_BEFORE_LOGIN)

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        service = typeid.Identifier
        policy = self._connection.security_policy
        if service in _DISCOVERY:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        needs = needs_of(service)
        if needs is Needs.NEVER:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        if policy.Mode == ua.MessageSecurityMode.None_ and not self.iserver.plain_allowed:
            raise ServiceError(ua.StatusCodes.BadSecurityModeRejected)
        if service == _CREATE:
            if self.session is not None and self.session.state != SessionState.Closed:
                raise ServiceError(ua.StatusCodes.BadTooManySessions)
            await self.iserver.make_room()
            going = bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
            if self.session is not None:
                self.session.processor, self.session.certificate = self, policy.peer_certificate
            return going
        if service == _ACTIVATE:
            return await self._activate(requesthdr, seqhdr, body)
        if self.session is not None and requesthdr.AuthenticationToken != self.session.auth_token:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if needs is not Needs.CHANNEL and (self.session is None or self.session.actor is None):
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
        return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))

    async def _activate(self, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        """Prove the client, then the user, and only then touch the session. Source: OPC 10000-4, 5.7.3."""
        params = struct_from_binary(ua.ActivateSessionParameters, body)
        session = self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        mine = session is not None and session.processor is self
        if session is None or (self.session is not None and not mine):
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        policy = self._connection.security_policy
        if session.certificate != policy.peer_certificate or (session.actor is None and not mine):
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        try:
            challenge = (policy.host_certificate or b"") + session.nonce
            policy.asymmetric_cryptography.verify(challenge, params.ClientSignature.Signature)
        except (InvalidSignature, TypeError, ValueError) as exc:
            raise ServiceError(ua.StatusCodes.BadApplicationSignatureInvalid) from exc
        encrypted = policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        actor = await session.identify(params.UserIdentityToken, encrypted)
        if not mine and session.actor != actor:
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        result = session.activate(actor)
        if not mine:
            self._attach(session)
        self.session_last_activity = asyncio.get_running_loop().time()
        self.send_response(requesthdr.RequestHandle, seqhdr, ua.ActivateSessionResponse(Parameters=result))
        return True

    def _attach(self, session: HardenedSession) -> None:
        """Take a session over from the connection that its client lost."""
        if session.processor is not None:
            session.processor.session = None
        session.processor, self.session = self, session
        self._closing = False
        self._session_watchdog_task = asyncio.create_task(self._session_watchdog_loop())
        for subscription in session.subscription_service.subscriptions.values():
            subscription.pub_result_callback = self.forward_publish_response
            subscription.pub_request_callback = self.get_publish_request

    async def close(self) -> None:
        await super().close()
        if self.session is not None:
            self.session.processor = None

    def _should_close_session_on_transport_loss(self) -> bool:
        session = self.session
        return session is not None and not (
            session.is_activated() and session.subscription_service.subscriptions
        )


class Protocol(OPCUAProtocol):  # type: ignore[misc]
    """One socket: believes no size, and reads no faster than it answers."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            listener.iserver, listener._policies, listener.clients, listener.closing_tasks, listener.limits
        )
        self._listener = listener
        self._pending = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self.clients) >= self.iserver.max_connections:
            transport.abort()  # type: ignore[attr-defined]
            return
        super().connection_made(transport)
        self.processor = Processor(self.iserver, self.transport, self.limits)
        self.processor.set_policies(self.policies)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._listener.gone.set()

    def data_received(self, data: bytes) -> None:
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
        if self.messages.qsize() < MAX_WAITING:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        going = False
        try:
            going = bool(await super()._process_one_msg(header, buf))
        finally:
            if not going:  # a message that breaks the rules ends the connection; asyncua reads on
                self.transport.close()
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
        for session in self.iserver.sessions:
            await session.close_session(True)


class HardenedFace(Server):  # type: ignore[misc]
    """asyncua's `Server` on our listener, within our limits."""

    def __init__(self, server: HardenedServer) -> None:
        super().__init__(server)
        self.limits = TransportLimits(
            max_recv_buffer=MAX_CHUNK,
            max_send_buffer=MAX_CHUNK,
            max_chunk_count=MAX_MESSAGE // MAX_CHUNK + 1,
            max_message_size=MAX_MESSAGE,
        )

    async def serve(self, bound: socket.socket) -> None:
        """Serve on a socket that listens already."""
        await self._setup_server_nodes()
        await self.iserver.start()
        self.bserver = Listener(self.iserver, bound, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()
