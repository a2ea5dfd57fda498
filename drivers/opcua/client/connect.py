"""From a URL to a session: endpoints, the server's certificate, secure channel, login."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import x509_from_der

from drivers.frame.connection import Traffic, ends_of
from drivers.frame.tapped import Tapped
from drivers.opcua.certificate import own_certificate
from drivers.opcua.client.errors import DeniedError, RefusedError
from drivers.opcua.client.login import Login
from drivers.opcua.client.section import ClientConfig, folder_of
from drivers.opcua.client.session import Session, in_words, status_name
from drivers.opcua.trust import TrustList, fingerprint, first_of
from runtime.clock import SECOND_NS
from runtime.config import Plant
from runtime.contract import Clock
from runtime.errors import ConnectError

SESSION_MS = 60_000
MAX_MESSAGE = 16 * 1024 * 1024
POLICIES = {
    "None": security_policies.SecurityPolicyNone,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_CERTIFICATE = frozenset(
    getattr(ua.StatusCodes, name)
    for name in dir(ua.StatusCodes)
    if name.startswith("BadCertificate") or name in ("BadSecurityChecksFailed", "BadSecurityPolicyRejected")
)
_LOGIN = frozenset(
    {
        ua.StatusCodes.BadUserAccessDenied,
        ua.StatusCodes.BadIdentityTokenRejected,
        ua.StatusCodes.BadIdentityTokenInvalid,
        ua.StatusCodes.BadUserSignatureInvalid,
    }
)


@dataclass(frozen=True, slots=True)
class Way:
    """How to connect, as the plant file says.

    Attributes:
        name: of the driver; `uri` is the application's, as in its certificate.
        policy: a key of `POLICIES`; `sign_only` leaves messages readable.
        folder: where key, certificate and trust list are.
    """

    name: str
    uri: str
    policy: str
    sign_only: bool
    folder: Path
    timeout_s: float


def way_of(plant: Plant, config: ClientConfig) -> Way:
    """Return how a driver of a plant connects."""
    return Way(
        config.name,
        f"urn:ironworks:{plant.name}:{config.name}",
        config.policy,
        config.sign_only,
        folder_of(plant.state, config.name),
        config.timeout / SECOND_NS,
    )


async def open_session(url: str, way: Way, who: Login, traffic: Traffic, clock: Clock) -> Session:
    """Connect and log in.

    Raises:
        ConnectError: the server does not answer.
        DeniedError: it answers, but not as the plant file wants it, or with a certificate nobody accepted.
        StoreError: our own certificate cannot be kept.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it logs every loss with a traceback
    client = _client(url, way)
    ends = {} if way.policy == "None" else await _secure(client, url, way, traffic, clock)
    if who.certificate is not None:
        client.user_private_key = who.key
        ends["user_certificate"] = who.certificate.not_valid_after_utc
    try:
        async with asyncio.timeout(4 * way.timeout_s):
            with in_words(traffic):
                await _say_hello(client, traffic)
                await client.open_secure_channel()
                await client.create_session()
                await client.activate_session(who.user, who.password or "", who.certificate)
    except BaseException as exc:
        client.disconnect_socket()
        if isinstance(exc, TimeoutError):
            raise ConnectError("no answer in time") from exc
        if isinstance(exc, RefusedError):
            raise _denied(exc, way, who) from exc
        raise
    return Session(client, url, traffic, clock, way.timeout_s, ends)


async def probe(url: str, timeout_s: float) -> None:
    """Look whether an OPC UA server answers at all: one connection, one message.

    Raises:
        ConnectError: none does.
    """
    client = Client(url, timeout=timeout_s)
    try:
        with in_words():
            await _say_hello(client, Traffic())
    finally:
        client.disconnect_socket()


async def _say_hello(client: Any, traffic: Traffic) -> None:
    await client.connect_socket()
    _watch(client.uaclient.protocol, traffic)
    await client.send_hello()


