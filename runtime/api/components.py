"""/components: states, and restart by an engineer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import Services
from runtime.api.texts import ComponentName
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.wire import ComponentList, ComponentView


def component_view(fields: Mapping[str, Any]) -> ComponentView:
    """Return a component in the API's shape."""
    return msgspec.convert(fields, ComponentView)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["components"])

    def views() -> dict[str, ComponentView]:
        return {each["name"]: component_view(each) for each in services.supervisor.views()}

    @routes.get("/components", **answers(ComponentList, "Components."))
    async def list_components() -> Json:
        """List the components and their states."""
        return Json(ComponentList(tuple(views().values())))

    @routes.post("/components/{name}/restart", **answers(ComponentView, "The component, starting again."))
    async def restart(name: ComponentName, actor: Caller) -> Json:
        """Stop a component and start it again (engineer)."""
        known = views()
        if name not in known:
            raise Refused(404, f"no component is named {name!r}", f"there are: {', '.join(known)}")
        try:
            await services.restart(name, actor)
        except WriteRejectedError as exc:
            raise Refused(403 if isinstance(exc, ForbiddenError) else 409, exc.text, exc.remedy) from exc
        return Json(views()[name])

    return routes
