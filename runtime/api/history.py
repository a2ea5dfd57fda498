"""/history: stored samples, raw or in buckets for a trend."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from runtime.api.answers import Json, Refused, answers
from runtime.api.services import History, Services
from runtime.api.views import TagViews, one
from runtime.client import Series, SeriesList, TrendList, TrendSeries
from runtime.contract import Tag

Paths = Annotated[
    list[str], Query(min_length=1, max_length=100, description="path of a tag; repeat for several")
]
TimeNs = Annotated[int, Query(ge=0, le=2**63 - 1, description="ns since 1970-01-01 UTC")]
Limit = Annotated[int, Query(ge=1, le=1_000_000, description="most samples of all tags together")]
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
        """Return stored samples with start <= source time < end."""
        history, wanted = asked(tag, start, end)
        batch = await history.query(np.array([each.id for each in wanted], np.int32), start, end, limit)
        values = np.empty(len(batch), object)
        values[:] = views.values(batch)
        series = []
        for each in wanted:
            rows = batch.ids == each.id
            columns = (batch.source_ns[rows].tolist(), values[rows].tolist(), batch.quality[rows].tolist())
            series.append(Series(each.path, each.unit_text, tuple(zip(*columns, strict=True))))
        return Json(SeriesList(tuple(series)))

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
