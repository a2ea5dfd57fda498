"""/tags: what there is, present values, and writes through the gate."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import Services
from runtime.api.texts import Comment, UnicodeText
from runtime.api.views import TagViews, chosen, one
from runtime.client import TagPage, TagView, Written
from runtime.contract import Actor, Tag, Value
from runtime.errors import WriteRejectedError

Id = Annotated[int, Query(ge=-1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=10_000)]


class WriteRequest(BaseModel):
    """A value for a tag, and why."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: StrictBool | StrictInt | StrictFloat | UnicodeText
    reason: Comment = ""


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["tags"])
    table = services.bus.table
    tags = table.tags
    views = TagViews(tags)

    @routes.get("/tags", **answers(TagPage, "Tags in order of id."))
    async def list_tags(
        match: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
        after: Id = -1,
        limit: Limit = 1000,
    ) -> Json:
        """List tags that match any glob (`*` within a level, `**` across levels), or all."""
        ids = await asyncio.to_thread(chosen, tags, match) if match else np.arange(len(tags), dtype=np.int32)
        ids = ids[np.searchsorted(ids, after, side="right") :]
        page = ids[:limit]
        following = int(page[-1]) if len(page) < len(ids) else None
        return Json(TagPage(tuple(views.describe(table.snapshot(page))), following))

    @routes.get("/tags/{path:path}", **answers(TagView, "The tag."))
    async def get_tag(path: str) -> Json:
        """Return a tag by its whole path or relative to the plant's root."""
        ids = np.array([one(tags, path).id], np.int32)
        return Json(next(views.describe(table.snapshot(ids))))

    @routes.put("/tags/{path:path}", **answers(Written, "The owner has taken the value."))
    async def write_tag(path: str, body: WriteRequest, actor: Caller) -> Json:
        """Write a tag through the gate."""
        tag = one(tags, path)
        try:
            previous = await services.gate.write(tag, body.value, actor, body.reason)
        except WriteRejectedError as exc:
            raise Refused(_status(tag, body.value, actor), exc.text, exc.remedy) from exc
        return Json(Written(body.value, previous))

    return routes


def _status(tag: Tag, value: Value, actor: Actor) -> int:
    """Tell a refusal for who asks (403) from one for what is asked (422) and for the plant's state (409)."""
    if actor.role < tag.role:
        return 403
    try:
        tag.data_type.encode(value)
    except (TypeError, ValueError, OverflowError):
        return 422
    return 409
