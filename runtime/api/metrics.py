"""GET /metrics: the kernel for Prometheus. Labels are routes, components and `sys/` tags: all bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.info import release
from runtime.api.limits import Limits
from runtime.api.plcmetrics import task_metrics
from runtime.api.services import Services
from runtime.api.views import TagViews
from runtime.clock import SECOND_NS, monotonic_ns

if TYPE_CHECKING:
    from prometheus_client import Metric

_BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 2.5)
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS")
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one API, and how to read them."""

    def __init__(self, services: Services, limits: Limits) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(_Facts(services, limits))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "ironworks_api_requests",
            "Answered requests",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "ironworks_api_seconds",
            "Time to answer a request",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )


class Observer:
    """ASGI middleware that counts and times requests by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun_ns = monotonic_ns()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"  # a client may invent one
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(method, route).observe((monotonic_ns() - begun_ns) / SECOND_NS)


def router(metrics: Metrics) -> APIRouter:
    routes = APIRouter(tags=["metrics"])
    shown = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics."}

    @routes.get("/metrics", response_class=Response, responses={200: shown})
    async def read_metrics() -> Response:
        """Return the kernel's figures for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=_TYPE)

    return routes


class _Facts(Collector):
    """What the kernel knows anyway, read when it is asked."""

    def __init__(self, services: Services, limits: Limits) -> None:
        self._services = services
        self._limits = limits
        tags = services.bus.table.tags
        self._views = TagViews(tags)
        shown = [tag.id for tag in tags if tag.path.startswith("sys/") and tag.data_type.kind != "s"]
        self._shown = np.array(shown, np.int32)

    def collect(self) -> Iterable[Metric]:
        services = self._services
        yield InfoMetricFamily("ironworks", "The plant", {"plant": services.plant.name, "version": release()})
        up_s = (services.clock.now_ns() - services.started_ns) / SECOND_NS
        yield GaugeMetricFamily("ironworks_uptime_seconds", "Time since the kernel started", up_s)
        yield GaugeMetricFamily("ironworks_tags", "Tags", len(services.bus.table))
        health = services.health()
        for name, text, value in (
            ("bus_updates", "Values taken in", health["bus"]["updates"]),
            ("bus_lost", "Values lost because a subscriber was too slow", health["bus"]["overflow"]),
            ("api_throttled", "Requests and streams refused for coming too often", self._limits.refused),
        ):
            yield CounterMetricFamily(f"ironworks_{name}", text, value)
        yield GaugeMetricFamily("ironworks_api_streams", "Open streams", self._limits.streams)
        yield GaugeMetricFamily(
            "ironworks_journal_failing", "Whether the journal cannot be written", services.journal.failing
        )
        if (history := health["history"]) is not None:
            for name in ("samples", "committed", "dropped"):
                yield CounterMetricFamily(f"ironworks_history_{name}", f"Samples {name}", history[name])
            yield GaugeMetricFamily(
                "ironworks_history_lag_seconds",
                "Age of the oldest sample not on disk",
                history["lag_ms"] / 1e3,
            )
        state = GaugeMetricFamily(
            "ironworks_component_state",
            "1 for the state that it is in",
            labels=("component", "kind", "state"),
        )
        restarts = CounterMetricFamily("ironworks_component_restarts", "Restarts", labels=("component",))
        for each in services.supervisor.views():
            state.add_metric((each["name"], each["kind"], each["state"]), 1)
            restarts.add_metric((each["name"],), each["restarts"])
        yield state
        yield restarts
        yield from task_metrics(services.gate.forcing.find())
        facts = GaugeMetricFamily("ironworks_sys", "The system's own tags with a good value", labels=("tag",))
        table = services.bus.table
        for id_, value, _, _ in self._views.rows(table.snapshot(self._shown)):
            if value is not None:
                facts.add_metric((table[id_].path,), float(value))
        yield facts
