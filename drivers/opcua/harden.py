"""The server that asyncua's is made of, hardened: our sessions, connections and sockets, within our limits.

What stock leaves open before and at login is closed in `login`, `requests` and `listener`; each point has a
test that fails on the stock server.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.server.address_space import NodeManagementService
from asyncua.server.internal_server import InternalServer
from cryptography.x509 import Certificate

from drivers.frame.serving import Served
from drivers.opcua.admission import Admission
from drivers.opcua.limits import Limits, whence
from drivers.opcua.listener import MAX_CHUNK, Listener
from drivers.opcua.login import HardenedSession, NoUsers
from drivers.opcua.pace import Pace
from drivers.opcua.requests import Processor
from drivers.opcua.security import Refusals, mend_tokens
from drivers.opcua.sizes import Sizes
from drivers.opcua.standard import Sharing, forget_generators
from drivers.opcua.tokens import Users
from runtime.contract import Actor

MAX_MESSAGE = 4 * 1024 * 1024
SESSIONS_PER_SERVER = 100
SUBSCRIPTIONS_PER_SESSION = 50
QUEUE_LIMIT = 1000


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
        max_message: what a request may have, in bytes.
    """

    max_message = MAX_MESSAGE

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
        self.max_pending_activation_seconds = 0.0  # connections watch themselves
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

    def _mangle_endpoint_url(
        self, ep_url: str, params_ep_url: str | None = None, sockname: Any = None
    ) -> str:
        """Return a URL of ours as the client wrote it, since some compare: its host, a slash or none."""
        ours: str = super()._mangle_endpoint_url(ep_url, params_ep_url, sockname)
        is_bare = bool(params_ep_url) and "/" not in str(params_ep_url).partition("://")[2]
        return ours.removesuffix("/") if is_bare else ours

    async def get_endpoints(self, params: Any = None, sockname: Any = None) -> list[Any]:
        """Return the endpoints of the profiles that a client asks for. Source: OPC 10000-4, 5.5.4."""
        found = await super().get_endpoints(params, sockname)
        profiles = params.ProfileUris if params else None
        return [each for each in found if not profiles or each.TransportProfileUri in profiles]

    def policies_of(self, token: Any) -> set[str]:
        """Return the ids of the policies that are offered for a user's name, or for a user's certificate."""
        named = isinstance(token, ua.UserNameIdentityToken)
        kind = ua.UserTokenType.UserName if named else ua.UserTokenType.Certificate
        offered = [each for endpoint in self.endpoints for each in endpoint.UserIdentityTokens]
        return {each.PolicyId for each in offered if each.TokenType == kind}

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
