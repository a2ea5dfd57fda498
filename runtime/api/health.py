"""GET /health: how the kernel itself is."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from runtime.api.answers import Json, answers
from runtime.api.services import Services
from runtime.wire import Health


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health", **answers(Health, "Counts of components, history and bus."))
    async def health() -> Json:
        """Tell how the kernel is."""
        return Json(msgspec.convert(services.health(), Health))

    return routes
