"""Which keys the certificate of a client may have, looked at before use; how long those of a channel last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection
from asyncua.common.utils import ServiceError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from drivers.opcua.trust import first_of
from runtime.clock import monotonic_ns

SMALLEST_BITS, LARGEST_BITS = 2048, 4096
LARGEST_EXPONENT = 2**32
SHORTEST_MS, LONGEST_MS = 10_000, 3_600_000  # that keys of a channel last
GRACE = 1.25  # Source: OPC 10000-4, 5.6.2.1 OpenSecureChannel


class UnfitKeyError(ua.UaError):  # type: ignore[misc]
    """A certificate whose key no security policy of ours takes; its text says why."""


def check_key(certificate: x509.Certificate) -> None:
    """Check the key of a certificate: small ones are broken, large ones cost more than their owner.

    Source: OPC 10000-7, the limits of Basic256Sha256, Aes128-Sha256-RsaOaep and Aes256-Sha256-RsaPss, which
    are the same; exponents above 2^32 are nobody's (65537 is usual), and make each use of the key dear.

    Raises:
        UnfitKeyError: it is not one that a security policy takes.
    """
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise UnfitKeyError("its key is not RSA")
    if not SMALLEST_BITS <= key.key_size <= LARGEST_BITS:
        raise UnfitKeyError(f"its key has {key.key_size} bits, allowed are {SMALLEST_BITS} to {LARGEST_BITS}")
    if key.public_numbers().e >= LARGEST_EXPONENT:
        raise UnfitKeyError("its key has an exponent of more than 32 bits")


class Channel(SecureConnection):  # type: ignore[misc]
    """A secure channel that computes nothing with a client's key before it was looked at."""

    def __init__(self, policy: Any, limits: Any, unfit: Callable[[x509.Certificate, str], None]) -> None:
        """`unfit` is told of certificates that are refused, and why."""
        super().__init__(policy, limits)
        self._unfit = unfit
        self._ends_ns: dict[int, int] = {}

    def open(self, params: Any, server: Any) -> Any:
        """Open the channel, or give it other keys; asyncua lets a client say how long they last."""
        params.RequestedLifetime = min(max(params.RequestedLifetime or LONGEST_MS, SHORTEST_MS), LONGEST_MS)
        response = super().open(params, server)
        made, used = response.SecurityToken, self.security_token.TokenId
        end_ns = monotonic_ns() + round(GRACE * made.RevisedLifetime * 1e6)
        self._ends_ns = {used: self._ends_ns.get(used, end_ns), made.TokenId: end_ns}
        return response

    def _check_sym_header(self, header: Any) -> None:
        """See which keys a message uses.

        Raises:
            UaError: none of this channel, or such as its client had to renew.
        """
        super()._check_sym_header(header)
        secured = self.security_policy.Mode != ua.MessageSecurityMode.None_
        if secured and monotonic_ns() > self._ends_ns.get(header.TokenId, 0):
            raise ua.UaError("its client did not renew the keys of the channel in time")

    def select_policy(self, uri: str, peer_certificate: bytes | None, mode: Any = None) -> None:
        """Take the security policy that a client wants.

        Raises:
            UnfitKeyError: the key of its certificate is not one that a policy takes.
            UaError: there is no such policy.
        """
        if peer_certificate:
            certificate = x509.load_der_x509_certificate(first_of(peer_certificate))
            try:
                check_key(certificate)
            except UnfitKeyError as exc:
                self._unfit(certificate, str(exc))
                raise
        super().select_policy(uri, peer_certificate, mode)

    def message_to_binary(
        self, message: bytes, message_type: Any = ua.MessageType.SecureMessage, request_id: int = 0
    ) -> bytes:
        """Return the chunks of an answer.

        Raises:
            ServiceError: the client said that it does not take so much.
        """
        if message_type == ua.MessageType.SecureMessage:
            crypto, limits = self.security_policy.symmetric_cryptography, self._limits
            if not limits.takes(len(message), MessageChunk.max_body_size(crypto, limits.max_send_buffer)):
                raise ServiceError(ua.StatusCodes.BadResponseTooLarge)
        chunks: bytes = super().message_to_binary(message, message_type, request_id)
        return chunks
