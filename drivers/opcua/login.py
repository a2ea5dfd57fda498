"""Sessions: a token that nobody can guess, opened only by someone identified, and bound to a channel."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.server.user_managers import UserManager

from drivers.opcua.tokens import has_rsa_key, print_of, prove, secret_of
from runtime.contract import Actor

if TYPE_CHECKING:
    from drivers.opcua.harden import HardenedServer
    from drivers.opcua.requests import Processor


_PROVEN = ua.UserNameIdentityToken | ua.X509IdentityToken


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

    async def create_session(self, params: Any, sockname: Any = None) -> Any:
        """Return the CreateSessionResult.

        asyncua takes NaN for a time-out, and a timer of NaN makes others of the event loop a second late; and
        it says that it takes less than it does.
        """
        if not params.RequestedSessionTimeout >= 0:
            params.RequestedSessionTimeout = 0.0
        result = await super().create_session(params, sockname)
        result.MaxRequestMessageSize = self.iserver.max_message
        return result

    async def identify(self, params: Any, protection: Protection, challenge: bytes, address: str) -> Actor:
        """Return who the token of an ActivateSession proves, which came from an address.

        Raises:
            ServiceError: it proves nobody.
        """
        token = params.UserIdentityToken
        if isinstance(token, ua.ExtensionObject):
            if not token.TypeId.is_null():
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
            token = None
        if token is None or isinstance(token, ua.AnonymousIdentityToken):
            if self.iserver.anonymous is None:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
            return self.iserver.anonymous  # type: ignore[no-any-return]
        actor: Actor | None
        if isinstance(token, _PROVEN) and token.PolicyId not in self.iserver.policies_of(token):
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
        if isinstance(token, ua.UserNameIdentityToken):
            if not token.UserName:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
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
