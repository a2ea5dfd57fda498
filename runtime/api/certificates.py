"""/certificates: which client certificate logs in which user, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Caller
from runtime.api.answers import Json, answers, refused
from runtime.api.pages import PAGE, After, Limit, page
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.errors import WriteRejectedError
from runtime.gate.certificates import Certificates
from runtime.journal.certificates import CertificateRecord
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

    def listed(after: str = "", limit: int = PAGE) -> Json:
        found, following = page(identity.certificates(), _id, after, limit)
        return Json(CertificateList(tuple(_view(each) for each in found), following))

    @routes.get("/certificates", **answers(CertificateList, "Certificates, by age.", 404))
    async def list_certificates(after: After = "", limit: Limit = PAGE) -> Json:
        """List the certificates by which clients log in (admin)."""
        return listed(after, limit)

    @routes.post(
        "/certificates",
        **answers(CertificateList, "Certificates, with the new one; `next` where there are more."),
    )
    async def add_certificate(body: CertificateBody, actor: Caller) -> Json:
        """Let a client certificate log in a user (admin)."""
        try:
            async with identity.changing:  # else one for a user who goes now outlives it
                await certificates.add(body.user, body.certificate, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return listed()

    @routes.delete("/certificates/{id}", **answers(CertificateList, "The certificates that are left."))
    async def end_certificate(id: str, actor: Caller) -> Json:  # noqa: A002 - the API's word
        """End a certificate at once; its fingerprint's first 16 digits name it (admin)."""
        try:
            await certificates.end(id, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return listed()

    return routes


def _id(record: CertificateRecord) -> str:
    return record.fingerprint[:16]


def _view(record: CertificateRecord) -> CertificateView:
    return CertificateView(
        id=_id(record),
        user=record.user,
        fingerprint=record.fingerprint,
        until_ns=record.until_ns,
        added_ns=record.added_ns,
        added_by=record.added_by,
    )
