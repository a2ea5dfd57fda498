"""/alarms: the list, acknowledgement, and the journal of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import Services
from runtime.api.texts import Comment
from runtime.client import AlarmList, AlarmView, JournalEntry, JournalPage
from runtime.contract import Role
from runtime.errors import WriteRejectedError

Limit = Annotated[int, Query(ge=1, le=10_000)]
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="only entries before this seq")]


class AcknowledgeRequest(BaseModel):
    """What the operator says about the alarm."""

    model_config = ConfigDict(extra="forbid")

    comment: Comment = ""


def alarm_view(fields: Mapping[str, Any]) -> AlarmView:
    """Return an alarm in the API's shape."""
    return msgspec.convert(fields, AlarmView)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["alarms"])

    def named(name: str) -> Mapping[str, Any] | None:
        return next((each for each in services.alarms.views() if each["name"] == name), None)

    @routes.get("/alarms", **answers(AlarmList, "Alarms."))
    async def list_alarms(all: bool = False) -> Json:  # noqa: A002 - the query's name
        """List the alarms that are not in state normal, or all."""
        views = services.alarms.views()
        return Json(AlarmList(tuple(alarm_view(each) for each in views if all or each["state"] != "normal")))

    @routes.get("/alarms/journal", **answers(JournalPage, "Transitions, newest first."))
    async def journal(limit: Limit = 100, before: Before = None) -> Json:
        """Return what happened to the alarms."""
        rows = await services.journal.alarm_log(limit, before)
        return Json(JournalPage(msgspec.convert(rows, tuple[JournalEntry, ...], from_attributes=True)))

    @routes.post("/alarms/{name}/acknowledge", **answers(AlarmView, "The alarm, acknowledged on disk."))
    async def acknowledge(name: str, actor: Caller, body: AcknowledgeRequest | None = None) -> Json:
        """Acknowledge an alarm (operator)."""
        if named(name) is None:
            raise Refused(404, f"no alarm is named {name!r}", "see /api/v1/alarms?all=true")
        try:
            await services.acknowledge(name, actor, body.comment if body else "")
        except WriteRejectedError as exc:
            raise Refused(403 if actor.role < Role.OPERATOR else 409, exc.text, exc.remedy) from exc
        return Json(alarm_view(named(name) or {}))

    return routes
