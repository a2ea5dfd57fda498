"""GET /audit: who tried to change what, and what came of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from runtime.api.answers import Json, answers
from runtime.api.services import Services
from runtime.client import AuditEntry, AuditPage

Limit = Annotated[int, Query(ge=1, le=10_000)]
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="only entries before this seq")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["audit"])

    @routes.get("/audit", **answers(AuditPage, "Attempts, newest first."))
    async def audit(limit: Limit = 100, before: Before = None) -> Json:
        """Return the audit trail."""
        rows = await services.journal.audit(limit, before)
        return Json(AuditPage(msgspec.convert(rows, tuple[AuditEntry, ...], from_attributes=True)))

    return routes
