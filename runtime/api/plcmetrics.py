"""The figures of the program's tasks for Prometheus; the label `task` is bounded by the number of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily

from runtime.errors import PlantError
from runtime.plcview import Controller

if TYPE_CHECKING:
    from prometheus_client import Metric

    from runtime.plcview import SpreadView

_QUANTILES = (("0.5", "p50_us"), ("0.99", "p99_us"), ("0.999", "p999_us"), ("1", "max_us"))


def task_metrics(controller: Controller | None) -> Iterator[Metric]:
    """Yield durations and counters of each task since the core started; nothing where none runs."""
    if controller is None:
        return
    try:
        tasks = controller.figures().tasks
    except PlantError:  # it does not run just now
        return
    for what, text in (
        ("execution", "Duration of a scan"),
        ("latency", "From when a scan was due to its start"),
    ):
        family = SummaryMetricFamily(f"ironworks_plc_task_{what}_seconds", text)
        for each in tasks:
            _add(family, getattr(each, what), task=each.name)
        yield family
    family = SummaryMetricFamily("ironworks_plc_program_execution_seconds", "Duration of a program's scan")
    for each in tasks:
        for program in each.programs:
            _add(family, program.execution, task=each.name, program=program.name)
    yield family
    for what, text in (
        ("scans", "Scans"),
        ("overruns", "Scans not done when the next was due"),
        ("skipped", "Activations dropped after an overrun"),
    ):
        counter = CounterMetricFamily(f"ironworks_plc_task_{what}", text, labels=("task",))
        for each in tasks:
            counter.add_metric((each.name,), getattr(each, what))
        yield counter


def _add(family: Metric, spread: SpreadView, **labels: str) -> None:
    for quantile, name in _QUANTILES:
        family.add_sample(family.name, {**labels, "quantile": quantile}, getattr(spread, name) / 1e6)
