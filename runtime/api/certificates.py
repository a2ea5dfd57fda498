"""/certificates: which client certificate logs in which user, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate.certificates import Certificates
from runtime.gate.identity import Identity
from runtime.wire import CertificateList, CertificateView


class CertificateBody(BaseModel):
    """A user, and a certificate as PEM."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[UnicodeText, Field(max_length=256)]
    certificate: Annotated[UnicodeText, Field(max_length=20_000)]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["users"])
    identity = services.identity
    certificates = Certificates(identity, services.journal, services.clock)

    @routes.get("/certificates", **answers(CertificateList, "Certificates, by age."))
    async def list_certificates() -> Json:
        """List the certificates by which clients log in (admin)."""
        return Json(certificate_list(identity))

    @routes.post("/certificates", **answers(CertificateList, "All certificates, with the new one."))
    async def add_certificate(body: CertificateBody, actor: Caller) -> Json:
        """Let a client certificate log in a user (admin)."""
        try:
            await certificates.add(body.user, body.certificate, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(certificate_list(identity))

    @routes.delete("/certificates/{id}", **answers(CertificateList, "The certificates that are left."))
    async def end_certificate(id: str, actor: Caller) -> Json:  # noqa: A002 - the API's word
        """End a certificate at once; its fingerprint's first 16 digits name it (admin)."""
        try:
            await certificates.end(id, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(certificate_list(identity))

    return routes


def certificate_list(identity: Identity) -> CertificateList:
    """Return all certificates as clients see them."""
    return CertificateList(
        tuple(
            CertificateView(
                id=each.fingerprint[:16],
                user=each.user,
                fingerprint=each.fingerprint,
                until_ns=each.until_ns,
                added_ns=each.added_ns,
                added_by=each.added_by,
            )
            for each in identity.certificates()
        )
    )


def _refused(error: WriteRejectedError) -> Refused:
    return Refused(403 if isinstance(error, ForbiddenError) else 409, error.text, error.remedy)
