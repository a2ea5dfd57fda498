"""Who is calling (the peer of the unix socket, a name and a secret, or a token), and whether it may."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from runtime.api.answers import Refused
from runtime.api.guard import CERTIFICATE, PEER
from runtime.api.limits import actor_key, address_of
from runtime.api.rules import RULES, Rule, Tokens
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.config import is_loopback
from runtime.contract import Actor, Role
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate.identity import TOKEN_PREFIX, SecretActor
from runtime.gate.oidc import Oidc, TokenError
from runtime.gate.scope import ALL, TokenActor
from runtime.gate.sessions import SESSION_PREFIX
from runtime.journal.audit import Signature
from runtime.logins import IDLE, OVER
from runtime.wire import PREFIX

_KEPT = 64
_KEPT_NS = 60 * SECOND_NS
_LOG_IN = "log in as a user (--user anna, or $IRONWORKS_USER), with a token, or with a client certificate"
_OF_THE_ISSUER = (
    "log in again: ironworks login --oidc; whose tokens are taken stands in login: oidc: of plant.yaml"
)
_HANDED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_IDLE_DIGITS = 9
_AT_ONCE = 2  # each check of a secret costs memory and time by design


class SignatureBody(BaseModel):
    """An electronic signature: the signer's name and secret, and what it means."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[UnicodeText, Field(max_length=256)]
    secret: Annotated[UnicodeText, Field(max_length=256)]
    meaning: Annotated[UnicodeText, Field(max_length=128)]


class Signed(BaseModel):
    """A request that may be signed."""

    model_config = ConfigDict(extra="forbid")

    signature: SignatureBody | None = None


