"""/alarms: the list, commands on alarms, and the journal of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from runtime.alarms.commands import SHELVE_ONCE
from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.services import Services
from runtime.api.texts import AlarmName, Comment
from runtime.clock import SECOND_NS
from runtime.contract import Actor
from runtime.errors import WriteRejectedError
from runtime.wire import AlarmFigures, AlarmList, AlarmView, JournalEntry, JournalPage

Limit = Annotated[int, Query(ge=1, le=10_000)]
Hours = Annotated[float, Query(gt=0, le=31 * 24, description="how far back")]
After = Annotated[str, Query(max_length=128, description="only alarms after this one")]
Of = Annotated[str | None, Query(max_length=128, description="only entries of this alarm")]
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="only entries before this seq")]


class AcknowledgeRequest(BaseModel):
    """What the operator says about the alarm."""

    model_config = ConfigDict(extra="forbid")

    comment: Comment = ""


class CommandRequest(BaseModel):
    """Why something is done to the alarm."""

    model_config = ConfigDict(extra="forbid")

    reason: Comment = ""


class ShelveRequest(CommandRequest):
    """For how long the alarm is hidden, and why; `once`: no longer than until its episode ends."""

    for_ns: Annotated[StrictInt, Field(ge=1, le=2**62, examples=[600_000_000_000])]
    once: StrictBool = False


def alarm_view(fields: Mapping[str, Any]) -> AlarmView:
    """Return an alarm in the API's shape."""
    return msgspec.convert(fields, AlarmView)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["alarms"])

    def found(name: str) -> Mapping[str, Any]:
        try:
            return services.alarms.view(name)
        except WriteRejectedError as exc:
            raise Refused(404, f"no alarm is named {name!r}", exc.remedy) from exc

    async def command(verb: str, name: str, actor: Actor, reason: str, for_ns: int = 0) -> Json:
        found(name)
        try:
            return Json(alarm_view(await services.command_alarm(verb, name, actor, reason, for_ns)))
        except WriteRejectedError as exc:
            raise refused(exc) from exc

    @routes.get("/alarms", **answers(AlarmList, "Alarms.", 404))
    async def list_alarms(
        all: bool = False,  # noqa: A002 - the query's name
        hidden: bool = False,
        after: After = "",
        limit: Limit = 5000,
    ) -> Json:
        """List the alarms that the operator is to see (not at rest, not hidden), the hidden ones, or all."""
        views = services.alarms.views()
        names = [each["name"] for each in views]
        if after and after not in names:
            raise Refused(404, f"no alarm is named {after!r}", "give the `next` of the page before")
        rest = views[names.index(after) + 1 :] if after else views
        chosen = [each for each in rest if all or (each["hidden"] if hidden else _seen(each))]
        page = tuple(alarm_view(each) for each in chosen[:limit])
        return Json(AlarmList(page, page[-1].name if len(chosen) > limit else None))

    @routes.get("/alarms/journal", **answers(JournalPage, "Transitions, newest first."))
    async def journal(limit: Limit = 100, before: Before = None, alarm: Of = None) -> Json:
        """Return what happened to the alarms, or to one, which the plant may no longer have."""
        rows = await services.journal.alarm_log(limit, before, alarm)
        entries = msgspec.convert(rows, tuple[JournalEntry, ...], from_attributes=True)
        return Json(JournalPage(entries, entries[-1].seq if len(entries) == limit else None))

    @routes.get("/alarms/figures", **answers(AlarmFigures, "How the alarm system does."))
    async def figures(hours: Hours = 8.0) -> Json:
        """Return load, floods, nuisance alarms and the mix of priorities over the last hours."""
        found = await services.alarms.figures(round(hours * 3600 * SECOND_NS))
        return Json(msgspec.convert(found, AlarmFigures))

    @routes.get("/alarms/{name}/details", **answers(AlarmView, "The alarm."))
    async def get_alarm(name: AlarmName) -> Json:
        """Return an alarm, whatever its state."""
        return Json(alarm_view(found(name)))

    @routes.post("/alarms/{name}/acknowledge", **answers(AlarmView, "The alarm, acknowledged on disk."))
    async def acknowledge(name: AlarmName, actor: Caller, body: AcknowledgeRequest | None = None) -> Json:
        """Acknowledge an alarm (operator)."""
        return await command("acknowledge", name, actor, body.comment if body else "")

    @routes.post("/alarms/{name}/confirm", **answers(AlarmView, "The alarm, confirmed on disk."))
    async def confirm(name: AlarmName, actor: Caller, body: AcknowledgeRequest | None = None) -> Json:
        """Confirm that what an acknowledged alarm asked for was done (operator)."""
        return await command("confirm", name, actor, body.comment if body else "")

    @routes.post("/alarms/{name}/shelve", **answers(AlarmView, "The alarm, shelved on disk."))
    async def shelve(name: AlarmName, actor: Caller, body: ShelveRequest) -> Json:
        """Hide an alarm for some time, up to 24 h (operator); shelving it again sets another time."""
        verb = SHELVE_ONCE if body.once else "shelve"
        return await command(verb, name, actor, body.reason, body.for_ns)

    @routes.post("/alarms/{name}/unshelve", **answers(AlarmView, "The alarm, shown again."))
    async def unshelve(name: AlarmName, actor: Caller, body: CommandRequest | None = None) -> Json:
        """End a shelf before its time (operator)."""
        return await command("unshelve", name, actor, body.reason if body else "")

    @routes.post("/alarms/{name}/reset", **answers(AlarmView, "The alarm without its latch."))
    async def reset(name: AlarmName, actor: Caller, body: CommandRequest | None = None) -> Json:
        """Reset a latched alarm whose condition is gone (operator)."""
        return await command("reset", name, actor, body.reason if body else "")

    @routes.post("/alarms/{name}/out-of-service", **answers(AlarmView, "The alarm, out of service."))
    async def out_of_service(name: AlarmName, actor: Caller, body: CommandRequest) -> Json:
        """Take an alarm out of service until it is returned (engineer)."""
        return await command("out-of-service", name, actor, body.reason)

    @routes.post("/alarms/{name}/in-service", **answers(AlarmView, "The alarm, in service again."))
    async def in_service(name: AlarmName, actor: Caller, body: CommandRequest | None = None) -> Json:
        """Return an alarm to service (engineer)."""
        return await command("in-service", name, actor, body.reason if body else "")

    return routes


def rests(alarm: Mapping[str, Any]) -> bool:
    """Tell whether nothing holds and nobody is asked for anything."""
    return bool(alarm["state"] == "normal" and alarm["confirmed"])


def _seen(alarm: Mapping[str, Any]) -> bool:
    return not rests(alarm) and not alarm["hidden"]
