"""Which certificates of the other side are believed, and which were met and were not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from runtime.errors import PlantError, StoreError

MAX_REJECTED, MAX_REJECTED_OF = 20, 2
MAX_BYTES = 64 * 1024
NO_FILE = Path()


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate as people compare it."""

    subject: str
    fingerprint: str
    until: datetime
    uris: tuple[str, ...]
    file: Path
    trusted: bool


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate, in hex."""
    return hashlib.sha256(der).hexdigest()


def first_of(chain: bytes) -> bytes:
    """Return the first certificate of a chain: DER says its own length. Source: OPC 10000-6, 6.2.6."""
    return chain[: int.from_bytes(chain[2:4], "big") + 4] if len(chain) > 4 else chain


def shown_of(der: bytes, file: Path = NO_FILE, trusted: bool = False) -> Shown:
    """Return a certificate as people compare it.

    Raises:
        ValueError: it is none.
    """
    return _shown(file, x509.load_der_x509_certificate(der), trusted)


class TrustList:
    """The certificates that one driver believes, and those that it met and did not.

    Files in `trusted` and `rejected`, DER or PEM; an authority's certificate in `trusted` covers all that
    it issued.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._addresses: dict[str, str] = {}  # whence those came that were rejected, by fingerprint

    def trusts(self, der: bytes, now: datetime) -> bool:
        """Tell whether a certificate is believed: itself, or as issued by an authority that is."""
        shown = x509.load_der_x509_certificate(der)
        for known in self._certificates("trusted"):
            if known.public_bytes(Encoding.DER) == der:
                return True
            if _issued(known, shown, now):
                return True
        return False

    def reject(self, der: bytes, address: str = "") -> None:
        """Keep a certificate for people to look at: the newest two of an address, and twenty in all.

        So a stranger with many certificates pushes out their own.

        Raises:
            StoreError: it cannot be written.
        """
        folder = self.folder / "rejected"
        file = folder / f"{fingerprint(der)}.der"
        try:
            if file.exists():
                return
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(folder, address)
            file.write_bytes(der)
        except OSError as exc:
            raise StoreError(f"{folder}: {exc.strerror}", "make the folder writable") from exc
        self._addresses[file.stem] = address

    def _make_room(self, folder: Path, address: str) -> None:
        """Remove the oldest of an address that has enough, else of those that have most, where it is full."""
        there = sorted(folder.glob("*.der"), key=lambda each: each.stat().st_mtime_ns)
        self._addresses = {each.stem: self._addresses.get(each.stem, each.stem) for each in there}
        files: dict[str, list[Path]] = {}
        for each in there:
            files.setdefault(self._addresses[each.stem], []).append(each)
        if address and len(files.get(address, ())) >= MAX_REJECTED_OF:
            files[address].pop(0).unlink(missing_ok=True)
        while sum(map(len, files.values())) >= MAX_REJECTED:
            max(files.values(), key=len).pop(0).unlink(missing_ok=True)

    def list(self) -> list[Shown]:
        """Return all that is known, trusted ones first."""
        return [
            shown
            for kind in ("trusted", "rejected")
            for file, certificate in self._files(kind)
            for shown in (_shown(file, certificate, kind == "trusted"),)
        ]

    def accept(self, start: str) -> Shown:
        """Believe the rejected certificate whose fingerprint begins so from now on.

        Raises:
            PlantError: there is none, or more than one.
        """
        return self._move(start, "rejected", "trusted")

    def add(self, file: Path) -> Shown:
        """Believe the certificate in a file, or what the authority in it issued, from now on.

        Raises:
            PlantError: it is no certificate.
        """
        der = load(file)
        folder = self.folder / "trusted"
        target = folder / f"{fingerprint(der)}.der"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_bytes(der)
        except OSError as exc:
            raise StoreError(f"{folder}: {exc.strerror}", "run it as the account of the plant") from exc
        return _shown(target, x509.load_der_x509_certificate(der), True)

    def withdraw(self, start: str) -> Shown:
        """Believe a trusted certificate no more.

        Raises:
            PlantError: there is none, or more than one.
        """
        return self._move(start, "trusted", "rejected")

    def _move(self, start: str, source: str, target: str) -> Shown:
        wanted = start.replace(":", "").replace(" ", "").lower()
        there = [each for each in self.list() if each.trusted == (source == "trusted")]
        found = [each for each in there if each.fingerprint.startswith(wanted)]
        if len(found) != 1:
            text = f"no {source} certificate begins with {start!r}" if not found else f"{len(found)} begin so"
            known = ", ".join(each.fingerprint[:16] for each in there) or "none"
            raise PlantError(text, f"{source} are: {known}")
        (chosen,) = found
        try:
            folder = self.folder / target
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            chosen.file.replace(folder / chosen.file.name)
        except OSError as exc:
            raise StoreError(f"{self.folder}: {exc.strerror}", "run it as the account of the plant") from exc
        return chosen

    def _certificates(self, kind: str) -> Iterator[x509.Certificate]:
        return (certificate for _, certificate in self._files(kind))

    def _files(self, kind: str) -> Iterator[tuple[Path, x509.Certificate]]:
        folder = self.folder / kind
        if not folder.is_dir():
            return
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".der", ".pem", ".crt", ".cer") or file.stat().st_size > MAX_BYTES:
                continue
            try:
                yield file, _load(file.read_bytes())
            except (OSError, ValueError) as exc:
                raise StoreError(f"{file} is no certificate: {exc}", "replace it, or remove it") from exc


def load(file: Path) -> bytes:
    """Return the certificate of a DER or PEM file as DER.

    Raises:
        PlantError: it is none.
    """
    try:
        return _load(file.read_bytes()).public_bytes(Encoding.DER)
    except OSError as exc:
        raise PlantError(f"{file}: {exc.strerror}", "give the file with the certificate") from exc
    except ValueError as exc:
        raise PlantError(f"{file} is no certificate: {exc}", "give it as DER or PEM") from exc


def _load(content: bytes) -> x509.Certificate:
    if content.lstrip().startswith(b"-----"):
        return x509.load_pem_x509_certificate(content)
    return x509.load_der_x509_certificate(content)


def _shown(file: Path, certificate: x509.Certificate, trusted: bool) -> Shown:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        uris = ()
    der = certificate.public_bytes(Encoding.DER)
    subject = certificate.subject.rfc4514_string()
    return Shown(subject, fingerprint(der), certificate.not_valid_after_utc, uris, file, trusted)


def _issued(authority: x509.Certificate, shown: x509.Certificate, now: datetime) -> bool:
    """Tell whether an authority issued a certificate that is in force."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            return False
        shown.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return all(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in (authority, shown))
