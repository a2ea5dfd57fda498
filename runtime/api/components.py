"""/components: states, restart and recording by an engineer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.download import Download, downloads
from runtime.api.services import Services
from runtime.api.texts import Comment, ComponentName
from runtime.errors import WriteRejectedError
from runtime.recording import LARGEST, LONGEST_NS
from runtime.wire import ComponentList, ComponentView

_PCAP = "application/vnd.tcpdump.pcap"


class RecordRequest(BaseModel):
    """How long is recorded, how many bytes the file may have, and of whom: an address, or address:port."""

    model_config = ConfigDict(extra="forbid")

    for_ns: Annotated[StrictInt, Field(ge=100_000_000, le=LONGEST_NS)]
    most: Annotated[StrictInt, Field(ge=1024, le=LARGEST)] = 16 * 1024 * 1024
    reason: Comment = ""
    peer: Annotated[str, Field(max_length=64)] = ""


def component_view(fields: Mapping[str, Any]) -> ComponentView:
    """Return a component in the API's shape."""
    return msgspec.convert(fields, ComponentView)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["components"])

    def views() -> dict[str, ComponentView]:
        return {each["name"]: component_view(each) for each in services.supervisor.views()}

    def check(name: str) -> None:
        known = views()
        if name not in known:
            raise Refused(404, f"no component is named {name!r}", f"there are: {', '.join(known)}")

    @routes.get("/components", **answers(ComponentList, "Components."))
    async def list_components() -> Json:
        """List the components and their states."""
        return Json(ComponentList(tuple(views().values())))

    @routes.post("/components/{name}/restart", **answers(ComponentView, "The component, starting again."))
    async def restart(name: ComponentName, actor: Caller) -> Json:
        """Stop a component and start it again (engineer)."""
        check(name)
        try:
            await services.restart(name, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(views()[name])

    @routes.post("/components/{name}/record", **downloads(_PCAP, "A capture, until its time is over."))
    async def record(name: ComponentName, body: RecordRequest, actor: Caller) -> Download:
        """Record what goes over a driver's connections and send it as pcap meanwhile (engineer).

        It holds values of the process, and whatever else is not encrypted on the wire.
        """
        check(name)
        try:
            recording = await services.record(name, actor, body.for_ns, body.most, body.reason, body.peer)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Download(recording.pieces(), recording.close, _PCAP, f"{name}.pcap")

    return routes
