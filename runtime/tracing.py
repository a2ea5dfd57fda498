"""Traces for OpenTelemetry: requests, writes through the gate, commits; nothing unless asked for.

The extra `otel` brings what sends them; FastAPI itself traces the requests.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING

from runtime.config.models import TracesConfig
from runtime.errors import PlantError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)
_TIMEOUT_S = 2.0
_NOTHING = nullcontext()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def span(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """Return a span around some work; nothing where no traces are kept."""
    if _tracer is None:
        return _NOTHING
    named = {f"ironworks.{key}": value for key, value in attributes.items()}
    return _tracer.start_as_current_span(name, attributes=named)


def provider() -> TracerProvider | None:
    """Return where spans of other libraries go."""
    return _provider


@contextmanager
def tracing(config: TracesConfig | None, plant: str) -> Iterator[None]:
    """Send traces to the collector while it lasts; what a bounded queue does not hold is dropped.

    Raises:
        PlantError: the extra is not installed.
    """
    global _provider, _tracer  # noqa: PLW0603 - one process is one source of traces, as OpenTelemetry has it
    if config is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise PlantError(
            "traces: OpenTelemetry is not installed", "pip install 'ironworks[otel]', or remove traces:"
        ) from exc
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells each batch that does not arrive
    about = {
        "service.name": "ironworks",
        "service.instance.id": plant,
        "service.version": version("ironworks"),
    }
    made = TracerProvider(resource=Resource.create(about))
    exporter = OTLPSpanExporter(f"{config.endpoint}/v1/traces", timeout=_TIMEOUT_S)
    made.add_span_processor(BatchSpanProcessor(_told(exporter, config.endpoint)))
    _provider, _tracer = made, made.get_tracer("ironworks")
    try:
        yield
    finally:
        _provider = _tracer = None
        made.shutdown()


def _told(exporter: SpanExporter, endpoint: str) -> SpanExporter:
    """Return the exporter, which logs once when its collector goes and once when it is back."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Told(SpanExporter):
        lost = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            if result is SpanExportResult.SUCCESS:
                if self.lost:
                    log.info("traces reach %s again; %d were lost", endpoint, self.lost)
                self.lost = 0
            else:
                if not self.lost:
                    log.warning("traces do not reach %s", endpoint)
                self.lost += len(spans)
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Told()
