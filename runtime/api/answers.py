"""Answers: JSON from structs, refusals in one shape, and how OpenAPI documents both."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from runtime import configview, logins, plcview, wire
from runtime.errors import (
    AbsentError,
    ForbiddenError,
    PlantError,
    RateLimitedError,
    UnfitValueError,
    WriteRejectedError,
)

_STRUCTS = (
    wire.Info,
    wire.TagPage,
    wire.Written,
    wire.GateView,
    wire.UserList,
    wire.TokenList,
    wire.TokenMade,
    logins.LoginWays,
    logins.SessionList,
    logins.SessionMade,
    wire.CertificateList,
    wire.RequestView,
    wire.SeriesList,
    wire.TrendList,
    wire.SqlAnswer,
    wire.AlarmList,
    wire.JournalPage,
    wire.AlarmFigures,
    wire.AuditPage,
    wire.AuditCheck,
    wire.ComponentList,
    configview.ConfigStatus,
    configview.VersionList,
    configview.VersionFiles,
    configview.ConfigLog,
    configview.PlanView,
    configview.ConfigApplied,
    plcview.PlcFigures,
    plcview.PlcValues,
    plcview.ForceList,
    plcview.WorstScan,
    plcview.RecordView,
    plcview.WhyView,
    wire.Health,
    wire.Probe,
    wire.Refusal,
    wire.Subscription,
    wire.Values,
    wire.AlarmChange,
    wire.Missed,
    wire.Gap,
    wire.ComponentChange,
    wire.ConfigChange,
)
_SCHEMA = "#/components/schemas/{name}"
_DEFAULTS = {404: "no such resource", 405: "the resource does not take this method"}
PROBLEM = "application/problem+json"
_WHY = {
    400: "The request is not HTTP, or its body is not JSON.",
    401: "The name, secret or token is wrong or not in force.",
    403: "Who asks may not do this, or the request came through a foreign site.",
    404: "There is no such thing; the remedy names what is like it.",
    409: "The state of the plant does not allow it now.",
    412: "It has changed since it was read (`If-Match`).",
    413: "The body is too large.",
    422: "A parameter or the body is not as described, or asks for too much.",
    429: "Too many requests, or a name that is locked after wrong secrets.",
    503: "A store or the server cannot answer now.",
}
_STATUS = ((ForbiddenError, 403), (AbsentError, 404), (UnfitValueError, 422), (RateLimitedError, 429))
_ALWAYS = (400, 401, 403, 413, 429, 503)
_EXAMPLES = {
    "Written": wire.Written(42.5, 40.0),
    "Refusal": wire.Refusal(
        "no tag is named 'tank/levle'",
        "did you mean tank/level?",
        "no tag is named 'tank/levle'",
        "Not Found",
        404,
    ),
    "AlarmNote": wire.AlarmNote(1_800_000_000_000_000_000, "olga", "sensor is cleaned"),
}
_SECURITY = {
    "secret": {"type": "http", "scheme": "basic", "description": "Name and secret of a user."},
    "token": {"type": "http", "scheme": "bearer", "description": "An API token (`ironworks user token`)."},
}


class Json(JSONResponse):
    """A struct as JSON; NaN and infinity become null."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class Refused(HTTPException):
    """A request that is answered with an error and a remedy."""

    def __init__(self, status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None):
        super().__init__(status, error, headers)
        self.remedy = remedy

    def answer(self) -> Json:
        """Return it as an answer, where no handler does."""
        return refusal(self.status_code, self.detail, self.remedy, dict(self.headers or {}))


def refused(error: WriteRejectedError) -> Refused:
    """Tell a refusal for who asks (403), what is asked (404, 422), its pace (429), and the state (409)."""
    headers = {"Retry-After": str(error.wait_s)} if isinstance(error, RateLimitedError) else None
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 409)
    return Refused(status, error.text, error.remedy, headers)


def answers(struct: type[msgspec.Struct], text: str, *refusals: int) -> dict[str, Any]:
    """Return what a route's decorator needs to document its answers.

    `refusals` are the statuses beside those that follow from method and parameters.
    """
    schema = {"$ref": _SCHEMA.format(name=struct.__name__)}
    documented: dict[int, dict[str, Any]] = {
        200: {"description": text, "content": {"application/json": {"schema": schema}}}
    }
    documented |= {status: {"description": _WHY[status]} for status in refusals}
    return {"response_class": Json, "response_model": None, "responses": documented}


