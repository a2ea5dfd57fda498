"""What asyncua leaves open before and at login: tokens, attachment, passwords, sizes, caps.

Each point has a test that fails on the stock server.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import NotEnoughData, ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.address_space import NodeManagementService
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import Certificate

from drivers.frame.connection import NOWHERE, ends_of
from drivers.frame.serving import Served
from drivers.frame.tapped import Tapped
from drivers.opcua.admission import Admission
from drivers.opcua.decoding import Measured, TooMuchError
from drivers.opcua.keys import Channel, UnfitKeyError
from drivers.opcua.limits import Limits, whence
from drivers.opcua.pace import Pace
from drivers.opcua.rules import Needs, needs_of
from drivers.opcua.security import Refusals, mend_tokens
from drivers.opcua.sizes import Sizes
from drivers.opcua.standard import Sharing, forget_generators
from drivers.opcua.tokens import Users, has_rsa_key, print_of, prove, secret_of
from runtime.clock import WallClock
from runtime.contract import Actor

MAX_CHUNK = 65_536
MAX_MESSAGE = 4 * 1024 * 1024
MAX_BEFORE_LOGIN = 65_536
MIN_PEER_BUFFER = 8_192  # Source: OPC 10000-6, 7.1.2.3 Hello
MAX_LOCALES = 10
MAX_WAITING = 64
LOGIN_WITHIN_S = 10.0
TAKEN_WITHIN_S = 30.0
GOODBYE_S = 5.0
READS_BEFORE_LOGIN = 2_000  # what decoding a message may cost: fields, about a microsecond each
READS = 20_000
OPEN_COSTS = 5  # as other messages before login: it takes two operations with the private key
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
_READS_OF = {
    getattr(_IDS, f"{name}Request_Encoding_DefaultBinary"): reads
    for name, reads in {
        "Read": 200_000,
        "CreateMonitoredItems": 200_000,
        "ModifyMonitoredItems": 200_000,
        "TranslateBrowsePathsToNodeIds": 60_000,
    }.items()
}
_SERVICES = {
    getattr(_IDS, name): name.removesuffix("Request_Encoding_DefaultBinary")
    for name in dir(_IDS)
    if name.endswith("Request_Encoding_DefaultBinary")
}


class NoUsers(UserManager):  # type: ignore[misc]
    """Lets nobody in: sessions are activated by `HardenedSession.identify` only."""

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Protection:
    """What protects a connection; a session stays on channels of one kind.

    A client may show any certificate on a channel without security, so that alone tells nothing.
    """

    policy: str
    mode: ua.MessageSecurityMode
    certificate: bytes | None


class HardenedServer(InternalServer):  # type: ignore[misc]
    """asyncua's inner server with our sessions.

    Attributes:
        users: whom the plant knows.
        plain: whether clients without security may log in, to look.
        refusals: who tells people of them.
        anonymous: who a client without a name is; None where it may not log in.
        per_address: how much one address may have.
        admission: whose certificates are let in; None where nobody's is looked at.
        served: what was done for whom, and who was refused.
    """

    def __init__(self, users: Users, anonymous: Actor | None, plain: bool, refusals: Refusals) -> None:
        super().__init__(NoUsers())
        self.users = users
        self.anonymous = anonymous
        self.plain = plain
        self.refusals = refusals
        self.admission: Admission | None = None
        self.per_address = Limits.of(SESSIONS_PER_SERVER)
        self.disabled_clock = True
        self.allow_remote_admin = False
        tokens = (ua.UserNameIdentityToken, ua.X509IdentityToken)
        self.supported_tokens = (ua.AnonymousIdentityToken, *tokens) if anonymous else tokens
        self.max_pending_activation_seconds = LOGIN_WITHIN_S
        self.max_subscriptions = SUBSCRIPTIONS_PER_SESSION
        self.max_monitored_item_queue_size = QUEUE_LIMIT
        self.max_unacked_messages_per_subscription = 100
        self.pace = Pace()
        self.served = Served()

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        self.node_mgt_service: NodeManagementService = Sharing(self.aspace)
        await super().load_standard_address_space(shelf_file)
        self.node_mgt_service = NodeManagementService(self.aspace)
        forget_generators()

    def admits(self, certificate: bytes, address: str) -> bool:
        """Tell whether a client with this certificate may open a channel."""
        return self.admission is None or self.admission.admits(certificate, address)

    def unfit(self, certificate: Certificate, why: str) -> None:
        """Tell people of a client whose certificate cannot be used."""
        if self.admission is not None:
            self.admission.unfit(certificate, why)

    def names(self, certificate: bytes, uri: str) -> bool:
        """Tell whether a certificate is of an application."""
        return self.admission is None or self.admission.names(certificate, uri)

    @property
    def sessions(self) -> list[HardenedSession]:
        return list(self._external_sessions.values())

    @property
    def holders(self) -> list[HardenedSession]:
        """Return the sessions, and what is left of those that are over."""
        return self.sessions

    @property
    def strict(self) -> bool:
        """Tell whether a client's certificate tells which application it is."""
        return self.admission is not None and self.admission.strict

    def create_session(self, name: Any, user: Any = None, external: bool = False) -> HardenedSession:
        if len(self._external_sessions) >= SESSIONS_PER_SERVER:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        address = whence(name)
        if len(self.sessions_of(address)) >= self.per_address.sessions:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        session = self.make_session(name)
        session.address = address
        return session

    def sessions_of(self, address: str) -> list[HardenedSession]:
        """Return the sessions that one address has."""
        return [each for each in self.sessions if each.address == address]

    async def make_room(self, address: str) -> None:
        """Where sessions run out, of all or of an address, end the one whose client has been gone longest."""
        there = self.sessions
        if len(there) < SESSIONS_PER_SERVER:
            there = self.sessions_of(address)
            if len(there) < self.per_address.sessions:
                return
        lost = [each for each in there if each.processor is None]
        if lost:
            await min(lost, key=lambda each: each._last_activity).close_session(True)

    def make_session(self, name: str) -> HardenedSession:
        return HardenedSession(self, self.subscription_service, name)

    def make_processor(self, transport: Any, limits: Any) -> Processor:
        return Processor(self, transport, limits)


