"""User tokens: the password or the certificate that a client shows, and the proof that it may.

Source: OPC 10000-4, 7.41 UserIdentityToken parameters.
"""

from __future__ import annotations

import secrets
import struct
from typing import Any, Protocol

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from drivers.opcua.trust import fingerprint, first_of
from runtime.contract import Actor

MAX_SECRET = 1024
_CODES = ua.StatusCodes
_DECRYPT = {
    SecurityPolicyBasic256Sha256.AsymmetricEncryptionURI: uacrypto.decrypt_rsa_oaep,
    SecurityPolicyAes256Sha256RsaPss.AsymmetricEncryptionURI: uacrypto.decrypt_rsa_oaep_sha256,
}
_VERIFY = {
    SecurityPolicyBasic256Sha256.URI: uacrypto.verify_sha256,
    SecurityPolicyAes128Sha256RsaOaep.URI: uacrypto.verify_sha256,
    SecurityPolicyAes256Sha256RsaPss.URI: uacrypto.verify_pss_sha256,
}


class Users(Protocol):
    """Whom the plant knows."""

    async def by_password(self, name: str, secret: str, address: str) -> Actor | None:
        """Return who that is that came from an address, None for nobody."""
        ...

    def by_certificate(self, fingerprint: str) -> Actor | None:
        """Return whose certificate that is, None for nobody's; its key is not asked for."""
        ...


def secret_of(token: Any, private_key: Any, nonce: bytes, encrypted: bool) -> str:
    """Return the password of a token; `encrypted` says whether the channel hides it.

    Raises:
        ServiceError: it is none, or was sent in the clear.

    Source: OPC 10000-4, 7.41.2.2 Legacy encrypted token secret.
    """
    secret: bytes = token.Password or b""
    if token.EncryptionAlgorithm:
        secret = _decrypted(secret, token.EncryptionAlgorithm, private_key, nonce)
    elif not encrypted:
        raise ServiceError(_CODES.BadIdentityTokenRejected)
    if len(secret) > MAX_SECRET:
        raise ServiceError(_CODES.BadIdentityTokenInvalid)
    try:
        return secret.decode()
    except UnicodeDecodeError as exc:
        raise ServiceError(_CODES.BadIdentityTokenInvalid) from exc


def _decrypted(secret: bytes, algorithm: str, private_key: Any, nonce: bytes) -> bytes:
    decrypt = _DECRYPT.get(algorithm)
    if decrypt is None:
        raise ServiceError(_CODES.BadIdentityTokenInvalid)
    try:
        plain = decrypt(private_key, secret)
        (length,) = struct.unpack_from("<I", plain)
    except (ValueError, struct.error) as exc:
        raise ServiceError(_CODES.BadIdentityTokenInvalid) from exc
    body = plain[4 : 4 + length]
    bare: bytes = body[: len(body) - len(nonce)]
    if len(body) != length or not secrets.compare_digest(body[len(bare) :], nonce):
        raise ServiceError(_CODES.BadIdentityTokenInvalid)
    return bare


def print_of(token: Any) -> str:
    """Return the SHA-256 of the certificate of a token, in hex."""
    return fingerprint(first_of(token.CertificateData or b""))


def has_rsa_key(token: Any) -> bool:
    """Tell whether the certificate of a token, which the plant knows, can sign as the policies do."""
    certificate = x509.load_der_x509_certificate(first_of(token.CertificateData))
    try:
        return isinstance(certificate.public_key(), RSAPublicKey)
    except (UnsupportedAlgorithm, ValueError):
        return False


def prove(token: Any, signature: Any, challenge: bytes, policy_uri: str) -> None:
    """Check that a client has the key of the certificate that it shows.

    `challenge` is what it has to sign: the server's certificate and last nonce; `policy_uri` says how.

    Raises:
        ServiceError: it has not.

    Source: OPC 10000-4, 5.7.3.2 and 7.41.5 X509IdentityTokens.
    """
    verify = _VERIFY.get(policy_uri)
    if verify is None:
        raise ServiceError(_CODES.BadIdentityTokenRejected)
    try:
        certificate = x509.load_der_x509_certificate(first_of(token.CertificateData))
        verify(certificate, challenge, signature.Signature or b"")
    except InvalidSignature as exc:
        raise ServiceError(_CODES.BadUserSignatureInvalid) from exc
    except (TypeError, ValueError) as exc:
        raise ServiceError(_CODES.BadIdentityTokenInvalid) from exc
