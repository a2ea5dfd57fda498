"""Answers: JSON from structs, refusals in one shape, and how OpenAPI documents both."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from runtime import client, configview, logins
from runtime.errors import PlantError

_STRUCTS = (
    client.Info,
    client.TagPage,
    client.Written,
    client.GateView,
    client.UserList,
    client.TokenList,
    client.TokenMade,
    logins.SessionList,
    logins.SessionMade,
    client.CertificateList,
    client.RequestView,
    client.SeriesList,
    client.TrendList,
    client.SqlAnswer,
    client.AlarmList,
    client.JournalPage,
    client.AlarmFigures,
    client.AuditPage,
    client.AuditCheck,
    client.ComponentList,
    configview.ConfigStatus,
    configview.VersionList,
    configview.VersionFiles,
    configview.ConfigLog,
    configview.PlanView,
    configview.ConfigApplied,
    client.Health,
    client.Refusal,
    client.Subscription,
    client.Values,
    client.AlarmChange,
    client.ComponentChange,
    client.ConfigChange,
)
_SCHEMA = "#/components/schemas/{name}"
_DEFAULTS = {404: "no such resource", 405: "the resource does not take this method"}


class Json(Response):
    """A struct as JSON; NaN and infinity become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class Refused(HTTPException):
    """A request that is answered with an error and a remedy."""

    def __init__(self, status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None):
        super().__init__(status, error, headers)
        self.remedy = remedy


def answers(struct: type[msgspec.Struct], text: str) -> dict[str, Any]:
    """Return what a route's decorator needs to document its answers."""
    return {
        "response_class": Json,
        "response_model": None,
        "responses": {
            200: _content(struct, text),
            "4XX": _content(client.Refusal, "Refused: why, and what to do."),
        },
    }


def _content(struct: type[msgspec.Struct], text: str) -> dict[str, Any]:
    schema = {"$ref": _SCHEMA.format(name=struct.__name__)}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def refusal(status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None) -> Json:
    """Return a refusal as an answer; what is not Unicode is shown escaped."""
    body = client.Refusal(*(text.encode("utf-8", "backslashreplace").decode() for text in (error, remedy)))
    return Json(body, status, headers)


def install(app: FastAPI) -> None:
    """Give an app the refusals in one shape, and the structs in its OpenAPI document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PlantError, _unable)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_SCHEMA)
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if isinstance(exc, Refused):
        return refusal(exc.status_code, exc.detail, exc.remedy, dict(exc.headers or {}))
    error = _DEFAULTS.get(exc.status_code, str(exc.detail))
    remedy = "see /api/v1/openapi.json" if exc.status_code in _DEFAULTS else ""
    return refusal(exc.status_code, error, remedy, dict(exc.headers or {}))


async def _invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return refusal(400, "the body is not JSON", "send Content-Type: application/json and valid JSON")
    lines = [f"{'.'.join(str(step) for step in each['loc'][:3])}: {each['msg']}" for each in found[:5]]
    return refusal(422, "; ".join(lines), "see /api/v1/openapi.json")


async def _unable(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, PlantError)
    return refusal(503, exc.text, exc.remedy)
