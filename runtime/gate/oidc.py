"""Logins by an OpenID Connect issuer: its tokens, checked against its keys and the plant file.

Sources: OpenID Connect Core 1.0, 3.1.3.7; RFC 7517 (keys), RFC 7519 (claims), RFC 8725 (hostile tokens).
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.config import is_loopback
from runtime.config.models import OidcConfig
from runtime.contract import Actor, Clock, Role
from runtime.errors import ConnectError, ForbiddenError, PlantError

if TYPE_CHECKING:
    from jwt import PyJWK

PREFIX = "oidc:"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S = 60
_LONGEST = 16_384
_NAME = re.compile(r"[\w.@+-]{1,128}")
_FRESH_NS = 3600 * SECOND_NS
_USABLE_NS = 24 * _FRESH_NS  # while the issuer does not answer
_AGAIN_NS = 10 * SECOND_NS  # least time between two questions: unknown keys in tokens cost no more
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class OidcActor(Actor):
    """Someone whom the issuer vouches for, until its token ends."""

    until_ns: int = 0


class TokenError(PlantError):
    """The token is not one that lets in."""


class Oidc:
    """Turns the issuer's tokens into actors; its keys are kept for an hour, a day while it is not there."""

    def __init__(self, config: OidcConfig, clock: Clock, root: str) -> None:
        self._config = config
        self._clock = clock
        self._root = root
        self._keys: list[PyJWK] = []
        self._asked_ns = -_AGAIN_NS
        self._loaded_ns: int | None = None
        self._turn = asyncio.Lock()  # one question at a time; who waits uses its answer

    async def actor(self, token: str) -> OidcActor:
        """Return who that is.

        Raises:
            TokenError: the token is wrong in some way, or over.
            ForbiddenError: it is right, but the plant file gives nobody of its groups a role.
            ConnectError: the issuer's keys cannot be had.
        """
        import jwt

        if len(token) > _LONGEST:
            raise TokenError("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            typ = str(header.get("typ", "JWT")).lower().removeprefix("application/")  # RFC 7515, 4.1.9
            if typ not in ("jwt", "at+jwt"):
                raise TokenError(f"a token of type {header.get('typ')!r} is no login")
            if header.get("alg") not in ALGORITHMS:
                raise TokenError(f"the token is signed by {header.get('alg')!r}, which is not accepted")
            key = await self._key(header.get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._config.for_audience,
                issuer=self._config.issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                    "verify_exp": False,  # by the plant's clock, below
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise TokenError(f"the token is not accepted: {exc}") from exc
        until_ns = self._in_time(claims)
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._config.client_id:
            raise TokenError("the token was made for another client")
        return self._actor(claims, until_ns)

    def _in_time(self, claims: dict[str, Any]) -> int:
        now_s = self._clock.now_ns() / SECOND_NS
        times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        for name, at_s in times.items():
            number = isinstance(at_s, int) or (isinstance(at_s, float) and math.isfinite(at_s))
            if isinstance(at_s, bool) or not number:
                raise TokenError(f"the token's {name} is not a time")
            if name != "exp" and at_s > now_s + LEEWAY_S:
                raise TokenError("the token is of the future: check the clocks")
        if times["exp"] <= now_s - LEEWAY_S:
            raise TokenError("the token is over", "log in again: ironworks login --oidc")
        until_s: int = min(round(times["exp"]) + LEEWAY_S, 2**33)
        return until_s * SECOND_NS

    def _actor(self, claims: dict[str, Any], until_ns: int) -> OidcActor:
        name = claims.get(self._config.name_claim)
        if name is None:  # OpenID Connect Core 1.0, 5.4: UserInfo may have it instead
            remedy = "have the issuer put it into the token, or name another in login: oidc: name_claim:"
            raise TokenError(f"the token has no {self._config.name_claim}", remedy)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TokenError(f"the token's {self._config.name_claim} is not a name")
        found: Any = claims
        for step in self._config.roles_claim.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        rules = [rule for rule in self._config.roles if rule.value in values]
        if not rules:
            text = f"{name}: the token's {self._config.roles_claim} has none that plant.yaml gives a role"
            raise ForbiddenError(text, "add one to login: oidc: roles:, or ask for a group at the issuer")
        areas = tuple(
            (start + glob, role)
            for rule in rules
            for glob, role in rule.areas.items()
            for start in ("", f"{self._root}/")
        )
        role = max((rule.role for rule in rules), default=Role.VIEWER)
        return OidcActor(f"{PREFIX}{name}", role, "oidc", areas=areas, until_ns=until_ns)

    async def _key(self, kid: object) -> PyJWK:
        key = self._known(kid) if self._age_ns() < _FRESH_NS else None
        if key is None:
            async with self._turn:
                key = self._known(kid) if self._age_ns() < _FRESH_NS else None
                if key is None and monotonic_ns() - self._asked_ns >= _AGAIN_NS:
                    self._asked_ns = monotonic_ns()
                    await self._load()
                    key = self._known(kid)
        if key is None and self._age_ns() < _USABLE_NS:
            key = self._known(kid)
        if key is None:
            if self._loaded_ns is None:
                raise ConnectError(f"the keys of {self._config.issuer} are not here yet", "try again soon")
            raise TokenError("the token is signed with a key that the issuer does not have")
        return key

    def _age_ns(self) -> int:
        return _USABLE_NS if self._loaded_ns is None else monotonic_ns() - self._loaded_ns

    def _known(self, kid: object) -> PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return self._keys[0]
        return next((each for each in self._keys if kid is not None and each.key_id == kid), None)

    async def _load(self) -> None:
        """Ask the issuer for its keys; while it does not answer, those from before serve on."""
        import httpx
        import jwt

        try:
            async with http_client() as http:
                keys = (await ask(http, (await discover(http, self._config.issuer))["jwks_uri"]))["keys"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as exc:
            if self._age_ns() < _USABLE_NS:
                return
            text = f"the issuer {self._config.issuer} does not answer: {exc or type(exc).__name__}"
            raise ConnectError(text, "log in with a name and a secret meanwhile") from exc
        usable = []
        for each in keys:
            try:
                if each["kty"] in ("RSA", "EC", "OKP") and each.get("use", "sig") == "sig":
                    usable.append(jwt.PyJWK(each))
            except (jwt.PyJWTError, KeyError, TypeError, AttributeError, ValueError):
                continue  # a kind of key that we do not know: tokens signed with it are refused
        self._keys = [each for each in usable if each.algorithm_name in ALGORITHMS]
        self._loaded_ns = monotonic_ns()


def http_client() -> Any:
    """Return a client for an issuer: the system's certificates, no proxies, no redirects."""
    import httpx

    return httpx.AsyncClient(verify=ssl.create_default_context(), timeout=_TIMEOUT_S, trust_env=False)


async def ask(http: Any, url: str) -> dict[str, Any]:
    """Return the JSON object at a URL of the issuer.

    Raises:
        ValueError: it is not over TLS, or no JSON object.
        httpx.HTTPError: it does not answer, or with an error.
    """
    if not in_private(url):
        raise ValueError(f"{url} is not over TLS")
    answer = await http.get(url)
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise ValueError(f"{url} is not a JSON object")
    return found


async def discover(http: Any, issuer: str) -> dict[str, Any]:
    """Return the issuer's metadata (OpenID Connect Discovery 1.0, 4).

    Raises:
        ValueError: it is not the issuer's own.
        httpx.HTTPError: it does not answer.
    """
    found = await ask(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise ValueError(f"it calls itself {found.get('issuer')!r}")
    return found


def in_private(url: str) -> bool:
    """Tell whether nobody on the way can read or change what goes to a URL."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