def refusal(status: int, error: str, remedy: str = "", headers: dict[str, str] | None = None) -> Json:
    """Return a refusal as an answer; what is not Unicode is shown escaped."""
    error, remedy = (text.encode("utf-8", "backslashreplace").decode() for text in (error, remedy))
    body = wire.Refusal(error, remedy, error, HTTPStatus(status).phrase, status)
    return Json(body, status, headers, PROBLEM)


def install(app: FastAPI) -> None:
    """Give an app the refusals in one shape, and the structs in its OpenAPI document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PlantError, _unable)
    app.add_exception_handler(Exception, _broken)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            app.openapi_schema = _complete(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the structs, the refusals, and how one logs in."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_SCHEMA)
    for name, example in _EXAMPLES.items():
        schemas[name]["examples"] = [msgspec.to_builtins(example)]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    _say_items(schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["responses"] = {str(status): _problem(status) for status in _WHY}
    components["securitySchemes"] = _SECURITY
    document["security"] = [{}, *({name: []} for name in _SECURITY)]
    for operations in document["paths"].values():
        for method, operation in operations.items():
            operation["summary"] = operation["description"].partition("\n")[0].removesuffix(".")
            given = operation.get("parameters", ())
            for status in (
                *_ALWAYS,
                *(int(each) for each in operation["responses"] if int(each) >= 400),
                *((404,) if any(each["in"] == "path" for each in given) else ()),
                *((422,) if given or "requestBody" in operation else ()),
                *((409,) if method != "get" else ()),
            ):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/{status}"}
            if method == "get":
                operation["responses"]["304"] = {
                    "description": "It is as the client has it (`If-None-Match`)."
                }
    return document


def _say_items(part: Any) -> None:
    """Say what arrays hold as generators of clients take it: `maxItems` closes those of fixed length."""
    for each in part.values() if isinstance(part, dict) else part:
        if isinstance(each, dict | list):
            _say_items(each)
    if isinstance(part, dict) and part.get("type") == "array":
        if part.get("items") is False and part.get("maxItems") == len(part.get("prefixItems", ())):
            del part["items"]
        elif "items" not in part and "prefixItems" not in part:
            part["items"] = {}


def _problem(status: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": _WHY[status],
        "content": {PROBLEM: {"schema": {"$ref": _SCHEMA.format(name="Refusal")}}},
    }
    if status == 401:
        made["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status == 429:
        seconds = {"type": "integer", "minimum": 1}
        made["headers"] = {"Retry-After": {"description": "seconds", "schema": seconds}}
    return made


async def _http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if isinstance(exc, Refused):
        return exc.answer()
    error = _DEFAULTS.get(exc.status_code, str(exc.detail))
    remedy = "see /api/v1/openapi.json" if exc.status_code in _DEFAULTS else ""
    headers = dict(exc.headers or {}) | ({"Allow": _allowed(request)} if exc.status_code == 405 else {})
    return refusal(exc.status_code, error, remedy, headers)


def _allowed(request: Request) -> str:
    """Return all methods of a resource, which may be several routes (RFC 9110, 10.2.1)."""
    scopes = ((method, {**request.scope, "method": method}) for method in ("GET", "PUT", "POST", "DELETE"))
    routes = request.app.routes
    found = [name for name, scope in scopes if any(each.matches(scope)[0] is Match.FULL for each in routes)]
    return ", ".join([*found, *(["HEAD"] if "GET" in found else [])])


async def _invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return refusal(400, "the body is not JSON", "send Content-Type: application/json and valid JSON")
    lines = [f"{'.'.join(str(step) for step in each['loc'][:3])}: {each['msg']}" for each in found[:5]]
    return refusal(422, "; ".join(lines), "see /api/v1/openapi.json")


async def _broken(request: Request, exc: Exception) -> Response:
    return refusal(
        500, f"internal error: {type(exc).__name__}", "please report it; `ironworks logs` has the details"
    )


async def _unable(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, PlantError)
    return refusal(503, exc.text, exc.remedy)
