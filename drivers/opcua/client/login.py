"""Who the client is to the server: a user with a password, or with a certificate, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from drivers.frame.login import password_of
from drivers.opcua.client.section import ClientConfig
from drivers.opcua.trust import load
from runtime.errors import ConnectError, PlantError


@dataclass(frozen=True, slots=True)
class Login:
    """What the server is shown."""

    user: str = ""
    password: str | None = None
    certificate: x509.Certificate | None = None
    key: RSAPrivateKey | None = None


NOBODY = Login()


def login(folder: Path, config: ClientConfig) -> Login:
    """Return what a driver logs in with.

    Raises:
        ConnectError: it is not where the plant file says.
    """
    secret = password_of(folder, config)
    if config.user_certificate is None or config.user_key is None:
        return Login(config.user, secret)
    try:
        certificate = x509.load_der_x509_certificate(load(folder / config.user_certificate))
    except PlantError as exc:
        raise ConnectError(exc.text, "see user_certificate") from exc
    key = _key(folder / config.user_key, secret)
    if key.public_key() != certificate.public_key():
        raise ConnectError(f"{config.user_key} is not the key of {config.user_certificate}", "see user_key")
    return Login(certificate=certificate, key=key)


def _key(file: Path, secret: str | None) -> RSAPrivateKey:
    try:
        content = file.read_bytes()
        load_key = load_pem_private_key if content.lstrip().startswith(b"-----") else load_der_private_key
        key = load_key(content, secret.encode() if secret is not None else None)
    except OSError as exc:
        raise ConnectError(f"{file} cannot be read: {exc.strerror}", "see user_key") from exc
    except (ValueError, TypeError) as exc:
        remedy = "give the key of user_certificate, and its password in password_env or password_file"
        raise ConnectError(f"{file} is no private key that can be read: {exc}", remedy) from exc
    if not isinstance(key, RSAPrivateKey):
        raise ConnectError(f"{file} is no RSA key", "OPC UA's policies here sign with RSA")
    return key
