"""Certificates as people see them: names, times, fingerprints, and what is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from runtime.clock import SECOND_NS
from runtime.errors import PlantError

DAY_NS = 86_400 * SECOND_NS
EXPIRES_SOON_DAYS = 14


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says.

    Attributes:
        fingerprint: SHA-256 of the whole certificate, in hex.
        names: DNS names and addresses that it is for.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    fingerprint: str
    from_ns: int
    until_ns: int
    pem: str

    def days_left(self, now_ns: int) -> float:
        return (self.until_ns - now_ns) / DAY_NS


def shown(fingerprint: str) -> str:
    """Write a fingerprint as browsers show it, to be read over the telephone."""
    return ":".join(fingerprint[each : each + 2] for each in range(0, len(fingerprint), 2)).upper()


def plain(fingerprint: str) -> str:
    """Return a fingerprint that a person typed as `fingerprint` has it."""
    return "".join(fingerprint.replace(":", " ").split()).lower()


def read_certificates(pem: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file, in its order; other things in it are skipped.

    Raises:
        ValueError: there is none, or one cannot be read.
    """
    return tuple(_told(each) for each in x509.load_pem_x509_certificates(pem))


def check_pair(certificate_file: Path, key_file: Path, now_ns: int) -> Certificate:
    """Return the certificate that a pair of files holds, if a server can use it.

    Raises:
        PlantError: it cannot be read, is not in force, or the key is not its own.
    """
    certificate_pem = _content(certificate_file, "certificate")
    key_pem = _content(key_file, "key")
    try:
        leaf = x509.load_pem_x509_certificates(certificate_pem)[0]
        told = _told(leaf)
    except ValueError as exc:
        remedy = "give a PEM file: the server's certificate first, then those that signed it"
        raise PlantError(f"{certificate_file}: no usable certificate", remedy) from exc
    try:
        key = load_pem_private_key(key_pem, None)
    except TypeError as exc:
        remedy = "give the key without a passphrase: chmod 600, owned by the account that runs the plant"
        raise PlantError(f"{key_file}: the key is encrypted", remedy) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise PlantError(f"{key_file}: no usable private key", "give a PEM file with the key") from exc
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        text = f"{key_file} is not the key of {certificate_file}"
        raise PlantError(text, "give the pair that belongs together")
    if now_ns >= told.until_ns:
        raise PlantError(f"{certificate_file} has expired on {day(told.until_ns)}", "get a new one")
    if not _may(leaf, ExtendedKeyUsageOID.SERVER_AUTH):
        text = f"{certificate_file} is not for servers"
        raise PlantError(text, "its extended key usage lacks server authentication: get another")
    return told


def check_client(pem: bytes, now_ns: int) -> Certificate:
    """Return the one certificate of a client, if it can log in with it.

    Raises:
        PlantError: it is none, or cannot be a client's.
    """
    try:
        (leaf,) = x509.load_pem_x509_certificates(pem)
        told = _told(leaf)
    except ValueError as exc:
        text = "this is not a file with one certificate"
        raise PlantError(text, "give the client's certificate as PEM, without those that signed it") from exc
    if now_ns >= told.until_ns:
        raise PlantError(f"the certificate has expired on {day(told.until_ns)}", "make a new one")
    if not _may(leaf, ExtendedKeyUsageOID.CLIENT_AUTH):
        text = "this certificate is not for clients"
        raise PlantError(text, "its extended key usage lacks client authentication: get another")
    return told


def day(at_ns: int) -> str:
    """Write the day of a time, in UTC."""
    return f"{datetime.fromtimestamp(at_ns // SECOND_NS, UTC):%Y-%m-%d}"


def _content(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        text = f"{file}: the {what} cannot be read: {exc.strerror}"
        raise PlantError(text, "check the path, and that the account of the plant may read it") from exc


def _told(certificate: x509.Certificate) -> Certificate:
    der = certificate.public_bytes(Encoding.DER)
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=_names(certificate),
        fingerprint=hashlib.sha256(der).hexdigest(),
        from_ns=_ns(certificate.not_valid_before_utc),
        until_ns=_ns(certificate.not_valid_after_utc),
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*found.get_values_for_type(x509.DNSName), *map(str, addresses))


def _may(certificate: x509.Certificate, use: x509.ObjectIdentifier) -> bool:
    try:
        return use in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * SECOND_NS
