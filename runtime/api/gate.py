"""/gate: the plant's mode, the emergency switch, and writes that take a second person."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi import Path as UrlPath
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from runtime.api.access import Caller, Signed, callers_of
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.delivery import Match, unchanged
from runtime.api.services import Services
from runtime.api.tags import WriteFields
from runtime.api.texts import Comment, UnicodeText
from runtime.api.views import one
from runtime.config import TagList
from runtime.errors import WriteRejectedError
from runtime.gate.policy import Gate
from runtime.gate.requests import Request as Waiting
from runtime.wire import GateView, HoldView, RequestView, Written

Number = Annotated[int, UrlPath(ge=0, le=2**31 - 1)]


class Why(BaseModel):
    """What is said about it; kept in the audit."""

    model_config = ConfigDict(extra="forbid")

    reason: Comment = ""


class ModeRequest(Why):
    mode: Literal["auto", "maintenance"]


class ReadOnlyRequest(Why):
    on: StrictBool


class ApproveRequest(Why, Signed):
    """A word on what someone else asked for, signed where the tag takes it."""


class RequestBody(WriteFields):
    path: Annotated[UnicodeText, Field(max_length=1024)]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["gate"])
    gate = services.gate
    tags = services.bus.table.tags
    turn = asyncio.Semaphore(1)  # of what is compared with `If-Match`, nothing changes until it is on disk

    @routes.get("/gate", **answers(GateView, "The mode, and what waits."))
    async def status() -> Json:
        """Tell who may write now, what waits for a second person, and what goes back by itself."""
        return Json(_view(gate, tags))

    @routes.put("/gate/mode", **answers(GateView, "The mode is on disk and holds.", 412))
    async def set_mode(body: ModeRequest, actor: Caller, match: Match = None) -> Json:
        """Set the plant's mode (engineer)."""
        async with turn:
            unchanged(match, _view(gate, tags))
            try:
                await gate.mode.set_mode(body.mode, actor, body.reason)
            except WriteRejectedError as exc:
                raise refused(exc) from exc
        return Json(_view(gate, tags))

    @routes.put("/gate/read-only", **answers(GateView, "The switch is on disk and holds.", 412))
    async def set_read_only(body: ReadOnlyRequest, actor: Caller, match: Match = None) -> Json:
        """Throw the emergency switch: no write passes while it is on (engineer)."""
        async with turn:
            unchanged(match, _view(gate, tags))
            try:
                await gate.mode.set_read_only(body.on, actor, body.reason)
            except WriteRejectedError as exc:
                raise refused(exc) from exc
        return Json(_view(gate, tags))

    @routes.post("/gate/requests", **answers(RequestView, "The request, which waits.", 404))
    async def request(body: RequestBody, actor: Caller, request: Request) -> Json:
        """Ask for a write that takes a second person."""
        tag = one(tags, body.path)
        try:
            actor, signature = await callers_of(request).signed(
                request, actor, body.signature, "request", tag.path
            )
            made = await gate.request(tag, body.value, actor, body.reason, body.for_ns, signature)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(_request(gate, made))

    @routes.post("/gate/requests/{number}/approve", **answers(Written, "The owner has taken the value."))
    async def approve(
        number: Number, actor: Caller, request: Request, body: ApproveRequest | None = None
    ) -> Json:
        """Agree to what another person asked for, which writes it."""
        found = waiting(number)
        try:
            signing, reason = (body.signature, body.reason) if body else (None, "")
            actor, signature = await callers_of(request).signed(
                request, actor, signing, "approve", found.tag.path
            )
            previous = await gate.requests.approve(number, actor, reason, signature)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(Written(found.value, previous))

    @routes.post("/gate/requests/{number}/reject", **answers(GateView, "What waits now."))
    async def reject(number: Number, actor: Caller, body: Why | None = None) -> Json:
        """End a request without a write."""
        waiting(number)
        try:
            await gate.requests.reject(number, actor, body.reason if body else "")
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(_view(gate, tags))

    def waiting(number: int) -> Waiting:
        try:
            return gate.requests.get(number)
        except WriteRejectedError as exc:
            raise Refused(404, exc.text, exc.remedy) from exc

    return routes


def _view(gate: Gate, tags: TagList) -> GateView:
    mode = gate.mode.record
    return GateView(
        mode=gate.mode.name,
        actor=mode.actor,
        reason=mode.reason,
        since_ns=mode.since_ns,
        requests=tuple(_request(gate, each) for each in gate.requests.waiting.values()),
        holds=tuple(
            HoldView(
                path=each.path,
                value=each.value,
                previous=each.previous,
                until_ns=each.until_ns,
                actor=each.actor,
                reason=each.reason,
                late=each.path in gate.late,
                type=each.type,
                unit_text=tags[each.path].unit_text if each.path in tags else "",
            )
            for each in gate.holds.values()
        ),
    )


def _request(gate: Gate, each: Waiting) -> RequestView:
    return RequestView(
        id=each.id,
        path=each.tag.path,
        value=each.value,
        actor=each.actor.name,
        role=each.actor.role.name.lower(),
        reason=each.reason,
        for_ns=each.for_ns,
        at_ns=each.at_ns,
        until_ns=each.until_ns,
        signature=gate.signed.get(each.tag.id, ()),
        type=each.tag.data_type.iec,
        unit_text=each.tag.unit_text,
    )
