"""The ASGI application: one router a resource, one guard, one shape of refusals."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from runtime.api import (
    alarms,
    answers,
    audit,
    backup,
    certificates,
    components,
    config,
    gate,
    health,
    history,
    info,
    sessions,
    stream,
    tags,
    users,
)
from runtime.api.access import Callers, authorised
from runtime.api.guard import Guard
from runtime.api.services import Services
from runtime.client import PREFIX

_ABOUT = """Tags, history, alarms, audit and components of one plant.

Times are ns since 1970-01-01 UTC; a value is null while its quality is bad. Every answer that is not 2xx is
a `Refusal`.

`WebSocket /api/v1/stream`: send a `Subscription` as JSON text, at any time another. What is there comes
first, then changes: `Values` (newest per tag while the client is slow), `AlarmChange`, `ComponentChange`.
`ConfigChange` tells that tags and alarms may be others from now on.
A client that is too slow for alarms is closed with 1013.
"""
_ROUTERS = (
    info,
    tags,
    history,
    alarms,
    audit,
    components,
    config,
    gate,
    users,
    sessions,
    certificates,
    backup,
    health,
)


def create_app(services: Services) -> FastAPI:
    """Return the application over the kernel's services."""
    app = FastAPI(
        title=f"Ironworks: {services.plant.name}",
        version=info.release(),
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.callers = Callers(services)
    app.add_middleware(Guard)
    answers.install(app)
    for resource in _ROUTERS:
        app.include_router(resource.router(services), prefix=PREFIX, dependencies=[authorised])
    app.get(f"{PREFIX}/openapi.json", include_in_schema=False, dependencies=[authorised])(_document)
    app.include_router(stream.router(services), prefix=PREFIX)
    return app


async def _document(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi())
