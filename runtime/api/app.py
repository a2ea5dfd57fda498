"""The ASGI application: one router a resource, one guard, one shape of refusals."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.dependencies import models
from fastapi.responses import JSONResponse

from runtime import tracing
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
    metrics,
    plc,
    probes,
    sessions,
    stream,
    tags,
    users,
)
from runtime.api.access import Callers, authorised
from runtime.api.delivery import Delivery, Head
from runtime.api.guard import Guard
from runtime.api.limits import Limits, Pace
from runtime.api.services import Services
from runtime.config import ApiConfig
from runtime.wire import PREFIX

_ABOUT = """Tags, history, alarms, audit and components of one plant.

Times are ns since 1970-01-01 UTC; a value is null while its quality is bad, and where it is NaN or infinite.
Every refusal is a `Refusal` (RFC 9457 problem details with a remedy). A GET gives an ETag; asked with
`If-None-Match`, 304 says that nothing has changed. So many requests a second of one address or one user are
answered (`api: requests_per_s`), then 429 with `Retry-After`. A request is a use of its session (`login:
idle`), unless its header `Ironworks-Idle` says for how many seconds no person did anything; a stream that is
open is none.

`WebSocket /api/v1/stream`: send a `Subscription` as JSON text, at any time another. What is there comes
first, then changes: `Values` (newest per tag while the client is slow; each value with `every`, where a
`Gap` tells what does not fit), `AlarmChange`, `ComponentChange`. A client that is too slow for alarms is
closed with 1013. One that comes back sends the last `resume` that it was told and gets what it `Missed`.
`ConfigChange` tells that tags and alarms may be others from now on.
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
    plc,
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
        generate_unique_id_function=lambda route: ".".join(map(str, (*route.tags, route.name))),
        telemetry={
            "tracer_provider": tracing.provider(),
            "metrics": False,
            "logs": False,
            "operation_spans": False,
        },
        docs_url=None,
        redoc_url=None,
    )
    config = services.plant.head.api or ApiConfig()
    app.state.limits = limits = Limits(config.requests_per_s)
    app.state.callers = Callers(services)
    measured = metrics.Metrics(services, limits)
    app.add_middleware(Delivery)
    app.add_middleware(Guard)
    app.add_middleware(Pace, limits=limits)
    app.add_middleware(metrics.Observer, metrics=measured)
    app.add_middleware(Head)  # the outermost: everything within knows GET only
    answers.install(app)
    for resource in _ROUTERS:
        app.include_router(resource.router(services), prefix=PREFIX, dependencies=[authorised])
    app.get(f"{PREFIX}/openapi.json", include_in_schema=False, dependencies=[authorised])(_document)
    app.include_router(metrics.router(measured), dependencies=[authorised])
    app.include_router(stream.router(services), prefix=PREFIX)
    app.include_router(probes.router(services))
    _let_go()
    return app


def _let_go() -> None:
    """Let go of the routes of the apps before: FastAPI remembers thousands, and with each tags and kernel."""
    for each in vars(models).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


async def _document(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi())