class HardenedSession(InternalSession):  # type: ignore[misc]
    """A session with a token nobody can guess, opened only by someone known.

    Attributes:
        actor: who it is, once activated.
        address: whence its client made it.
        processor: the connection that it is attached to; None when its client is gone.
        protection: what the channel that created it is: policy, mode and the client's certificate.
        application: the URI of its client.
    """

    def __init__(self, server: HardenedServer, subscriptions: Any, name: str) -> None:
        super().__init__(server, server.aspace, subscriptions, name)
        self.state: Any = SessionState.Created
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        self.external = True
        self.actor: Actor | None = None
        self.processor: Processor | None = None
        self.protection: Protection | None = None
        self.address = self.application = ""
        server.register_external_session(self)

    @property
    def certificate(self) -> bytes | None:
        """The client's certificate; None where it has none."""
        return self.protection.certificate if self.protection is not None else None

    @property
    def secured(self) -> bool:
        """Tell whether what its client sends is signed at least."""
        return self.protection is not None and self.protection.mode != ua.MessageSecurityMode.None_

    async def identify(self, params: Any, protection: Protection, challenge: bytes, address: str) -> Actor:
        """Return who the token of an ActivateSession proves, which came from an address.

        Raises:
            ServiceError: it proves nobody.
        """
        token = params.UserIdentityToken
        if token is None or isinstance(token, ua.ExtensionObject | ua.AnonymousIdentityToken):
            if self.iserver.anonymous is None:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
            return self.iserver.anonymous  # type: ignore[no-any-return]
        actor: Actor | None
        if isinstance(token, ua.UserNameIdentityToken):
            hidden = protection.mode == ua.MessageSecurityMode.SignAndEncrypt
            if not (hidden or token.EncryptionAlgorithm):
                self.iserver.refusals.add(address, "it sends a password that everybody can read")
            secret = secret_of(token, self.iserver.private_key, self.nonce or b"", hidden)
            actor = await self.iserver.users.by_password(token.UserName or "", secret, address)
            if actor is None:
                raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        elif isinstance(token, ua.X509IdentityToken):
            actor = self.iserver.users.by_certificate(print_of(token))
            if actor is None:
                remedy = "`ironworks user cert NAME FILE` lets one in"
                self.iserver.refusals.add(address, "its user certificate is nobody's, or has expired", remedy)
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
            if not has_rsa_key(token):
                remedy = "make another: `ironworks user cert NAME --make FILE --rsa`"
                self.iserver.refusals.add(address, "its user certificate has no RSA key", remedy)
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
            prove(token, params.UserTokenSignature, challenge, protection.policy)
        else:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        return actor

    def prefer(self, locales: tuple[str, ...]) -> None:
        """Take the client's languages, the best first."""

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
    refused = False
    taken = True  # what was sent before

    def __init__(self, server: HardenedServer, transport: Any, limits: Any) -> None:
        super().__init__(server, transport, limits)
        self._connection = Channel(SecurityPolicyNone(), self._limits, server.unfit)
        self._address = whence(self.name)

    def _refuse(self) -> None:
        """End the connection of a client whose certificate is not taken; the reason is the server's."""
        self.refused = True
        self.iserver.served.drop(self._address, "its certificate is not taken")
        error = ua.ErrorMessage(ua.StatusCode(ua.StatusCodes.BadSecurityChecksFailed), "")
        self._transport.write(uatcp_to_binary(ua.MessageType.Error, error))

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """Open or renew a channel, if the client's certificate is let in. Source: OPC 10000-4, 6.1.3."""
        certificate = algohdr.SenderCertificate
        if certificate and not self.iserver.admits(certificate, whence(self.name)):
            self._refuse()
            return
        super().open_secure_channel(algohdr, seqhdr, Measured.of(body, READS_BEFORE_LOGIN))

    @property
    def protection(self) -> Protection:
        policy = self._connection.security_policy
        return Protection(policy.URI, policy.Mode, policy.peer_certificate)

    @property
    def peer_certificate(self) -> bytes | None:
        """The certificate of the channel's client; None where the channel has no security."""
        certificate: bytes | None = self._connection.security_policy.peer_certificate
        return certificate

    async def process(self, header: Any, body: Any) -> bool:
        opening = header.MessageType == ua.MessageType.SecureOpen
        known = self.session is not None and self.session.is_activated()
        cost = OPEN_COSTS if opening else 0 if known else 1
        if cost and not await self.iserver.pace.turn(self._address, cost):
            return False
        await self.iserver.pace.in_turn(self._address)
        try:
            going = bool(await super().process(header, body)) and not self.refused
        except UnfitKeyError:
            self._refuse()
            return False
        if header.MessageType == ua.MessageType.Hello and self._limits.max_send_buffer < MIN_PEER_BUFFER:
            return False
        active = self.session is not None and self.session.is_activated()
        return going and (active or self._connection._incoming_size <= MAX_BEFORE_LOGIN)

    async def process_message(self, seqhdr: Any, body: Any) -> bool:
        return bool(await super().process_message(seqhdr, Measured.of(body, READS_BEFORE_LOGIN)))

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        self.iserver.served.requests += 1
        try:
            return await self._decode(typeid, requesthdr, seqhdr, body)
        except ServiceError as exc:
            self.count_refusal(typeid.Identifier, exc.code)
            raise

    def count_refusal(self, service: int, code: int) -> None:
        """Note for the diagnostics that a request was refused."""
        name = ua.StatusCode(code).name
        self.iserver.served.refuse(self._address, name, f"{_SERVICES.get(service)}: {name}")

    async def _decode(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        if self.session is not None and self.session.is_activated():
            body = Measured.of(body, _READS_OF.get(typeid.Identifier, READS))
        try:
            return await self._serve(typeid, requesthdr, seqhdr, body)
        except TooMuchError as exc:
            raise ServiceError(ua.StatusCodes.BadEncodingLimitsExceeded) from exc
        except (NotEnoughData, struct.error, RecursionError) as exc:
            raise ServiceError(ua.StatusCodes.BadDecodingError) from exc

    def get_publish_request(self, subscription_id: Any) -> Any:
        if self.taken:
            return super().get_publish_request(subscription_id)
        self._publish_results_subs[subscription_id] = True  # later, when there is room
        return None

    async def forward_publish_response(self, result: Any, requestdata: Any) -> None:
        """Send what a subscription has; the client is told where it takes no answer of that size."""
        try:
            await super().forward_publish_response(result, requestdata)
        except ServiceError as exc:
            self.send_fault(requestdata.requesthdr, requestdata.seqhdr, exc.code)

    def send_fault(self, requesthdr: Any, seqhdr: Any, code: int) -> None:
        """Answer a request that cannot be served."""
        if not self._transport.is_closing():
            fault = ua.ServiceFault()
            fault.ResponseHeader.ServiceResult = ua.StatusCode(code)
            self.send_response(requesthdr.RequestHandle, seqhdr, fault)

    def refuse_publishing(self, code: int = ua.StatusCodes.BadNoSubscription) -> None:
        """Answer the Publish requests that wait: no subscription is left. Source: OPC 10000-4, 5.14.5."""
        while self._publish_requests:
            waiting = self._publish_requests.popleft()
            self.send_fault(waiting.requesthdr, waiting.seqhdr, code)

    async def _serve(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        service = typeid.Identifier
        policy = self._connection.security_policy
        if service in _DISCOVERY:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        needs = needs_of(service)
        if needs is Needs.NEVER:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        if policy.Mode == ua.MessageSecurityMode.None_ and not self.iserver.plain:
            cause = "it has no security, and `security` of this driver does not name None"
            self.iserver.refusals.add(whence(self.name), cause)
            raise ServiceError(ua.StatusCodes.BadSecurityModeRejected)
        if service == _CREATE:
            if self.session is not None and self.session.state != SessionState.Closed:
                raise ServiceError(ua.StatusCodes.BadTooManySessions)
            application = self._application(policy.peer_certificate, body)
            await self.iserver.make_room(whence(self.name))
            self._end_watchdog()
            going = bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
            if self.session is not None:
                self.session.processor, self.session.protection = self, self.protection
                self.session.application = application
            return going
        if service == _ACTIVATE:
            return await self._activate(requesthdr, seqhdr, body)
        if self.session is not None and requesthdr.AuthenticationToken != self.session.auth_token:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if needs is not Needs.CHANNEL and (self.session is None or self.session.actor is None):
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)
        if await self.answer(service, requesthdr, seqhdr, body):
            return True
        return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))

    def _application(self, certificate: bytes | None, body: Any) -> str:
        """Return the URI of the client's application, if its certificate is of that."""
        params = struct_from_binary(ua.CreateSessionParameters, body.copy())
        uri = str(params.ClientDescription.ApplicationUri or "")
        if certificate and not self.iserver.names(certificate, uri):
            raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)
        return uri

    async def answer(self, service: int, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        """Answer a request of an active session without asyncua; False where that is not known here."""
        return False

    async def _activate(self, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        """Prove the client, then the user, and only then touch the session. Source: OPC 10000-4, 5.7.3."""
        params = struct_from_binary(ua.ActivateSessionParameters, body)
        session = self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        mine = session is not None and session.processor is self
        if session is None or (self.session is not None and not mine):
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        policy = self._connection.security_policy
        if session.protection != self.protection or (session.actor is None and not mine):
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        try:
            challenge = (policy.host_certificate or b"") + session.nonce
            policy.asymmetric_cryptography.verify(challenge, params.ClientSignature.Signature)
        except (InvalidSignature, TypeError, ValueError) as exc:
            raise ServiceError(ua.StatusCodes.BadApplicationSignatureInvalid) from exc
        address = whence(self.name)
        async with self.iserver.pace.login(address):
            actor = await session.identify(params, self.protection, challenge, address)
        if not mine and session.actor != actor:
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        if params.LocaleIds:
            session.prefer(tuple(each or "" for each in params.LocaleIds[:MAX_LOCALES]))
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
        self._end_watchdog()
        self._session_watchdog_task = asyncio.create_task(self._session_watchdog_loop())
        for subscription in session.subscription_service.subscriptions.values():
            subscription.pub_result_callback = self.forward_publish_response
            subscription.pub_request_callback = self.get_publish_request

    def _end_watchdog(self) -> None:
        """End the one of the session before: asyncua forgets it, and it runs on."""
        if self._session_watchdog_task is not None:
            self._session_watchdog_task.cancel()

    async def close(self) -> None:
        self._publish_requests.clear()  # what subscriptions have is for the client's next connection
        await super().close()
        if self.session is not None:
            self.session.processor = None

    def _should_close_session_on_transport_loss(self) -> bool:
        session = self.session
        if session is None or session.state == SessionState.Closed:
            return False
        return not (session.is_activated() and session.subscription_service.subscriptions)


class Protocol(OPCUAProtocol):  # type: ignore[misc]
    """One socket: believes no size, and reads no faster than it answers."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            listener.iserver, listener._policies, listener.clients, listener.closing_tasks, listener.limits
        )
        self._listener = listener
        self._pending = bytearray()
        self._taken = asyncio.Event()
        self._taken.set()
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
        self._taken.clear()
        self.processor.taken = False
        self.transport.pause_reading()
        self._patience = asyncio.get_running_loop().call_later(TAKEN_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._resume()
        self._parse()

    def _resume(self) -> None:
        self._taken.set()
        if self.processor is not None:
            self.processor.taken = True
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def end(self) -> None:
        """Close; a client that does not take the last answer is not waited for."""
        self.transport.close()
        asyncio.get_running_loop().call_later(GOODBYE_S, self.transport.abort)

    async def _activation_watchdog(self) -> None:
        await self._listener.clock.sleep(self.iserver.max_pending_activation_seconds)
        session = None if self.processor is None else self.processor.session
        if session is None or not session.is_activated():
            self.transport.abort()

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
        if self.messages.qsize() < MAX_WAITING and self._taken.is_set():
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        going = False
        await self._taken.wait()
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
        self.clock = WallClock()
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


class HardenedFace(Server):  # type: ignore[misc]
    """asyncua's `Server` on our listener, within our limits."""

    def __init__(self, server: HardenedServer) -> None:
        super().__init__(server)
        self.limits = Sizes(
            max_recv_buffer=MAX_CHUNK,
            max_send_buffer=MAX_CHUNK,
            max_chunk_count=MAX_MESSAGE // MAX_CHUNK + 1,
            max_message_size=MAX_MESSAGE,
        )

    @property
    def addresses(self) -> list[str]:
        """Return that of each connection."""
        return [whence(each.peer_name) for each in self.bserver.clients]

    async def serve(self, bound: socket.socket) -> None:
        """Serve on a socket that listens already."""
        await self._setup_server_nodes()
        for endpoint in self.iserver.endpoints:
            mend_tokens(endpoint)
        await self.iserver.start()
        self.bserver = Listener(self.iserver, bound, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()

    def show(self, certificate: Any, key: Any) -> None:
        """Show another certificate from now on; channels that are open keep theirs."""
        self.iserver.certificate, self.iserver.private_key = certificate, key
        for policy in self._policies:
            if policy.certificate is not None:
                policy.certificate, policy.private_key = certificate, key
        for endpoint in self.iserver.endpoints:
            endpoint.ServerCertificate = uacrypto.der_from_x509(certificate)

    async def let_go(self, admission: Admission) -> None:
        """End the channels and sessions of clients that are not let in any more."""
        for session in self.iserver.holders:
            if session.certificate and not admission.admits(session.certificate):
                await session.close_session(True)
        for client in list(self.bserver.clients):
            certificate = client.processor.peer_certificate
            if certificate and not admission.admits(certificate):
                client.transport.abort()
