"""OpenTelemetry: a receiver on loopback gets the spans of a request, down to the commit on disk."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import tracing
from runtime.config import PlantFile
from runtime.errors import PlantError
from runtime.wire import PREFIX

PLANT = """plant: brewery
root: site/area/line
api: {{port: 0}}
history: {{flush: 100ms}}
traces: {{endpoint: {endpoint}}}
users:
  - {{name: olga, role: operator, secret: "{secret}"}}
"""


class Receiver:
    """Takes OTLP over HTTP and keeps the spans."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        spans = self.spans = []
        self.resources: list[dict[str, str]] = []
        resources = self.resources

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    facts = each.resource.attributes
                    resources.append({fact.key: fact.value.string_value for fact in facts})
                    spans.extend(span for scope in each.scope_spans for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_traced_down_to_the_disk(folder: Path, secret: str, started: Any) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="it comes with the extra otel")
    with Receiver() as receiver:
        (folder / "plant.yaml").write_text(PLANT.format(endpoint=receiver.url, secret=secret))
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        patient = "from runtime import tracing\ntracing._TIMEOUT_S = 60"
        with started(folder, patient) as url, httpx.Client(base_url=f"{url}{PREFIX}", timeout=60) as http:
            login = {"auth": ("olga", "hops & malt"), "headers": {"traceparent": parent}}
            assert http.put("/tags/tank/setpoint", json={"value": 5}, **login).status_code == 200
            assert http.put("/tags/tank/setpoint", json={"value": 500}, **login).status_code == 422
    ours = [each for each in receiver.spans if each.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"]
    by_id = {each.span_id: each for each in ours}
    writes = [each for each in ours if each.name == "gate.write"]
    assert [each.status.code for each in writes] == [0, 2]  # unset, error
    facts = _attributes(writes[0])
    assert facts["ironworks.tag"] == "site/area/line/tank/setpoint"
    assert facts["ironworks.actor"] == "olga"
    request = by_id[writes[0].parent_span_id]
    assert _attributes(request)["http.response.status_code"] == 200
    assert "/tags/{path" in _attributes(request)["http.route"]
    commits = [each for each in ours if each.name == "journal.commit"]
    assert {by_id[each.parent_span_id].name for each in commits} == {"gate.write"}
    assert any(each.name == "history.commit" for each in receiver.spans)
    assert receiver.resources[0]["service.name"] == "ironworks"
    assert receiver.resources[0]["service.instance.id"] == "brewery"
    assert "hops" not in str(receiver.spans)


def test_a_collector_that_is_not_there_is_told_once_and_holds_up_nothing(
    folder: Path, secret: str, started: Any
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="it comes with the extra otel")
    (folder / "plant.yaml").write_text(PLANT.format(endpoint="http://127.0.0.1:1", secret=secret))
    with started(folder) as url, httpx.Client(base_url=f"{url}{PREFIX}", timeout=60) as http:
        assert http.get("/info").status_code == 200
    (log,) = folder.glob(".ironworks/ironworks.log")
    assert log.read_text().count("traces do not reach http://127.0.0.1:1") == 1


def test_without_configuration_nothing_is_loaded_and_a_span_costs_nothing() -> None:
    script = """
import sys
from runtime.tracing import span, tracing
with tracing(None, "brewery"), span("gate.write", tag="x") as made:
    assert made is None
import runtime.kernel
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    head = PlantFile.model_validate(
        {"plant": "b", "root": "s", "traces": {"endpoint": "http://127.0.0.1:4318"}}
    )
    with pytest.raises(PlantError) as told, tracing.tracing(head.traces, "b"):
        pass
    assert "ironworks[otel]" in told.value.remedy
