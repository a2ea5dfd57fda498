"""POST /backup: the plant as one file, for admins."""

from __future__ import annotations

from fastapi import APIRouter

from runtime.api.access import Caller
from runtime.api.answers import Refused
from runtime.api.download import Download, downloads
from runtime.api.services import Services
from runtime.backup.manifest import SUFFIX
from runtime.errors import ForbiddenError, PlantError, WriteRejectedError

_TYPE = "application/gzip"


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["backup"])

    @routes.post("/backup", **downloads(_TYPE, "The backup."))
    async def backup(actor: Caller) -> Download:
        """Make a backup and send it (admin); it holds the plant's secrets."""
        try:
            handed = await services.backups.open(actor)
        except ForbiddenError as exc:
            raise Refused(403, exc.text, exc.remedy) from exc
        except WriteRejectedError as exc:
            raise Refused(409, exc.text, exc.remedy) from exc
        except PlantError as exc:
            raise Refused(503, exc.text, exc.remedy) from exc
        return Download(handed.pieces(), handed.close, _TYPE, f"{services.plant.name}{SUFFIX}")

    return routes
