"""Which clients may open a secure channel: those whose certificate is trusted; others are listed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from drivers.opcua.few import Few
from drivers.opcua.trust import TrustList, fingerprint, first_of, shown_of
from runtime.contract import Clock
from runtime.errors import StoreError

UNTRUSTED = "its certificate is not trusted"
REMEMBERED = 1_000
AGAIN_NS = 3_600_000_000_000  # so that what an authority issued ends in time


Refused = Callable[[str, str, str], None]
"""Is told of a client that was refused: subject and SHA-256 of its certificate, and why."""


@dataclass(frozen=True, slots=True)
class Used:
    """A certificate that a client used: whose it is, and when it ends."""

    subject: str
    until: datetime


class Admission:
    """The trust list as the server keeps to it.

    Attributes:
        strict: whether only trusted certificates come in.
        used: certificates of clients, by application; a new one of the same application takes the place.
    """

    def __init__(self, folder: Path, strict: bool, clock: Clock, refused: Refused) -> None:
        self.strict = strict
        self.used: OrderedDict[str, Used] = OrderedDict()
        self._trust = TrustList(folder)
        self._clock = clock
        self._refused = refused
        self._verdicts: OrderedDict[bytes, bool] = OrderedDict()
        self._few = Few(clock)
        self._stamps, self._judged_ns = self._look(), clock.steady_ns()

    def admits(self, chain: bytes, address: str = "") -> bool:
        """Tell whether a client's certificate is trusted; one that is not is listed, and told once."""
        der = first_of(chain)
        verdict = self._verdicts.get(der)
        if verdict is None:
            verdict = self._judge(der, address)
            self._remember(der, verdict)
        return verdict

    def unfit(self, certificate: x509.Certificate, why: str) -> None:
        """Tell once of a certificate that cannot be used, trusted or not."""
        der = certificate.public_bytes(Encoding.DER)
        if self._verdicts.get(der) is not False:
            self._remember(der, False)
            self._tell(certificate.subject.rfc4514_string(), fingerprint(der), why)

    def _remember(self, der: bytes, verdict: bool) -> None:
        self._verdicts[der] = verdict
        if len(self._verdicts) > REMEMBERED:
            self._verdicts.popitem(last=False)

    def _tell(self, subject: str, print_: str, why: str) -> None:
        """Tell people of a refusal, so many a minute: a flood of certificates does not drown the log."""
        untold = self._few.take()
        if untold is None:
            return
        more = f" ({untold} more were refused before, and not told)" if untold else ""
        self._refused(subject, print_, why + more)

    def _judge(self, der: bytes, address: str) -> bool:
        print_ = fingerprint(der)
        try:
            shown = shown_of(der)
            now = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
            trusted = not self.strict or self._trust.trusts(der, now)
            if not trusted:
                self._trust.reject(der, address)
                self._tell(shown.subject, print_, UNTRUSTED)
                return False
        except (StoreError, ValueError) as exc:
            self._tell("a certificate", print_, f"it cannot be judged ({exc})")
            return not self.strict
        application = shown.uris[0] if shown.uris else print_
        self.used[application] = Used(shown.subject, shown.until)
        self.used.move_to_end(application)
        if len(self.used) > REMEMBERED:
            self.used.popitem(last=False)
        return True

    def names(self, chain: bytes, uri: str) -> bool:
        """Tell whether a certificate is of the application that a client says it is.

        Source: OPC 10000-4, 6.1.3, table of the validation steps, URI.
        """
        return not self.strict or uri in shown_of(first_of(chain)).uris

    def changed(self) -> bool:
        """Tell whether what was judged is void: a certificate came or went, or an hour is over."""
        stamps, steady_ns = self._look(), self._clock.steady_ns()
        if stamps == self._stamps and steady_ns - self._judged_ns < AGAIN_NS:
            return False
        self._stamps, self._judged_ns = stamps, steady_ns
        self._verdicts.clear()
        self.used.clear()
        return True

    def _look(self) -> int:
        """Return what changes when a file comes into or leaves the folder of trusted certificates."""
        try:
            return (self._trust.folder / "trusted").stat().st_mtime_ns
        except FileNotFoundError:
            return 0
