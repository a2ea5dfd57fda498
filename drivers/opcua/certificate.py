"""The server's own certificate: self-signed, made once, kept in the state folder."""

from __future__ import annotations

import os
import socket
import threading
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from asyncua.crypto import cert_gen, uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from runtime.errors import StoreError

VALID_DAYS = 5 * 365
_ONE = threading.Lock()  # connections to several servers begin at the same time, each in a thread


def own_certificate(folder: Path, uri: str, name: str) -> tuple[Any, Any]:
    """Return certificate and private key; makes them where they are missing, old or for another URI.

    Slow the first time: call it in a thread.

    Raises:
        StoreError: the folder cannot be used, or holds something else.
    """
    with _ONE:
        return _own_certificate(folder, uri, name)


def _own_certificate(folder: Path, uri: str, name: str) -> tuple[Any, Any]:
    key_file, certificate_file = folder / "key.pem", folder / "certificate.der"
    host = socket.gethostname()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if key_file.exists():
            key = _key(key_file.read_bytes())
        else:
            key = cert_gen.generate_private_key()
            _write(key_file, cert_gen.dump_private_key_as_pem(key))
        if certificate_file.exists():
            certificate = x509.load_der_x509_certificate(certificate_file.read_bytes())
            ours = certificate.public_key() == key.public_key()
            if ours and not uacrypto.check_certificate(certificate, uri, host):
                return certificate, key
        certificate = _make(certificate_file, key, uri, name)
    except OSError as exc:
        raise StoreError(f"{folder}: {exc.strerror}", "make the folder writable") from exc
    except (ValueError, TypeError) as exc:
        remedy = "delete the folder: the server makes a new certificate"
        raise StoreError(f"{folder}: no usable key or certificate: {exc}", remedy) from exc
    return certificate, key


@lru_cache(maxsize=4)
def _key(pem: bytes) -> Any:
    """Read a private key; whether it is sound takes longer to see than all else of a start."""
    return load_pem_private_key(pem, None)


def renew_certificate(folder: Path, uri: str, name: str) -> tuple[Path, bytes, datetime]:
    """Make a new certificate for the same key; return its file, itself as DER, and when it ends.

    Raises:
        StoreError: the folder cannot be used, or holds something else.
    """
    _, key = own_certificate(folder, uri, name)
    file = folder / "certificate.der"
    try:
        certificate = _make(file, key, uri, name)
    except OSError as exc:
        raise StoreError(f"{folder}: {exc.strerror}", "run it as the account of the plant") from exc
    return file, certificate.public_bytes(Encoding.DER), certificate.not_valid_after_utc


def _make(file: Path, key: Any, uri: str, name: str) -> Any:
    certificate = cert_gen.generate_self_signed_app_certificate(
        key,
        name,
        {"organizationName": "Ironworks"},
        [x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())],
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        VALID_DAYS,
    )
    _write(file, certificate.public_bytes(Encoding.DER))
    return certificate


def _write(file: Path, content: bytes) -> None:
    """Write whole or not at all, readable by the owner only."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
