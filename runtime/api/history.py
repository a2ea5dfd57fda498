"""/history: stored samples, figures of intervals, buckets for a trend, SQL for engineers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import History, Services
from runtime.api.texts import UnicodeText
from runtime.api.views import TagViews, one
from runtime.api.waiting import while_asked
from runtime.contract import Batch, Role, Tag
from runtime.historian import MOST_ROWS, Answer, Points, SqlError
from runtime.wire import Series, SeriesList, SqlAnswer, TrendList, TrendSeries

Paths = Annotated[
    list[str], Query(min_length=1, max_length=100, description="path of a tag; repeat for several")
]
TimeNs = Annotated[int, Query(ge=0, le=2**63 - 1, description="ns since 1970-01-01 UTC")]
Limit = Annotated[int, Query(ge=1, le=100_000, description="the newest of each tag")]
Mode = Literal["raw", "at", "interpolated", "min", "max", "mean", "first", "last", "time_weighted"]
Interval = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="ns; for every mode but raw")]
_SAMPLES = 1_000_000
_POINTS = 100_000
_MANY = 50_000  # rows of an answer
_AT_ONCE = 1  # a query may take a core for as long as it is allowed
_WAIT_S = 10.0  # for the one before; each client is more patient than that
Buckets = Annotated[int, Query(ge=1, le=10_000)]


class SqlRequest(BaseModel):
    """One SELECT over `samples(path, t, t_ns, value, quality, text)` and `tags(path, type, unit, retention)`.

    A condition on `t_ns` (ns since 1970) is faster than one on `t`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    query: Annotated[UnicodeText, Field(max_length=20_000, examples=["SELECT count(*) FROM samples"])]
    limit: int = Field(10_000, ge=1, le=MOST_ROWS)
    seconds: float = Field(30.0, gt=0, le=120)


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["history"])
    room = asyncio.Semaphore(_AT_ONCE)
    tags = services.bus.table.tags
    views = TagViews(tags)

    turn = asyncio.Semaphore(_AT_ONCE)

    async def written(rows: int, write: Callable[..., Json], *given: object) -> Json:
        """Write an answer in a thread; large ones, of some 200 bytes a row meanwhile, one after the other."""
        async with turn if rows > _MANY else nullcontext():
            return await asyncio.to_thread(write, *given)

    async def in_turn(history: History, body: SqlRequest) -> Answer:
        """Ask once the query before has ended."""
        try:
            async with asyncio.timeout(_WAIT_S):
                await room.acquire()
        except TimeoutError as exc:
            raise Refused(503, "another query is still at work", "ask again once it has ended") from exc
        try:
            return await history.sql(body.query, body.limit, body.seconds)
        finally:
            room.release()

    def asked(paths: list[str], start: int, end: int) -> tuple[History, list[Tag]]:
        if services.historian is None:
            raise Refused(404, "this plant keeps no history", "add history: to plant.yaml")
        if end <= start:
            raise Refused(422, "end is not after start", "give the times as ns since 1970-01-01 UTC")
        return services.historian, list({tag.id: tag for tag in (one(tags, path) for path in paths)}.values())

    @routes.get("/history", **answers(SeriesList, "Samples or figures of each tag, oldest first.", 404))
    async def query(
        request: Request,
        tag: Paths,
        start: TimeNs,
        end: TimeNs,
        limit: Limit = 10_000,
        mode: Mode = "raw",
        interval: Interval = None,
    ) -> Json:
        """Return stored samples with start <= source time < end, the newest `limit` of each tag.

        With another mode, a point for each interval from start: `at` and `interpolated` (of a BOOL both the
        same) give the value when it begins; `mean`, `first` and `last` judge its samples, `min`, `max` and
        `time_weighted` also the value that held when it began. The quality is uncertain where there was no
        good value all the time. All of these are doubles: whole numbers beyond 2**53 are rounded.
        Samples of tags with compression `swinging_door` are joined by straight lines: there `at` is on the
        line, and `mean` that of time.
        """
        history, wanted = asked(tag, start, end)
        ids = np.array([each.id for each in wanted], np.int32)
        if mode == "raw":
            if limit * len(wanted) > _SAMPLES:
                raise Refused(
                    422, f"{len(wanted)} tags with limit {limit} are too much", f"ask for up to {_SAMPLES}"
                )
            batch = await while_asked(request, history.query(ids, start, end, limit))
            return await written(len(batch), _samples, views, wanted, batch)
        if interval is None:
            raise Refused(422, f"mode {mode} needs an interval", "give interval in ns")
        points = -(-(end - start) // interval)
        if points > _POINTS or points * len(wanted) > _SAMPLES:
            text = f"{points} intervals of {len(wanted)} tags are too much"
            raise Refused(422, text, f"ask for up to {_POINTS} of each tag, {_SAMPLES} in all")
        for each in wanted:
            if each.data_type.kind == "s":
                raise Refused(422, f"{each.path} is text and has no figures", "ask with mode=raw")
        found = await while_asked(request, history.figures(ids, start, end, interval, mode))
        return await written(points * len(found), _points, wanted, found, mode)

    @routes.post("/history/sql", **answers(SqlAnswer, "Rows; times as ISO 8601 in UTC.", 404))
    async def sql(request: Request, body: SqlRequest, actor: Caller) -> Json:
        """Answer one SELECT, for engineers; it reads the history and nothing else."""
        if actor.role < Role.ENGINEER:
            raise Refused(
                403, f"{actor.name} is {actor.role.name.lower()}; SQL needs engineer", "use /history"
            )
        if services.historian is None:
            raise Refused(404, "this plant keeps no history", "add history: to plant.yaml")
        try:
            found = await while_asked(request, in_turn(services.historian, body))
        except SqlError as exc:
            raise Refused(422, exc.text, exc.remedy) from exc
        return Json(SqlAnswer(found.columns, found.rows, found.truncated))

    @routes.get("/history/trend", **answers(TrendList, "Buckets of each tag.", 404))
    async def trend(request: Request, tag: Paths, start: TimeNs, end: TimeNs, buckets: Buckets = 200) -> Json:
        """Return least, mean and greatest value of equal buckets; null in gaps."""
        history, wanted = asked(tag, start, end)
        series = []
        for each in wanted:
            if each.data_type.kind == "s":
                raise Refused(422, f"{each.path} is text and has no trend", "ask /history for it")
            points = await while_asked(request, history.trend(each.id, start, end, buckets))
            series.append(TrendSeries(each.path, each.unit_text, tuple(points)))
        return await written(buckets * len(series), Json, TrendList(tuple(series)))

    return routes


def _points(wanted: list[Tag], found: Mapping[int, Points], mode: str) -> Json:
    """Write many points as JSON: long enough to belong in a thread."""
    series = (
        Series(
            each.path,
            each.data_type.iec,
            each.unit_text,
            tuple(found[each.id].listed(each.data_type, mode)) if each.id in found else (),
        )
        for each in wanted
    )
    return Json(SeriesList(tuple(series)))


def _samples(views: TagViews, wanted: list[Tag], batch: Batch) -> Json:
    """Write many samples as JSON: long enough to belong in a thread."""
    series = []
    for tag in wanted:
        own = batch.take(np.flatnonzero(batch.ids == tag.id))
        columns = (own.source_ns.tolist(), views.values(own), own.quality.tolist())
        series.append(Series(tag.path, tag.data_type.iec, tag.unit_text, tuple(zip(*columns, strict=True))))
    return Json(SeriesList(tuple(series)))
