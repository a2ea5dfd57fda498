"""POST /backup: the plant as one file, for admins."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runtime.api.access import Caller
from runtime.api.answers import Refused
from runtime.api.services import Services
from runtime.backup.manifest import SUFFIX
from runtime.backup.service import Handed
from runtime.errors import ForbiddenError, PlantError, WriteRejectedError

_TYPE = "application/gzip"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {
        200: {"description": "The backup.", "content": {_TYPE: _BINARY}},
    },
}


class _Download(StreamingResponse):
    """A backup on its way; however that ends, what it was gathered in goes."""

    def __init__(self, handed: Handed, name: str) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(handed.pieces(), media_type=_TYPE, headers=headers)
        self._handed = handed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._handed.close()


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["backup"])

    @routes.post("/backup", **_ANSWERS)
    async def backup(actor: Caller) -> StreamingResponse:
        """Make a backup and send it (admin); it holds the plant's secrets."""
        try:
            handed = await services.backups.open(actor)
        except ForbiddenError as exc:
            raise Refused(403, exc.text, exc.remedy) from exc
        except WriteRejectedError as exc:
            raise Refused(409, exc.text, exc.remedy) from exc
        except PlantError as exc:
            raise Refused(503, exc.text, exc.remedy) from exc
        return _Download(handed, f"{services.plant.name}{SUFFIX}")

    return routes
