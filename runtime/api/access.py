"""Who is calling: the peer of the unix socket, or a name and a secret."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from runtime.api.answers import Refused
from runtime.api.guard import PEER
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.contract import Actor, Role
from runtime.gate.identity import Identity

_KEPT = 64
_KEPT_NS = 60 * SECOND_NS
_AT_ONCE = 2  # each check of a secret costs memory and time by design


class Callers:
    """Turns a connection into an actor; a secret that was right is not checked again for a minute."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[int, Actor]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def of(self, connection: HTTPConnection) -> Actor:
        """Return who is calling: whose secret it shows, else whose process it is, else nobody in particular.

        Raises:
            Refused: the name or the secret is wrong.
        """
        login = connection.headers.get("authorization")
        if login is not None:
            return await self._by_secret(login)
        uid = connection.scope.get("state", {}).get(PEER)
        return Actor("anonymous", Role.VIEWER, "http") if uid is None else self._identity.peer(uid)

    async def _by_secret(self, login: str) -> Actor:
        key = hashlib.blake2b(login.encode("utf-8", "surrogatepass"), key=self._salt).digest()
        until_ns, actor = self._known.get(key, (0, None))
        if actor and monotonic_ns() < until_ns:
            return actor
        name, secret = _basic(login)
        async with self._room:
            found = await asyncio.to_thread(self._identity.authenticate, name, secret, "http")
        if found is None:
            raise _unauthorized("the name or the secret is wrong")
        self._known.pop(key, None)
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[key] = (monotonic_ns() + _KEPT_NS, found)
        return found


def _basic(login: str) -> tuple[str, str]:
    scheme, _, token = login.partition(" ")
    try:
        name, colon, secret = base64.b64decode(token.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise _unauthorized("only HTTP Basic authentication is understood")
    return name, secret


def _unauthorized(error: str) -> Refused:
    remedy = "use the name and secret of a user in plant.yaml, or the unix socket"
    return Refused(401, error, remedy, {"WWW-Authenticate": 'Basic realm="ironworks", charset="UTF-8"'})


async def _caller(connection: HTTPConnection) -> Actor:
    callers: Callers = connection.app.state.callers
    return await callers.of(connection)


authenticated = Depends(_caller)
Caller = Annotated[Actor, authenticated]
