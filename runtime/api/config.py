"""/config: which configuration runs, what is kept, what differs; apply and rollback."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.services import Services
from runtime.api.texts import Comment, UnicodeText
from runtime.configview import (
    ConfigApplied,
    ConfigLog,
    ConfigStatus,
    ConfigStep,
    PlanView,
    VersionFiles,
    VersionList,
)
from runtime.contract import Role
from runtime.errors import ConfigError, ForbiddenError, PlantError
from runtime.gate.scope import TokenActor
from runtime.journal import config_log
from runtime.online import MOST_SCANS, Wish
from runtime.versions import views
from runtime.versions.service import Change

Limit = Annotated[int, Query(ge=1, le=10_000)]
Rehearse = Annotated[int, Field(ge=0, le=MOST_SCANS)]
VersionName = Annotated[UnicodeText, Field(max_length=1000)]


FileName = Annotated[str | None, Query(max_length=4096, description="a path in the plant folder")]


class ApplyRequest(BaseModel):
    """Why, and whether what cannot change while it runs may restart; `dry_run` asks for the plan only.

    `online` refuses all but a change of a program while it runs; `rehearse` is how many scans it runs beside
    the old one before; `reset` lets variables begin anew whose value is none of their new type.
    """

    model_config = ConfigDict(extra="forbid")

    comment: Comment = ""
    restart: StrictBool = False
    dry_run: StrictBool = False
    online: StrictBool = False
    rehearse: Rehearse = 0
    reset: StrictBool = False


class RollbackRequest(BaseModel):
    """Which version to go back to: its number, the beginning of its digest, `good`, or `previous`."""

    model_config = ConfigDict(extra="forbid")

    version: VersionName
    comment: Comment = ""
    restart: StrictBool = False
    online: StrictBool = False
    rehearse: Rehearse = 0
    reset: StrictBool = False


def _change(body: ApplyRequest | RollbackRequest) -> Change:
    return Change(Wish(body.rehearse, body.reset), body.online)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["config"])
    config = services.versions

    @routes.get("/config", **answers(ConfigStatus, "Which configuration runs."))
    async def status() -> Json:
        """Tell which configuration runs, and whether the plant folder is another."""
        return Json(await asyncio.to_thread(views.status, config.store, config.running, config.settling))

    @routes.get("/config/versions", **answers(VersionList, "Versions, newest first."))
    async def list_versions() -> Json:
        """List the versions that are kept."""
        log = await services.journal.read(config_log, views.LOG_ROWS)
        return Json(await asyncio.to_thread(views.versions, config.store, log, config.running))

    @routes.get("/config/log", **answers(ConfigLog, "Steps, newest first."))
    async def log(limit: Limit = 100) -> Json:
        """Return what became of configurations: started, applied, failed, rolled back."""
        rows = await services.journal.read(config_log, limit)
        return Json(ConfigLog(msgspec.convert(rows, tuple[ConfigStep, ...], from_attributes=True)))

    @routes.get("/config/files", **answers(VersionFiles, "The files of a version.", 404))
    async def files(version: VersionName, actor: Caller, file: FileName = None) -> Json:
        """List the files of a version; with `file` that one's text (engineer), secrets for admins only."""
        secrets = actor.role >= Role.ADMIN and not isinstance(actor, TokenActor)
        try:
            found = await asyncio.to_thread(views.files, config.store, version, file, secrets=secrets)
            return Json(found)
        except ForbiddenError as exc:
            raise refused(exc) from exc
        except PlantError as exc:
            raise Refused(404, exc.text, exc.remedy) from exc

    @routes.get("/config/diff", **answers(PlanView, "What differs, and how it comes into force.", 404))
    async def diff(old: VersionName = "running", new: VersionName = "folder") -> Json:
        """Compare two versions; `running` and `folder` may be named too (engineer)."""
        running = str(config.running.number) if config.running else "running"
        sides = (running if old == "running" else old, running if new == "running" else new)
        file = services.plant.file.name
        try:
            return Json(await asyncio.to_thread(views.difference, config.store, sides, file))
        except PlantError as exc:
            raise Refused(404, exc.text, exc.remedy) from exc

    @routes.post("/config/apply", **answers(ConfigApplied, "What was done."))
    async def apply(body: ApplyRequest, actor: Caller) -> Json:
        """Make the plant folder as it is now the configuration that runs (engineer)."""
        try:
            if body.dry_run:
                plan = await config.plan(actor, _change(body).wish)
                return Json(ConfigApplied(0, views.plan_view(plan)))
            version, plan = await config.apply(
                actor, body.comment, restart=body.restart, change=_change(body)
            )
        except PlantError as exc:
            raise _refused(exc, actor.role) from exc
        return Json(ConfigApplied(version.number, views.plan_view(plan)))

    @routes.post("/config/rollback", **answers(ConfigApplied, "What was done."))
    async def rollback(body: RollbackRequest, actor: Caller) -> Json:
        """Put the files of a version back into the plant folder and apply them (engineer)."""
        try:
            version, before, plan = await config.rollback(
                body.version, actor, body.comment, restart=body.restart, change=_change(body)
            )
        except PlantError as exc:
            raise _refused(exc, actor.role) from exc
        return Json(ConfigApplied(version.number, views.plan_view(plan), before.number))

    return routes


def _refused(error: PlantError, role: Role) -> Refused:
    if role < Role.ENGINEER or isinstance(error, ForbiddenError):
        return Refused(403, error.text, error.remedy)
    return Refused(422 if isinstance(error, ConfigError) else 409, error.text, error.remedy)
