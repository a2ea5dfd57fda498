"""ST2043: a task has a constant positive INTERVAL or a BOOL as SINGLE, and a PRIORITY from 0.

Accepted: CONFIGURATION C RESOURCE R ON PLC TASK t(INTERVAL := T#10ms, PRIORITY := 0); END_RESOURCE
    END_CONFIGURATION
Rejected: CONFIGURATION C RESOURCE R ON PLC TASK t(INTERVAL := T#-10ms, PRIORITY := 0); END_RESOURCE
    END_CONFIGURATION
Source: IEC 61131-3:2013, 6.8.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, LTIME, TIME, in_class
from softplc.rules.context import Context
from softplc.syntax import TaskDecl

ON = (TaskDecl,)


def check(task: TaskDecl, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for tasks that cannot run."""
    interval, priority = task.interval, task.priority
    none = interval is None or (interval.value == 0 and task.single is not None)
    if interval is not None:
        good = interval.type in (TIME, LTIME) and isinstance(interval.value, int) and interval.value >= 0
        if not good or (interval.value == 0 and not none):
            message = f"the INTERVAL of {task.name} must be a constant duration above 0"
            yield context.error("ST2043", message, interval, "write INTERVAL := T#10ms")
    if priority is not None:
        number = priority.value
        if not in_class(priority.type, "ANY_INT") or not isinstance(number, int) or number < 0:
            message = f"the PRIORITY of {task.name} must be a constant whole number from 0"
            yield context.error("ST2043", message, priority, "0 is the highest priority")
    if task.single is None:
        return
    if task.single.type is not BOOL:
        yield context.error("ST2043", f"the SINGLE of {task.name} must be a BOOL variable", task.single)
    elif not none and task.single.value is not False:
        yield context.error(
            "ST2043", f"{task.name} has both INTERVAL and SINGLE", task.single, "use one of them"
        )
