"""Makes keys and certificates: the gateway's authority, its server's, and those of clients.

All are EC P-256, but where RSA is asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.clock import SECOND_NS

SERVER_DAYS = 397  # the longest that browsers take
_EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_EARLY = timedelta(days=1)  # for clients whose clock is behind


def new_authority(plant: str) -> bytes:
    """Return key and certificate of a gateway's own authority, as PEM.

    It has no end: clients pin it, and a gateway's clock may be wrong when it is made.
    Source: RFC 5280, 4.1.2.5.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Ironworks {plant}")
    builder = _builder(name, name, key, *_EVER)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return _key_pem(key) + _pem(builder.sign(key, hashes.SHA256()))


def issue_server(authority: bytes, names: Sequence[str], now_ns: int) -> bytes:
    """Return key, certificate and authority of a server for DNS names and addresses, as PEM.

    Raises:
        ValueError: the authority cannot be read.
    """
    (signer,) = x509.load_pem_x509_certificates(authority)
    signer_key = load_pem_private_key(authority, None)
    if not isinstance(signer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not of its kind")
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.fromtimestamp(now_ns // SECOND_NS, UTC) - _EARLY
    end = start + timedelta(days=SERVER_DAYS)
    builder = _builder(_name(names[0]), signer.subject, key, start, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(each) for each in names]), critical=False
    )
    identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(issued_by, critical=False)
    return _key_pem(key) + _pem(builder.sign(signer_key, hashes.SHA256())) + _pem(signer)


def new_client(user: str, days: int, now_ns: int, by_rsa: bool = False) -> tuple[bytes, bytes]:
    """Return key and certificate of a client, as PEM; it signs itself, for the gateway pins it.

    OPC UA's policies need RSA; 2048 bits is the least that all of them take.
    """
    key: _Key = rsa.generate_private_key(65537, 2048) if by_rsa else ec.generate_private_key(ec.SECP256R1())
    name = _name(user)
    start = datetime.fromtimestamp(now_ns // SECOND_NS, UTC) - _EARLY
    builder = _builder(name, name, key, start, start + _EARLY + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return _key_pem(key), _pem(builder.sign(key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _Key, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
