"""Who is asking: the plant's users and API tokens, and accounts of this machine on the unix socket."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runtime.clock import monotonic_ns
from runtime.config.models import LoginConfig, UserConfig
from runtime.contract import Actor, Role
from runtime.gate import oidc
from runtime.gate.certificates import CertificateActor
from runtime.gate.lockout import Lockout
from runtime.gate.readings import Readings
from runtime.gate.scope import TokenActor, hash_token
from runtime.gate.sessions import SessionActor, Sessions
from runtime.journal.accounts import SessionRecord, TokenRecord, UserRecord
from runtime.journal.certificates import CertificateRecord

TOKEN_PREFIX = "iw_"  # noqa: S105 - what every token begins with
NO_ADMIN = "no admin can log in yet; `ironworks user add NAME --role admin` on the gateway"


@dataclass(frozen=True, slots=True)
class SecretActor(Actor):
    """Someone who has shown a secret; `mark` is what its user was then."""

    mark: bytes


class Identity:
    """Turns a secret, a token or a peer's uid into an actor. No password is built in.

    The unix socket needs no secret, so it is never locked.

    Attributes:
        lockout: which names are locked where, after wrong secrets.
    """

    def __init__(
        self,
        users: list[UserConfig],
        now_ns: Callable[[], int] = monotonic_ns,
        root: str = "",
        login: LoginConfig | None = None,
    ) -> None:
        self._root = root
        login = login or LoginConfig()
        self._oidc = login.oidc
        self.sessions = Sessions(self.mark, login, now_ns)
        self.accounts_read, self.certificates_read = Readings(), Readings()
        self._made: dict[str, UserConfig] = {}
        self.version = 0
        self.lockout = Lockout(lambda name: name in self._users, now_ns)
        self.configure(users)
        self._tokens: dict[str, TokenRecord] = {}
        self._certificates: dict[str, CertificateRecord] = {}
        self._hasher = PasswordHasher()
        self.changing = asyncio.Semaphore(1)  # from what a change of users reads until it is in force

    def configure(self, users: Iterable[UserConfig]) -> None:
        """Take up the users of the plant file; they stand above those made by command."""
        self._fixed = {user.name: user for user in users}
        self._accounts = {user.os_user: user for user in self._fixed.values() if user.os_user}
        self._users = {**self._made, **self._fixed}
        self.lockout.forget()
        self.version += 1

    def restore(
        self,
        users: Iterable[UserRecord],
        tokens: Iterable[TokenRecord],
        sessions: Iterable[SessionRecord] = (),
    ) -> None:
        """Take up what was made by command."""
        self._made = {
            each.name: UserConfig(name=each.name, role=each.role, areas=dict(each.areas), secret=each.secret)
            for each in users
        }
        self._users = {**self._made, **self._fixed}
        self.lockout.forget()
        self._tokens = {each.id: each for each in tokens}
        self.sessions.restore(sessions)
        self.restore_certificates(each for each in self._certificates.values() if each.user in self._users)
        self.version += 1

    def restore_certificates(self, certificates: Iterable[CertificateRecord]) -> None:
        """Take up the certificates of clients."""
        self._certificates = {each.fingerprint: each for each in certificates}

    def certificates(self) -> list[CertificateRecord]:
        """Return the certificates of clients, by age."""
        return list(self._certificates.values())

    def client_certificates(self) -> tuple[str, ...]:
        """Return what may be shown in a handshake, as PEM."""
        return tuple(each.pem for each in self._certificates.values() if each.user in self._users)

    def mark(self, name: str) -> bytes | None:
        """Return what the sessions of a user are bound to: another secret, role or area ends them."""
        if name.startswith(oidc.PREFIX) and self._oidc:
            return hashlib.sha256(self._oidc.model_dump_json().encode()).digest()
        user = self._users.get(name)
        return self._mark(user) if user and user.secret else None

    def _mark(self, user: UserConfig) -> bytes:
        return hashlib.sha256(repr((user.role, self._areas(user), user.secret)).encode()).digest()

    def fixed(self, name: str) -> bool:
        """Tell whether a user stands in the plant file."""
        return name in self._fixed

    def user(self, name: str) -> UserConfig | None:
        """Return a user."""
        return self._users.get(name)

    def users(self) -> list[UserConfig]:
        """Return all users, by name."""
        return sorted(self._users.values(), key=lambda user: user.name)

    def admin_exists(self) -> bool:
        """Tell whether a user of role admin with a secret exists: nothing listens beyond loopback before.

        An account of this machine does not count: it is admin on the unix socket only.
        """
        return any(user.role is Role.ADMIN and user.secret for user in self._users.values())

    def token(self, id_: str) -> TokenRecord | None:
        """Return a token, in force or not."""
        return self._tokens.get(id_)

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens, by time."""
        return sorted(self._tokens.values(), key=lambda token: token.created_ns)

    @cached_property
    def _decoy(self) -> str:
        """A hash that no secret fits, so that an unknown name takes as long as a known one."""
        return self._hasher.hash(token_hex())

    def authenticate(self, name: str, secret: str, via: str, address: str = "") -> SecretActor | None:
        """Check a secret; takes as long for an unknown name. Slow on purpose: call it in a thread.

        A name that is locked at that address gets None without a check.
        """
        if self.lockout.left_ns(name, address):
            return None
        user = self._users.get(name)
        known = user.secret if user and user.secret else None
        try:
            self._hasher.verify(known or self._decoy, secret)
        except (VerificationError, InvalidHashError):
            self.lockout.wrong(name, address, via)
            return None
        if not (user and known):
            self.lockout.wrong(name, address, via)
            return None
        self.lockout.right(name, address)
        return SecretActor(user.name, user.role, via, self._mark(user), areas=self._areas(user))

    def by_token(self, text: str, now_ns: int) -> TokenActor | None:
        """Return whose token that is, None when it is unknown, expired or revoked, or its user is gone."""
        id_, _, secret = text.removeprefix(TOKEN_PREFIX).partition("_")
        token = self._tokens.get(id_)
        right = hmac.compare_digest(hash_token(secret), token.hash if token else b"")
        user = self._users.get(token.user) if token else None
        if not right or token is None or user is None or not _in_force(token, now_ns):
            return None
        scope = (token.id, token.read, token.write)
        return TokenActor(user.name, user.role, "token", *scope, areas=self._areas(user))

    def by_certificate(
        self, fingerprint: str, now_ns: int, via: str = "certificate"
    ) -> CertificateActor | None:
        """Return whose certificate that is, None when it is nobody's or has expired."""
        found = self._certificates.get(fingerprint)
        user = self._users.get(found.user) if found else None
        if found is None or user is None or now_ns >= found.until_ns:
            return None
        return CertificateActor(user.name, user.role, via, fingerprint, areas=self._areas(user))

    def still(self, actor: Actor, now_ns: int) -> bool:
        """Tell whether an actor that was let in a while ago would be again, as what it is."""
        if isinstance(actor, TokenActor):
            token = self._tokens.get(actor.token)
            return token is not None and actor.name in self._users and _in_force(token, now_ns)
        if isinstance(actor, oidc.OidcActor):
            return now_ns < actor.until_ns
        if isinstance(actor, SessionActor):
            return self.sessions.in_force(actor.session, now_ns)
        if isinstance(actor, CertificateActor):
            return actor == self.by_certificate(actor.certificate, now_ns, actor.via)
        return not isinstance(actor, SecretActor) or actor.mark == self.mark(actor.name)

    def demoted(self, actor: Actor, place: str) -> bool:
        """Tell whether the user behind an actor is gone, or has less than the actor's role in a place now."""
        user = self._users.get(actor.name)
        if user is None:  # accounts of this machine and an issuer's people are no users
            return actor.via != "local" and not actor.name.startswith(oidc.PREFIX)
        return Actor(user.name, user.role, actor.via, areas=self._areas(user)).at(place).role < actor.role

    def peer(self, uid: int, via: str = "local") -> Actor:
        """Return the actor of a process on this machine.

        The account that runs the kernel, and root, are admin unless the plant file says otherwise;
        any other account may look.
        """
        try:
            account = pwd.getpwuid(uid).pw_name
        except KeyError:
            account = f"uid{uid}"
        user = self._accounts.get(account)
        if user:
            return Actor(user.name, user.role, via, areas=self._areas(user))
        return Actor(account, Role.ADMIN if uid in (0, os.getuid()) else Role.VIEWER, via)

    def _areas(self, user: UserConfig) -> tuple[tuple[str, Role], ...]:
        """Return the globs for whole paths: those of the plant file may leave out its root."""
        globs = (
            (start + glob, role) for glob, role in user.areas.items() for start in ("", f"{self._root}/")
        )
        return tuple(globs)


def _in_force(token: TokenRecord, now_ns: int) -> bool:
    return token.revoked_ns is None and (token.expires_ns is None or now_ns < token.expires_ns)


def hash_secret(secret: str) -> str:
    """Return the argon2 line of a secret."""
    return PasswordHasher().hash(secret)
