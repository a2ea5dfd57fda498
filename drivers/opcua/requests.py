"""The requests of one connection: whose they are, what they may cost, and a session that is attached last."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import NotEnoughData, ServiceError
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary
from cryptography.exceptions import InvalidSignature

from drivers.opcua.decoding import Measured, TooMuchError
from drivers.opcua.keys import Channel, UnfitKeyError
from drivers.opcua.limits import whence
from drivers.opcua.login import HardenedSession, Protection
from drivers.opcua.refused import refusal_in
from drivers.opcua.rules import Needs, needs_of

if TYPE_CHECKING:
    from drivers.opcua.harden import HardenedServer

MAX_BEFORE_LOGIN = 65_536
MIN_PEER_BUFFER = 8_192  # Source: OPC 10000-6, 7.1.2.3 Hello
MAX_LOCALES = 10
READS_BEFORE_LOGIN = 2_000  # what decoding a message may cost: fields, about a microsecond each
READS = 20_000
MIN_NONCE = 32  # bytes. Source: OPC 10000-4, 5.7.2.2 CreateSession
OPEN_COSTS = 5  # as other messages before login: it takes two operations with the private key
LOGIN_WITHIN_S = 10.0
SESSIONLESS_S = 60.0  # that a channel waits for the next session after one has ended

_IDS = ua.ObjectIds
_CREATE = _IDS.CreateSessionRequest_Encoding_DefaultBinary
_ACTIVATE = _IDS.ActivateSessionRequest_Encoding_DefaultBinary
_CLOSE = _IDS.CloseSessionRequest_Encoding_DefaultBinary
_CLOSE_CHANNEL = _IDS.CloseSecureChannelRequest_Encoding_DefaultBinary
_CANCEL = _IDS.CancelRequest_Encoding_DefaultBinary
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


class Processor(UaProcessor):  # type: ignore[misc]
    """One connection: checks the token of every request, and attaches a session after it authenticated.

    Attributes:
        taken: whether the client has taken what was sent before, and who waits for that.
    """

    session: HardenedSession | None
    refused = False

    def __init__(self, server: HardenedServer, transport: Any, limits: Any) -> None:
        super().__init__(server, transport, limits)
        self._connection = Channel(SecurityPolicyNone(), self._limits, server.unfit)
        self._address = whence(self.name)
        self.taken = asyncio.Event()
        self.taken.set()
        self._alone: asyncio.TimerHandle | None = None
        self._hang_up_in(LOGIN_WITHIN_S)

    def _hang_up_in(self, seconds: float) -> None:
        """End the connection after a time, unless a session is activated on it before."""
        self._alone = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _stay(self) -> None:
        """Take that back."""
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None

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
            self.count_refusal(_SERVICES.get(typeid.Identifier, "a service"), exc.code)
            raise

    def count_refusal(self, service: str, code: int) -> None:
        """Count a request that was refused, 0 where it was not."""
        if code:
            name = ua.StatusCode(code).name
            self.iserver.served.refuse(self._address, name, f"{service}: {name}")

    def send_response(self, requesthandle: Any, seqhdr: Any, response: Any, *kind: Any) -> None:
        super().send_response(requesthandle, seqhdr, response, *kind)
        self.count_refusal(type(response).__name__.removesuffix("Response"), refusal_in(response))

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
        if self.taken.is_set():
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

    def leave(self, code: int) -> None:
        """Answer what waits for a session that is not here any more; the channel may have another."""
        self.refuse_publishing(code)
        if self._alone is None:
            self._hang_up_in(SESSIONLESS_S)

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
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        if service == _CREATE:
            if self._occupied():  # a channel has one at a time. Source: OPC 10000-4, 5.7.2.1
                raise ServiceError(ua.StatusCodes.BadTooManySessions)
            application = self._application(policy.peer_certificate, body)
            await self.iserver.make_room(whence(self.name))
            going = bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
            if self.session is not None:
                self.session.processor, self.session.protection = self, self.protection
                self.session.application = application
            return going
        if service == _ACTIVATE:
            return await self._activate(requesthdr, seqhdr, body)
        if service != _CLOSE_CHANNEL:
            self._check_session(service, needs, requesthdr.AuthenticationToken)
        if service == _CANCEL:
            self._cancel(requesthdr, seqhdr, struct_from_binary(ua.CancelParameters, body))
            return True
        if await self.answer(service, requesthdr, seqhdr, body):
            return True
        return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))

    def _occupied(self) -> bool:
        """Tell whether a session is on this channel."""
        return self.session is not None and self.session.state != SessionState.Closed

    def _check_session(self, service: int, needs: Needs, token: Any) -> None:
        """See that a request is of the session of this connection, which is there to be used.

        Raises:
            ServiceError: it is not.
        """
        session, codes = self.session, ua.StatusCodes
        if session is None or token != session.auth_token:
            elsewhere = self.iserver.lookup_external_session(token) is not None
            raise ServiceError(codes.BadSecureChannelIdInvalid if elsewhere else codes.BadSessionIdInvalid)
        if service == _CLOSE and session.state == SessionState.Closed:
            raise ServiceError(codes.BadSessionIdInvalid)
        if needs is Needs.CHANNEL:
            return
        if session.actor is None:
            raise ServiceError(codes.BadSessionNotActivated)
        if not session.is_activated():
            raise ServiceError(codes.BadSessionClosed)

    def _cancel(self, requesthdr: Any, seqhdr: Any, params: Any) -> None:
        """Give up the Publish requests of a handle; what else was asked is under way and is done.

        Source: OPC 10000-4, 5.7.5 Cancel.
        """
        handle = params.RequestHandle
        given_up = [each for each in self._publish_requests if each.requesthdr.RequestHandle == handle]
        for each in given_up:
            self._publish_requests.remove(each)
            self.send_fault(each.requesthdr, each.seqhdr, ua.StatusCodes.BadRequestCancelledByClient)
        response = ua.CancelResponse()
        response.Parameters.CancelCount = len(given_up)
        self.send_response(requesthdr.RequestHandle, seqhdr, response)

    def _application(self, certificate: bytes | None, body: Any) -> str:
        """Return the URI of the client's application, if its certificate is of that."""
        params = struct_from_binary(ua.CreateSessionParameters, body.copy())
        if certificate and len(params.ClientNonce or b"") < MIN_NONCE:
            raise ServiceError(ua.StatusCodes.BadNonceInvalid)
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
        if session is None or (self._occupied() and not mine):
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
        self._stay()
        self.session_last_activity = asyncio.get_running_loop().time()
        self.send_response(requesthdr.RequestHandle, seqhdr, ua.ActivateSessionResponse(Parameters=result))
        return True

    def _attach(self, session: HardenedSession) -> None:
        """Take a session over from the connection that its client lost."""
        if session.processor is not None:
            session.processor.session = None
            session.processor.leave(ua.StatusCodes.BadSecureChannelIdInvalid)
        session.processor, self.session = self, session
        for subscription in session.subscription_service.subscriptions.values():
            subscription.pub_result_callback = self.forward_publish_response
            subscription.pub_request_callback = self.get_publish_request

    async def _session_watchdog_loop(self) -> None:
        """Do nothing: a session knows when it ends, and the connection outlives it."""

    async def close(self) -> None:
        """Clean up behind a connection that is gone; what subscriptions have is for the client's next one."""
        self.leave(ua.StatusCodes.BadSecureChannelClosed)
        await super().close()
        self._stay()
        if self.session is not None:
            self.session.processor = None

    def _should_close_session_on_transport_loss(self) -> bool:
        session = self.session
        if session is None or session.state == SessionState.Closed:
            return False
        return not (session.is_activated() and session.subscription_service.subscriptions)
