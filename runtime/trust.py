"""Which gateways this account trusts, and the TLS of a client: where one is pinned, no other is believed."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from runtime.errors import ConnectError, PlantError

AUTHORITY_VARIABLE = "IRONWORKS_AUTHORITY"
_TIMEOUT_S = 10.0
_UNKNOWN = frozenset({2, 7, 18, 19, 20, 21, 24})  # X509_V_ERR_*: nobody who is trusted signed it
_OTHER_NAME = frozenset({62, 64})
_NOT_NOW = frozenset({9, 10})
_CLIENT_ALERTS = ("UNKNOWN_CA", "CERTIFICATE", "ACCESS_DENIED")


def place(url: str) -> tuple[str, int]:
    """Return host and port of an https URL.

    Raises:
        PlantError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return parts.hostname, parts.port or 443
    except ValueError:
        pass
    raise PlantError(f"{url!r} is not the address of a gateway", "write it like https://gateway:8420")


def pinned(url: str) -> str | None:
    """Return the certificate (PEM) that is believed at an address, None where nothing is pinned.

    Raises:
        PlantError: the file that holds it cannot be read.
    """
    named = os.environ.get(AUTHORITY_VARIABLE)
    file = Path(named) if named else _file(url)
    try:
        return file.read_text("ascii")
    except FileNotFoundError:
        if named:
            text = f"{file}, named by ${AUTHORITY_VARIABLE}, is not there"
            raise PlantError(text, "export it on the gateway: ironworks tls export") from None
        return None
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not PEM"
        anew = "export it on the gateway: ironworks tls export"
        remedy = anew if named else "remove it, and trust the gateway anew"
        raise PlantError(f"{file} cannot be read: {why}", remedy) from exc


def pin(url: str, pem: str) -> None:
    """Believe a certificate, and what it signed, at an address from now on."""
    file = _file(url)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}.new")
    new.write_text(pem, "ascii")
    new.replace(file)


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of a certificate, in hex."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def shown_at(url: str) -> str:
    """Return the last certificate of the chain that an address shows; nothing of it is verified.

    Raises:
        ConnectError: nothing there speaks TLS.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    return ssl.DER_cert_to_PEM_cert(_handshake(url, blind)[-1])


def check(url: str) -> None:
    """Connect once, as every client will.

    Raises:
        ConnectError: says why that fails.
    """
    _handshake(url, context(url))


def context(url: str, certificate: Path | str | None = None) -> ssl.SSLContext:
    """Return how to connect to an https address: by what is pinned, else by what this system trusts.

    `certificate` is a PEM file with the client's own certificate and key.

    Raises:
        PlantError: a file cannot be used.
    """
    pem = pinned(url)
    if pem is None:
        made = ssl.create_default_context()
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            made.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as exc:  # ValueError: an empty file
            text = f"what is pinned for {url} is not a certificate"
            raise PlantError(text, f"trust it anew: ironworks tls trust {url}") from exc
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        try:
            made.load_cert_chain(certificate, password=lambda: "")
        except OSError as exc:
            text = f"{certificate}: no usable certificate with its key: {exc.strerror or exc}"
            raise PlantError(text, "give a PEM file with both, without a passphrase") from exc
    return made


def unreachable(url: str, error: BaseException) -> ConnectError | None:
    """Say in words what TLS found, None when the trouble is another."""
    found = _tls(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return _distrusted(url, found)
    reason = found.reason or ""
    if "ALERT" in reason and any(word in reason for word in _CLIENT_ALERTS):
        text = f"{url} does not take the client's certificate"
        return ConnectError(text, "an admin lets it in: ironworks user cert NAME FILE; or it has expired")
    if "WRONG_VERSION" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER" in reason:
        return ConnectError(f"{url} does not speak TLS", "is it the right port?")
    return ConnectError(f"no TLS with {url}: {reason or found}", "is it a plant, and of this version?")


def _distrusted(url: str, error: ssl.SSLCertVerificationError) -> ConnectError:
    code = error.verify_code
    if code in _OTHER_NAME:
        text = f"the certificate of {url} is for other names: {error.verify_message}"
        remedy = "use a name that it has (`ironworks tls show`), or add one there: api: {tls: {names: [...]}}"
        return ConnectError(text, remedy)
    if code in _NOT_NOW:
        text = f"the certificate of {url} is not in force: {error.verify_message}"
        return ConnectError(text, "compare both clocks; on the gateway: ironworks tls show")
    if code in _UNKNOWN and pinned(url):
        text = f"the certificate of {url} is not the one that was trusted: something else may answer there"
        remedy = (
            "compare `ironworks tls show` on the gateway; if it has a new authority: "
            f"ironworks tls trust {url}"
        )
        return ConnectError(text, remedy)
    if code in _UNKNOWN:
        text = f"the certificate of {url} is not known here"
        remedy = f"ironworks tls trust {url} shows it; compare it with `ironworks tls show` on the gateway"
        return ConnectError(text, remedy)
    return ConnectError(f"the certificate of {url} is refused: {error.verify_message}", "look at it there")


def _tls(error: BaseException | None) -> ssl.SSLError | None:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def _handshake(url: str, made: ssl.SSLContext) -> list[bytes]:
    host, port = place(url)
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as plain,
            made.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return _chain(secured)
    except OSError as exc:
        raise unreachable(url, exc) or ConnectError(
            f"{url} cannot be reached: {exc.strerror or exc}", "is it up?"
        ) from exc


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """Return what the server sent, its own first; public in Python 3.13, there since 3.10."""
    told = getattr(secured, "get_unverified_chain", None)
    if told is not None:
        return list(told())
    inner = getattr(secured, "_sslobj")  # noqa: B009 - it is not public there
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain()]


def _file(url: str) -> Path:
    host, port = place(url)
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return folder / "ironworks" / "trusted" / f"{host.replace(':', '_')}_{port}.pem"