def _watch(protocol: Any, traffic: Traffic) -> None:
    """Count the bytes, and hang up on a message larger than any: the library would wait for all of it.

    Raises:
        ConnectionError: it is gone again.
    """
    if protocol.transport is None:  # the library would wait for the answer to a message that it cannot send
        raise ConnectionError("the connection is gone")
    ends = ends_of(protocol.transport)
    protocol.transport = Tapped(protocol.transport, traffic, ends)
    take = protocol.data_received

    def bounded(data: bytes) -> None:
        traffic.received(ends, data)
        if len(protocol.receive_buffer or b"") + len(data) > MAX_MESSAGE:
            protocol.disconnect_socket()
        else:
            take(data)

    protocol.data_received = bounded


def _client(url: str, way: Way) -> Any:
    client = Client(url, timeout=way.timeout_s)
    client.application_uri, client.name, client.description = way.uri, way.name, way.name
    client.product_uri = "urn:ironworks"
    client.session_timeout = SESSION_MS
    return client


async def _secure(client: Any, url: str, way: Way, traffic: Traffic, clock: Clock) -> dict[str, datetime]:
    """Find the endpoint, look at its certificate, and set the policy; return when the certificates end."""
    asking = _client(url, way)
    try:
        async with asyncio.timeout(3 * way.timeout_s):
            with in_words():
                await _say_hello(asking, traffic)
                await asking.open_secure_channel()
                endpoints = await asking.get_endpoints()
                await asking.close_secure_channel()
    except TimeoutError as exc:
        raise ConnectError("no answer in time") from exc
    finally:
        asking.disconnect_socket()
    policy = POLICIES[way.policy]
    mode = ua.MessageSecurityMode.Sign if way.sign_only else ua.MessageSecurityMode.SignAndEncrypt
    try:
        endpoint = Client.find_endpoint(endpoints, mode, policy.URI)
    except ua.UaError as exc:
        offered = sorted({_offer(each) for each in endpoints})
        raise DeniedError(
            f"{url} does not offer {way.policy} with {mode.name}",
            f"it offers: {', '.join(offered) or 'nothing'}",
        ) from exc
    der = first_of(endpoint.ServerCertificate or b"")
    await asyncio.to_thread(_check, der, url, way, datetime.fromtimestamp(clock.now_ns() / 1e9, UTC))
    certificate, key = await asyncio.to_thread(own_certificate, way.folder, way.uri, f"Ironworks {way.name}")
    peer = x509_from_der(der)
    client.security_policy = policy(peer, certificate, key, mode)
    client.uaclient.set_security(client.security_policy)
    return {"certificate": certificate.not_valid_after_utc, "peer_certificate": peer.not_valid_after_utc}


def _check(der: bytes, url: str, way: Way, now: datetime) -> None:
    trust = TrustList(way.folder)
    try:
        if trust.trusts(der, now):
            return
    except ValueError as exc:
        raise DeniedError(f"{url} shows no certificate that can be read: {exc}", "see to its server") from exc
    trust.reject(der)
    print_ = fingerprint(der)
    raise DeniedError(
        f"the certificate of {url} is not trusted; its SHA-256 begins with {print_[:16]}",
        f"compare it on the server, then: ironworks drivers trust {way.name} {print_[:16]}",
    )


def _denied(exc: RefusedError, way: Way, who: Login) -> ConnectError:
    if exc.code in _LOGIN or (who.certificate is not None and exc.code in _CERTIFICATE):
        name, remedy = f"user {who.user!r}", "check `user` and its password"
        if who.certificate is not None:
            name = f"the certificate of {who.certificate.subject.rfc4514_string()}"
            remedy = "let the server know that user's certificate; see user_certificate"
        elif not who.user:
            name = "a client without a user"
            remedy = "set `user` and password_env or password_file, or user_certificate and user_key"
        return DeniedError(f"the server does not take {name}: {status_name(exc.code)}", remedy)
    if exc.code in _CERTIFICATE:
        file = way.folder / "certificate.der"
        text = f"the server does not take our certificate or policy {way.policy}: {status_name(exc.code)}"
        return DeniedError(text, f"let the server trust {file}")
    return exc


def _offer(endpoint: Any) -> str:
    mode = getattr(endpoint.SecurityMode, "name", endpoint.SecurityMode)  # a number where there is none
    return f"{endpoint.SecurityPolicyUri.rpartition('#')[2]} ({mode})"
