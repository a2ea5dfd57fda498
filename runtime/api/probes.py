"""GET /healthz and /readyz, for supervisors of processes: no login, no detail that is worth one."""

from __future__ import annotations

from fastapi import APIRouter, Request

from runtime.api.answers import Json, answers
from runtime.api.guard import PEER
from runtime.api.services import Services
from runtime.config import is_loopback
from runtime.wire import Probe

_UP = ("running", "degraded")


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["probes"])

    @routes.get("/healthz", **answers(Probe, "The process answers."))
    async def healthz() -> Json:
        """Tell that the kernel is alive: restart it when there is no answer."""
        return Json(Probe(True))

    @routes.get("/readyz", **answers(Probe, "Stores are open and every component is up."))
    async def readyz(request: Request) -> Json:
        """Tell whether the plant is ready: 503 while it is not, and on this machine what is waited for."""
        waits = tuple(_waits(services))
        local = PEER in request.scope.get("state", {}) or is_loopback(getattr(request.client, "host", ""))
        return Json(Probe(not waits, waits if local else ()), 503 if waits else 200)

    return routes


def _waits(services: Services) -> list[str]:
    waits = []
    if services.journal.failing or not services.journal.is_open:
        waits.append("journal")
    if services.historian is not None and not services.historian.is_open:
        waits.append("history")
    return waits + [each["name"] for each in services.supervisor.views() if each["state"] not in _UP]
