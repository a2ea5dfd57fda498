"""What the server shows in a handshake: a certificate made and renewed here, or one that the plant gives."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from runtime.config import Plant, TlsConfig, is_loopback
from runtime.errors import PlantError, StoreError
from runtime.tls.certificate import Certificate, check_pair, read_certificates
from runtime.tls.issue import SERVER_DAYS, issue_server, new_authority

log = logging.getLogger(__name__)
RENEW_DAYS = SERVER_DAYS // 3
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are good as they are
_WILD = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


class OwnFiles:
    """The gateway's authority and its server's certificate: a file each, with the key, for the owner only."""

    def __init__(self, state: Path, plant: str) -> None:
        self.folder = state / "tls"
        self.authority = self.folder / "authority.pem"
        self.server = self.folder / "server.pem"
        self._plant = plant

    def renew(self, names: Sequence[str], now_ns: int) -> None:
        """Make a server's certificate, and the authority where there is none.

        Raises:
            StoreError: the folder cannot be written, or holds something else.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.authority.exists():
                _write(self.authority, new_authority(self._plant))
            _write(self.server, issue_server(self.authority.read_bytes(), names, now_ns))
        except OSError as exc:
            raise StoreError(f"{self.folder}: {exc.strerror}", "make the folder writable") from exc
        except ValueError as exc:
            text = f"{self.authority}: no usable authority: {exc}"
            remedy = "restore it from a backup; or delete it: a new one is made, and each client trusts anew"
            raise StoreError(text, remedy) from exc

    def read(self) -> tuple[Certificate, ...]:
        """Return the server's certificate and the authority's; nothing where they are missing or damaged."""
        try:
            return read_certificates(self.server.read_bytes())
        except (OSError, ValueError):
            return ()

    def authority_certificate(self) -> Certificate | None:
        """Return the authority's certificate, if there is one."""
        try:
            return read_certificates(self.authority.read_bytes())[0]
        except (OSError, ValueError):
            return None


class Shown:
    """Keeps the certificate in force; `context` is for the next handshake.

    Attributes:
        leaf: the server's certificate; None before the first `refresh`.
        trouble: why the certificate could not be renewed or read anew; the former stays in use.
    """

    def __init__(self, plant: Plant) -> None:
        api = plant.head.api
        assert api is not None
        self._host = api.host
        self._config = api.tls
        self._plant = plant
        self._own = OwnFiles(plant.state, plant.name)
        self._seen: tuple[object, ...] = ()
        self.leaf: Certificate | None = None
        self.context: ssl.SSLContext | None = None
        self.trouble = ""

    def refresh(self, now_ns: int, clients: Iterable[str]) -> None:
        """Renew, or read anew, where that is due; `clients` are the certificates (PEM) that log in users.

        It reads files: call it in a thread.
        """
        known = tuple(clients)
        try:
            if self._config.certificate and self._config.key:
                files = self._plant.path(self._config.certificate), self._plant.path(self._config.key)
                self._follow(*files, known, now_ns)
            else:
                self._keep(known, now_ns)
            self._say("")
        except PlantError as exc:
            self._say(str(exc))

    def _keep(self, clients: tuple[str, ...], now_ns: int) -> None:
        """Use the gateway's own certificate; make another when it is due, or no good."""
        own = self._own
        found = own.read()
        names = wanted_names(self._host, self._config)
        if not found or _due(found[0], now_ns) or not set(names) <= set(found[0].names):
            own.renew(names, now_ns)
        try:
            self._follow(own.server, own.server, clients, now_ns)
        except PlantError:
            own.renew(names, now_ns)
            self._follow(own.server, own.server, clients, now_ns)

    def _follow(self, certificate: Path, key: Path, clients: tuple[str, ...], now_ns: int) -> None:
        """Take files up when they, or the clients, are others than before."""
        seen = (_state(certificate), _state(key), clients)
        if seen != self._seen:
            self._take(certificate, key, clients, now_ns)
            self._seen = seen
            log.info("certificate %s is in use", self.leaf.fingerprint[:16] if self.leaf else "")

    def _take(self, certificate: Path, key: Path, clients: tuple[str, ...], now_ns: int) -> None:
        leaf = check_pair(certificate, key, now_ns)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 0  # each connection shows its certificate anew
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key)
            if clients:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # each is trusted for itself
                context.load_verify_locations(cadata="".join(clients))
        except OSError as exc:
            raise PlantError(
                f"{certificate}: {exc.strerror or exc}", "give a pair that OpenSSL takes"
            ) from exc
        self.leaf, self.context = leaf, context

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.error("TLS certificate: %s", trouble)
        self.trouble = trouble


def wanted_names(host: str, config: TlsConfig) -> tuple[str, ...]:
    """Return the names and addresses under which clients know the gateway; its host name is the first."""
    addresses = set()
    if host in _WILD:
        for each in (address for of_one in psutil.net_if_addrs().values() for address in of_one):
            if each.family in (socket.AF_INET, socket.AF_INET6):
                found = ipaddress.ip_address(each.address.partition("%")[0])
                if not found.is_link_local and not found.is_loopback:
                    addresses.add(str(found))
    elif not is_loopback(host):
        addresses.add(str(ipaddress.ip_address(host)))
    own = [each for each in (socket.gethostname().lower(),) if each.isascii()]
    names = [*own, *config.names, "localhost", "127.0.0.1", "::1", *sorted(addresses)]
    return tuple(dict.fromkeys(names))


def _due(certificate: Certificate, now_ns: int) -> bool:
    return now_ns < certificate.from_ns or certificate.days_left(now_ns) < RENEW_DAYS


def _state(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _write(file: Path, content: bytes) -> None:
    """Write whole or not at all, readable by the owner only."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
