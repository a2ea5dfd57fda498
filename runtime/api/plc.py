"""/plc: the program that the plant runs: watch, force, figures, restart."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from runtime.api.access import Caller, Signed, callers_of
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.services import Services
from runtime.api.tags import ForNs
from runtime.api.texts import Comment, UnicodeText, ValueText
from runtime.errors import (
    ConnectError,
    PlantError,
    StoreError,
    UnknownVariableError,
    WriteRejectedError,
)
from runtime.plcview import (
    FORCED,
    WATCHED,
    ForceList,
    PlcFigures,
    PlcValues,
    RecordView,
    WhyView,
    WorstScan,
)

VariablePath = Annotated[UnicodeText, Field(min_length=1, max_length=1024, examples=["Main.Pump.Timer.ET"])]
_STATUS: tuple[tuple[type[PlantError], int], ...] = (
    (UnknownVariableError, 404),
    (ConnectError, 503),
    (StoreError, 503),
)


class ReadRequest(BaseModel):
    """Variables, or structures, arrays and programs as a whole."""

    model_config = ConfigDict(extra="forbid")

    paths: Annotated[list[VariablePath], Field(min_length=1, max_length=WATCHED)]


class ForceRequest(Signed):
    """A value for a variable, why, and for how long (0: until it is released); text is an IEC literal."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    path: VariablePath
    value: Annotated[StrictBool | StrictInt | StrictFloat | ValueText, Field(examples=["T#5s"])]
    reason: Comment
    for_ns: ForNs = 0


class UnforceRequest(BaseModel):
    """Which forces end; all without `paths`."""

    model_config = ConfigDict(extra="forbid")

    paths: Annotated[list[VariablePath], Field(min_length=1, max_length=FORCED)] | None = None
    reason: Comment = ""


class RestartRequest(BaseModel):
    """How the program begins anew: `cold` gives retained variables their initial values too.

    With `task` only the programs that it runs, while the others scan on.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Literal["warm", "cold"] = "warm"
    task: Annotated[UnicodeText, Field(max_length=256)] = ""
    reason: Comment = ""


class WhyRequest(BaseModel):
    """A variable or a tag; `at` a scan (of a run, else the newest), or a time: `-10s`, ISO 8601; else now."""

    model_config = ConfigDict(extra="forbid")

    path: VariablePath
    at: Annotated[UnicodeText, Field(max_length=64)] = ""
    run: Annotated[StrictInt, Field(ge=1, le=1 << 31)] | None = None


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["plc"])
    forcing = services.gate.forcing

    @routes.get("/plc", **answers(PlcFigures, "The figures since the core started.", 404))
    async def figures() -> Json:
        """Tell how the tasks do: durations, latencies, overruns, the longest scan."""
        try:
            return Json(forcing.controller().figures())
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.get("/plc/worst", **answers(WorstScan, "The longest scan of the task.", 404))
    async def worst(
        task: Annotated[UnicodeText, Query(min_length=1, max_length=256, examples=["main"])],
    ) -> Json:
        """Tell of the longest scan of a task: number, time, duration, and the inputs that it had."""
        try:
            return Json(forcing.controller().worst(task))
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.post("/plc/read", **answers(PlcValues, "The variables as one scan left them.", 404))
    async def read(body: ReadRequest) -> Json:
        """Return any variables of the program as one scan left them."""
        try:
            return Json(await forcing.controller().read(body.paths))
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.get("/plc/forces", **answers(ForceList, "What is forced.", 404))
    async def forces() -> Json:
        """List the forced variables."""
        try:
            return Json(ForceList(forcing.controller().forces()))
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.post("/plc/force", **answers(ForceList, "All that is forced now.", 404))
    async def force(body: ForceRequest, actor: Caller, request: Request) -> Json:
        """Force a variable (engineer): it has the value whatever the program and its inputs say."""
        try:
            actor, signature = await callers_of(request).signed(
                request, actor, body.signature, "force", body.path
            )
            await forcing.force(body.path, body.value, actor, body.reason, body.for_ns, signature)
            return Json(ForceList(forcing.controller().forces()))
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.post("/plc/unforce", **answers(ForceList, "What is still forced.", 404))
    async def unforce(body: UnforceRequest, actor: Caller) -> Json:
        """End forces (engineer)."""
        try:
            await forcing.release(body.paths, actor, body.reason)
            return Json(ForceList(forcing.controller().forces()))
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.post("/plc/restart", **answers(PlcFigures, "The program scans again.", 404))
    async def restart(body: RestartRequest, actor: Caller) -> Json:
        """Begin the program anew, warm or cold (engineer)."""
        try:
            cold = body.mode == "cold"
            await forcing.restart(cold=cold, actor=actor, reason=body.reason, task=body.task)
            return Json(forcing.controller().figures())
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.get("/plc/record", **answers(RecordView, "The record since the kernel has started.", 404))
    async def record() -> Json:
        """Tell how the record of scans does."""
        try:
            return Json(forcing.controller().record())
        except PlantError as exc:
            raise _refused(exc) from exc

    @routes.post("/plc/why", **answers(WhyView, "Since when, and what or who gave it its value.", 404))
    async def why(body: WhyRequest) -> Json:
        """Say why a variable has its value, out of the record of scans (engineer)."""
        try:
            return Json(await forcing.controller().why(body.path, body.at, body.run))
        except PlantError as exc:
            raise _refused(exc) from exc

    return routes


def _refused(error: PlantError) -> Refused:
    if isinstance(error, WriteRejectedError):
        return refused(error)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    return Refused(status, error.text, error.remedy)
