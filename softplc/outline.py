"""What a compiled program is made of, for those who show it: tasks, program instances, declared variables."""

from __future__ import annotations

from runtime.contract import PlcOutline, PlcTask
from softplc.application import Application


def outlined(application: Application) -> PlcOutline:
    """Return what an application runs."""
    tasks = tuple(
        PlcTask(
            task.name,
            task.resource,
            task.interval_ns,
            task.priority,
            tuple(zip(task.programs, task.types or task.programs, strict=True)),
        )
        for task in application.tasks
    )
    variables = {root.path.casefold(): (root.program, root.section) for root in application.roots}
    return PlcOutline(tasks, variables)
