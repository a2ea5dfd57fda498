"""/tags: what there is, present values, and writes through the gate."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from runtime.api.access import Caller, Signed, callers_of
from runtime.api.answers import Json, answers, refused
from runtime.api.services import Services
from runtime.api.texts import Comment, TagPath, ValueText
from runtime.api.views import TagViews, chosen, one
from runtime.errors import WriteRejectedError
from runtime.wire import TagPage, TagView, Written

Id = Annotated[int, Query(ge=-1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=10_000)]


ForNs = Annotated[StrictInt, Field(ge=0, le=2**62)]


class WriteFields(Signed):
    """A value for a tag, why, and for how long (0: until another)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: Annotated[StrictBool | StrictInt | StrictFloat | ValueText, Field(examples=[42.5])]
    reason: Comment = ""
    for_ns: ForNs = 0


class WriteRequest(WriteFields):
    """A write; `dry_run` asks for the verdict only."""

    dry_run: StrictBool = False


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["tags"])
    table = services.bus.table
    tags = table.tags
    views = TagViews(tags, services.gate.two_person, services.gate.signed)

    @routes.get("/tags", **answers(TagPage, "Tags in order of id.", 404))
    async def list_tags(
        actor: Caller,
        match: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
        after: Id = -1,
        limit: Limit = 1000,
    ) -> Json:
        """List tags that match any glob (`*` within a level, `**` across levels), or all."""
        ids = await asyncio.to_thread(chosen, tags, match) if match else tags.ids
        readable = services.gate.scopes.readable(actor)
        ids = ids if readable is None else ids[readable[ids]]
        ids = ids[np.searchsorted(ids, after, side="right") :]
        page = ids[:limit]
        following = int(page[-1]) if len(page) < len(ids) else None
        return Json(TagPage(tuple(views.describe(table.snapshot(page))), following))

    @routes.get("/tags/{path:path}", **answers(TagView, "The tag."))
    async def get_tag(path: TagPath) -> Json:
        """Return a tag by its whole path or relative to the plant's root."""
        ids = np.array([one(tags, path).id], np.int32)
        return Json(next(views.describe(table.snapshot(ids))))

    @routes.put("/tags/{path:path}", **answers(Written, "The owner has taken the value."))
    async def write_tag(path: TagPath, body: WriteRequest, actor: Caller, request: Request) -> Json:
        """Write a tag through the gate."""
        tag = one(tags, path)
        gate = services.gate
        try:
            if body.dry_run:
                previous = gate.dry_run(tag, body.value, actor, body.for_ns)
            else:
                actor, signature = await callers_of(request).signed(
                    request, actor, body.signature, "write", tag.path
                )
                previous = await gate.write(tag, body.value, actor, body.reason, body.for_ns, signature)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        readable = gate.scopes.readable(actor)
        if readable is not None and not readable[tag.id]:  # a token that may write may not read by that
            previous = None
        return Json(Written(body.value, previous, body.dry_run))

    return routes