class Callers:
    """Turns a connection into an actor; a secret that was right is not checked again for a minute."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = services.identity
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[int, Actor]] = {}
        self._version = self._identity.version
        head = services.plant.head
        self._oidc = Oidc(head.login.oidc, services.clock, head.root) if head.login.oidc else None
        self._anonymous = head.api is None or head.api.anonymous == "viewer"
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def of(self, connection: HTTPConnection, greets: bool = False) -> Actor:
        """Return who is calling: whose secret it shows, else whose process or certificate it is, else nobody.

        Raises:
            Refused: the name or the secret is wrong, the name is locked, the token or certificate is not in
                force, or it says nothing of itself where that is not enough.
        """
        login = connection.headers.get("authorization")
        if login is not None:
            scheme, _, rest = login.partition(" ")
            return (
                await self._by_bearer(rest.strip(), _idle_ns(connection))
                if scheme.lower() == "bearer"
                else await self._by_secret(connection, login)
            )
        state = connection.scope.get("state", {})
        if PEER in state:
            return self._identity.peer(state[PEER])
        if CERTIFICATE in state:
            return self._by_certificate(state[CERTIFICATE])
        here = _from_here(connection)
        if greets or (here and self._anonymous):
            return Actor("anonymous", Role.VIEWER, "http")
        raise _unauthorized(f"{'' if here else 'from another machine '}this needs a name", _LOG_IN)

    def _by_certificate(self, fingerprint: str) -> Actor:
        actor = self._identity.by_certificate(fingerprint, self._services.clock.now_ns())
        if actor is None:
            raise _unauthorized("the client's certificate is not in force", "ask an admin, or log in by name")
        return actor

    async def admit(self, request: Request) -> Actor:
        """Return who is calling, where the rule of the route lets in.

        Raises:
            Refused: it does not, or there is no rule.
        """
        path = request.scope["route"].path.removeprefix(PREFIX)
        rule = RULES.get((request.method, path))
        actor = await self.of(request, rule is not None and rule.greets)
        if rule is None:
            text = f"{request.method} {path} has no rule of access"
            raise Refused(403, text, "add one to runtime.api.rules")
        refusal = self._refusal(actor, rule, request)
        if refusal is None:
            return actor
        if request.method != "GET":
            entry = self._services.gate.attempts.entry(request.method.lower(), path, actor)
            await self._services.gate.attempts.refused(entry, WriteRejectedError(refusal.detail))
        raise refusal

    def _refusal(self, actor: Actor, rule: Rule, request: Request) -> Refused | None:
        if isinstance(actor, TokenActor):
            if rule.tokens is Tokens.NEVER:
                return Refused(403, "an API token may not do this", "log in with a name and a secret")
            if rule.tokens is Tokens.WHOLE and actor.read != ALL:
                return Refused(403, "this is outside the scope of the token", "it needs --scope read:**")
            if request.method == "GET":
                named = (*request.query_params.getlist("tag"), *request.path_params.values())
                for path in named if rule.tokens is Tokens.TAGS else ():
                    if not self._readable(actor, path):
                        return Refused(
                            403, f"{path!r} is outside the scope of the token", "use another token"
                        )
        if rule.door and actor.role < rule.role:
            have, need = actor.role.name.lower(), rule.role.name.lower()
            return Refused(403, f"{actor.name} is {have}; this needs {need}", "ask someone with that role")
        return None

    def _readable(self, actor: TokenActor, path: str) -> bool:
        tags = self._services.bus.table.tags
        mask = self._services.gate.scopes.readable(actor)
        return mask is None or (path in tags and bool(mask[tags[path].id]))

    async def signed(
        self, request: Request, actor: Actor, body: SignatureBody | None, action: str, target: str
    ) -> tuple[Actor, Signature | None]:
        """Authenticate the signer, who acts from then on; whoever is logged in stays in the way it came.

        Source: 21 CFR 11.200(a)(1): name and secret with each signing; 11.300(d): wrong ones are told.

        Raises:
            Refused: the name or the secret is wrong, the name is locked, or a program tries to sign.
        """
        if body is None:
            return actor, None
        way = actor.via if body.name == actor.name else f"{actor.via} of {actor.name}"
        try:
            if isinstance(actor, TokenActor):
                raise Refused(403, "a program cannot sign", "log in with a name and a secret")
            signer = await self.verified(request, body.name, body.secret, way)
        except Refused as exc:
            entry = self._services.gate.attempts.entry(action, target, Actor(body.name, Role.VIEWER, way))
            error = WriteRejectedError(f"signature: {exc.detail}", exc.remedy)
            await self._services.gate.attempts.refused(entry, error)
            if exc.status_code == 401:  # who calls is known: that is not asked again
                remedy = "sign with the name and secret of a user"
                raise Refused(403, error.text, remedy) from exc
            raise Refused(exc.status_code, error.text, exc.remedy, dict(exc.headers or {})) from exc
        return signer, Signature(signer.name, body.meaning, self._services.clock.now_ns())

    async def _by_bearer(self, text: str, idle_ns: int) -> Actor:
        now_ns = self._services.clock.now_ns()
        actor: Actor | None
        if text.startswith(SESSION_PREFIX):
            actor = self._identity.sessions.by_text(text, now_ns, idle_ns)
            if actor is None:
                raise _unauthorized(OVER, "log in again: ironworks login", bearer=True)
            return actor
        if self._oidc and not text.startswith(TOKEN_PREFIX):
            try:
                return await self._oidc.actor(text)
            except TokenError as exc:
                raise _unauthorized(exc.text, exc.remedy or _OF_THE_ISSUER, bearer=True) from exc
            except ForbiddenError as exc:
                raise Refused(403, exc.text, exc.remedy) from exc
        actor = self._identity.by_token(text, now_ns)
        if actor is None:
            text = "the token is unknown, expired or revoked"
            raise _unauthorized(text, "ask an admin for another", bearer=True)
        return actor

    async def _by_secret(self, connection: HTTPConnection, login: str) -> Actor:
        if self._version != self._identity.version:  # users have changed
            self._known.clear()
            self._version = self._identity.version
        version = self._version
        key = hashlib.blake2b(login.encode("utf-8", "surrogatepass"), key=self._salt).digest()
        until_ns, actor = self._known.get(key, (0, None))
        if actor and monotonic_ns() < until_ns:
            return actor
        found = await self.verified(connection, *_basic(login), "http")
        self._known.pop(key, None)
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        if version == self._identity.version:
            self._known[key] = (monotonic_ns() + _KEPT_NS, found)
        return found

    async def verified(self, connection: HTTPConnection, name: str, secret: str, via: str) -> SecretActor:
        """Return the user of a name and a secret.

        Raises:
            Refused: one of them is wrong, or the name is locked where the connection comes from.
        """
        address = address_of(connection)
        locked_ns = self._identity.lockout.left_ns(name, address)
        if locked_ns:
            seconds = -(-locked_ns // SECOND_NS)
            error = f"{name!r} is locked after wrong secrets"
            raise Refused(429, error, f"wait {seconds} s", {"Retry-After": str(seconds)})
        async with self._room:
            found = await asyncio.to_thread(self._identity.authenticate, name, secret, via, address)
        if found is None or found.mark != self._identity.mark(name):  # the user was changed meanwhile
            raise _unauthorized("the name or the secret is wrong")
        return found


def _from_here(connection: HTTPConnection) -> bool:
    """Tell whether the client is on this machine; what a proxy here hands on may come from anywhere."""
    if any(name in connection.headers for name in _HANDED_ON):
        return False
    return connection.client is None or is_loopback(connection.client.host)


def _idle_ns(connection: HTTPConnection) -> int:
    """Return how long ago a person did something at the client, as it says; 0 where it says nothing."""
    text = connection.headers.get(IDLE, "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > _IDLE_DIGITS:
        raise Refused(422, f"{IDLE} is no time", "send whole seconds, or leave it out")
    return int(text) * SECOND_NS


def _basic(login: str) -> tuple[str, str]:
    scheme, _, token = login.partition(" ")
    try:
        name, colon, secret = base64.b64decode(token.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise _unauthorized("only HTTP Basic authentication and Bearer tokens are understood")
    return name, secret


def _unauthorized(error: str, remedy: str = "", *, bearer: bool = False) -> Refused:
    """Ask for a login; `bearer`: a token was shown. Sources: RFC 7617, 2.1; RFC 6750, 3."""
    remedy = remedy or "use the name and secret of a user (`ironworks user list`), or the unix socket"
    challenge = 'Basic realm="ironworks", charset="UTF-8", Bearer realm="ironworks"'
    challenge += ', error="invalid_token"' if bearer else ""
    return Refused(401, error, remedy, {"WWW-Authenticate": challenge})


def callers_of(request: Request) -> Callers:
    """Return who knows callers."""
    callers: Callers = request.app.state.callers
    return callers


async def _caller(request: Request) -> Actor:
    actor = await callers_of(request).admit(request)
    request.app.state.limits.check(actor_key(actor, request))
    return actor


authorised = Depends(_caller)
Caller = Annotated[Actor, authorised]
