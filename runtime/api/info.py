"""GET /info: the plant, and who the caller is to it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter

from runtime.api.access import Caller
from runtime.api.answers import Json, answers
from runtime.api.services import Services
from runtime.wire import Info, Text, User


def release() -> str:
    """Return the installed version."""
    try:
        return version("ironworks")
    except PackageNotFoundError:
        return "not installed"


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["info"])
    head = services.plant.head
    title = Text(head.title.en, head.title.zh) if head.title else Text(head.plant)

    @routes.get("/info", **answers(Info, "The plant, and who the caller is to it."))
    async def info(actor: Caller) -> Json:
        """Tell which plant answers, and who it takes the caller for."""
        areas = tuple((pattern, role.name.lower()) for pattern, role in actor.areas)
        user = User(actor.name, actor.role.name.lower(), actor.via, areas)
        now_ns = services.clock.now_ns()
        return Json(Info(head.plant, title, head.root, release(), now_ns, services.started_ns, user))

    return routes
