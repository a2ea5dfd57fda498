"""/history: stored samples, raw or in buckets for a trend."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from runtime.api.answers import Json, Refused, answers
from runtime.api.services import History, Services
from runtime.api.views import TagViews, one
from runtime.client import Series, SeriesList, TrendList, TrendSeries
from runtime.contract import Batch, Tag

Paths = Annotated[
    list[str], Query(min_length=1, max_length=100, description="path of a tag; repeat for several")
]
TimeNs = Annotated[int, Query(ge=0, le=2**63 - 1, description="ns since 1970-01-01 UTC")]
Limit = Annotated[int, Query(ge=1, le=100_000, description="the newest of each tag")]
_SAMPLES = 1_000_000
Buckets = Annotated[int, Query(ge=1, le=10_000)]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["history"])
    tags = services.bus.table.tags
    views = TagViews(tags)

    def asked(paths: list[str], start: int, end: int) -> tuple[History, list[Tag]]:
        if services.historian is None:
            raise Refused(404, "this plant keeps no history", "add history: to plant.yaml")
        if end <= start:
            raise Refused(422, "end is not after start", "give the times as ns since 1970-01-01 UTC")
        return services.historian, list({tag.id: tag for tag in (one(tags, path) for path in paths)}.values())

    @routes.get("/history", **answers(SeriesList, "Samples of each tag, oldest first."))
    async def query(tag: Paths, start: TimeNs, end: TimeNs, limit: Limit = 10_000) -> Json:
        """Return stored samples with start <= source time < end, the newest `limit` of each tag."""
        history, wanted = asked(tag, start, end)
        if limit * len(wanted) > _SAMPLES:
            raise Refused(
                422, f"{len(wanted)} tags with limit {limit} are too much", f"ask for up to {_SAMPLES}"
            )
        batch = await history.query(np.array([each.id for each in wanted], np.int32), start, end, limit)
        return await asyncio.to_thread(_samples, views, wanted, batch)

    @routes.get("/history/trend", **answers(TrendList, "Buckets of each tag."))
    async def trend(tag: Paths, start: TimeNs, end: TimeNs, buckets: Buckets = 200) -> Json:
        """Return least, mean and greatest value of equal buckets; null in gaps."""
        history, wanted = asked(tag, start, end)
        series = []
        for each in wanted:
            if each.data_type.kind == "s":
                raise Refused(422, f"{each.path} is text and has no trend", "ask /history for it")
            points = await history.trend(each.id, start, end, buckets)
            series.append(TrendSeries(each.path, each.unit_text, tuple(points)))
        return Json(TrendList(tuple(series)))

    return routes


def _samples(views: TagViews, wanted: list[Tag], batch: Batch) -> Json:
    """Write many samples as JSON: long enough to belong in a thread."""
    series = []
    for tag in wanted:
        own = batch.take(np.flatnonzero(batch.ids == tag.id))
        columns = (own.source_ns.tolist(), views.values(own), own.quality.tolist())
        series.append(Series(tag.path, tag.unit_text, tuple(zip(*columns, strict=True))))
    return Json(SeriesList(tuple(series)))
