"""/audit: who tried to change what, what came of it, and whether the trail is whole."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from runtime.api.answers import Json, answers
from runtime.api.services import Services
from runtime.journal.chain import HEAD, verify_audit
from runtime.wire import AuditCheck, AuditEntry, AuditPage

Limit = Annotated[int, Query(ge=1, le=10_000)]
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="only entries before this seq")]
Head = Annotated[
    str, Query(pattern=f"^({HEAD})?$", description="a head noted earlier: the hash of a row, 64 digits")
]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["audit"])
    turn = asyncio.Semaphore(1)  # a check reads the whole trail

    @routes.get("/audit", **answers(AuditPage, "Attempts, newest first."))
    async def audit(limit: Limit = 100, before: Before = None) -> Json:
        """Return the audit trail."""
        rows = await services.journal.audit(limit, before)
        entries = msgspec.convert(rows, tuple[AuditEntry, ...], from_attributes=True)
        return Json(AuditPage(entries, entries[-1].seq if len(entries) == limit else None))

    @routes.get("/audit/verify", **answers(AuditCheck, "What the check found."))
    async def verify(expect: Head = "") -> Json:
        """Check the hash chain of the audit trail (engineer)."""
        async with turn:
            report = await services.journal.read(verify_audit, expect)
        return Json(msgspec.convert(report, AuditCheck, from_attributes=True))

    return routes
