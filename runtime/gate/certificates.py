"""What admins do to the certificates by which clients log in; in force, and ended, at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.contract import Actor, Clock, Role
from runtime.errors import AbsentError, PlantError, UnfitValueError, WriteRejectedError
from runtime.gate.attempts import Attempts, lacking
from runtime.gate.readings import PATIENCE_S
from runtime.journal.certificates import CertificateEnd, CertificateRecord, certificate_rows

if TYPE_CHECKING:
    from runtime.gate.identity import Identity
    from runtime.journal.store import Journal

_MOST = 1000


@dataclass(frozen=True, slots=True)
class CertificateActor(Actor):
    """A client that showed a certificate: the user whom it is for."""

    certificate: str = ""


class Certificates:
    """The gateway trusts each certificate for itself: who signed it does not matter."""

    def __init__(self, identity: Identity, journal: Journal, clock: Clock) -> None:
        self._identity = identity
        self._journal = journal
        self._clock = clock
        self._attempts = Attempts(journal, clock)

    async def load(self, patience_s: float = PATIENCE_S) -> None:
        """Bring into force what the journal has.

        Raises:
            StoreError: it cannot be read.
        """
        await self._identity.certificates_read.renew(
            lambda: self._journal.read(certificate_rows),
            self._identity.restore_certificates,
            self._clock,
            patience_s,
        )

    async def add(self, user: str, pem: str, actor: Actor) -> None:
        """Let a certificate log in a user.

        Raises:
            WriteRejectedError: says why not.
        """
        from runtime.tls.certificate import check_client  # it loads cryptography

        now_ns = self._clock.now_ns()
        entry = self._attempts.entry("certificate-add", user, actor)
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "a certificate")
        there = {each.fingerprint: each for each in self._identity.certificates()}
        records = []
        try:
            found = check_client(pem.encode("utf-8", "replace"), now_ns)
        except PlantError as exc:
            refusal = refusal or UnfitValueError(exc.text, exc.remedy)
        else:
            entry = replace(entry, new=found.fingerprint)
            times = (found.until_ns, now_ns)
            records = [CertificateRecord(found.fingerprint, user, found.pem, *times, actor.name)]
            whose = there.get(found.fingerprint)
            if refusal is None and whose is not None:
                remedy = f"`ironworks user revoke {found.fingerprint[:16]}` ends it"
                refusal = WriteRejectedError(f"this certificate is {whose.user}'s already", remedy)
        if refusal is None and not any(each.name == user for each in self._identity.users()):
            refusal = UnfitValueError(f"no user is named {user!r}", "`ironworks user list` lists all")
        if refusal is None and len(there) >= _MOST:
            refusal = WriteRejectedError(f"there are {_MOST} certificates", "end those not in use")
        await self._attempts.command(entry, refusal, *records)
        await self.load()

    async def end(self, id_: str, actor: Actor) -> None:
        """End a certificate, named by the first 16 or more digits of its fingerprint.

        Raises:
            WriteRejectedError: says why not.
        """
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "ending a certificate")
        found = [each for each in self._identity.certificates() if each.fingerprint.startswith(id_)]
        entry = self._attempts.entry("certificate-end", found[0].user if found else id_, actor)
        if refusal is None and (len(found) != 1 or len(id_) < 16):
            refusal = AbsentError(f"no certificate {id_!r} is in force", "see `ironworks user certs`")
        ends = [CertificateEnd(each.fingerprint) for each in found]
        entry = replace(entry, old=found[0].fingerprint if found else None)
        await self._attempts.command(entry, refusal, *ends)
        await self.load()
